//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ostraka_sim_campaign::Explore;

#[derive(Parser)]
#[command(name = "sim", about = "The service under faults, from seeds, judged")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Subcommand)]
pub(crate) enum Task {
    /// Run one seed
    Run {
        #[arg(long)]
        seed: u64,
        /// Print the summary as one line of JSON
        #[arg(long)]
        json: bool,
        /// Write the run's file even if all held
        #[arg(long)]
        keep: bool,
        /// Write what the nodes log to stderr, filtered as by RUST_LOG: warn,openraft=debug
        #[arg(long, value_name = "FILTER")]
        log: Option<String>,
    },
    /// Run a plan or a failure's plan again
    Replay {
        file: PathBuf,
        /// Print the summary as one line of JSON
        #[arg(long)]
        json: bool,
        /// Write the run's file even if all held
        #[arg(long)]
        keep: bool,
        /// Write what the nodes log to stderr, filtered as by RUST_LOG: warn,openraft=debug
        #[arg(long, value_name = "FILTER")]
        log: Option<String>,
    },
    /// Run many seeds, each in a process of its own
    Explore(Explore),
    /// Make a failure's plan as small as it can be while the same checker still fails
    Shrink { file: PathBuf },
    /// Judge the history in a run's file, as it is, without running its plan again
    Judge { file: PathBuf },
    /// Draw a run's file as one page of HTML
    Timeline { file: PathBuf },
    /// Plant known bugs in a copy of the tree and measure how soon seeds find them
    Mutants(Mutants),
}

#[derive(clap::Args)]
pub(crate) struct Mutants {
    /// Only this one; may be given again for more
    #[arg(long, value_name = "NAME")]
    pub(crate) only: Vec<String>,
    /// Only those whose place in the list, modulo 4, is this
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..4))]
    pub(crate) quarter: Option<u8>,
    /// The commit whose tree they are planted in
    #[arg(long, default_value = "HEAD")]
    pub(crate) commit: String,
    /// Seeds of each range, of which there are three, before a mutant is said to live
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..100_000))]
    pub(crate) seeds_max: u64,
    /// Seeds at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
