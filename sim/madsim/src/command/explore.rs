//! Many seeds, a process each: progress while it runs, and a summary with its evidence at the end.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ostraka_sim_model::sometimes::{Coverage, Point};
use ostraka_sim_model::verdict::{Amounts, Verdict};
use serde::Serialize;

use super::EXIT_NOT_DETERMINISTIC;
use super::args::Explore;
use super::one::{evidence, write};
use super::summary::Summary;

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What a run's process said, or its exit code and last words.
type Told = Result<Summary, (i32, String)>;

/// What all seeds amount to.
#[derive(Default, Serialize)]
struct Whole {
    first_seed: u64,
    end_seed: u64,
    seeds: u64,
    /// Processes for each seed.
    times: u8,
    /// Each process ran its seed twice, under madsim's determinism check.
    checked: bool,
    wall_s: f64,
    seeds_per_minute: f64,
    /// Passes of the check count as often as they were made.
    sim_s_per_wall_s: f64,
    sim_ms: u64,
    not_deterministic: Vec<u64>,
    /// Seeds whose process ended without a summary, and its last words.
    crashed: Vec<(u64, String)>,
    /// Seeds that did not hold, with the first thing that is wrong.
    failures: Vec<(u64, String)>,
    compared: BTreeMap<String, u64>,
    coverage: Coverage,
    /// What must happen sometimes and did not.
    unmet: Vec<Point>,
    amounts: Amounts,
}

pub(crate) fn explore(wanted: &Explore) -> Result<u8, String> {
    let started = Instant::now();
    let next = AtomicU64::new(wanted.seeds.start);
    let whole = Mutex::new(Whole {
        first_seed: wanted.seeds.start,
        end_seed: wanted.seeds.end,
        times: if wanted.twice { 2 } else { wanted.times },
        checked: !wanted.unchecked,
        ..Whole::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| work(wanted, &next, &whole, started));
        }
    });
    let mut whole = whole.into_inner().map_err(|_| "a worker panicked".to_owned())?;
    whole.finish(started.elapsed());
    let file = evidence(&format!(
        "madsim-explore-{}-{}.json",
        whole.first_seed, whole.end_seed
    ));
    let json = serde_json::to_string_pretty(&whole).expect("a summary is made of what JSON can write");
    write(&file, &json)?;
    whole.print();
    println!("evidence: {}", file.display());
    Ok(whole.exit_code())
}

fn work(wanted: &Explore, next: &AtomicU64, whole: &Mutex<Whole>, started: Instant) {
    let mut told_at = Instant::now();
    let times = if wanted.twice { 2 } else { wanted.times };
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= wanted.seeds.end {
            return;
        }
        let mut told = (0..times).map(|_| run_apart(seed, wanted.unchecked));
        let first = told.next().expect("a seed is run once at least");
        let again: Vec<Told> = told.collect();
        let mut whole = whole.lock().expect("no worker panics with it");
        whole.add(seed, first, &again);
        if told_at.elapsed() >= PROGRESS_EVERY {
            told_at = Instant::now();
            let rate = whole.seeds as f64 * 60.0 / started.elapsed().as_secs_f64();
            eprintln!(
                "{} seeds, {rate:.0} a minute, {} failed, {} of {} points met",
                whole.seeds,
                whole.failures.len() + whole.crashed.len(),
                whole.coverage.points.len(),
                Point::ALL.len()
            );
        }
    }
}

