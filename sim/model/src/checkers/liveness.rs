//! Liveness: once faults have stopped, all nodes run, are ready and come to the same point, and fresh requests through each
//! of them succeed. And no node stops by itself but for its disk, and nobody is refused without a reason.

mod crowd;
mod deaths;
mod patience;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::EventId;

use super::Report;
use crate::case::{Asked, Case};
use crate::history::{Answer, Happening, Life, Status, VoteStatus};
use crate::ids::{EventSlot, NodeIndex, SimMicros};
use crate::lives::{self, Felt};
use crate::plan::{Action, FaultKind};

pub(super) fn check(case: &Case, report: &mut Report) {
    report.lively(case.formed.is_some(), None, || {
        "the cluster never formed".to_owned()
    });
    report.lively(case.storm_over.is_some(), None, || {
        "the run never came to the end of the storm".to_owned()
    });
    let leads = lives::leads(case);
    report.lively(case.formed.is_none() || !leads.is_empty(), None, || {
        "the cluster was formed, and nobody ever led it".to_owned()
    });
    nodes_settle(case, report);
    nodes_tell_once(case, report);
    deaths::have_their_fault(case, report);
    nodes_become_ready(case, report);
    nodes_stop_for_their_disk_only(case, report);
    for asked in &case.asked {
        report.lively(asked.answered.is_some(), asked.invoked, || {
            format!(
                "operation {} had no end, not even an unknown one",
                asked.operation.id.0
            )
        });
    }
    fresh_requests_succeed(case, report);
    patience::has_an_end(case, report);
    refusals::have_reasons(case, report);
    crowd::is_answered(case, report);
}

fn nodes_settle(case: &Case, report: &mut Report) {
    let settled: BTreeMap<NodeIndex, u64> = case
        .disks
        .nodes
        .iter()
        .filter_map(|(node, disk)| Some((*node, disk.applied?.0)))
        .collect();
    for node in (0..case.plan.knobs.nodes).map(NodeIndex) {
        report.lively(settled.contains_key(&node), None, || {
            format!("node {node} does not run at the end")
        });
    }
    let points: BTreeSet<u64> = settled.values().copied().collect();
    report.lively(points.len() <= 1, None, || {
        let by_node: Vec<String> = settled
            .iter()
            .map(|(node, applied)| format!("node {node} entry {applied}"))
            .collect();
        format!("the nodes have not applied the same: {}", by_node.join(", "))
    });
}

/// Of two that differ the checkers would look at the last.
fn nodes_tell_once(case: &Case, report: &mut Report) {
    let mut told: BTreeSet<NodeIndex> = BTreeSet::new();
    for (place, record) in case.history.records.iter().enumerate() {
        if let Happening::Settled { node, .. } = &record.what {
            report.safe(told.insert(*node), place, || {
                format!("node {node} was asked once how it stands, and has told twice")
            });
        }
    }
}

/// Whoever was started last takes traffic before the end: a node that is never ready gets none from a load balancer.
fn nodes_become_ready(case: &Case, report: &mut Report) {
    let mut awaited: BTreeMap<NodeIndex, Option<usize>> = BTreeMap::new();
    for (place, record) in case.history.records.iter().enumerate() {
        match &record.what {
            Happening::Node {
                node,
                life: Life::Started,
            } => drop(awaited.insert(*node, Some(place))),
            Happening::Node {
                node,
                life: Life::Ready,
            } => drop(awaited.insert(*node, None)),
            _ => {}
        }
    }
    for (node, started) in awaited {
        report.lively(started.is_none(), started, || {
            format!("node {node} was started and is not ready at the end")
        });
    }
}

/// What a node says when a barrier of its log has failed: that there was no room, or that the disk is to be looked at
/// (`WriteError` of the log store, the only kind of disk that a simulator makes fail).
const DISK_SENTENCES: [&str; 2] = ["disk full: ", "check the disk"];

