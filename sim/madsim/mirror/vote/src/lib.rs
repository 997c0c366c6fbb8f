//! The vote service without its HTTP: the very files of the service, compiled against madsim.

// Routes use what is unused here.
#![allow(dead_code, unused_imports)]

#[path = "../../../../../service/node/src/log.rs"]
mod log;
pub mod vote;

pub use log::Log;