/// A seed in a process of its own.
fn run_apart(seed: u64, unchecked: bool) -> Told {
    let failed = |words: String| (i32::from(Verdict::SafetyBroken.exit_code()), words);
    let program = std::env::current_exe()
        .map_err(|error| failed(format!("this program does not find itself: {error}")))?;
    let output = Command::new(program)
        .args(["run", "--json", "--seed", &seed.to_string()])
        .args(unchecked.then_some("--unchecked"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(format!("a process could not be started: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| {
        let words = String::from_utf8_lossy(&output.stderr);
        let code = output
            .status
            .code()
            .unwrap_or(i32::from(Verdict::SafetyBroken.exit_code()));
        (code, format!("{}: {}", output.status, words.trim_end()))
    })
}

impl Whole {
    fn add(&mut self, seed: u64, told: Told, again: &[Told]) {
        self.seeds += 1;
        let summary = match told {
            Ok(summary) => summary,
            Err((code, words)) => {
                eprintln!("seed {seed} ended without a summary: {words}");
                if code == i32::from(EXIT_NOT_DETERMINISTIC) {
                    self.not_deterministic.push(seed);
                } else {
                    self.crashed.push((seed, words));
                }
                return;
            }
        };
        if again.iter().any(|told| told.as_ref() != Ok(&summary)) {
            eprintln!("seed {seed} is not deterministic");
            self.not_deterministic.push(seed);
        }
        if summary.judgement.verdict != Verdict::Held {
            summary.print();
            self.failures.push((seed, why(&summary)));
        }
        self.sim_ms += summary.sim_ms;
        self.coverage.merge(&summary.coverage);
        for (checker, compared) in &summary.judgement.compared {
            *self.compared.entry(checker.name().to_owned()).or_default() += compared;
        }
        let amounts = summary.judgement.amounts;
        self.amounts.operations += amounts.operations;
        self.amounts.answered += amounts.answered;
        self.amounts.unknown += amounts.unknown;
        self.amounts.refused += amounts.refused;
        self.amounts.entries += amounts.entries;
        self.amounts.votes_recorded += amounts.votes_recorded;
        self.amounts.votes_counted += amounts.votes_counted;
    }

    fn finish(&mut self, elapsed: Duration) {
        let passes = u64::from(self.times) * if self.checked { 2 } else { 1 };
        self.wall_s = elapsed.as_secs_f64();
        self.seeds_per_minute = self.seeds as f64 * 60.0 / self.wall_s;
        self.sim_s_per_wall_s = (self.sim_ms * passes) as f64 / 1_000.0 / self.wall_s;
        self.failures.sort();
        self.crashed.sort();
        self.not_deterministic.sort_unstable();
        self.unmet = self.coverage.unmet();
    }

    fn print(&self) {
        println!(
            "{} seeds, each in {} processes{}, in {:.1} s: {:.0} seeds a minute, {:.0} simulated seconds a second",
            self.seeds,
            self.times,
            if self.checked {
                " and twice in each, under the determinism check"
            } else {
                ""
            },
            self.wall_s,
            self.seeds_per_minute,
            self.sim_s_per_wall_s
        );
        for (verdict, count) in &self.coverage.verdicts {
            println!("  {}: {count}", verdict.name());
        }
        println!(
            "  {} votes counted, {} operations, {} of unknown outcome",
            self.amounts.votes_counted, self.amounts.operations, self.amounts.unknown
        );
        for (checker, compared) in &self.compared {
            println!("  {checker} compared {compared} facts");
        }
        for (kind, count) in &self.coverage.faults {
            println!("  {kind}: {} planned, {} did harm", count.planned, count.bitten);
        }
        for (point, runs) in &self.coverage.points {
            println!("  in {runs} runs, {}", point.sentence());
        }
        for point in &self.unmet {
            println!("  in no run, {}", point.sentence());
        }
        for (seed, words) in &self.crashed {
            println!("  seed {seed} ended without a summary: {words}");
        }
        for (seed, why) in &self.failures {
            println!("  seed {seed}: {why}");
        }
        for seed in &self.not_deterministic {
            println!("  seed {seed} is not deterministic");
        }
    }

    /// The worst of all.
    fn exit_code(&self) -> u8 {
        let any = |verdict| self.coverage.verdicts.contains_key(&verdict);
        if !self.not_deterministic.is_empty() {
            EXIT_NOT_DETERMINISTIC
        } else if any(Verdict::SafetyBroken) || !self.crashed.is_empty() {
            // A node that stops on an impossible state panics: that is a broken promise until shown otherwise.
            Verdict::SafetyBroken.exit_code()
        } else if any(Verdict::LivenessBroken) {
            Verdict::LivenessBroken.exit_code()
        } else if any(Verdict::Vacuous) {
            Verdict::Vacuous.exit_code()
        } else {
            0
        }
    }
}

fn why(summary: &Summary) -> String {
    let violation = summary.judgement.violations.first();
    let reason = violation.map(|violation| format!("{}: {}", violation.checker.name(), violation.sentence));
    reason
        .or_else(|| summary.judgement.vacuous.first().cloned())
        .unwrap_or_default()
}
