//! A measurement from the filling to its verdict.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use loadtest::arrivals::Pace;
use loadtest::evidence;
use loadtest::issuer::Issuer;
use ostraka_sim_model::ids::NodeIndex;
use serde::Serialize;
use tokio::runtime::Runtime;

use super::books::Cast;
use super::catch_up::CatchUp;
use super::figures::Figures;
use super::ground::Ground;
use super::restart::{Restart, load_of};
use super::stock::{Stock, polls_of};
use super::verdict::decide;
use crate::books::Finding;
use crate::campaign::{
    client_runtime, conclude, evidence_of, now_s, open_bag, unless_short, unless_stopped, write_evidence,
};
use crate::failover::Stretch;
use crate::limits::{
    FAILOVER_IDLE_CONNECTIONS_MAX, FAILOVER_IN_FLIGHT_MAX, LOAD_FIRST_VOTER, SCALE_DISK_BYTES,
    SCALE_LOAD_VOTES_MAX, SCALE_RESTARTS, SCALE_VOTES, SCALE_VOTES_PER_S,
};
use crate::litter::{Bag, Litter};
use crate::load::{LoadOptions, Polls, PollsOptions};
use crate::rig::{Departure, Fs, Rig, RigOptions};
use crate::{Trouble, Verdict, tools};

/// What is to be measured.
#[derive(Clone)]
pub struct Campaign {
    pub votes: u32,
    pub votes_per_s: u32,
    pub restarts: u32,
    pub fs: Fs,
    pub seed: u64,
    /// Where the filled folder is kept for other measurements; in the run's own folder, and gone with it, where not said.
    pub stock: Option<PathBuf>,
    /// Nothing but the filling.
    pub only_fill: bool,
    pub binary: PathBuf,
    /// Where the JSON file goes.
    pub evidence: PathBuf,
}

/// What goes into the evidence beside the figures.
#[derive(Serialize)]
struct Report<'a> {
    votes: u32,
    votes_per_s: u32,
    fs: Fs,
    seed: u64,
    /// By how much less than the objectives ask for was measured.
    short_of: Option<String>,
    binary_sha256: Option<String>,
    seconds: u64,
    figures: &'a Figures,
}

impl Campaign {
    /// Measures, prints, and leaves evidence. Everything that was made is removed, on Ctrl-C too, but a stock that was named.
    ///
    /// # Errors
    /// Where the rig cannot be had here; evidence is written where it was had for a while.
    pub fn run(&self, runs: &Path) -> Result<Verdict, Trouble> {
        tools::need_root()?;
        let bag = open_bag(runs)?;
        let begun = Instant::now();
        let mut figures = Figures::default();
        // Of its own: what a rig leaves is cleared away with the rig, and the stock outlives the one that it was made with.
        let shelf = open_bag(runs)?;
        let ran = self.measure(&bag, &shelf, &mut figures);
        let (emptied, unshelved) = (bag.empty(), shelf.empty());
        if self.only_fill {
            return ran.and(emptied).and(unshelved).map(|()| Verdict::Held);
        }
        let decided = unless_stopped(&ran, decide(&mut figures));
        let (verdict, sentence) = unless_short(self.short_of(), decided);
        figures.doubts.iter().for_each(|line| println!("  {line}"));
        let report = self.report(&figures, begun.elapsed());
        let evidence = evidence_of("scale", (verdict, &sentence), report);
        let written = write_evidence(&self.evidence, &evidence).map(drop);
        Ok(conclude(verdict, &sentence, [written, emptied, unshelved]))
    }

    fn short_of(&self) -> Option<String> {
        let is_whole = self.votes >= SCALE_VOTES
            && self.votes_per_s >= SCALE_VOTES_PER_S
            && self.restarts >= SCALE_RESTARTS;
        (!is_whole).then(|| {
            format!(
                "the objectives are stated for {SCALE_VOTES} votes, {SCALE_VOTES_PER_S} votes/s and {SCALE_RESTARTS} restarts; asked for were {}, {} and {}",
                self.votes, self.votes_per_s, self.restarts
            )
        })
    }

