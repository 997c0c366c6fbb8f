//! Load on Ostraka: how many votes it takes, and what that is beside an empty handler.
//!
//! Other harnesses take four things from here: [`issuer`], which signs voters' tokens, [`arrivals`], which says when votes are
//! to begin, [`fill`], which casts many votes quickly, and [`evidence`], the form in which runs leave what they measured.

pub mod arrivals;
pub mod command;
mod compare;
mod cpu;
mod empty_server;
pub mod evidence;
pub mod fill;
mod fleet;
mod generator;
pub mod issuer;
mod journeys;
mod memory;
mod open_loop;
mod overload;
mod own_service;
mod peers;
mod processes;
mod rate;
mod session;
mod statistics;
mod watch;
mod wire;
