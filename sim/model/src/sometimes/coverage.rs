//! What a campaign has met so far: adds up over seeds, and over processes that each ran some.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Point, met};
use crate::case::Case;
use crate::lives::felt;
use crate::plan::Profile;
use crate::verdict::{Judgement, Verdict};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultCount {
    pub planned: u64,
    /// Of those, how many did harm.
    pub bitten: u64,
    pub bites: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    pub runs: u64,
    pub verdicts: BTreeMap<Verdict, u64>,
    pub profiles: BTreeMap<Profile, u64>,
    /// By point: runs that met it.
    pub points: BTreeMap<Point, u64>,
    /// By the fault's name.
    pub faults: BTreeMap<String, FaultCount>,
    /// Facts held against the truth, of all checkers.
    pub compared: u64,
}

impl Coverage {
    /// One run's.
    pub fn of(case: &Case, judgement: &Judgement) -> Self {
        let mut coverage = Coverage {
            runs: 1,
            verdicts: [(judgement.verdict, 1)].into(),
            profiles: [(case.plan.profile, 1)].into(),
            points: met(case).into_iter().map(|point| (point, 1)).collect(),
            faults: BTreeMap::new(),
            compared: judgement.compared.values().sum(),
        };
        for felt in felt(case) {
            let count = coverage
                .faults
                .entry(felt.fault.kind.name().to_owned())
                .or_default();
            count.planned += 1;
            count.bitten += u64::from(felt.bites > 0);
            count.bites = count.bites.saturating_add(felt.bites);
        }
        coverage
    }

    pub fn merge(&mut self, other: &Coverage) {
        fn add<K: Ord + Clone>(into: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
            for (key, count) in from {
                *into.entry(key.clone()).or_default() += count;
            }
        }
        self.runs += other.runs;
        self.compared = self.compared.saturating_add(other.compared);
        add(&mut self.verdicts, &other.verdicts);
        add(&mut self.profiles, &other.profiles);
        add(&mut self.points, &other.points);
        for (name, count) in &other.faults {
            let mine = self.faults.entry(name.clone()).or_default();
            mine.planned += count.planned;
            mine.bitten += count.bitten;
            mine.bites = mine.bites.saturating_add(count.bites);
        }
    }

    /// Points that no run has met.
    pub fn unmet(&self) -> Vec<Point> {
        Point::ALL
            .iter()
            .copied()
            .filter(|point| !self.points.contains_key(point))
            .collect()
    }
}
