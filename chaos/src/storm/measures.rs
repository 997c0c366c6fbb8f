//! How a storm looked from outside, in numbers: rates, latencies and errors over time, and what each fault cost.

use std::collections::BTreeMap;

use ostraka_core::ids::EventId;
use ostraka_sim_model::history::{Answer, Happening, Record, Sight, VoteStatus};
use ostraka_sim_model::ids::{OperationId, SimMicros, SimMs, ViewerIndex};
use ostraka_sim_model::names::place_of_vote_id;
use ostraka_sim_model::plan::{Action, Operation, Plan};
use serde::Serialize;

use super::spans::{FaultSpan, Leading};
use super::watch::Sample;
use crate::limits::{FAILOVER_LOOK_MS, MEASURE_BUCKET_MS};

/// What became of one request, counted from when the plan meant it to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) due: SimMicros,
    pub(super) answered: SimMicros,
    pub(super) how: How,
    pub(super) is_vote: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Done,
    /// 503: come again.
    Shed,
    Refused,
    Unknown,
}

/// All that was asked and answered, in the order in which it was due. `delay_from`, `delay`: what was due from then on
/// begins so much later, for the storm took longer to pass.
pub(super) fn outcomes(plan: &Plan, records: &[Record], delay: SimMs) -> Vec<Outcome> {
    let operations: BTreeMap<OperationId, &Operation> = plan
        .operations
        .iter()
        .map(|operation| (operation.id, operation))
        .collect();
    let mut outcomes = Vec::new();
    for record in records {
        let Happening::Answered { operation, answer } = &record.what else {
            continue;
        };
        let Some(operation) = operations.get(operation) else {
            continue;
        };
        let how = match answer {
            Answer::Skipped => continue,
            Answer::Refused { status: 503, .. } => How::Shed,
            // Told for good: no such thing, too late, already closed. The service did its work.
            Answer::Refused { status, .. } if (400..500).contains(status) && *status != 429 => How::Done,
            Answer::Refused { .. } => How::Refused,
            Answer::Unknown { .. } => How::Unknown,
            _ => How::Done,
        };
        let is_fresh = operation.at_ms >= plan.knobs.storm_ms;
        let due = if is_fresh {
            operation.at_ms.plus(delay)
        } else {
            operation.at_ms
        };
        outcomes.push(Outcome {
            due: due.micros(),
            answered: record.at,
            how,
            is_vote: matches!(operation.action, Action::Submit { .. }),
        });
    }
    outcomes.sort_by_key(|outcome| outcome.due);
    outcomes
}

/// A stretch of time. Latencies in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Window {
    pub requests: u64,
    pub done: u64,
    pub shed: u64,
    pub refused: u64,
    pub unknown: u64,
    pub ack_ms_p50: f64,
    pub ack_ms_p95: f64,
    pub ack_ms_p99: f64,
    /// From the intended start of a vote until each viewer of its event was shown a version that has it.
    pub seen: u64,
    pub end_to_end_ms_p50: f64,
    pub end_to_end_ms_p95: f64,
    pub end_to_end_ms_p99: f64,
}

/// Half a second of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bucket {
    pub at_ms: u64,
    pub done: u64,
    pub shed: u64,
    pub refused: u64,
    pub unknown: u64,
    pub ack_ms_p50: f64,
    pub ack_ms_p99: f64,
}

/// By rank, in milliseconds; 0 of nothing.
fn percentile_ms(sorted_micros: &[u64], per_mille: usize) -> f64 {
    let Some(last) = sorted_micros.len().checked_sub(1) else {
        return 0.0;
    };
    let rank = (sorted_micros.len() * per_mille)
        .div_ceil(1_000)
        .saturating_sub(1)
        .min(last);
    sorted_micros[rank] as f64 / 1_000.0
}

fn latencies(outcomes: &[&Outcome]) -> Vec<u64> {
    let votes = outcomes
        .iter()
        .filter(|outcome| outcome.is_vote && outcome.how == How::Done);
    let mut micros: Vec<u64> = votes
        .map(|outcome| outcome.answered.0.saturating_sub(outcome.due.0))
        .collect();
    micros.sort_unstable();
    micros
}

