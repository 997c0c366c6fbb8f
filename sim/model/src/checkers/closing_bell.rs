//! The closing bell: each event has one cut-off in the log, the same for everyone; every vote's verdict agrees with its
//! place before or after it, so no vote is both accepted and late; a scheduled cut-off is the first entry whose time has
//! come, and comes as soon as a cluster that nothing disturbs can have it; and clocks, wrong as they may be, move it by no
//! more than they are wrong.

mod schedule;

use ostraka_core::UnixMs;

use super::Report;
use crate::case::{Asked, Case, Moment, Submission};
use crate::history::{Answer, Happening, Sight, Status, VoteStatus};
use crate::ids::{FaultId, SimMicros};
use crate::oracle::EventTruth;
use crate::plan::FaultKind;

/// Milliseconds for what the bounds leave out: rounding, and from when exactly a clock drifts.
const CLOCK_MARGIN_MS: i128 = 100;

/// Milliseconds that a leader may hold an entry between its stamp and a disk, beside what the plan's slow disks and links
/// cost: the longest that campaigns have shown is one slow barrier.
const STAMP_WAIT_MS: u64 = 1_000;

pub(super) fn check(case: &Case, report: &mut Report) {
    for (asked, submission) in case.submissions() {
        let (Some(event), Some((moment, Answer::Vote { status, .. }))) =
            (case.event_of_slot(submission.slot), asked.answered)
        else {
            continue;
        };
        verdict_agrees_with_place(case, report, event, submission, moment, *status);
        clocks_explain_it(case, report, event, asked, moment, *status);
    }
    for (place, record) in case.history.records.iter().enumerate() {
        one_cut_off_is_told(case, report, place, &record.what);
    }
    for event in case.oracle.events.values() {
        cut_off_is_when_its_time_has_come(case, report, event);
    }
    schedule::is_kept(case, report);
    stamps_come_from_clocks(case, report);
}

fn verdict_agrees_with_place(
    case: &Case,
    report: &mut Report,
    event: &EventTruth,
    submission: Submission,
    moment: Moment,
    status: VoteStatus,
) {
    let Some((position, _)) = case.first_record(submission.tag) else {
        return;
    };
    let is_late = event.closed.is_some_and(|closed| position >= closed);
    match status {
        VoteStatus::Processed => report.safe(!is_late, moment, || {
            format!(
                "{}: submission {} stands at entry {}, after the close, and was accepted",
                event.id, submission.tag.0, position.index
            )
        }),
        VoteStatus::RejectedClosed => report.safe(is_late, moment, || {
            format!(
                "{}: submission {} stands at entry {}, before the close, and was rejected as late",
                event.id, submission.tag.0, position.index
            )
        }),
        _ => {}
    }
}

fn one_cut_off_is_told(case: &Case, report: &mut Report, place: usize, what: &Happening) {
    let mut told = |event, version: u64| {
        if !case.knows(version) {
            return;
        }
        let closed = case
            .event(event)
            .and_then(|event| event.closed)
            .map(|closed| closed.index.0);
        report.safe(closed == Some(version), place, || {
            format!("{event} was said to be closed since version {version}, and it is since {closed:?}")
        });
    };
    match what {
        Happening::Answered {
            answer:
                Answer::EventStatus {
                    event,
                    status: Status::Closed,
                    version,
                },
            ..
        } => told(*event, *version),
        Happening::Saw {
            sight:
                Sight::Tally {
                    event,
                    status: Status::Closed,
                    version,
                    ..
                },
            ..
        } => told(*event, *version),
        Happening::Answered {
            answer: Answer::Board { standings, .. },
            ..
        }
        | Happening::Saw {
            sight: Sight::Snapshot(standings) | Sight::Closed(standings),
            ..
        } if standings.status == Status::Closed => {
            told(standings.event, standings.version);
        }
        Happening::Settled { boards, .. } => {
            for standings in boards
                .iter()
                .filter(|standings| standings.status == Status::Closed)
            {
                told(standings.event, standings.version);
            }
        }
        _ => {}
    }
}

