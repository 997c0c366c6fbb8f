//! Load on Ostraka: how many votes it takes, and what that is beside an empty handler.
//!
//! Other harnesses take three things from here: [`issuer`], which signs voters' tokens, [`fill`], which casts many votes
//! quickly, and [`evidence`], the form in which runs leave what they measured.

pub mod command;
mod compare;
mod cpu;
mod empty_server;
pub mod evidence;
pub mod fill;
mod generator;
pub mod issuer;
mod processes;
mod session;
mod statistics;
mod wire;
