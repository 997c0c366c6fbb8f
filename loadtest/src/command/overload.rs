//! `loadtest overload`'s arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EvidenceArgs, finish, positive};
use crate::arrivals::Pace;
use crate::overload::{self, Limits, Overload, OverloadFigures};
use crate::own_service::OwnService;

/// The service is the run's own: it is driven to its limit, and its memory is seen.
#[derive(Args)]
pub(super) struct OverloadArgs {
    /// Where the service's data folder goes [default: beside the evidence]
    #[arg(long)]
    data: Option<PathBuf>,
    /// How many times the maximum is offered
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    times: f64,
    /// Seconds of overload
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(4..=3_600))]
    seconds: u64,
    /// Seconds in which the maximum is found
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    probe_seconds: u64,
    /// Seconds of half the maximum before the overload
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    before_seconds: u64,
    /// Seconds of half the maximum after it
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=600))]
    after_seconds: u64,
    /// How the moments lie at which votes begin
    #[arg(long, value_enum, default_value_t = Pace::Poisson)]
    pace: Pace,
    /// The same seed gives the same moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Connections of the overload. With --depth it has to be more than the service holds before it refuses: 4 MiB,
    /// some 155,000 votes
    #[arg(long, default_value_t = 4_096, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    connections: u64,
    /// Votes under way on a connection at most
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    depth: u64,
    /// Connections while the maximum is found
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=15_000))]
    probe_connections: u64,
    /// Requests together on a connection while the maximum is found
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=64))]
    probe_pipeline: u64,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// FAIL where a smaller share of the maximum is acknowledged
    #[arg(long, default_value_t = 0.9, value_parser = positive)]
    goodput_min: f64,
    /// FAIL where the 99th percentile from a vote's intended start to its refusal is longer, ms
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    refused_p99_ms_max: f64,
    /// FAIL where votes are not acknowledged within 50 ms again, 99 of 100, so many seconds after the overload
    #[arg(long, default_value_t = 2.0, value_parser = positive)]
    recovery_s_max: f64,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

impl OverloadArgs {
    fn overload(&self) -> Overload {
        let count = |value: u64| usize::try_from(value).expect("clap has bounded it");
        Overload {
            times: self.times,
            pace: self.pace,
            seed: self.seed,
            connections: count(self.connections),
            depth: count(self.depth),
            threads: count(self.threads.min(self.connections)),
            probe_connections: count(self.probe_connections),
            probe_pipeline: count(self.probe_pipeline),
            probe_s: self.probe_seconds,
            before_s: self.before_seconds,
            overload_s: self.seconds,
            after_s: self.after_seconds,
            limits: Limits {
                goodput_min: self.goodput_min,
                refused_p99_ms_max: self.refused_p99_ms_max,
                recovery_s_max: self.recovery_s_max,
            },
        }
    }
}

pub(super) fn run(args: &OverloadArgs) -> ExitCode {
    let overload = args.overload();
    crate::watch::raise_open_files();
    let folder = args.data.clone().unwrap_or_else(|| args.evidence.folder());
    let ran = OwnService::run(&folder, |subject| overload::run(subject, &overload));
    finish(
        "overload",
        &args.evidence,
        ran,
        OverloadFigures::text,
        OverloadFigures::verdict,
    )
}
