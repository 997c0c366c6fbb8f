//! The command: one run, a file's run again, or many.

mod args;
mod explore;
mod one;
mod summary;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Task};

/// For arguments and files that cannot be used: clap's own code for the same.
const EXIT_UNUSABLE: u8 = 2;
/// The same plan gave two different runs.
const EXIT_NOT_DETERMINISTIC: u8 = 13;

pub(crate) fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Run { seed, manner } => one::run_seed(seed, manner),
        Task::Replay { file, manner } => one::replay(&file, manner),
        Task::Explore(wanted) => explore::explore(&wanted),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            eprintln!("sim-madsim: {sentence}");
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}
