//! A crowd has answers as everybody else has: as many as are said to have been felt, and where nothing but the crowd itself
//! disturbs the cluster each vote that was written down is answered in time.

use std::collections::{BTreeMap, BTreeSet};

use super::super::Report;
use super::refusals::disturbances;
use crate::case::Case;
use crate::history::Answer;
use crate::ids::{FaultId, SimMicros};
use crate::lives::{self, Felt, Span};
use crate::names::overload_of_voter;
use crate::plan::FaultKind;

/// What was written down is answered soon after, where nothing but the crowd is in the way.
const ANSWER_MS: u64 = 200;

pub(super) fn is_answered(case: &Case, report: &mut Report) {
    let is_crowd = |felt: &Felt| matches!(felt.fault.kind, FaultKind::Overload { .. });
    let crowds: Vec<Felt> = lives::felt(case).into_iter().filter(is_crowd).collect();
    for told in &case.crowd {
        let is_of_one = crowds.iter().any(|felt| felt.fault.id == told.fault);
        report.safe(is_of_one, told.answered, || {
            format!(
                "somebody of overload {} was told something, and the plan has none such",
                told.fault.0
            )
        });
    }
    if crowds.is_empty() {
        return;
    }
    let written = written(case);
    for felt in &crowds {
        as_often_as_it_was_felt(case, felt, report);
        each_is_told_once(case, felt, report);
        if let Some(votes) = written.get(&felt.fault.id) {
            in_time(case, felt, votes, report);
        }
    }
}

/// By crowd: its places whose votes stand in the log, and since when on a quorum of disks.
fn written(case: &Case) -> BTreeMap<FaultId, Vec<(u32, SimMicros)>> {
    let mut written: BTreeMap<FaultId, Vec<(u32, SimMicros)>> = BTreeMap::new();
    for vote in &case.oracle.votes {
        let Some((fault, place)) = overload_of_voter(vote.vote.voter) else {
            continue;
        };
        if let Some(durable) = case.durable_at(vote.position.index) {
            written.entry(fault).or_default().push((place, durable));
        }
    }
    written
}

/// Whoever was not turned away at the door was counted when it had its answer.
fn as_often_as_it_was_felt(case: &Case, felt: &Felt, report: &mut Report) {
    let was_let_in = |answer: &Answer| !matches!(answer, Answer::Refused { status: 0, .. });
    let of_crowd = case.crowd.iter().filter(|told| told.fault == felt.fault.id);
    let answers = of_crowd.filter(|told| was_let_in(told.answer)).count() as u64;
    report.lively(felt.ended.is_none() || answers == felt.bites, None, || {
        format!(
            "overload {} was felt {} times, and {answers} of its crowd were told something",
            felt.fault.id.0, felt.bites
        )
    });
}

/// Each place of the crowd is one voter who asks once, and nobody asks before it is there.
fn each_is_told_once(case: &Case, felt: &Felt, report: &mut Report) {
    let FaultKind::Overload { submissions, .. } = felt.fault.kind else {
        return;
    };
    let mut told: BTreeSet<u32> = BTreeSet::new();
    for answer in case.crowd.iter().filter(|told| told.fault == felt.fault.id) {
        let place = answer.place;
        let was_sent = place < submissions && felt.began.is_some_and(|began| began <= answer.answered.at);
        report.safe(was_sent && told.insert(place), answer.answered, || {
            format!(
                "voter {place} of overload {} was told what it did not ask, or told twice",
                felt.fault.id.0
            )
        });
    }
}

fn in_time(case: &Case, felt: &Felt, votes: &[(u32, SimMicros)], report: &mut Report) {
    let (Some(began), Some(ended)) = (felt.began, felt.ended) else {
        return;
    };
    let here = Span {
        from: began,
        to: ended,
    };
    if disturbances(case, Some(felt.fault.id))
        .iter()
        .any(|other| other.meets(here))
    {
        return;
    }
    let of_crowd = case.crowd.iter().filter(|told| told.fault == felt.fault.id);
    let mut told: BTreeSet<u32> = BTreeSet::new();
    let mut lost: BTreeMap<u32, SimMicros> = BTreeMap::new();
    for answer in of_crowd {
        match answer.answer {
            Answer::Unknown { .. } => drop(lost.insert(answer.place, answer.answered.at)),
            _ => drop(told.insert(answer.place)),
        }
    }
    let patience_ms = case.plan.knobs.client_patience_ms.0;
    for (place, durable) in votes {
        let due = durable.plus_ms(patience_ms);
        // Its patience may have ended while its vote was on its way to the disks, and had no answer yet.
        let gave_up = lost.get(place).is_some_and(|at| *at < durable.plus_ms(ANSWER_MS));
        report.lively(told.contains(place) || gave_up || due > ended, None, || {
            format!(
                "nothing else disturbed the cluster, and voter {place} of overload {} was told nothing of its vote",
                felt.fault.id.0
            )
        });
    }
}
