//! `loadtest fleet`'s arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EvidenceArgs, finish, positive, wrong_arguments};
use crate::fleet::{
    self, Fleet, FleetFigures, InputError, Limits, Lose, Plan, Prices, Set, Shape, Times, WATCHERS_A_NODE,
};

/// Nothing is run, and the same arguments give the same figures.
#[derive(Args)]
pub(super) struct FleetArgs {
    /// Votes a second at the show's peak
    #[arg(long, default_value_t = 250_000.0, value_parser = positive)]
    requests_per_s: f64,
    /// People who have an account, and a place in the dedupe
    #[arg(long, default_value_t = 300_000_000, value_parser = clap::value_parser!(u64).range(1..=4_000_000_000))]
    users: u64,
    /// People who watch the stream
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    watchers: u64,
    /// How votes come, "SECONDS,SHARE;…" of the peak: percentiles are of the first step with the share 1
    #[arg(long, default_value = "0.5,0.2;3,1;1,0.4")]
    shape: Shape,
    /// The same seed gives the same votes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Type of all nodes, by its name in the price list
    #[arg(long, default_value = "c7g.4xlarge")]
    instance: String,
    /// Voting members of the log
    #[arg(long, default_value_t = 3, value_parser = odd)]
    log_nodes: u64,
    /// Nodes that take votes [default: as few as carry them]
    #[arg(long, requires = "feeders", value_parser = clap::value_parser!(u64).range(3..=30_000))]
    front: Option<u64>,
    /// Nodes for watchers [default: as few as carry them]
    #[arg(long, requires = "front", value_parser = clap::value_parser!(u64).range(3..=30_000))]
    feeders: Option<u64>,
    /// Requests that come on one connection
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    requests_a_connection: f64,
    /// Milliseconds between two tallies [default: what the service rests]
    #[arg(long, default_value_t = ostraka_api::limits::TALLY_MS_MIN as f64, value_parser = positive)]
    tally_ms: f64,
    /// Watchers on one node at most [default: what a node takes today]
    #[arg(long, default_value_t = WATCHERS_A_NODE as u64, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    watchers_a_node: u64,
    /// Watchers' nodes read other nodes' streams and have no log. That is not built
    #[arg(long)]
    relays: bool,
    /// What is lost at the worst moment
    #[arg(long, value_enum, default_value_t = Lose::Zone)]
    lose: Lose,
    /// A file of service times, in place of the committed ones
    #[arg(long)]
    times: Option<PathBuf>,
    /// One of the service times by its name, in place of the file's
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Set>,
    /// A price list, in place of the committed one
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Share of a core, a network, a disk or a memory that may be used
    #[arg(long, default_value_t = 0.6, value_parser = share)]
    share_max: f64,
    /// FAIL where the 99th percentile of acknowledgements is longer, ms
    #[arg(long, default_value_t = 50.0, value_parser = positive)]
    ack_p99_ms_max: f64,
    /// FAIL where the 95th percentile from a vote to its sight on the stream is longer, ms
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    end_to_end_p95_ms_max: f64,
    /// FAIL where the 99th percentile is longer, ms
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    end_to_end_p99_ms_max: f64,
    /// Hours for which a show has all its nodes
    #[arg(long, default_value_t = 3.0, value_parser = positive)]
    show_hours: f64,
    /// Minutes of a show in which totals move all the time
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    busy_minutes: f64,
    #[arg(long, default_value_t = 4.0, value_parser = positive)]
    shows_a_month: f64,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

fn odd(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(number @ (1 | 3 | 5 | 7)) => Ok(number),
        _ => Err("a log has 1, 3, 5 or 7 voting members".to_string()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    positive(text).and_then(|share| {
        let whole = "it must be 1 at most".to_string();
        if share <= 1.0 { Ok(share) } else { Err(whole) }
    })
}

fn count(value: u64) -> usize {
    usize::try_from(value).expect("clap has bounded it")
}

impl FleetArgs {
    fn plan(&self) -> Plan {
        Plan {
            requests_per_s: self.requests_per_s,
            users: self.users as f64,
            watchers: self.watchers as f64,
            shape: self.shape.clone(),
            seed: self.seed,
            instance: self.instance.clone(),
            log_nodes: count(self.log_nodes),
            requests_a_connection: self.requests_a_connection,
            tally_ms: self.tally_ms,
            watchers_a_node: self.watchers_a_node as f64,
            relays: self.relays,
            lose: self.lose,
            limits: Limits {
                ack_p99_ms_max: self.ack_p99_ms_max,
                end_to_end_p95_ms_max: self.end_to_end_p95_ms_max,
                end_to_end_p99_ms_max: self.end_to_end_p99_ms_max,
                share_max: self.share_max,
            },
            show_hours: self.show_hours,
            busy_minutes: self.busy_minutes,
            shows_a_month: self.shows_a_month,
        }
    }

    fn given(&self) -> Option<Fleet> {
        let (front, feeders) = self.front.zip(self.feeders)?;
        Some(Fleet {
            log: count(self.log_nodes),
            front: count(front),
            feeders: count(feeders),
        })
    }

    fn inputs(&self) -> Result<(Times, Prices), String> {
        let said = |error: InputError| error.to_string();
        let times = Times::load(self.times.as_deref()).map_err(said)?;
        let prices = Prices::load(self.prices.as_deref()).map_err(said)?;
        Ok((times.with(&self.set)?, prices))
    }
}

pub(super) fn run(args: &FleetArgs) -> ExitCode {
    let plan = args.plan();
    if let Some(sentence) = plan.impossible() {
        return wrong_arguments(&sentence);
    }
    let found = args
        .inputs()
        .and_then(|(times, prices)| fleet::run(plan, times, prices, args.given()));
    match found {
        Ok(figures) => finish(
            "fleet",
            &args.evidence,
            Ok(figures),
            FleetFigures::text,
            FleetFigures::verdict,
        ),
        // Nothing was begun: there is no evidence to keep.
        Err(sentence) => wrong_arguments(&sentence),
    }
}
