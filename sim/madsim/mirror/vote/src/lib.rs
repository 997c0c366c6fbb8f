//! The vote service without its HTTP: the very files of the service, compiled against madsim.

// The service's own workspace lints these sources; what its routes use of them is unused here.
#![allow(dead_code, unused_imports)]

#[path = "../../../../../service/node/src/log.rs"]
mod log;
mod run;
pub mod vote;

pub use log::Log;
pub use run::hand_over_leadership;