/// How long after its intended start each counted vote was seen by each viewer of its event, by when it was due.
pub(super) fn sights(plan: &Plan, records: &[Record], delay: SimMs) -> Vec<(SimMicros, u64)> {
    let submissions: BTreeMap<OperationId, &Operation> = plan
        .operations
        .iter()
        .filter(|operation| matches!(operation.action, Action::Submit { .. }))
        .map(|operation| (operation.id, operation))
        .collect();
    let mut of_event: BTreeMap<EventId, BTreeMap<ViewerIndex, Vec<(u64, SimMicros)>>> = BTreeMap::new();
    for record in records {
        let Happening::Saw { viewer, sight } = &record.what else {
            continue;
        };
        let (event, version) = match sight {
            Sight::Snapshot(standings) | Sight::Closed(standings) => (standings.event, standings.version),
            Sight::Tally { event, version, .. } => (*event, *version),
            Sight::Connected { .. } | Sight::Disconnected => continue,
        };
        let seen = of_event.entry(event).or_default().entry(*viewer).or_default();
        seen.push((version, record.at));
    }
    let mut sights = Vec::new();
    for record in records {
        let Happening::Answered {
            operation,
            answer:
                Answer::Vote {
                    vote_id,
                    status: VoteStatus::Processed,
                },
        } = &record.what
        else {
            continue;
        };
        let (Some(operation), Some((event, position))) =
            (submissions.get(operation), place_of_vote_id(vote_id))
        else {
            continue;
        };
        let is_fresh = operation.at_ms >= plan.knobs.storm_ms;
        let due = if is_fresh {
            operation.at_ms.plus(delay)
        } else {
            operation.at_ms
        }
        .micros();
        for seen in of_event.get(&event).into_iter().flat_map(BTreeMap::values) {
            let place = seen.partition_point(|(version, _)| *version < position.index.0);
            // A retry's first try may have been seen before it was due.
            if let Some((_, at)) = seen.get(place).filter(|(_, at)| *at >= due) {
                sights.push((due, at.0 - due.0));
            }
        }
    }
    sights.sort_unstable();
    sights
}

pub(super) fn window(
    outcomes: &[Outcome],
    sights: &[(SimMicros, u64)],
    from: SimMicros,
    to: SimMicros,
) -> Window {
    let within: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| (from..to).contains(&outcome.due))
        .collect();
    let count = |how| within.iter().filter(|outcome| outcome.how == how).count() as u64;
    let acks = latencies(&within);
    let mut seen: Vec<u64> = sights
        .iter()
        .filter(|(due, _)| (from..to).contains(due))
        .map(|(_, micros)| *micros)
        .collect();
    seen.sort_unstable();
    Window {
        requests: within.len() as u64,
        done: count(How::Done),
        shed: count(How::Shed),
        refused: count(How::Refused),
        unknown: count(How::Unknown),
        ack_ms_p50: percentile_ms(&acks, 500),
        ack_ms_p95: percentile_ms(&acks, 950),
        ack_ms_p99: percentile_ms(&acks, 990),
        seen: seen.len() as u64,
        end_to_end_ms_p50: percentile_ms(&seen, 500),
        end_to_end_ms_p95: percentile_ms(&seen, 950),
        end_to_end_ms_p99: percentile_ms(&seen, 990),
    }
}

pub(super) fn buckets(outcomes: &[Outcome]) -> Vec<Bucket> {
    let mut by_bucket: BTreeMap<u64, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        let place = outcome.due.0 / 1_000 / MEASURE_BUCKET_MS;
        by_bucket.entry(place).or_default().push(outcome);
    }
    let bucket = |(place, within): (u64, Vec<&Outcome>)| {
        let count = |how| within.iter().filter(|outcome| outcome.how == how).count() as u64;
        let acks = latencies(&within);
        Bucket {
            at_ms: place * MEASURE_BUCKET_MS,
            done: count(How::Done),
            shed: count(How::Shed),
            refused: count(How::Refused),
            unknown: count(How::Unknown),
            ack_ms_p50: percentile_ms(&acks, 500),
            ack_ms_p99: percentile_ms(&acks, 990),
        }
    };
    by_bucket.into_iter().map(bucket).collect()
}

