//! The command: one run, a file's run again, or many.

mod args;
mod one;

use std::process::ExitCode;

use clap::Parser;
use ostraka_sim_campaign::{ended, explore, shrink};

use args::{Args, Task};

pub(crate) fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Run { seed, manner } => one::run_seed(seed, manner),
        Task::Replay { file, manner } => one::replay(&file, manner),
        Task::Shrink {
            file,
            unchecked,
            plant,
        } => shrink(&one::program(unchecked, plant), &file),
        Task::Explore { seeds, unchecked } => explore(&one::program(unchecked, None), &seeds),
    };
    ended("sim-madsim", done)
}