    fn measure(&self, bag: &Bag, shelf: &Bag, figures: &mut Figures) -> Result<(), Trouble> {
        let runtime = client_runtime(2)?;
        let (stock, folder) = self.stock(&runtime, bag, shelf)?;
        println!("{} votes in {}", stock.acked, folder.display());
        figures.stock = Some(stock.clone());
        if self.only_fill {
            return Ok(());
        }
        let rig = Rig::unformed(stock.options(self.options(2)), bag.clone())?;
        Stock::lay_out(&folder, &rig)?;
        rig.start(NodeIndex(0))?;
        let polls = Arc::new(polls(&rig, &stock)?);
        let ground = Ground {
            runtime: &runtime,
            rig: &rig,
            polls: &polls,
        };
        let mut cast = Cast::of(&stock);
        for number in 1..=self.restarts {
            let restart = ground.restart(load_of(self.load(), &cast), &mut cast)?;
            say_restart(number, self.restarts, &restart);
            figures.restarted(restart);
        }
        let catch_up = ground.catch_up(load_of(self.load(), &cast), &mut cast)?;
        say_catch_up(&catch_up);
        figures.catch_up = Some(catch_up);
        let mut books = ground
            .close_books(cast)
            .map_err(|trouble| rig.blamed_for(trouble))?;
        for sentence in rig.owed(Departure::led_when_filled) {
            books.findings.add(Finding::NodeStopped, sentence);
        }
        println!(
            "books: {} acknowledged, {} in doubt; shown {:?}; verified {:?}; {} snapshots compared; {:?}",
            books.acked,
            books.in_doubt,
            books.shown,
            books.verified,
            books.snapshots_compared,
            books.findings.told()
        );
        figures.books = Some(books);
        rig.clear_away()
    }

    fn stock(&self, runtime: &Runtime, bag: &Bag, shelf: &Bag) -> Result<(Stock, PathBuf), Trouble> {
        let folder = match &self.stock {
            Some(folder) => folder.clone(),
            None => {
                let path = shelf.folder().join("stock");
                shelf.make(Litter::Folder { path: path.clone() }, || Ok(()))?;
                path
            }
        };
        if let Some(stock) = Stock::read(&folder, self.votes)? {
            return Ok((stock, folder));
        }
        let rig = Rig::unformed(self.options(1), bag.clone())?;
        let stock = Stock::make(runtime, &rig, &folder, self.votes)?;
        rig.clear_away()?;
        Ok((stock, folder))
    }

    fn options(&self, nodes: u8) -> RigOptions {
        let mut options = RigOptions::new(nodes, self.fs, self.binary.clone());
        options.disk_bytes = SCALE_DISK_BYTES;
        options
    }

    fn load(&self) -> LoadOptions {
        LoadOptions {
            votes_per_s: f64::from(self.votes_per_s),
            pace: Pace::Poisson,
            seed: self.seed,
            in_flight_max: FAILOVER_IN_FLIGHT_MAX,
            votes_max: SCALE_LOAD_VOTES_MAX,
            first_voter: LOAD_FIRST_VOTER,
        }
    }

    fn report<'a>(&self, figures: &'a Figures, took: Duration) -> Report<'a> {
        Report {
            votes: self.votes,
            votes_per_s: self.votes_per_s,
            fs: self.fs,
            seed: self.seed,
            short_of: self.short_of(),
            binary_sha256: evidence::sha256_of(&self.binary),
            seconds: took.as_secs(),
            figures,
        }
    }
}

fn polls(rig: &Rig, stock: &Stock) -> Result<Polls, Trouble> {
    let options = PollsOptions {
        idle_connections_max: FAILOVER_IDLE_CONNECTIONS_MAX,
        ..polls_of(rig)?
    };
    let issuer =
        Issuer::from_file(&options.secrets, now_s()).map_err(|error| Trouble::failed(error.to_string()))?;
    Ok(Polls::in_event(options, issuer, stock.event()))
}

fn say_restart(number: u32, of: u32, restart: &Restart) {
    println!(
        "restart {number} of {of} with {} votes: ready after {} ms, first vote acknowledged after {} ms, right leaderboard after {} ms ({} wrong ones before); {} entries behind the snapshot, {} ms of processor time",
        restart.votes,
        restart.ready_ms,
        restart.first_ack_ms,
        restart.board_ms,
        restart.boards_wrong,
        restart.replayed_entries,
        restart.cpu_ms
    );
}

fn say_catch_up(it: &CatchUp) {
    println!(
        "an empty node beside {} votes: added after {} ms, caught up after {} ms, {} MB received; {} of {} votes not sent; cores idle {:.2} before, {:.2} meanwhile",
        it.votes,
        it.added_ms,
        it.caught_up_ms.map_or("-".to_owned(), |ms| ms.to_string()),
        it.received_bytes / 1_000_000,
        it.load.unsent,
        it.load.intended,
        it.costs_before.idle_cores,
        it.costs_during.idle_cores
    );
    for (when, stretch) in [
        ("before", &it.before),
        ("during", &it.during),
        ("after", &it.after),
    ] {
        println!("  {when}: {}", of_stretch(stretch));
    }
}

fn of_stretch(stretch: &Stretch) -> String {
    let ms = |value: Option<f64>| value.map_or("never".to_owned(), |ms| format!("{ms:.1}"));
    let ranks = |spread: &crate::failover::Spread| {
        let [p50, p95, p99, max] = [spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms].map(ms);
        format!("{p50}/{p95}/{p99}/{max}")
    };
    format!(
        "p50/p95/p99/max ms: ack {}, to screen {}, load late {}; {:?}",
        ranks(&stretch.ack),
        ranks(&stretch.to_screen),
        ranks(&stretch.load_late),
        stretch.votes
    )
}
