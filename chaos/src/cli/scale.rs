//! `chaos scale`: the measurement's arguments.

use std::path::{Path, PathBuf};

use chaos::limits::{SCALE_RESTARTS, SCALE_VOTES, SCALE_VOTES_PER_S};
use chaos::rig::Fs;
use chaos::scale::Campaign;
use chaos::{Trouble, Verdict};
use clap::Args;

/// How much of what. What is not said is what the objectives are stated for.
#[derive(Args, Clone)]
pub(crate) struct Wanted {
    /// Votes in the log.
    #[arg(long, default_value_t = SCALE_VOTES, value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    votes: u32,
    #[arg(long, default_value_t = SCALE_VOTES_PER_S, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    votes_per_s: u32,
    #[arg(long, default_value_t = SCALE_RESTARTS, value_parser = clap::value_parser!(u32).range(0..=100))]
    restarts: u32,
    /// Folder in which the filled node is kept, and found again by the next measurement.
    #[arg(long)]
    stock: Option<PathBuf>,
    /// Fill it and do nothing else.
    #[arg(long, requires = "stock")]
    only_fill: bool,
    /// What the nodes' data folders lie on: xfs, ext4 or host.
    #[arg(long, default_value = "host")]
    fs: Fs,
    /// The same seed gives the same votes at the same times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the JSON file.
    #[arg(long, default_value = "target/evidence")]
    evidence: PathBuf,
}

pub(crate) fn run(runs: &Path, binary: PathBuf, wanted: &Wanted) -> Result<Verdict, Trouble> {
    let campaign = Campaign {
        votes: wanted.votes,
        votes_per_s: wanted.votes_per_s,
        restarts: wanted.restarts,
        fs: wanted.fs,
        seed: wanted.seed,
        stock: wanted.stock.clone(),
        only_fill: wanted.only_fill,
        binary,
        evidence: wanted.evidence.clone(),
    };
    campaign.run(runs)
}
