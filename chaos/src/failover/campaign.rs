//! A measurement from its first cluster to its verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadtest::arrivals::Pace;
use loadtest::evidence;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::figures::{Figures, RoundFigures};
use super::plan::{Expects, Fault, shares};
use super::round::Ground;
use super::verdict::{Asked, decide};
use crate::campaign::{
    client_runtime, conclude, evidence_of, open_bag, unless_short, unless_stopped, write_evidence,
};
use crate::limits::{
    FAILOVER_CLUSTER_VOTES_MAX, FAILOVER_DISK_BYTES, FAILOVER_IDLE_CONNECTIONS_MAX, FAILOVER_IN_FLIGHT_MAX,
    FAILOVER_REQUEST_WAIT, FAILOVER_ROUNDS, FAILOVER_VOTE_PATIENCE, FAILOVER_VOTES_PER_S, FAILOVER_WINDOW_S,
    LOAD_CONTESTANTS, LOAD_FIRST_VOTER, LOG_KEEP_ALL, SNAPSHOTS_OFTEN,
};
use crate::litter::Bag;
use crate::load::{Load, LoadOptions, Polls, PollsOptions};
use crate::reckon::{keep_folders, reckon};
use crate::rig::{Fs, Rig, RigOptions};
use crate::{Trouble, Verdict, tools};

/// What is to be measured.
#[derive(Clone)]
pub struct Campaign {
    pub fault: Fault,
    pub rounds: u32,
    pub window: Duration,
    pub votes_per_s: u32,
    pub nodes: u8,
    pub fs: Fs,
    pub stock_tcp: bool,
    pub seed: u64,
    pub binary: PathBuf,
    /// Where the JSON file goes.
    pub evidence: PathBuf,
}

/// What goes into the evidence beside the figures.
#[derive(Serialize)]
struct Report<'a> {
    nemesis: &'static str,
    target: String,
    fault_ms: u128,
    expects: Expects,
    rounds_wanted: u32,
    window_ms: u128,
    votes_per_s: u32,
    nodes: u8,
    fs: Fs,
    stock_tcp: bool,
    seed: u64,
    /// By how much less than the objectives ask for was measured.
    short_of: Option<String>,
    binary_sha256: Option<String>,
    seconds: u64,
    figures: &'a Figures,
}

impl Campaign {
    /// Measures round after round, prints a line each, and leaves evidence. Everything that was made is removed, on Ctrl-C too;
    /// the folders of a cluster in which something was found are kept.
    ///
    /// # Errors
    /// Where the rig cannot be had here; evidence is written where it was had for a while.
    pub fn run(&self, runs: &Path) -> Result<Verdict, Trouble> {
        tools::need_root()?;
        let bag = open_bag(runs)?;
        let begun = Instant::now();
        let mut figures = Figures::default();
        let ran = self.clusters(&bag, &mut figures);
        let emptied = bag.empty();
        let what = self.what();
        let asked = Asked {
            expects: self.fault.expects(),
            rounds: self.rounds,
            window: self.window,
            what: &what,
        };
        let decided = unless_stopped(&ran, decide(&mut figures, asked));
        let (verdict, sentence) = unless_short(self.short_of(), decided);
        for line in figures.findings.told().iter().chain(&figures.doubts) {
            println!("  {line}");
        }
        let report = self.report(&figures, begun.elapsed());
        let evidence = evidence_of("failover", (verdict, &sentence), report);
        let written = write_evidence(&self.evidence, &evidence).map(drop);
        Ok(conclude(verdict, &sentence, [written, emptied]))
    }

    fn what(&self) -> String {
        let (name, target) = (self.fault.kind.name, &self.fault.target);
        format!("{name} at the {target:?} at {} votes/s", self.votes_per_s).to_lowercase()
    }

    /// The objectives are stated for a load, a window and a number of rounds.
    fn short_of(&self) -> Option<String> {
        let is_whole = self.rounds >= FAILOVER_ROUNDS
            && self.votes_per_s >= FAILOVER_VOTES_PER_S
            && self.window.as_secs() >= FAILOVER_WINDOW_S;
        (!is_whole).then(|| {
            format!(
                "the objectives are stated for {FAILOVER_ROUNDS} rounds of {FAILOVER_WINDOW_S} s at {FAILOVER_VOTES_PER_S} votes/s; asked for were {} of {} s at {}",
                self.rounds,
                self.window.as_secs(),
                self.votes_per_s
            )
        })
    }

    fn clusters(&self, bag: &Bag, figures: &mut Figures) -> Result<(), Trouble> {
        let runtime = client_runtime(2)?;
        let votes_per_s = f64::from(self.votes_per_s);
        let shares = shares(self.rounds, self.window, votes_per_s, FAILOVER_CLUSTER_VOTES_MAX);
        for (number, rounds) in (0..).zip(shares) {
            self.cluster(&runtime, bag, (number, rounds), figures)?;
            if !figures.findings.is_empty() {
                break;
            }
        }
        Ok(())
    }

