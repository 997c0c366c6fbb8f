//! The node: one process that takes votes, keeps logs, serves streams. [`run`] is the only composition root; the
//! binary, the simulators' hosts and the chaos harness all start it.

mod atomic_file;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod config;
pub mod data_folder;
pub mod env;
pub mod export;
pub mod http;
pub mod identity;
pub mod log;
pub mod offline;
pub mod operator;
mod pressure;
pub mod rate;
pub mod revoked;
pub mod run;
pub mod secrets;
mod storage_guard;
pub mod telemetry;
pub mod tls;
pub mod token;
pub mod verify;
pub mod vote;

pub use config::Config;
pub use env::Env;
pub use run::{Node, run};
