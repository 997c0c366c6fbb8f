//! Whether a run has anything in it that could have gone wrong: votes from before the end of the storm, answers in the
//! storm, and a healed cluster that was asked through each of its nodes.

use std::collections::BTreeSet;

use ostraka_core::VoterNumber;

use crate::case::{Asked, Case, submission};
use crate::checkers::{Checker, left_behind};
use crate::history::{Answer, Happening, VoteStatus};
use crate::ids::NodeIndex;
use crate::oracle::EventTruth;
use crate::plan::Fault;

/// A sentence for each thing that is missing.
pub(super) fn of(case: &Case) -> Vec<String> {
    let mut missing = Vec::new();
    // Whoever asks for no votes has proven nothing about any.
    if case.oracle.counted() == 0 {
        missing.push("no vote was counted".to_owned());
    }
    if !counts_votes_of_the_storm(case) {
        missing.push("no vote that was submitted before the storm's end was counted".to_owned());
    }
    if !answers_in_the_storm(case) {
        missing.push("no request of the storm got an answer, but refusals and silence".to_owned());
    }
    if !acknowledges_votes_of_the_storm(case) {
        missing.push("no vote of the storm was acknowledged to who sent it".to_owned());
    }
    if case.plan.faults.is_empty() && voters_of_the_storm(case) < 2 {
        missing.push("there was no fault, and fewer than two voters".to_owned());
    }
    let is_closed = |event: &EventTruth| event.closed.is_some();
    if Checker::ClosingBell.expects(case.plan) && !case.oracle.events.values().any(is_closed) {
        missing.push("no event was closed".to_owned());
    }
    missing.extend(storm_before_the_first_request(case));
    for node in (0..case.plan.knobs.nodes).map(NodeIndex) {
        if !answers_fresh_requests(case, node) {
            missing.push(format!("nothing fresh was answered through node {node}"));
        }
    }
    missing.extend(
        left_behind(case)
            .into_iter()
            .map(|viewer| format!("viewer {} is behind, and the run ended all the same", viewer.0)),
    );
    missing
}

/// Faults that were all over before anybody asked for anything have disturbed nobody.
fn storm_before_the_first_request(case: &Case) -> Option<String> {
    let first = case.asked.iter().map(|asked| asked.invoked.record).min()?;
    let faults = &case.plan.faults;
    let is_over_by_then = |fault: &Fault| {
        let mut before = case.history.records.iter().take(first);
        before.any(|record| matches!(record.what, Happening::FaultEnded { fault: of, .. } if of == fault.id))
    };
    (!faults.is_empty() && faults.iter().all(is_over_by_then))
        .then(|| "every fault was over before the first request".to_owned())
}

/// Fresh votes alone would be counted by a cluster that has lost all others.
fn counts_votes_of_the_storm(case: &Case) -> bool {
    let is_counted = |asked: &Asked| {
        let first = submission(asked.operation).and_then(|submission| case.first_record(submission.tag));
        matches!(first, Some((_, VoteStatus::Processed)))
    };
    of_the_storm(case).any(is_counted)
}

fn answers_in_the_storm(case: &Case) -> bool {
    of_the_storm(case).any(is_answered)
}

/// Votes that are in the log, and of which nobody knows, are no promise that was kept.
fn acknowledges_votes_of_the_storm(case: &Case) -> bool {
    of_the_storm(case).any(|asked| matches!(asked.answered, Some((_, Answer::Vote { .. }))))
}

/// Voters who sent anything. One alone, whom nothing disturbs, meets nobody.
fn voters_of_the_storm(case: &Case) -> usize {
    let submissions = of_the_storm(case).filter_map(|asked| submission(asked.operation));
    let voters: BTreeSet<VoterNumber> = submissions.map(|submission| submission.voter).collect();
    voters.len()
}

fn answers_fresh_requests(case: &Case, node: NodeIndex) -> bool {
    let fresh = case.asked.iter().filter(|asked| case.is_fresh(asked.operation));
    fresh
        .filter(|asked| asked.operation.endpoint == node)
        .any(is_answered)
}

/// What was sent before the storm was over.
fn of_the_storm<'c, 'a>(case: &'c Case<'a>) -> impl Iterator<Item = &'c Asked<'a>> {
    let over = case.storm_over;
    case.asked.iter().filter(move |asked| {
        let before = over.is_none_or(|over| asked.invoked < over);
        before && !case.is_fresh(asked.operation)
    })
}

fn is_answered(asked: &Asked) -> bool {
    let none = |answer: &Answer| {
        matches!(
            answer,
            Answer::Refused { .. } | Answer::Unknown { .. } | Answer::Skipped
        )
    };
    asked.answered.is_some_and(|(_, answer)| !none(answer))
}
