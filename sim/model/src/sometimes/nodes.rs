//! Points about nodes, disks, leaders and clocks.

use std::collections::{BTreeMap, BTreeSet};

use crate::case::{Case, quorum};
use crate::disks::Dropped;
use crate::history::{Happening, Life, VoteStatus};
use crate::ids::NodeIndex;
use crate::lives::{Felt, deaths, downtimes, felt, leader_at, leads};
use crate::plan::FaultKind;

/// Faults of a kind that did harm.
fn bitten<'a>(case: &Case<'a>, of_kind: fn(&FaultKind) -> bool) -> Vec<Felt<'a>> {
    let harmful = felt(case)
        .into_iter()
        .filter(|felt| felt.bites > 0 && of_kind(&felt.fault.kind));
    harmful.collect()
}

fn lives<'a>(case: &'a Case) -> impl Iterator<Item = (NodeIndex, &'a Life)> {
    case.history
        .records
        .iter()
        .filter_map(|record| match &record.what {
            Happening::Node { node, life } => Some((*node, life)),
            _ => None,
        })
}

pub(super) fn leader_lost_with_batch_in_flight(case: &Case) -> bool {
    let leads = leads(case);
    let lost = deaths(case)
        .into_iter()
        .filter(|(at, node)| leader_at(&leads, *at).is_some_and(|(leader, _)| leader == *node));
    lost.into_iter().any(|(at, _)| {
        case.submissions().any(|(asked, submission)| {
            let in_flight =
                asked.invoked.at <= at && asked.answered.is_none_or(|(answered, _)| answered.at >= at);
            let written = case
                .records
                .get(&submission.tag)
                .into_iter()
                .flatten()
                .any(|vote| {
                    let entry = case.log.entries.get(&vote.position.index.0);
                    entry
                        .and_then(|entry| case.disks.first_at(entry))
                        .is_some_and(|first| first >= asked.invoked.at && first <= at)
                });
            in_flight && written
        })
    })
}

pub(super) fn entry_dropped(case: &Case) -> bool {
    let never_committed = |Dropped { entry, .. }: &Dropped| {
        !entry.body.is_empty() && case.log.entries.get(&entry.index.0) != Some(entry)
    };
    case.disks
        .truncations
        .iter()
        .any(|truncation| truncation.dropped.iter().any(never_committed))
}

/// A batch came to a quorum of disks after its leader's term was over.
pub(super) fn old_term_committed_later(case: &Case) -> bool {
    let leads = leads(case);
    case.log
        .entries
        .values()
        .filter(|entry| !entry.body.is_empty())
        .any(|entry| {
            let durable_at = case.disks.quorum_at(entry);
            durable_at
                .and_then(|at| leader_at(&leads, at))
                .is_some_and(|(_, term)| term > entry.term)
        })
}

pub(super) fn terms_overlapped(case: &Case) -> bool {
    let leads = leads(case);
    let cuts = bitten(case, |kind| {
        matches!(
            kind,
            FaultKind::Isolate { .. }
                | FaultKind::OneWay { .. }
                | FaultKind::Flap { .. }
                | FaultKind::Hold { .. }
        )
    });
    cuts.iter().any(|cut| {
        let Some(span) = cut.span(case.end) else {
            return false;
        };
        let Some((leader, term)) = leader_at(&leads, span.from) else {
            return false;
        };
        cut.node == Some(leader)
            && leads
                .iter()
                .any(|(at, node, later)| span.holds(*at) && *node != leader && *later > term)
    })
}

pub(super) fn leadership_transferred(case: &Case) -> bool {
    let transfers = bitten(case, |kind| matches!(kind, FaultKind::TransferLeadership { .. }));
    let leads = leads(case);
    transfers.iter().any(|transfer| {
        let (Some(span), FaultKind::TransferLeadership { to }) =
            (transfer.span(case.end), &transfer.fault.kind)
        else {
            return false;
        };
        leads.iter().any(|(at, node, _)| node == to && span.holds(*at))
    })
}

pub(super) fn snapshot_taken(case: &Case) -> bool {
    case.history
        .records
        .iter()
        .any(|record| matches!(record.what, Happening::Snapshot { .. }))
}

pub(super) fn snapshot_installed(case: &Case) -> bool {
    case.disks.nodes.values().any(|disk| !disk.gaps.is_empty())
}

