//! A refusal has its reason in the run, and where nothing is wrong every request is answered.

use std::collections::BTreeSet;

use ostraka_core::VoterNumber;

use super::super::Report;
use crate::case::{Asked, Case};
use crate::history::Answer;
use crate::ids::{EventSlot, FaultId, SimMicros, SubmissionTag};
use crate::lives::{self, Span};
use crate::oracle::FURTHER_SUBMISSIONS_MAX;
use crate::plan::{Action, FaultKind};

/// The status under which a client files that it reached nobody.
const UNREACHABLE: u16 = 0;

/// How long after a fault a cluster may still be beside itself, besides four elections: a node starts again, finds its peers and
/// applies what it missed; a connection that has died is noticed.
const RECOVERY_MS: u64 = 3_000;

pub(super) fn have_reasons(case: &Case, report: &mut Report) {
    let disturbances = disturbances(case, None);
    for asked in &case.asked {
        let Some((moment, answer)) = asked.answered else {
            continue;
        };
        let span = Span {
            from: asked.invoked.at,
            to: moment.at,
        };
        let undisturbed = !disturbances.iter().any(|other| other.meets(span));
        match answer {
            Answer::Refused { status, code } => {
                let reason = reason_for(case, undisturbed, asked, *status, code);
                report.safe(reason, moment, || {
                    format!(
                        "operation {} was refused as {status} {code}, and nothing in the run is a reason for that",
                        asked.operation.id.0
                    )
                });
            }
            // A connection that died long ago is found out when it is used again.
            Answer::Unknown { reason } => {
                let was_disturbed = disturbances.iter().any(|other| other.from <= moment.at);
                report.lively(was_disturbed, moment, || {
                    format!(
                        "nothing disturbed the cluster, and operation {} had no answer: {reason}",
                        asked.operation.id.0
                    )
                });
            }
            _ => {}
        }
    }
    for told in &case.crowd {
        if let Answer::Refused { status, code } = told.answer {
            // A crowd is a disturbance by itself. It asks for what there is, with good tokens.
            let reason = matches!(*status, UNREACHABLE | 503);
            report.safe(reason, told.answered, || {
                format!(
                    "voter {} of overload {} was refused as {status} {code}, and nothing in the run is a reason for that",
                    told.place, told.fault.0
                )
            });
        }
    }
}

/// When something was wrong with the cluster, or might be still: each fault and each absence of a node, and some time to
/// recover. A node that was taken out is back when an operator has managed to add it, which no record tells. `but`: a fault that
/// does not count.
pub(super) fn disturbances(case: &Case, but: Option<FaultId>) -> Vec<Span> {
    let recovery_ms = RECOVERY_MS.saturating_add(case.plan.knobs.election_ms.saturating_mul(4));
    let and_recovery = |span: Span| Span {
        to: SimMicros(span.to.0.saturating_add(recovery_ms.saturating_mul(1_000))),
        ..span
    };
    let counts = |felt: &lives::Felt| Some(felt.fault.id) != but;
    let faults = lives::felt(case).into_iter().filter(counts).filter_map(|felt| {
        let span = felt.span(case.end)?;
        let to = if felt.fault.kind.takes_a_member() {
            case.end
        } else {
            span.to
        };
        Some(Span { to, ..span })
    });
    let absences = lives::downtimes(case).into_iter().map(|(_, span)| span);
    faults.chain(absences).map(and_recovery).collect()
}

fn reason_for(case: &Case, undisturbed: bool, asked: &Asked, status: u16, code: &str) -> bool {
    let event = |slot| case.event_of_slot(slot);
    match (status, code, &asked.operation.action) {
        (UNREACHABLE | 503, _, _) => !undisturbed,
        (409, "event-already-closed", Action::OpenEvent { slot }) => {
            event(*slot).is_none_or(|event| event.closed.is_some())
        }
        (
            400,
            "invalid-field",
            Action::CreateEvent {
                opens_at_ms,
                closes_at_ms: Some(closes_at),
                ..
            },
        ) => {
            let answered_ms = asked.answered.map_or(0, |(moment, _)| moment.at.0 / 1_000);
            let closes_before_it_opens = opens_at_ms.is_some_and(|opens_at| *closes_at <= opens_at);
            closes_before_it_opens || closes_at.0 <= answered_ms + clocks_ahead_ms(case)
        }
        (404, "contestant-not-found", Action::Submit { slot, contestant, .. }) => {
            event(*slot).is_none_or(|event| usize::from(*contestant) >= event.totals.len())
        }
        (429, "too-many-submissions", Action::Submit { slot, voter, .. }) => {
            submissions_of(case, *slot, *voter) > FURTHER_SUBMISSIONS_MAX
        }
        _ => false,
    }
}

/// By how much some node's clock may show a later time than there is, so that a closing to come lies in its past: skew, jumps,
/// and a second for drift.
fn clocks_ahead_ms(case: &Case) -> u64 {
    let skews = case.plan.knobs.clock_skew_ms.iter();
    let skew = skews.copied().max().unwrap_or_default().max(0).unsigned_abs();
    let jumps = case.plan.faults.iter().map(|fault| match fault.kind {
        FaultKind::ClockJump { by_ms, .. } => by_ms.max(0).unsigned_abs(),
        _ => 0,
    });
    skew + jumps.sum::<u64>() + 1_000
}

/// Different ones, that were sent so far or later.
fn submissions_of(case: &Case, slot: EventSlot, voter: VoterNumber) -> usize {
    let all = case.submissions().map(|(_, submission)| submission);
    let of_voter = all.filter(|submission| submission.slot == slot && submission.voter == voter);
    let tags: BTreeSet<SubmissionTag> = of_voter.map(|submission| submission.tag).collect();
    tags.len()
}
