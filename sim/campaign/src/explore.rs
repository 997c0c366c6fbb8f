//! Many seeds, a process each: progress while it runs, and a summary with its evidence at the end.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::{Coverage, Point};
use ostraka_sim_model::verdict::{Amounts, Verdict};
use serde::Serialize;

use crate::{EXIT_NOT_DETERMINISTIC, Program, Summary, Told, say, write};

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub struct Explore {
    /// First seed, and the one behind the last: A..B
    #[arg(long, value_parser = range)]
    seeds: Range<u64>,
    /// Seeds at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
    /// Run each seed in so many processes and compare what came of it, byte for byte
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    times: u8,
    /// Fail as vacuous if something that must happen sometimes never did
    #[arg(long)]
    all_points: bool,
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

/// What all seeds amount to.
#[derive(Default, Serialize)]
struct Whole {
    first_seed: u64,
    end_seed: u64,
    seeds: u64,
    /// Processes for each seed.
    times: u8,
    /// Passes in each process.
    passes: u8,
    wall_s: f64,
    /// Each pass of each process is a run.
    runs_per_minute: f64,
    sim_s_per_wall_s: f64,
    sim_ms: u64,
    /// Seeds whose runs differed.
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

/// Runs the seeds, tells of them, and gives the exit code.
pub fn explore(program: &Program, wanted: &Explore) -> Result<u8, String> {
    let started = Instant::now();
    let next = AtomicU64::new(wanted.seeds.start);
    let whole = Mutex::new(Whole {
        first_seed: wanted.seeds.start,
        end_seed: wanted.seeds.end,
        times: wanted.times,
        passes: program.passes,
        ..Whole::default()
    });
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs {
            scope.spawn(|| work(program, wanted, &next, &whole, started));
        }
    });
    let mut whole = whole.into_inner().map_err(|_| "a worker panicked".to_owned())?;
    whole.finish(started.elapsed());
    let name = format!(
        "{}-explore-{}-{}.json",
        program.name, whole.first_seed, whole.end_seed
    );
    let file = program.evidence.join(name);
    let json = serde_json::to_string_pretty(&whole).expect("a summary is made of what JSON can write");
    write(&file, &json)?;
    whole.print();
    say(format_args!("evidence: {}", file.display()));
    Ok(whole.exit_code(wanted.all_points))
}

fn work(program: &Program, wanted: &Explore, next: &AtomicU64, whole: &Mutex<Whole>, started: Instant) {
    let mut told_at = Instant::now();
    loop {
        let taken = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| {
            // The last of all seeds has none behind it.
            (seed < wanted.seeds.end).then(|| seed + 1)
        });
        let Ok(seed) = taken else { return };
        let told = program.of_seed(seed);
        let again: Vec<Told> = (1..wanted.times).map(|_| program.of_seed(seed)).collect();
        let mut whole = whole.lock().expect("no worker panics with it");
        whole.add(program, seed, told, &again);
        if told_at.elapsed() >= PROGRESS_EVERY {
            told_at = Instant::now();
            let rate = whole.runs() as f64 * 60.0 / started.elapsed().as_secs_f64();
            eprintln!(
                "{} seeds, {rate:.0} runs a minute, {} did not hold, {} faults did harm, {} of {} points met",
                whole.seeds,
                whole.failures.len() + whole.crashed.len(),
                whole
                    .coverage
                    .faults
                    .values()
                    .map(|count| count.bitten)
                    .sum::<u64>(),
                whole.coverage.points.len(),
                Point::ALL.len()
            );
        }
    }
}

