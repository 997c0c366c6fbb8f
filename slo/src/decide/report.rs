//! The whole of a decision.

use serde::{Deserialize, Serialize};

use super::{Decided, Line, Question};
use crate::evidence::Evidence;
use crate::verdict::Verdict;

/// Format of reports, which are baselines of later ones.
pub const REPORT_FORMAT: u32 = 1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub format: u32,
    pub verdict: Verdict,
    pub sentence: String,
    pub commit: String,
    /// Seconds since the Unix epoch.
    pub at_s: u64,
    pub checklist: Vec<Line>,
    pub objectives: Vec<Decided>,
    pub evidence: Vec<Used>,
    /// Not of this commit, stale, or with a planted fault.
    pub refused: Vec<Refused>,
    /// Nobody knows what it says, so there is no pass with it.
    pub unreadable: Vec<Refused>,
    pub notes: Vec<String>,
    pub baseline: Option<BaselineHead>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    pub file: String,
    pub program: String,
    pub command: String,
    pub at_s: u64,
    pub said: Verdict,
    pub sentence: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub file: String,
    pub sentence: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineHead {
    pub commit: String,
    pub at_s: u64,
    pub verdict: Verdict,
}

pub(super) struct Parts<'a> {
    pub(super) objectives: Vec<Decided>,
    pub(super) checklist: Vec<Line>,
    pub(super) fit: Vec<&'a Evidence>,
    pub(super) refused: Vec<Refused>,
    pub(super) notes: Vec<String>,
}

pub(super) fn of(question: &Question<'_>, parts: Parts<'_>) -> Report {
    let unreadable = question.folder.unreadable.iter().map(|(file, sentence)| Refused {
        file: file.clone(),
        sentence: sentence.clone(),
    });
    let unreadable: Vec<Refused> = unreadable.collect();
    let (verdict, sentence) = together(question, &parts, &unreadable);
    let used = |evidence: &&Evidence| Used {
        file: evidence.file.clone(),
        program: evidence.program.clone(),
        command: evidence.command.clone(),
        at_s: evidence.at_s,
        said: evidence.said,
        sentence: evidence.sentence.clone(),
    };
    Report {
        format: REPORT_FORMAT,
        verdict,
        sentence,
        commit: question.commit.to_owned(),
        at_s: question.now_s,
        evidence: parts.fit.iter().map(used).collect(),
        checklist: parts.checklist,
        objectives: parts.objectives,
        refused: parts.refused,
        unreadable,
        notes: parts.notes,
        baseline: question.baseline.map(|baseline| BaselineHead {
            commit: baseline.commit.clone(),
            at_s: baseline.at_s,
            verdict: baseline.verdict,
        }),
    }
}

/// The worst of all that is not waived. What cannot be waived counts, whoever tried.
fn together(question: &Question<'_>, parts: &Parts<'_>, unreadable: &[Refused]) -> (Verdict, String) {
    let is_waivable = |name: &str| {
        let objective = question
            .objectives
            .iter()
            .find(|objective| objective.name == name);
        objective.is_none_or(|objective| objective.is_waivable)
    };
    let objectives = parts
        .objectives
        .iter()
        .filter(|decided| decided.waived.is_none() || !is_waivable(&decided.name))
        .map(|decided| (decided.name.as_str(), decided.verdict));
    let lines = parts.checklist.iter().filter(|line| line.waived.is_none());
    let all: Vec<_> = objectives
        .chain(lines.map(|line| (line.id.as_str(), line.verdict)))
        .collect();
    let worst = all
        .iter()
        .map(|(_, verdict)| *verdict)
        .max()
        .unwrap_or(Verdict::NoData);
    let worst = if unreadable.is_empty() {
        worst
    } else {
        worst.max(Verdict::NoData)
    };
    let mut names: Vec<&str> = all
        .iter()
        .filter(|(_, verdict)| *verdict == worst)
        .map(|(name, _)| *name)
        .collect();
    names.dedup();
    let files: Vec<&str> = unreadable.iter().map(|file| file.file.as_str()).collect();
    let sentence = match worst {
        Verdict::Pass => {
            "every objective and every line of the checklist is shown, or waived by name".to_owned()
        }
        Verdict::Fail => format!("not kept: {}", names.join(", ")),
        Verdict::Inconclusive => format!("too little to say: {}", names.join(", ")),
        Verdict::NoData if names.is_empty() => format!("unreadable: {}", files.join(", ")),
        Verdict::NoData if files.is_empty() => format!("not shown: {}", names.join(", ")),
        Verdict::NoData => format!(
            "not shown: {}; unreadable: {}",
            names.join(", "),
            files.join(", ")
        ),
    };
    (worst, sentence)
}