pub(super) fn rejoined_after_purge(case: &Case) -> bool {
    let returns: Vec<_> = downtimes(case).into_iter().chain(absences(case)).collect();
    case.disks.nodes.iter().any(|(node, disk)| {
        disk.gaps.iter().any(|gap| {
            returns
                .iter()
                .any(|(returned, span)| returned == node && span.from <= gap.at)
        })
    })
}

/// Spans in which nodes were cut off or out of the cluster.
fn absences(case: &Case) -> Vec<(NodeIndex, crate::lives::Span)> {
    let away = bitten(case, |kind| {
        matches!(
            kind,
            FaultKind::LeaveAndJoin { .. }
                | FaultKind::Rot { .. }
                | FaultKind::Isolate { .. }
                | FaultKind::Flap { .. }
        )
    });
    away.iter()
        .filter_map(|felt| Some((felt.node?, felt.span(case.end)?)))
        .collect()
}

pub(super) fn unsynced_changes_lost(case: &Case) -> bool {
    lives(case).any(|(_, life)| matches!(life, Life::LostPower { lost, .. } if *lost > 0))
}

pub(super) fn torn_tail(case: &Case) -> bool {
    lives(case).any(|(_, life)| matches!(life, Life::LostPower { lost, kept } if *lost > 0 && *kept > 0))
}

pub(super) fn blackout_survived(case: &Case) -> bool {
    let blackouts = bitten(case, |kind| matches!(kind, FaultKind::Blackout { .. }));
    blackouts.iter().filter_map(|felt| felt.began).any(|began| {
        case.submissions().any(|(asked, submission)| {
            let told_before = asked.answered.is_some_and(|(answered, _)| answered.at < began);
            told_before
                && matches!(
                    case.first_record(submission.tag),
                    Some((_, VoteStatus::Processed))
                )
        })
    })
}

pub(super) fn disk_stopped_node(case: &Case) -> bool {
    let hurt: BTreeSet<NodeIndex> = bitten(case, FaultKind::takes_a_disk)
        .iter()
        .filter_map(|felt| felt.node)
        .collect();
    lives(case).any(|(node, life)| matches!(life, Life::Failed(_)) && hurt.contains(&node))
}

pub(super) fn rotten_node_replaced(case: &Case) -> bool {
    let rotten = bitten(case, |kind| matches!(kind, FaultKind::Rot { .. }));
    rotten.iter().filter_map(|felt| felt.node).any(|node| {
        let replaced = lives(case).any(|(of, life)| of == node && matches!(life, Life::Replaced));
        let disk = case.disks.nodes.get(&node);
        replaced && disk.is_some_and(|disk| disk.applied.is_some())
    })
}

pub(super) fn every_node_restarted(case: &Case) -> bool {
    let mut starts: BTreeMap<NodeIndex, u64> = BTreeMap::new();
    for (node, _) in lives(case).filter(|(_, life)| matches!(life, Life::Started)) {
        *starts.entry(node).or_default() += 1;
    }
    let restarted = starts.values().filter(|starts| **starts > 1).count();
    restarted >= usize::from(case.plan.knobs.nodes)
}

pub(super) fn left_and_came_back(case: &Case) -> bool {
    let leaves = bitten(case, |kind| matches!(kind, FaultKind::LeaveAndJoin { .. }));
    leaves.iter().filter_map(|felt| felt.node).any(|node| {
        case.disks
            .nodes
            .get(&node)
            .is_some_and(|disk| disk.applied.is_some())
    })
}

pub(super) fn quorum_lost(case: &Case) -> bool {
    let down = downtimes(case);
    let enough_up = quorum(case.plan);
    down.iter().any(|(_, span)| {
        let at_once: BTreeSet<NodeIndex> = down
            .iter()
            .filter(|(_, other)| other.holds(span.from))
            .map(|(node, _)| *node)
            .collect();
        usize::from(case.plan.knobs.nodes).saturating_sub(at_once.len()) < enough_up
    })
}

pub(super) fn time_ran_back(case: &Case) -> bool {
    case.oracle.stamps_back > 0
}

pub(super) fn clock_jump_across_close(case: &Case) -> bool {
    let jumps = bitten(case, |kind| matches!(kind, FaultKind::ClockJump { .. }));
    let scheduled = case.oracle.events.values().filter(|event| !event.closed_by_hand);
    let closings =
        scheduled.filter_map(|event| case.disks.first_at(case.log.entries.get(&event.closed?.index.0)?));
    let closings: Vec<_> = closings.collect();
    jumps
        .iter()
        .filter_map(|jump| jump.span(case.end))
        .any(|span| closings.iter().any(|at| span.holds(*at)))
}