fn nodes_stop_for_their_disk_only(case: &Case, report: &mut Report) {
    let ill: Vec<Felt> = lives::felt(case)
        .into_iter()
        .filter(|felt| felt.fault.kind.takes_a_disk() && (felt.bites > 0 || stays(felt)))
        .collect();
    // By node: when the process that runs there was started, and when its disks were replaced.
    let mut started: BTreeMap<NodeIndex, SimMicros> = BTreeMap::new();
    let mut replaced: BTreeMap<NodeIndex, SimMicros> = BTreeMap::new();
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Node { node, life } = &record.what else {
            continue;
        };
        match life {
            Life::Started => drop(started.insert(*node, record.at)),
            Life::Replaced => drop(replaced.insert(*node, record.at)),
            Life::Failed(sentence) => {
                let since = started.get(node).copied().unwrap_or(SimMicros(0));
                let was_ill = ill.iter().any(|felt| match felt.fault.kind {
                    FaultKind::Rot { .. } => {
                        felt.node == Some(*node)
                            && felt.began.is_some_and(|began| began <= since)
                            && replaced.get(node).copied() <= felt.began
                    }
                    _ => hurt(felt, *node, since, record.at),
                });
                let names_the_disk = DISK_SENTENCES.iter().any(|part| sentence.contains(part));
                report.safe(was_ill && names_the_disk, place, || {
                    let but = if was_ill {
                        "not for its disk"
                    } else {
                        "its disk was sound"
                    };
                    format!("node {node} stopped by itself, and {but}: {sentence}")
                });
            }
            _ => {}
        }
    }
}

/// What has rotted stays so when the fault's time is over, also if nobody has looked at it before.
fn stays(felt: &Felt) -> bool {
    matches!(felt.fault.kind, FaultKind::Rot { .. })
}

/// Whether the fault made a barrier of the process fail that ran on `node` between the two moments: it had begun, and it
/// was not over before the process was there. A process that has had a failed barrier may take its time to stop; the
/// next one finds a sound disk.
fn hurt(felt: &Felt, node: NodeIndex, started: SimMicros, failed: SimMicros) -> bool {
    felt.node == Some(node)
        && felt.began.is_some_and(|began| began <= failed)
        && felt.ended.is_none_or(|ended| started < ended)
}

fn fresh_requests_succeed(case: &Case, report: &mut Report) {
    for operation in case
        .plan
        .operations
        .iter()
        .filter(|operation| case.is_fresh(operation))
    {
        let asked = case.asked(operation.id);
        let answer = asked.and_then(|asked| asked.answered).map(|(_, answer)| answer);
        let record = asked.map(|asked: &Asked| asked.invoked.record);
        report.lively(
            answer.is_some_and(|answer| succeeds(case, &operation.action, answer)),
            record,
            || {
                format!(
                    "the cluster has healed, and the fresh operation {} got {answer:?}",
                    operation.id.0
                )
            },
        );
    }
}

fn succeeds(case: &Case, action: &Action, answer: &Answer) -> bool {
    // Of the event that was asked about; where the log does not know it, any answer about one will do.
    let is_of = |slot: EventSlot, event: EventId| {
        case.event_of_slot(slot)
            .is_none_or(|asked_about| asked_about.id == event)
    };
    match (action, answer) {
        (Action::CreateEvent { slot, .. }, Answer::EventCreated { event }) => is_of(*slot, *event),
        (Action::OpenEvent { slot }, Answer::EventStatus { event, status, .. }) => {
            is_of(*slot, *event) && *status == Status::Open
        }
        (Action::CloseEvent { slot }, Answer::EventStatus { event, status, .. }) => {
            is_of(*slot, *event) && *status == Status::Closed
        }
        (Action::Submit { .. }, Answer::Vote { status, .. })
        | (Action::Status { .. }, Answer::Status { status, .. }) => *status == VoteStatus::Processed,
        (
            Action::Leaderboard { slot },
            Answer::Board {
                standings,
                linearizable,
            },
        ) => is_of(*slot, standings.event) && *linearizable,
        _ => false,
    }
}
