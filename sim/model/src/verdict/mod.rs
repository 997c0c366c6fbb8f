//! The verdict on a run: all checkers' reports in one, and whether the run was worth anything.

mod emptiness;
mod excuses;
mod scene;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::Case;
use crate::checkers::{Checker, Class, VIOLATIONS_MAX, Violation};
use crate::history::{Answer, History};
use crate::plan::Plan;
use scene::Scene;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Held,
    SafetyBroken,
    LivenessBroken,
    /// Nothing is broken, and nothing is proven: no vote counted, a fault that did nothing, a checker that compared nothing.
    Vacuous,
}

impl Verdict {
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Held => 0,
            Verdict::SafetyBroken => 10,
            Verdict::LivenessBroken => 11,
            Verdict::Vacuous => 12,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Verdict::Held => "held",
            Verdict::SafetyBroken => "safety broken",
            Verdict::LivenessBroken => "liveness broken",
            Verdict::Vacuous => "vacuous",
        }
    }
}

/// What a run amounted to, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    pub operations: u64,
    pub answered: u64,
    pub unknown: u64,
    pub refused: u64,
    pub entries: u64,
    pub votes_recorded: u64,
    pub votes_counted: u64,
}

/// A verdict with its reasons.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Those that were kept: a checker that finds everything wrong keeps the first.
    pub violations: Vec<Violation>,
    /// By checker: how many violations there were, kept or not. Files of before do not say it.
    #[serde(default)]
    pub found: BTreeMap<Checker, u64>,
    /// Why the run proves nothing, if it does not.
    pub vacuous: Vec<String>,
    /// Faults that did nothing and could not help it, and why.
    pub missed: Vec<String>,
    /// By checker: facts held against the truth.
    pub compared: BTreeMap<Checker, u64>,
    pub amounts: Amounts,
}

impl Judgement {
    pub fn of(case: &Case) -> Self {
        Self::of_keeping(case, VIOLATIONS_MAX)
    }

    /// As [`Judgement::of`], with so many violations of each checker and class kept.
    pub fn of_keeping(case: &Case, kept_max: usize) -> Self {
        let mut judgement = Judgement {
            verdict: Verdict::Held,
            violations: Vec::new(),
            found: BTreeMap::new(),
            vacuous: Vec::new(),
            missed: Vec::new(),
            compared: BTreeMap::new(),
            amounts: amounts(case),
        };
        for checker in Checker::ALL {
            let report = checker.check_keeping(case, kept_max);
            if report.compared == 0 && checker.expects(case.plan) {
                let name = checker.name();
                judgement
                    .vacuous
                    .push(format!("the checker {name} compared nothing"));
            }
            judgement.compared.insert(checker, report.compared);
            judgement.found.insert(checker, report.found());
            judgement.violations.extend(report.violations);
        }
        judgement.look_for_emptiness(case);
        judgement.verdict = judgement.decide();
        judgement
    }

    /// In words, where not all violations of a checker were kept: so many of how many.
    pub fn cut_short(&self, checker: Checker) -> Option<String> {
        let of_checker = |violation: &&Violation| violation.checker == checker;
        let kept = self.violations.iter().filter(of_checker).count();
        match self.found.get(&checker) {
            Some(found) => (*found > kept as u64).then(|| format!("{kept} of {found}")),
            None => (kept >= VIOLATIONS_MAX).then(|| format!("{kept} or more")),
        }
    }

    fn look_for_emptiness(&mut self, case: &Case) {
        self.vacuous.extend(emptiness::of(case));
        let scene = Scene::of(case);
        for felt in &scene.felt {
            let name = format!("fault {} ({})", felt.fault.id.0, felt.fault.kind.name());
            let Some(span) = felt.span(case.end) else {
                self.vacuous.push(format!("{name} never began"));
                continue;
            };
            if scene.did_harm(felt) {
                continue;
            }
            match excuses::of(&scene, felt, span) {
                Some(excuse) => self.missed.push(format!("{name} did nothing: {excuse}")),
                None => self.vacuous.push(format!("{name} did nothing")),
            }
        }
        // Each for a good reason, and there was no storm all the same.
        if !self.missed.is_empty() && self.missed.len() == scene.felt.len() {
            self.vacuous.push("no fault did anything".to_owned());
        }
    }

    fn decide(&self) -> Verdict {
        let broken = |class| self.violations.iter().any(|violation| violation.class == class);
        if broken(Class::Safety) {
            Verdict::SafetyBroken
        } else if broken(Class::Liveness) {
            Verdict::LivenessBroken
        } else if self.vacuous.is_empty() {
            Verdict::Held
        } else {
            Verdict::Vacuous
        }
    }
}

/// Judges a run.
pub fn judge(plan: &Plan, history: &History) -> Judgement {
    Judgement::of(&Case::new(plan, history))
}

/// As [`judge`], for whoever wants to know of each vote: so many violations of each checker and class are kept.
pub fn judge_keeping(plan: &Plan, history: &History, kept_max: usize) -> Judgement {
    Judgement::of_keeping(&Case::new(plan, history), kept_max)
}

fn amounts(case: &Case) -> Amounts {
    let answers = || {
        case.asked
            .iter()
            .filter_map(|asked| asked.answered)
            .map(|(_, answer)| answer)
    };
    let count = |wanted: fn(&&Answer) -> bool| answers().filter(wanted).count() as u64;
    Amounts {
        operations: case.asked.len() as u64,
        answered: answers().count() as u64,
        unknown: count(|answer| matches!(answer, Answer::Unknown { .. })),
        refused: count(|answer| matches!(answer, Answer::Refused { .. })),
        entries: case.log.entries.len() as u64,
        votes_recorded: case.oracle.votes.len() as u64,
        votes_counted: case.oracle.counted(),
    }
}

#[cfg(test)]
mod tests;
