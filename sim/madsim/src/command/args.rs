//! The command line.

use std::ops::Range;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::simulation::Plant;

#[derive(Parser)]
#[command(
    name = "sim-madsim",
    about = "Replication and the batcher under random scheduling, from seeds, judged"
)]
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
        #[command(flatten)]
        manner: Manner,
    },
    /// Run a plan or a failure's plan again
    Replay {
        file: PathBuf,
        #[command(flatten)]
        manner: Manner,
    },
    /// Run many seeds, each in a process of its own
    Explore(Explore),
}

/// How one run goes.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Manner {
    /// Print the summary as one line of JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the run's file even if all held
    #[arg(long)]
    pub(crate) keep: bool,
    /// Without madsim's determinism check, which runs everything twice
    #[arg(long)]
    pub(crate) unchecked: bool,
    /// Put a fault of this kind into the nodes or the simulator, to see it found
    #[arg(long, value_enum)]
    pub(crate) plant: Option<Plant>,
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
    /// The same as --times 2
    #[arg(long, conflicts_with = "times")]
    pub(crate) twice: bool,
    /// Without madsim's determinism check, which runs everything twice
    #[arg(long)]
    pub(crate) unchecked: bool,
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
