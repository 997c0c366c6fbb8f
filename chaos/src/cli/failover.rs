//! `chaos failover`: the measurement's arguments.

use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos::failover::{Campaign, Fault};
use chaos::limits::{FAILOVER_ROUNDS, FAILOVER_VOTES_PER_S, FAILOVER_WINDOW_S};
use chaos::rig::Fs;
use chaos::{Trouble, Verdict, nemesis};
use clap::{Args, ValueEnum};
use ostraka_sim_model::plan::Target;

/// Whom the fault hits.
#[derive(Clone, Copy, ValueEnum)]
enum Whom {
    Leader,
    Follower,
}

/// Which fault, how often, and under what load. What is not said is what the objectives are stated for.
#[derive(Args, Clone)]
pub(crate) struct Wanted {
    /// A name of `chaos nemesis`; `loss` loses 5 % here.
    #[arg(long, default_value = "kill")]
    nemesis: String,
    #[arg(long, default_value = "leader")]
    target: Whom,
    /// How long it is left on, seconds; each has a time of its own.
    #[arg(long)]
    fault_s: Option<u64>,
    #[arg(long, default_value_t = FAILOVER_ROUNDS, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Length of the window over which latencies are ranked, and which holds the fault.
    #[arg(long, default_value_t = FAILOVER_WINDOW_S, value_parser = clap::value_parser!(u64).range(4..=600))]
    window_s: u64,
    #[arg(long, default_value_t = FAILOVER_VOTES_PER_S, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    votes_per_s: u32,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(3..=9))]
    nodes: u8,
    /// What the nodes' data folders lie on: xfs, ext4 or host.
    #[arg(long, default_value = "xfs")]
    fs: Fs,
    /// Leave nodes the kernel's own shortest wait before a lost packet is sent again, 200 ms instead of 10.
    #[arg(long)]
    stock_tcp: bool,
    /// The same seed gives the same votes at the same times.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folder of the JSON file.
    #[arg(long, default_value = "target/evidence")]
    evidence: PathBuf,
}

pub(crate) fn run(runs: &Path, binary: PathBuf, wanted: &Wanted) -> Result<Verdict, Trouble> {
    let kind = nemesis::asked_for(&wanted.nemesis)?;
    kind.check_possible(wanted.fs, None)?;
    let fault = Fault {
        kind,
        target: match wanted.target {
            Whom::Leader => Target::Leader,
            Whom::Follower => Target::Follower,
        },
        lasts: wanted.fault_s.map_or(kind.lasts, Duration::from_secs),
    };
    fault.check()?;
    let campaign = Campaign {
        fault,
        rounds: wanted.rounds,
        window: Duration::from_secs(wanted.window_s),
        votes_per_s: wanted.votes_per_s,
        nodes: wanted.nodes,
        fs: wanted.fs,
        stock_tcp: wanted.stock_tcp,
        seed: wanted.seed,
        binary,
        evidence: wanted.evidence.clone(),
    };
    campaign.run(runs)
}
