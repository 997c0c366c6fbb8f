//! Checkers: one invariant each. They look at a [`Case`] and nothing else, and never panic on one.

mod audience;
mod biographies;
mod closing_bell;
mod conservation;
mod durability;
mod linearizability;
mod liveness;
use serde::{Deserialize, Serialize};

use crate::case::{Case, Moment};
use crate::plan::{Action, Plan};

/// What a checker that found everything wrong still keeps; more would say nothing new and fill the disk.
const VIOLATIONS_MAX: usize = 40;

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
    pub violations: Vec<Violation>,
}

impl Report {
    fn of(checker: Checker) -> Self {
        Report {
            checker,
            compared: 0,
            violations: Vec::new(),
        }
    }

    fn add(&mut self, class: Class, record: Option<usize>, sentence: String) {
        if self.violations.len() < VIOLATIONS_MAX {
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
        let mut report = Report::of(self);
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
