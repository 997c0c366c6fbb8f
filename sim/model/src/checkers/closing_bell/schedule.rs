//! Scheduled openings and closings come when they are due, also while nobody votes. In a storm they may be held up by
//! anything; so they are asked for at the end of the first span, after every clock has come to their time, in which
//! nothing disturbed the cluster.

use ostraka_core::{UnixMs, VotePosition};

use crate::case::Case;
use crate::checkers::Report;
use crate::ids::SimMicros;
use crate::lives::{self, Span};
use crate::oracle::EventTruth;

/// Milliseconds in which an undisturbed cluster notices that something is due (the leader looks every 100 ms), commits
/// it, and has it on a quorum of disks; beside what the plan's links and barriers take.
const NOTICE_MS: u64 = 1_500;

/// Messages and barriers one after another until what is due is on a quorum of disks: those of the entry before too.
const MESSAGES: u64 = 8;
const BARRIERS: u64 = 4;

/// Of the plan's time for healing, the part that a cluster is given to be itself again after a fault or the start of a
/// node: after that the fresh requests come, which must succeed.
const HEAL_PER_RECOVERY: u64 = 2;

/// Of the shortest election timeout, how many may pass without a leader before one is elected: each timeout is up to two
/// of it, and a split vote takes another.
const ELECTION_TIMEOUTS: u64 = 4;

/// Milliseconds for rounding, and for clocks that are read now and then.
const CLOCK_MARGIN_MS: i128 = 100;

pub(super) fn is_kept(case: &Case, report: &mut Report) {
    // What is not in an incomplete log may have come all the same.
    if !case.log.is_whole {
        return;
    }
    let disturbances = disturbances(case);
    for event in case.oracle.events.values() {
        // Who closes an event that is not yet open has made an end of its opening.
        let opened = event.opened.or(event.closed);
        let turns = [
            ("open", event.opens_at, opened),
            ("close", event.closes_at, event.closed),
        ];
        for (turn, due, came) in turns {
            let Some(due) = due else { continue };
            let Some(deadline) = deadline(case, event, due, &disturbances) else {
                continue;
            };
            let came = came.and_then(|came: VotePosition| case.durable_at(came.index));
            report.lively(came.is_some_and(|came| came <= deadline), None, || {
                let came = came.map_or_else(
                    || "it never did".to_owned(),
                    |came| format!("it did at {} ms", came.0 / 1_000),
                );
                format!(
                    "{} was to {turn} at {}; every clock was past that, and nothing had disturbed the cluster for \
                     {} ms, at {} ms of the run, and {came}",
                    event.id,
                    due.0,
                    notice_ms(case),
                    deadline.0 / 1_000
                )
            });
        }
    }
}

fn notice_ms(case: &Case) -> u64 {
    let knobs = &case.plan.knobs;
    let messages_ms = u64::from(knobs.link_latency_ms_max).saturating_mul(MESSAGES);
    let barriers_ms = (knobs.barrier_micros / 1_000).saturating_mul(BARRIERS);
    NOTICE_MS.saturating_add(messages_ms).saturating_add(barriers_ms)
}

/// By when the turn that is due must have come; none if the run ends before it can be asked for.
fn deadline(case: &Case, event: &EventTruth, due: UnixMs, disturbances: &[Span]) -> Option<SimMicros> {
    let created = case.durable_at(event.created.index)?;
    let mut from = all_clocks_past(case, due)?.max(created);
    loop {
        let calm = Span {
            from,
            to: from.plus_ms(notice_ms(case)),
        };
        if calm.to > case.end {
            return None;
        }
        let disturbed = disturbances.iter().filter(|span| span.meets(calm));
        match disturbed.map(|span| span.to).max() {
            Some(over) => from = SimMicros(over.0.checked_add(1)?),
            None => return Some(calm.to),
        }
    }
}

/// From when on each node's clock, as wrong as the plan has it, shows `due` or later. Jumps are faults, and disturb.
fn all_clocks_past(case: &Case, due: UnixMs) -> Option<SimMicros> {
    let (formed, true_time) = case.formed?;
    let knobs = &case.plan.knobs;
    let ahead_ms = i128::from(due.0) - i128::from(true_time.0) + CLOCK_MARGIN_MS;
    let mut latest = formed;
    for (skew_ms, drift_ppm) in knobs.clock_skew_ms.iter().zip(&knobs.clock_drift_ppm) {
        let shown_in_a_second = 1_000_000 + i128::from(*drift_ppm);
        let to_pass_ms = (ahead_ms - i128::from(*skew_ms)).max(0);
        let after_ms = (to_pass_ms * 1_000_000).checked_div(shown_in_a_second)?;
        latest = latest.max(formed.plus_ms(u64::try_from(after_ms).ok()?));
    }
    Some(latest)
}

/// Spans in which a cluster may be unable to record anything.
fn disturbances(case: &Case) -> Vec<Span> {
    let recovery_ms = case.plan.knobs.heal_ms.0 / HEAL_PER_RECOVERY;
    let recovering = |span: Span| Span {
        from: span.from,
        to: span.to.plus_ms(recovery_ms),
    };
    let faults = lives::felt(case);
    let faults = faults.iter().filter_map(|felt| felt.span(case.end));
    let down = lives::downtimes(case);
    let down = down.iter().map(|(_, span)| *span);
    // Before somebody won the lead nobody may have had it.
    let leaderless_ms = case.plan.knobs.election_ms.saturating_mul(ELECTION_TIMEOUTS);
    let leads = lives::leads(case);
    let leaderless = leads.iter().map(|(won, _, _)| Span {
        from: SimMicros(won.0.saturating_sub(leaderless_ms.saturating_mul(1_000))),
        to: *won,
    });
    faults.chain(down).map(recovering).chain(leaderless).collect()
}
