//! The decision: evidence in, report out. Nothing here reads a file, a clock or the environment.

mod baseline;
mod checklist;
mod fit;
mod objective;
mod report;
mod waivers;

use crate::evidence::{Evidence, Folder};
use crate::objectives::Objective;
use crate::verdict::Verdict;

pub use baseline::{Change, Tendency};
pub use checklist::Line;
pub use objective::{Basis, Budget, Decided, RunVerdict};
pub use report::{BaselineHead, REPORT_FORMAT, Refused, Report, Used};
pub use waivers::{Waived, Waiver, WaiverError, read_waivers};

/// What the gate is asked.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub objectives: &'a [Objective],
    pub folder: &'a Folder,
    /// The commit that is to be released.
    pub commit: &'a str,
    /// Seconds since the Unix epoch.
    pub now_s: u64,
    /// Older evidence is refused.
    pub age_s_max: u64,
    pub waivers: &'a [Waiver],
    pub baseline: Option<&'a Report>,
}

/// Decides every objective, every line of the checklist, and all together.
pub fn decide(question: &Question<'_>) -> Report {
    let mut fit: Vec<&Evidence> = Vec::new();
    let mut refused = Vec::new();
    for evidence in &question.folder.evidence {
        match fit::check(evidence, question) {
            Ok(()) => fit.push(evidence),
            Err(sentence) => refused.push(Refused {
                file: evidence.file.clone(),
                sentence,
            }),
        }
    }
    let mut objectives = objective::decide_all(question.objectives, &fit);
    let mut notes = Vec::new();
    for decided in &mut objectives {
        let before = question
            .baseline
            .and_then(|report| report.objectives.iter().find(|other| other.name == decided.name));
        decided.change = before.and_then(|before| baseline::change(before, decided));
        if decided.verdict != Verdict::Pass {
            decided.waived = waivers::of(&decided.name, question, &mut notes);
        }
    }
    let mut checklist = checklist::decide_all(&objectives, &fit);
    for line in &mut checklist {
        if line.verdict != Verdict::Pass {
            line.waived = waivers::of(&line.id, question, &mut notes);
        }
    }
    notes.extend(waivers::unused(question, &objectives, &checklist));
    notes.dedup();
    report::of(
        question,
        report::Parts {
            objectives,
            checklist,
            fit,
            refused,
            notes,
        },
    )
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
