//! What many seeds amount to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ostraka_sim_model::evidence::Maker;
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::{Coverage, Point};
use ostraka_sim_model::verdict::{Amounts, Verdict};
use serde::Serialize;

use crate::child::{Lost, Told};
use crate::{EXIT_NOT_DETERMINISTIC, PATIENCE, Program, Summary, complain, say, write};

/// Format of evidence that a gate reads, the same for all programs that write such.
const EVIDENCE_FORMAT: u32 = 2;

/// What all seeds amount to.
#[derive(Serialize)]
pub(crate) struct Whole {
    /// As of the other programs' evidence; a gate reads them side by side.
    format: u32,
    program: &'static str,
    command: &'static str,
    /// When it ended, in seconds since the Unix epoch.
    at_s: u64,
    made_by: Maker,
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
    /// Seeds whose process had to be ended.
    did_not_end: Vec<u64>,
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

impl Whole {
    pub(crate) fn new(program: &Program, seeds: &Range<u64>, times: u8) -> Self {
        Whole {
            format: EVIDENCE_FORMAT,
            program: program.name,
            command: "explore",
            at_s: 0,
            made_by: program.maker(),
            first_seed: seeds.start,
            end_seed: seeds.end,
            seeds: 0,
            times,
            passes: program.passes,
            wall_s: 0.0,
            runs_per_minute: 0.0,
            sim_s_per_wall_s: 0.0,
            sim_ms: 0,
            not_deterministic: Vec::new(),
            did_not_end: Vec::new(),
            crashed: Vec::new(),
            failures: Vec::new(),
            compared: BTreeMap::new(),
            coverage: Coverage::default(),
            unmet: Vec::new(),
            amounts: Amounts::default(),
        }
    }