/// By the stamps alone: the schedule's cut-off is the first entry at or after the creation whose time is reached.
fn cut_off_is_when_its_time_has_come(case: &Case, report: &mut Report, event: &EventTruth) {
    let Some(closes_at) = event.closes_at else { return };
    let batches = case
        .log
        .entries
        .iter()
        .filter(|(_, entry)| !entry.body.is_empty());
    let due = batches
        .filter(|(_, entry)| entry.stamped_at >= closes_at)
        .map(|(index, _)| *index)
        .min();
    let closed = event.closed.map(|closed| closed.index.0);
    let right = match (closed, due) {
        (Some(closed), Some(due)) if event.closed_by_hand => closed <= due,
        (Some(_), None) => event.closed_by_hand,
        (closed, due) => closed == due,
    };
    report.safe(right, None, || {
        format!(
            "{} is closed since {closed:?}, and its time came at {due:?}",
            event.id
        )
    });
}

/// What any node's clock may have shown, in Unix milliseconds, between two moments.
struct ClockBounds {
    lowest: i128,
    highest: i128,
}

fn clock_bounds(case: &Case, from: SimMicros, to: SimMicros) -> Option<ClockBounds> {
    let (formed, _) = case.formed?;
    let knobs = &case.plan.knobs;
    let wrong_by = |at: SimMicros| {
        let since_ms = i128::from(at.0.saturating_sub(formed.0) / 1_000);
        let skews = knobs.clock_skew_ms.iter().zip(&knobs.clock_drift_ppm);
        skews.map(move |(skew, drift)| i128::from(*skew) + since_ms * i128::from(*drift) / 1_000_000)
    };
    let jumps: Vec<i128> = jumps_between(case, from, to);
    let back: i128 = jumps.iter().filter(|by| **by < 0).sum();
    let forth: i128 = jumps.iter().filter(|by| **by > 0).sum();
    let true_time = |at| case.true_time(at).map(|time| i128::from(time.0));
    Some(ClockBounds {
        lowest: true_time(from)? + wrong_by(from).chain(wrong_by(to)).min()? + back - CLOCK_MARGIN_MS,
        highest: true_time(to)? + wrong_by(from).chain(wrong_by(to)).max()? + forth + CLOCK_MARGIN_MS,
    })
}

/// Jumps that a clock may have been moved by at any moment between the two, by the plan. A node keeps what it has only
/// while the fault lasts, but the log remembers the newest stamp, so a jump forth counts from when it began.
fn jumps_between(case: &Case, from: SimMicros, to: SimMicros) -> Vec<i128> {
    let jump = |fault: &crate::plan::Fault| match fault.kind {
        FaultKind::ClockJump { by_ms, .. } => {
            let (began, ended) = span_of(case, fault.id)?;
            let matters = began <= to && (by_ms > 0 || ended >= from);
            matters.then_some(i128::from(by_ms))
        }
        _ => None,
    };
    case.plan.faults.iter().filter_map(jump).collect()
}

fn span_of(case: &Case, wanted: FaultId) -> Option<(SimMicros, SimMicros)> {
    let mut began = None;
    for record in &case.history.records {
        match record.what {
            Happening::FaultBegan { fault, .. } if fault == wanted => began = began.or(Some(record.at)),
            Happening::FaultEnded { fault, .. } if fault == wanted => return Some((began?, record.at)),
            _ => {}
        }
    }
    Some((began?, case.end))
}