    fn options(&self) -> RigOptions {
        let mut options = RigOptions::new(self.nodes, self.fs, self.binary.clone())
            // Kept whole, so that it can be recounted from its beginning.
            .with_flags(&["--log-keep-entries", LOG_KEEP_ALL]);
        options.disk_bytes = FAILOVER_DISK_BYTES;
        options.stock_tcp = self.stock_tcp;
        let needs = self.fault.kind.needs;
        if needs.clocks {
            options = options.with_clocks();
        }
        if needs.snapshots {
            options = options.with_flags(&["--snapshot-every-entries", SNAPSHOTS_OFTEN]);
        }
        options
    }

    fn cluster(
        &self,
        runtime: &Runtime,
        bag: &Bag,
        (number, rounds): (u32, u32),
        figures: &mut Figures,
    ) -> Result<(), Trouble> {
        let rig = Rig::new(self.options(), bag.clone())?;
        let polls = PollsOptions {
            idle_connections_max: FAILOVER_IDLE_CONNECTIONS_MAX,
            ..PollsOptions::of(
                &rig,
                LOAD_CONTESTANTS,
                FAILOVER_REQUEST_WAIT,
                FAILOVER_VOTE_PATIENCE,
            )
        };
        let polls = Arc::new(runtime.block_on(Polls::open(polls))?);
        let options = LoadOptions {
            votes_per_s: f64::from(self.votes_per_s),
            pace: Pace::Poisson,
            seed: self.seed.wrapping_add(u64::from(number)),
            in_flight_max: FAILOVER_IN_FLIGHT_MAX,
            votes_max: FAILOVER_CLUSTER_VOTES_MAX * 2,
            first_voter: LOAD_FIRST_VOTER,
        };
        let load = Load::begin(runtime.handle(), polls.clone(), options);
        figures.clusters += 1;
        for _ in 0..rounds {
            let ground = Ground {
                runtime,
                rig: &rig,
                polls: &polls,
                load: &load,
            };
            let round = ground
                .round(&self.fault, self.window)
                .map_err(|trouble| rig.blamed_for(trouble))?;
            say(figures.rounds.len() + 1, self.rounds, &round);
            figures.round(round);
        }
        let reckoned = reckon(runtime, &rig, &polls, load)?;
        println!(
            "cluster {} recounted: {} votes counted in {} entries, {} asked for again, {} folders verified, {} kinds of findings",
            number + 1,
            reckoned.counted,
            reckoned.entries,
            reckoned.asked_again,
            reckoned.folders_verified,
            reckoned.findings.counts.len()
        );
        let is_sound = reckoned.findings.is_empty();
        figures.reckoned(reckoned);
        if !is_sound {
            println!("folders kept in {}", keep_folders(&rig, number)?.display());
        }
        rig.clear_away()
    }

    fn report<'a>(&self, figures: &'a Figures, took: Duration) -> Report<'a> {
        Report {
            nemesis: self.fault.kind.name,
            target: format!("{:?}", self.fault.target).to_lowercase(),
            fault_ms: self.fault.lasts.as_millis(),
            expects: self.fault.expects(),
            rounds_wanted: self.rounds,
            window_ms: self.window.as_millis(),
            votes_per_s: self.votes_per_s,
            nodes: self.nodes,
            fs: self.fs,
            stock_tcp: self.stock_tcp,
            seed: self.seed,
            short_of: self.short_of(),
            binary_sha256: evidence::sha256_of(&self.binary),
            seconds: took.as_secs(),
            figures,
        }
    }
}

fn say(number: usize, of: u32, round: &RoundFigures) {
    let ms = |value: Option<f64>| value.map_or("never".to_owned(), |ms| format!("{ms:.1}"));
    let ranks = |spread: &super::Spread| {
        let [p50, p95, p99] = [spread.p50_ms, spread.p95_ms, spread.p99_ms].map(ms);
        format!("{p50}/{p95}/{p99}")
    };
    let (steady, window, costs) = (&round.steady, &round.window, &round.costs);
    println!(
        "round {number} of {of}: {}; silent for {} ms from {} ms on, another leader after {} ms; p50/p95/p99 ms: ack {} (before {}), to screen {} (before {}), load late {}",
        round.felt,
        round.resume_ms,
        round.silent_from_ms,
        round
            .another_leader_ms
            .map_or("-".to_owned(), |ms| ms.to_string()),
        ranks(&window.ack),
        ranks(&steady.ack),
        ranks(&window.to_screen),
        ranks(&steady.to_screen),
        ranks(&window.load_late)
    );
    let votes = window.votes;
    println!(
        "  {} votes: {} acked ({} after more than one try), {} refused, {} not taken, {} unknown, {} unsent; answers {:?}; a vote takes {:.0} us of the harness and {:.0} of the nodes; {:.2} cores idle",
        votes.sent,
        votes.acked,
        votes.retried,
        votes.refused,
        votes.not_taken,
        votes.unknown,
        round.load.unsent,
        round.answers,
        costs.harness_micros_a_vote,
        costs.nodes_micros_a_vote,
        costs.idle_cores
    );
}
