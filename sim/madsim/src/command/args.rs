//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use ostraka_sim_campaign::Explore;

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
    /// Make a failure's plan as small as it can be while the same checker still fails
    Shrink {
        file: PathBuf,
        /// Without madsim's determinism check, which runs everything twice
        #[arg(long)]
        unchecked: bool,
        /// With the fault that was put in when it failed
        #[arg(long, value_enum)]
        plant: Option<Plant>,
    },
    /// Run many seeds, each in a process of its own
    Explore {
        #[command(flatten)]
        seeds: Explore,
        /// Without madsim's determinism check, which runs everything twice
        #[arg(long)]
        unchecked: bool,
    },
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
