//! `sim`: runs the whole service under faults, from seeds, and judges what came of it.
//!
//! Exit codes: 0 held, 10 safety broken, 11 liveness broken, 12 vacuous, 13 not deterministic; 2 for arguments or files
//! that cannot be used, and where nothing is wrong but that it could not be said or kept. `mutants` ends with 1 if some live.

mod args;
mod mutants;
mod one;
mod timeline;

use std::process::ExitCode;

use clap::Parser;
use ostraka_sim_campaign::{ended, explore, judged_file, shrink};

use args::{Args, Task};

fn main() -> ExitCode {
    let done = match Args::parse().task {
        Task::Run {
            seed,
            json,
            keep,
            log,
        } => shown(log).and_then(|()| one::run_seed(seed, json, keep)),
        Task::Replay {
            file,
            json,
            keep,
            log,
        } => shown(log).and_then(|()| one::replay(&file, json, keep)),
        Task::Explore(wanted) => explore(&one::program(), &wanted),
        Task::Shrink { file } => shrink(&one::program(), &file),
        Task::Judge { file } => judged_file(&file),
        Task::Timeline { file } => timeline::write(&file),
        Task::Mutants(wanted) => mutants::mutants(&wanted),
    };
    ended("sim", done)
}

fn shown(filter: Option<String>) -> Result<(), String> {
    filter.map_or(Ok(()), |filter| ostraka_sim_turmoil::show_logs(&filter))
}
