//! The seven questions of the checklist.

use serde::{Deserialize, Serialize};

use super::{Decided, Waived};
use crate::evidence::{Evidence, VIOLATIONS, VOTES_DOUBLED, VOTES_LOST};
use crate::verdict::Verdict;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub id: String,
    pub question: String,
    pub verdict: Verdict,
    pub sentence: String,
    pub waived: Option<Waived>,
}

enum From {
    /// A check of that name in some evidence.
    Check,
    Objective(&'static str),
    Chaos,
}

/// Names of lines, which are names of checks too, with their questions.
const LINES: [(&str, &str, From); 7] = [
    (
        "trace",
        "Does the client's trace id go through the whole pipeline?",
        From::Check,
    ),
    (
        "dashboard",
        "Are end-to-end p50, p95 and p99 on a dashboard?",
        From::Check,
    ),
    (
        "probe",
        "Does a probe vote and watch 1,000 times an hour?",
        From::Check,
    ),
    (
        "load",
        "Is load stable at 250,000 requests a second, inside the objectives?",
        From::Objective("load"),
    ),
    (
        "lag",
        "Is consumer lag low at p99?",
        From::Objective("consumer-lag"),
    ),
    ("alerts", "Do alerts fire when p99 rises?", From::Check),
    (
        "chaos",
        "Does chaos pass without loss or violations?",
        From::Chaos,
    ),
];

/// Whose runs the last line needs, each.
const CAMPAIGNS: [(&str, &[(&str, &str)]); 5] = [
    ("a simulation", &[("sim", "explore"), ("madsim", "explore")]),
    ("storms", &[("chaos", "run")]),
    ("power cuts", &[("chaos", "powercut")]),
    ("failovers", &[("chaos", "failover")]),
    ("restarts at scale", &[("chaos", "scale")]),
];

/// Names that a waiver may have besides the objectives'.
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    LINES.iter().map(|(id, ..)| *id)
}

pub(super) fn decide_all(objectives: &[Decided], fit: &[&Evidence]) -> Vec<Line> {
    let decide = |(id, question, from): &(&'static str, &'static str, From)| {
        let (verdict, sentence) = match from {
            From::Check => check(id, fit),
            From::Objective(name) => of(name, objectives),
            From::Chaos => chaos(objectives, fit),
        };
        Line {
            id: (*id).to_owned(),
            question: (*question).to_owned(),
            verdict,
            sentence,
            waived: None,
        }
    };
    LINES.iter().map(decide).collect()
}

fn check(id: &str, fit: &[&Evidence]) -> (Verdict, String) {
    let mut held = None;
    for evidence in fit {
        let Some(check) = evidence.facts.checks.get(id) else {
            continue;
        };
        let sentence = format!("{} ({})", check.sentence, evidence.file);
        if !check.holds {
            return (Verdict::Fail, sentence);
        }
        held.get_or_insert(sentence);
    }
    match held {
        Some(sentence) => (Verdict::Pass, sentence),
        None => (
            Verdict::NoData,
            format!("no usable evidence has a check named {id}"),
        ),
    }
}

fn of(name: &str, objectives: &[Decided]) -> (Verdict, String) {
    match objectives.iter().find(|decided| decided.name == name) {
        Some(decided) => (decided.verdict, decided.sentence.clone()),
        None => (Verdict::NoData, format!("there is no objective {name}")),
    }
}

fn chaos(objectives: &[Decided], fit: &[&Evidence]) -> (Verdict, String) {
    let mut verdict = Verdict::Pass;
    let mut sentences = Vec::new();
    for name in [VOTES_LOST, VOTES_DOUBLED, VIOLATIONS] {
        let (of, sentence) = of(name, objectives);
        if of == Verdict::Fail {
            verdict = Verdict::Fail;
            sentences.push(format!("{name}: {sentence}"));
        }
    }
    for (what, programs) in CAMPAIGNS {
        let is_one = |evidence: &&&Evidence| {
            programs.contains(&(evidence.program.as_str(), evidence.command.as_str()))
        };
        let said = fit.iter().filter(is_one).map(|evidence| evidence.said);
        // A campaign that was cut short takes nothing from another that was not. What one of them found counts among the objectives.
        let best = said.min().unwrap_or(Verdict::NoData);
        if best != Verdict::Pass {
            sentences.push(format!("{what}: {best}"));
        }
        verdict = verdict.max(best);
    }
    if sentences.is_empty() {
        sentences
            .push("simulation, storms, power cuts, failovers and restarts at scale all passed".to_owned());
    }
    (verdict, sentences.join("; "))
}
