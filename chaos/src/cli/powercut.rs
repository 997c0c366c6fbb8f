//! `chaos powercut`: the campaign's arguments.

use std::path::{Path, PathBuf};

use chaos::powercut::{Campaign, Mix, Mutant, Stage, build_planted};
use chaos::rig::Fs;
use chaos::{Trouble, Verdict};
use clap::Args;

/// How many cuts, and of what.
#[derive(Args, Clone)]
pub(crate) struct Wanted {
    /// What the nodes' data folders lie on: xfs or ext4.
    #[arg(long, default_value = "xfs")]
    fs: Fs,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    cuts: u32,
    /// The same seed gives the same moments, targets and votes; what the disks lose is the machine's.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only clusters of one node or of three; without it both, in turn.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    nodes: Option<u8>,
    /// Of three nodes, all at once.
    #[arg(long)]
    all_at_once: bool,
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    votes_per_s: u32,
    /// Build the service with this bug planted and try that one: no-barrier. The campaign must fail.
    #[arg(long, conflicts_with = "binary")]
    planted: Option<Mutant>,
    /// Folder of the JSON file.
    #[arg(long, default_value = "target/evidence")]
    evidence: PathBuf,
}

impl Wanted {
    fn mix(&self) -> Result<Mix, Trouble> {
        match (self.nodes, self.all_at_once) {
            (None, false) => Ok(Mix::All),
            (Some(1), _) => Ok(Mix::Only(Stage::Alone)),
            (Some(3), false) => Ok(Mix::Only(Stage::OneOfThree)),
            (Some(3) | None, true) => Ok(Mix::Only(Stage::AllOfThree)),
            (Some(_), _) => Err(Trouble::usage(
                "a power-cut campaign has clusters of 1 or 3 nodes",
            )),
        }
    }
}

pub(crate) fn run(runs: &Path, binary: PathBuf, wanted: &Wanted) -> Result<Verdict, Trouble> {
    let mix = wanted.mix()?;
    let binary = match wanted.planted {
        Some(mutant) => build_planted(mutant)?,
        None => binary,
    };
    let campaign = Campaign {
        fs: wanted.fs,
        cuts: wanted.cuts,
        seed: wanted.seed,
        mix,
        votes_per_s: f64::from(wanted.votes_per_s),
        binary,
        planted: wanted.planted.map(Mutant::name),
        evidence: wanted.evidence.clone(),
    };
    campaign.run(runs)
}
