//! A run in one line, as its process tells the one that started it.

use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::Judgement;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) seed: Seed,
    pub(crate) judgement: Judgement,
    /// Of every message and of the whole history, in hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) sim_ms: u64,
    pub(crate) messages: u64,
    pub(crate) coverage: Coverage,
    /// What of the plan this simulator cannot do, and has left out.
    pub(crate) left_out: Vec<String>,
    /// Where the run's file is, if it was kept.
    pub(crate) file: Option<String>,
}

impl Summary {
    /// For a person.
    pub(crate) fn print(&self) {
        let amounts = &self.judgement.amounts;
        println!(
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
        );
        for (kind, count) in &self.coverage.faults {
            println!(
                "  {kind}: {} planned, {} did harm, {} times in all",
                count.planned, count.bitten, count.bites
            );
        }
        for violation in &self.judgement.violations {
            println!(
                "  VIOLATION ({}): {}",
                violation.checker.name(),
                violation.sentence
            );
        }
        for reason in &self.judgement.vacuous {
            println!("  proves nothing: {reason}");
        }
        for reason in self.judgement.missed.iter().chain(&self.left_out) {
            println!("  {reason}");
        }
        if let Some(file) = &self.file {
            println!("  again: cargo run --release --manifest-path sim/madsim/Cargo.toml -- replay {file}");
        }
    }
}