/// Who led, as soon as any node said so. Terms only rise.
pub(super) fn leaders(samples: &[Sample]) -> Vec<Leading> {
    let mut leaders: Vec<Leading> = Vec::new();
    for sample in samples {
        let Some((node, term)) = sample.vote.and_then(|vote| Some((vote.leader?, vote.term))) else {
            continue;
        };
        if leaders.last().is_none_or(|last| last.term < term) {
            leaders.push(Leading {
                at: sample.at,
                node,
                term,
            });
        }
    }
    leaders
}

/// Fills in what a fault cost.
pub(super) fn cost(span: &mut FaultSpan, outcomes: &[Outcome], samples: &[Sample], leaders: &[Leading]) {
    let since_ms = |at: SimMicros, from: SimMicros| at.0.saturating_sub(from.0) / 1_000;
    let over = span.ended.plus_ms(FAILOVER_LOOK_MS);
    let failed = outcomes
        .iter()
        .filter(|outcome| outcome.how != How::Done && (span.began..span.ended).contains(&outcome.answered));
    let first = failed.map(|outcome| outcome.answered).min();
    span.detected_ms = first.map(|at| since_ms(at, span.began));
    let next = leaders
        .iter()
        .find(|leading| (span.began..over).contains(&leading.at));
    span.failed_over_ms = next.map(|leading| since_ms(leading.at, span.began));
    span.silence_ms = silence_ms(outcomes, span.began, over);
    let nodes = samples.iter().map(|sample| sample.node).max();
    let mut ready = vec![false; nodes.map_or(0, |node| usize::from(node.0) + 1)];
    let mut later = samples.iter().filter(|sample| sample.at >= span.ended);
    let all_ready = later.find(|sample| {
        ready[usize::from(sample.node.0)] = sample.ready;
        ready.iter().all(|ready| *ready)
    });
    span.recovered_ms = all_ready.map(|sample| since_ms(sample.at, span.ended));
}

/// The longest that a vote which was due in that time had to wait until any vote was acknowledged. When nobody wants to
/// vote, nobody waits.
fn silence_ms(outcomes: &[Outcome], from: SimMicros, to: SimMicros) -> u64 {
    let votes = || outcomes.iter().filter(|outcome| outcome.is_vote);
    let mut acks: Vec<SimMicros> = votes()
        .filter(|outcome| outcome.how == How::Done)
        .map(|outcome| outcome.answered)
        .collect();
    acks.sort_unstable();
    let waits = votes()
        .filter(|outcome| (from..to).contains(&outcome.due))
        .map(|outcome| {
            let next = acks.partition_point(|at| *at < outcome.due);
            let until = acks.get(next).copied().unwrap_or(to.max(outcome.due));
            until.0 - outcome.due.0
        });
    waits.max().unwrap_or(0) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(due_ms: u64, answered_ms: u64, how: How) -> Outcome {
        Outcome {
            due: SimMicros(due_ms * 1_000),
            answered: SimMicros(answered_ms * 1_000),
            how,
            is_vote: true,
        }
    }

    #[test]
    fn silence_is_what_somebody_waited_for() {
        let silence = |outcomes: &[Outcome]| silence_ms(outcomes, SimMicros(0), SimMicros(9_000_000));
        // Nobody voted between 100 ms and 5 s.
        let calm = [vote(90, 100, How::Done), vote(5_000, 5_010, How::Done)];
        assert_eq!(silence(&calm), 10);
        let dark = [
            vote(90, 100, How::Done),
            vote(200, 300, How::Unknown),
            vote(400, 950, How::Done),
        ];
        assert_eq!(silence(&dark), 750, "from 200 ms to 950 ms");
        assert_eq!(silence(&[vote(1_000, 1_001, How::Shed)]), 8_000, "never again");
        assert_eq!(silence(&[]), 0);
    }
}
