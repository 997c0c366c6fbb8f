//! Checkers: one invariant each. They look at a [`Case`] and nothing else, and never panic on one.

mod audience;
mod biographies;
mod closing_bell;
mod conservation;
mod durability;
mod linearizability;
mod liveness;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use audience::left_behind;

use crate::case::{Case, Moment};
use crate::plan::{Action, Plan};

/// What a checker that found everything wrong still keeps of each class; more would say nothing new of a simulated run and
/// fill the disk. All are counted.
pub const VIOLATIONS_MAX: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checker {
    Biographies,
    Conservation,
    Linearizability,
    Audience,
    ClosingBell,
    Durability,
    Liveness,
}

/// Safety: something happened that never may. Liveness: something that must happen has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    Safety,
    Liveness,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    pub checker: Checker,
    pub class: Class,
    /// For a person.
    pub sentence: String,
    /// The record of the history at which it shows, if it shows at one.
    pub record: Option<usize>,
}

/// What one checker has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    checker: Checker,
    /// How many facts were held against the truth. 0: nothing was checked, and nothing is proven.
    pub compared: u64,
    /// Kept ones, of each class the first.
    pub violations: Vec<Violation>,
    found: BTreeMap<Class, u64>,
    kept_max: usize,
}

impl Report {
    fn of(checker: Checker, kept_max: usize) -> Self {
        Report {
            checker,
            compared: 0,
            violations: Vec::new(),
            found: BTreeMap::new(),
            kept_max,
        }
    }

    /// How many violations there were, kept or not.
    pub fn found(&self) -> u64 {
        self.found.values().sum()
    }

    fn add(&mut self, class: Class, record: Option<usize>, sentence: String) {
        let found = self.found.entry(class).or_default();
        *found += 1;
        // Of its own class: what should have happened must not crowd out what never may.
        if *found <= self.kept_max as u64 {
            self.violations.push(Violation {
                checker: self.checker,
                class,
                sentence,
                record,
            });
        }
    }

    /// Compares one fact.
    fn safe(&mut self, holds: bool, record: impl Into<Option<usize>>, sentence: impl FnOnce() -> String) {
        self.compared += 1;
        if !holds {
            self.add(Class::Safety, record.into(), sentence());
        }
    }

    fn lively(&mut self, holds: bool, record: impl Into<Option<usize>>, sentence: impl FnOnce() -> String) {
        self.compared += 1;
        if !holds {
            self.add(Class::Liveness, record.into(), sentence());
        }
    }
}

impl From<Moment> for Option<usize> {
    fn from(moment: Moment) -> Self {
        Some(moment.record)
    }
}

impl Checker {
    pub const ALL: [Checker; 7] = [
        Checker::Biographies,
        Checker::Conservation,
        Checker::Linearizability,
        Checker::Audience,
        Checker::ClosingBell,
        Checker::Durability,
        Checker::Liveness,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Checker::Biographies => "biographies",
            Checker::Conservation => "conservation",
            Checker::Linearizability => "linearizability",
            Checker::Audience => "audience",
            Checker::ClosingBell => "closing-bell",
            Checker::Durability => "durability",
            Checker::Liveness => "liveness",
        }
    }

    pub fn check(self, case: &Case) -> Report {
        self.check_keeping(case, VIOLATIONS_MAX)
    }

    /// As [`Checker::check`], with so many violations of each class kept.
    pub fn check_keeping(self, case: &Case, kept_max: usize) -> Report {
        let mut report = Report::of(self, kept_max);
        match self {
            Checker::Biographies => biographies::check(case, &mut report),
            Checker::Conservation => conservation::check(case, &mut report),
            Checker::Linearizability => linearizability::check(case, &mut report),
            Checker::Audience => audience::check(case, &mut report),
            Checker::ClosingBell => closing_bell::check(case, &mut report),
            Checker::Durability => durability::check(case, &mut report),
            Checker::Liveness => liveness::check(case, &mut report),
        }
        report
    }

    /// Whether a run of this plan gives the checker something to compare: one that then compares nothing is vacuous.
    pub fn expects(self, plan: &Plan) -> bool {
        let does =
            |wanted: fn(&Action) -> bool| plan.operations.iter().any(|operation| wanted(&operation.action));
        let submits = does(|action| matches!(action, Action::Submit { .. }));
        match self {
            Checker::Biographies | Checker::Linearizability | Checker::Durability => submits,
            Checker::Conservation | Checker::Liveness => true,
            Checker::Audience => !plan.viewers.is_empty(),
            Checker::ClosingBell => {
                submits
                    && does(|action| {
                        matches!(
                            action,
                            Action::CloseEvent { .. }
                                | Action::CreateEvent {
                                    closes_at_ms: Some(_),
                                    ..
                                }
                        )
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests;
