//! A run in one line, as its process tells the one that started it.

use std::path::Path;

use ostraka_sim_model::checkers::Checker;
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::Judgement;
use serde::{Deserialize, Serialize};

use crate::{Program, say};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub seed: Seed,
    pub judgement: Judgement,
    /// Of every message and of the whole history, in hexadecimal digits.
    pub digest: String,
    pub sim_ms: u64,
    pub messages: u64,
    pub coverage: Coverage,
    /// What of the plan this simulator cannot do, and has left out.
    pub left_out: Vec<String>,
    /// Where the run's file is, if it was kept.
    pub file: Option<String>,
}

impl Summary {
    /// For a person.
    pub fn print(&self, program: &Program) {
        let amounts = &self.judgement.amounts;
        say(format_args!(
            "seed {}: {}; {} votes counted of {} recorded in {} entries, {} operations ({} unknown, {} refused), {} simulated ms, digest {}",
            self.seed.0,
            self.judgement.verdict.name(),
            amounts.votes_counted,
            amounts.votes_recorded,
            amounts.entries,
            amounts.operations,
            amounts.unknown,
            amounts.refused,
            self.sim_ms,
            self.digest
        ));
        for (kind, count) in &self.coverage.faults {
            say(format_args!(
                "  {kind}: {} planned, {} did harm, {} times in all",
                count.planned, count.bitten, count.bites
            ));
        }
        tell_reasons(&self.judgement);
        for reason in self.judgement.missed.iter().chain(&self.left_out) {
            say(format_args!("  {reason}"));
        }
        if let Some(file) = &self.file {
            say(format_args!("  again: {}", program.again(Path::new(file))));
        }
    }
}

/// What is wrong, and why a run proves nothing.
pub(crate) fn tell_reasons(judgement: &Judgement) {
    for violation in &judgement.violations {
        say(format_args!(
            "  VIOLATION ({}): {}",
            violation.checker.name(),
            violation.sentence
        ));
    }
    for checker in Checker::ALL {
        if let Some(kept) = judgement.cut_short(checker) {
            say(format_args!("  VIOLATIONS ({}): {kept} are told", checker.name()));
        }
    }
    for reason in &judgement.vacuous {
        say(format_args!("  proves nothing: {reason}"));
    }
}