/// However wrong the clocks: a vote sent when all of them had passed the closing is late, and one answered when none
/// had reached it is not. The same at the opening, the other way round.
fn clocks_explain_it(
    case: &Case,
    report: &mut Report,
    event: &EventTruth,
    asked: &Asked,
    moment: Moment,
    status: VoteStatus,
) {
    let Some(bounds) = clock_bounds(case, asked.invoked.at, moment.at) else {
        return;
    };
    let all_past = |at: UnixMs| bounds.lowest >= i128::from(at.0);
    let none_there = |at: UnixMs| bounds.highest < i128::from(at.0);
    let early = |turn: Option<UnixMs>, by_hand: bool| turn.filter(|at| !by_hand && none_there(*at));
    let late = |turn: Option<UnixMs>| turn.filter(|at| is_first_time(case, asked) && all_past(*at));
    let wrong = match status {
        VoteStatus::Processed if late(event.closes_at).is_some() => {
            Some("was sent when every clock was past the closing, and was accepted")
        }
        VoteStatus::Processed if early(event.opens_at, event.opened_by_hand).is_some() => {
            Some("was accepted before any clock had reached the opening")
        }
        VoteStatus::RejectedClosed if early(event.closes_at, event.closed_by_hand).is_some() => {
            Some("was rejected as late before any clock had reached the closing")
        }
        VoteStatus::RejectedNotOpen if late(event.opens_at).is_some() => {
            Some("was sent when every clock was past the opening, and was rejected as early")
        }
        _ => None,
    };
    if event.closes_at.is_some() || event.opens_at.is_some() {
        report.safe(wrong.is_none(), moment, || {
            let (id, wrong) = (asked.operation.id.0, wrong.unwrap_or_default());
            format!("{}: operation {id} {wrong}", event.id)
        });
    }
}

/// Whether no request before it sent the same submission: a retry is told what became of the first.
fn is_first_time(case: &Case, asked: &Asked) -> bool {
    crate::case::submission(asked.operation).is_some_and(|submission| {
        let others = case
            .submissions()
            .filter(|(_, other)| other.tag == submission.tag);
        others.map(|(other, _)| other.invoked).min() == Some(asked.invoked)
    })
}

/// A leader stamps what it proposes, and a disk has it soon after: the stamp is neither later than any clock showed by
/// then, nor older than all of them showed shortly before. Stamps that stand still are a clock that does, and no event
/// would ever close.
fn stamps_come_from_clocks(case: &Case, report: &mut Report) {
    let Some((formed, _)) = case.formed else { return };
    let wait_ms = STAMP_WAIT_MS.saturating_add(slowness_ms(case));
    for (index, entry) in case
        .log
        .entries
        .iter()
        .filter(|(_, entry)| !entry.body.is_empty())
    {
        let Some(first_at) = case.disks.first_at(entry) else {
            continue;
        };
        let earliest = SimMicros(first_at.0.saturating_sub(wait_ms.saturating_mul(1_000))).max(formed);
        let (Some(ever), Some(lately)) = (
            clock_bounds(case, formed, first_at),
            clock_bounds(case, earliest, first_at),
        ) else {
            continue;
        };
        let stamp = i128::from(entry.stamped_at.0);
        report.safe(stamp <= ever.highest, None, || {
            format!("entry {index} is stamped {stamp}, later than any clock showed when it was on a disk")
        });
        // The bounds begin with the run, and an entry may have been stamped before.
        let lowest = if earliest > formed {
            lately.lowest
        } else {
            lately.lowest - i128::from(wait_ms)
        };
        report.safe(stamp >= lowest, None, || {
            format!(
                "entry {index} is stamped {stamp}, older by {} ms than any clock showed in the {wait_ms} ms before it was on a disk",
                lowest - stamp
            )
        });
    }
}

/// What the plan's slow disks and links add to an entry's way to the first disk: a barrier under way and its own, or a
/// link to a follower.
fn slowness_ms(case: &Case) -> u64 {
    let own_ms = case.plan.knobs.barrier_micros.saturating_mul(2) / 1_000;
    let slowness = |fault: &crate::plan::Fault| match fault.kind {
        FaultKind::SlowDisk { barrier_ms, .. } => barrier_ms.saturating_mul(2),
        FaultKind::SlowLinks { extra_ms, .. } => u64::from(extra_ms),
        _ => 0,
    };
    case.plan
        .faults
        .iter()
        .map(slowness)
        .fold(own_ms, u64::saturating_add)
}