    pub(crate) fn add(&mut self, program: &Program, seed: u64, told: Told, again: &[Told]) {
        self.seeds += 1;
        if again.contains(&Err(Lost::DidNotEnd)) {
            return self.add_endless(program, seed);
        }
        let summary = match told {
            Ok(summary) => summary,
            Err(Lost::Ended(code, words)) => {
                complain(format_args!("seed {seed} ended without a summary: {words}"));
                if code == Some(i32::from(EXIT_NOT_DETERMINISTIC)) {
                    self.not_deterministic.push(seed);
                } else {
                    complain(format_args!("  again: {}", keep_plan(program, seed)));
                    self.crashed.push((seed, words));
                }
                return;
            }
            Err(Lost::DidNotEnd) => return self.add_endless(program, seed),
        };
        if again.iter().any(|told| told.as_ref() != Ok(&summary)) {
            complain(format_args!("seed {seed} is not deterministic"));
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

    fn add_endless(&mut self, program: &Program, seed: u64) {
        complain(format_args!(
            "seed {seed} did not end within {} s",
            PATIENCE.as_secs()
        ));
        complain(format_args!("  again: {}", keep_plan(program, seed)));
        self.did_not_end.push(seed);
    }

    /// Of the seeds so far, for whoever waits.
    pub(crate) fn progress(&self, elapsed: Duration) -> String {
        let faults = self.coverage.faults.values();
        format!(
            "{} seeds, {:.0} runs a minute, {} did not hold, {} faults did harm, {} of {} points met",
            self.seeds,
            self.runs() as f64 * 60.0 / elapsed.as_secs_f64(),
            self.failures.len() + self.crashed.len() + self.did_not_end.len(),
            faults.map(|count| count.bitten).sum::<u64>(),
            self.coverage.points.len(),
            Point::ALL.len()
        )
    }

    fn runs(&self) -> u64 {
        self.seeds * u64::from(self.times) * u64::from(self.passes)
    }

    pub(crate) fn finish(&mut self, elapsed: Duration) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.at_s = now.unwrap_or_default().as_secs();
        self.wall_s = elapsed.as_secs_f64();
        self.runs_per_minute = self.runs() as f64 * 60.0 / self.wall_s;
        self.sim_s_per_wall_s =
            (self.sim_ms * u64::from(self.times) * u64::from(self.passes)) as f64 / 1_000.0 / self.wall_s;
        self.failures.sort();
        self.crashed.sort();
        self.did_not_end.sort_unstable();
        self.not_deterministic.sort_unstable();
        self.unmet = self.coverage.unmet();
    }

    pub(crate) fn print(&self, vacuous_max: u64) {
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
        if self.vacuous() > 0 {
            say(format_args!(
                "  INCONCLUSIVE: {} seeds prove nothing, and {vacuous_max} may",
                self.vacuous()
            ));
        }
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
        for seed in &self.did_not_end {
            say(format_args!(
                "  seed {seed} did not end within {} s",
                PATIENCE.as_secs()
            ));
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

    fn vacuous(&self) -> u64 {
        let count = self.coverage.verdicts.get(&Verdict::Vacuous);
        count.copied().unwrap_or_default()
    }

    /// The worst of all.
    pub(crate) fn exit_code(&self, all_points: bool, vacuous_max: u64) -> u8 {
        let any = |verdict| self.coverage.verdicts.contains_key(&verdict);
        if !self.not_deterministic.is_empty() {
            EXIT_NOT_DETERMINISTIC
        } else if any(Verdict::SafetyBroken) || !self.crashed.is_empty() {
            // A node that stops on an impossible state panics: that is a broken promise until shown otherwise.
            Verdict::SafetyBroken.exit_code()
        } else if any(Verdict::LivenessBroken) || !self.did_not_end.is_empty() {
            Verdict::LivenessBroken.exit_code()
        } else if self.vacuous() > vacuous_max || all_points && !self.unmet.is_empty() {
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
        Ok(()) => program.again(&file),
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
    use crate::files::tests::folder;
    use crate::program::tests::program;

    fn whole(verdicts: &[(Verdict, u64)]) -> Whole {
        let mut whole = Whole::new(&program(std::env::temp_dir()), &(1..501), 1);
        whole.coverage.verdicts = verdicts.iter().copied().collect();
        whole
    }

    #[test]
    fn a_few_seeds_may_prove_nothing_and_more_may_not() {
        let vacuous = Verdict::Vacuous.exit_code();
        let few = whole(&[(Verdict::Held, 475), (Verdict::Vacuous, 25)]);
        assert_eq!(few.exit_code(false, 25), 0);
        assert_eq!(few.exit_code(false, 24), vacuous);
        assert_eq!(few.exit_code(false, 0), vacuous);
        let mut unmet = whole(&[(Verdict::Held, 500)]);
        assert_eq!(unmet.exit_code(true, 25), 0);
        unmet.unmet = unmet.coverage.unmet();
        assert_eq!(unmet.exit_code(true, 25), vacuous);
        let broken = whole(&[(Verdict::LivenessBroken, 1), (Verdict::Vacuous, 25)]);
        assert_eq!(broken.exit_code(false, 25), Verdict::LivenessBroken.exit_code());
    }

    #[test]
    fn a_seed_that_does_not_end_is_broken_and_its_plan_is_kept() {
        let evidence = folder("endless");
        let program = program(evidence.clone());
        let mut whole = Whole::new(&program, &(1..3), 1);
        whole.add(&program, 2, Err(Lost::DidNotEnd), &[]);
        assert_eq!(whole.did_not_end, [2]);
        assert_eq!(whole.exit_code(false, 9), Verdict::LivenessBroken.exit_code());
        assert!(evidence.join("sim-seed-2.plan.json").exists());
        std::fs::remove_dir_all(&evidence).unwrap();
    }

    #[test]
    fn a_gate_is_told_when_it_ended() {
        let mut whole = whole(&[]);
        whole.finish(Duration::from_secs(1));
        assert!(whole.at_s > 1_700_000_000, "{}", whole.at_s);
    }

    #[test]
    fn the_summary_names_what_made_it() {
        let json = serde_json::to_value(whole(&[])).unwrap();
        assert_eq!(
            (&json["format"], &json["command"]),
            (&2.into(), &"explore".into())
        );
        assert_eq!(json["program"], "sim");
        let made_by = &json["made_by"];
        assert_eq!(made_by["commit"], "0123abc");
        assert_eq!(made_by["simulator"], "sim");
        assert_eq!(made_by["plant"], "stale-reads");
        assert_eq!(made_by["program"].as_str().unwrap().len(), 64);
    }
}
