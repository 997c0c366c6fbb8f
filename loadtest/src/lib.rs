//! Load on Ostraka: how many votes it takes, and what that is beside an empty handler.
//!
//! Other harnesses take two things from here: [`issuer`], which signs voters' tokens, and [`evidence`], the form in which
//! runs leave what they measured.

pub mod command;
mod compare;
mod cpu;
mod empty_server;
pub mod evidence;
mod generator;
pub mod issuer;
mod processes;
mod session;
mod statistics;
mod wire;
