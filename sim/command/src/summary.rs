//! A run in one line, as its process tells the one that started it.

use std::collections::BTreeMap;

use ostraka_sim_model::history::{Happening, History};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::verdict::Judgement;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) seed: Seed,
    pub(crate) judgement: Judgement,
    /// Of the whole history, in hexadecimal digits.
    pub(crate) digest: String,
    pub(crate) sim_ms: u64,
    pub(crate) messages: u64,
    /// By kind of fault: how many were planned, and how many did harm.
    pub(crate) faults: BTreeMap<String, FaultCount>,
    /// Where the run's file is, if it was kept.
    pub(crate) file: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FaultCount {
    pub(crate) planned: u64,
    pub(crate) bit: u64,
    pub(crate) bites: u64,
}

impl FaultCount {
    pub(crate) fn add(&mut self, other: FaultCount) {
        self.planned += other.planned;
        self.bit += other.bit;
        self.bites += other.bites;
    }
}

pub(crate) fn faults(plan: &Plan, history: &History) -> BTreeMap<String, FaultCount> {
    let mut counts: BTreeMap<String, FaultCount> = BTreeMap::new();
    for planned in &plan.faults {
        let ended = history.records.iter().find_map(|record| match &record.what {
            Happening::FaultEnded { fault, bites } if *fault == planned.id => Some(*bites),
            _ => None,
        });
        let bites = ended.unwrap_or_default();
        counts
            .entry(planned.kind.name().to_owned())
            .or_default()
            .add(FaultCount {
                planned: 1,
                bit: u64::from(bites > 0),
                bites,
            });
    }
    counts
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
        for (kind, count) in &self.faults {
            println!(
                "  {kind}: {} planned, {} did harm, {} times in all",
                count.planned, count.bit, count.bites
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
        for reason in &self.judgement.missed {
            println!("  {reason}");
        }
        if let Some(file) = &self.file {
            println!("  again: cargo run --release -p sim -- replay {file}");
        }
    }
}