impl Whole {
    fn add(&mut self, program: &Program, seed: u64, told: Told, again: &[Told]) {
        self.seeds += 1;
        let summary = match told {
            Ok(summary) => summary,
            Err((code, words)) => {
                eprintln!("seed {seed} ended without a summary: {words}");
                if code == Some(i32::from(EXIT_NOT_DETERMINISTIC)) {
                    self.not_deterministic.push(seed);
                } else {
                    eprintln!("  again: {}", keep_plan(program, seed));
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
            summary.print(program);
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

    fn runs(&self) -> u64 {
        self.seeds * u64::from(self.times) * u64::from(self.passes)
    }

    fn finish(&mut self, elapsed: Duration) {
        self.wall_s = elapsed.as_secs_f64();
        self.runs_per_minute = self.runs() as f64 * 60.0 / self.wall_s;
        self.sim_s_per_wall_s =
            (self.sim_ms * u64::from(self.times) * u64::from(self.passes)) as f64 / 1_000.0 / self.wall_s;
        self.failures.sort();
        self.crashed.sort();
        self.not_deterministic.sort_unstable();
        self.unmet = self.coverage.unmet();
    }

    fn print(&self) {
        say(format_args!(
            "{} seeds, {} times each, in {:.1} s: {:.0} runs a minute, {:.0} simulated seconds a second",
            self.seeds,
            self.times * self.passes,
            self.wall_s,
            self.runs_per_minute,
            self.sim_s_per_wall_s
        ));
        for (verdict, count) in &self.coverage.verdicts {
            say(format_args!("  {}: {count}", verdict.name()));
        }
        say(format_args!(
            "  {} votes counted, {} operations, {} of unknown outcome",
            self.amounts.votes_counted, self.amounts.operations, self.amounts.unknown
        ));
        for (checker, compared) in &self.compared {
            say(format_args!("  {checker} compared {compared} facts"));
        }
        for (kind, count) in &self.coverage.faults {
            say(format_args!(
                "  {kind}: {} planned, {} did harm",
                count.planned, count.bitten
            ));
        }
        for (point, runs) in &self.coverage.points {
            say(format_args!("  in {runs} runs, {}", point.sentence()));
        }
        for point in &self.unmet {
            say(format_args!("  in no run, {}", point.sentence()));
        }
        for (seed, words) in &self.crashed {
            say(format_args!("  seed {seed} ended without a summary: {words}"));
        }
        for (seed, why) in &self.failures {
            say(format_args!("  seed {seed}: {why}"));
        }
        for seed in &self.not_deterministic {
            say(format_args!("  seed {seed} is not deterministic"));
        }
    }

    /// The worst of all.
    fn exit_code(&self, all_points: bool) -> u8 {
        let any = |verdict| self.coverage.verdicts.contains_key(&verdict);
        if !self.not_deterministic.is_empty() {
            EXIT_NOT_DETERMINISTIC
        } else if any(Verdict::SafetyBroken) || !self.crashed.is_empty() {
            // A node that stops on an impossible state panics: that is a broken promise until shown otherwise.
            Verdict::SafetyBroken.exit_code()
        } else if any(Verdict::LivenessBroken) {
            Verdict::LivenessBroken.exit_code()
        } else if any(Verdict::Vacuous) || all_points && !self.unmet.is_empty() {
            Verdict::Vacuous.exit_code()
        } else {
            0
        }
    }
}

/// Leaves the plan of a run that could not tell of itself, and says how to run it again.
fn keep_plan(program: &Program, seed: u64) -> String {
    let name = format!("{}-seed-{seed}.plan.json", program.name);
    let file = program.evidence.join(name);
    match write(&file, &Plan::of_seed(Seed(seed)).to_json()) {
        Ok(()) => format!("{} replay {}", program.command, file.display()),
        Err(sentence) => sentence,
    }
}

fn why(summary: &Summary) -> String {
    let violation = summary.judgement.violations.first();
    let reason = violation.map(|violation| format!("{}: {}", violation.checker.name(), violation.sentence));
    reason
        .or_else(|| summary.judgement.vacuous.first().cloned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_a_first_seed_below_its_end() {
        assert_eq!(range("3..7"), Ok(3..7));
        for wrong in ["", "3", "3..", "..7", "7..3", "3..3", "-1..3", "a..b", "1..2..3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
