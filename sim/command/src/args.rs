//! The command line.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

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
        #[arg(long)]
        json: bool,
        /// Write what the nodes log to stderr, filtered as by RUST_LOG: warn,openraft=debug
        #[arg(long, value_name = "FILTER")]
        log: Option<String>,
    },
    /// Run many seeds, each in a process of its own
    Explore(Explore),
    /// Make a failure's plan as small as it can be while the same checker still fails
    Shrink { file: PathBuf },
    /// Draw a run's file as one page of HTML
    Timeline { file: PathBuf },
    /// Plant known bugs in a copy of the tree, one at a time, and measure how soon seeds find them
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

#[derive(clap::Args)]
pub(crate) struct Explore {
    /// First seed, and the one behind the last: A..B
    #[arg(long, value_parser = range)]
    pub(crate) seeds: Range<u64>,
    /// Seeds at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) jobs: u16,
    /// Run each seed in so many processes and compare what came of it, byte for byte
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub(crate) times: u8,
    /// Fail as vacuous if something that must happen sometimes never did
    #[arg(long)]
    pub(crate) all_points: bool,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parts = text
        .split_once("..")
        .and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    match parts {
        Some((from, to)) if from < to => Ok(from..to),
        _ => Err("seeds are given as A..B, with A below B".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_seed_below_its_end() {
        assert_eq!(range("3..7"), Ok(3..7));
        for wrong in ["", "3", "3..", "..7", "7..3", "3..3", "-1..3", "a..b", "1..2..3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
