//! What a plan must be to be run, and to be judged: a plan that may destroy the last good copy of a vote proves nothing.

use std::collections::BTreeSet;

use super::{Action, Fault, FaultKind, Knobs, LINK_LATENCY_MS_MIN, Operation, Plan, Target};
use crate::ids::{EventSlot, NodeIndex, OperationId};

const NODES_MAX: u8 = 9;
const STORM_MS_MAX: u64 = 600_000;
const HEAL_MS_MIN: u64 = 1_000;
const CONTESTANTS_MAX: u16 = 1_000;
/// Numbers of overload voters end there.
const FAULT_ID_MAX: u16 = 30_000;

/// Why a plan cannot be run, or could not be judged. Terminal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} {problem}")]
pub struct Impossible {
    pub place: String,
    pub problem: String,
}

type Found = Result<(), Impossible>;

fn check(holds: bool, place: impl Into<String>, problem: impl Into<String>) -> Found {
    if holds {
        return Ok(());
    }
    Err(Impossible {
        place: place.into(),
        problem: problem.into(),
    })
}

impl Plan {
    /// # Errors
    /// The first thing found that makes this plan impossible.
    pub fn validate(&self) -> Found {
        knobs_are_possible(&self.knobs)?;
        let created = self.created_slots();
        operations_are_possible(self, &created)?;
        let mut seen = BTreeSet::new();
        for viewer in &self.viewers {
            let place = format!("viewer {}", viewer.viewer.0);
            check(seen.insert(viewer.viewer), &place, "is there twice")?;
            node_exists(viewer.endpoint, self.knobs.nodes, &place)?;
            slot_exists(viewer.slot, &created, &place)?;
            let end = self.knobs.storm_ms.plus(self.knobs.heal_ms);
            check(viewer.from_ms < end, &place, "begins after the end of the run")?;
        }
        for (place, fault) in self.faults.iter().enumerate() {
            fault_is_possible(fault, place, &self.knobs, &created)?;
        }
        faults_leave_enough(&self.faults, self.knobs.nodes)
    }

    fn created_slots(&self) -> BTreeSet<EventSlot> {
        let slot = |operation: &Operation| match operation.action {
            Action::CreateEvent { slot, .. } => Some(slot),
            _ => None,
        };
        self.operations.iter().filter_map(slot).collect()
    }
}

fn knobs_are_possible(knobs: &Knobs) -> Found {
    let nodes = usize::from(knobs.nodes);
    check(
        (1..=NODES_MAX).contains(&knobs.nodes),
        "knobs.nodes",
        format!("is {nodes}: 1 to {NODES_MAX} can be run"),
    )?;
    check(
        knobs.clients > 0,
        "knobs.clients",
        "is 0: nobody would ask anything",
    )?;
    let storm_ms = knobs.storm_ms.0;
    check(
        (1..=STORM_MS_MAX).contains(&storm_ms),
        "knobs.storm_ms",
        format!("is {storm_ms}: 1 to {STORM_MS_MAX} can be run"),
    )?;
    let heal_ms = knobs.heal_ms.0;
    check(
        (HEAL_MS_MIN..=STORM_MS_MAX).contains(&heal_ms),
        "knobs.heal_ms",
        format!("is {heal_ms}: a cluster needs {HEAL_MS_MIN} at least, {STORM_MS_MAX} at most"),
    )?;
    check(
        knobs.link_latency_ms_min >= LINK_LATENCY_MS_MIN,
        "knobs.link_latency_ms_min",
        format!(
            "is {}: a message takes {LINK_LATENCY_MS_MIN} at least",
            knobs.link_latency_ms_min
        ),
    )?;
    check(
        knobs.link_latency_ms_min <= knobs.link_latency_ms_max,
        "knobs.link_latency_ms_max",
        "is below the minimum",
    )?;
    check(knobs.heartbeat_ms > 0, "knobs.heartbeat_ms", "is 0")?;
    check(
        knobs.election_ms > knobs.heartbeat_ms,
        "knobs.election_ms",
        "is not above the heartbeat: no leader could stay one",
    )?;
    check(
        knobs.snapshot_every_entries > 0,
        "knobs.snapshot_every_entries",
        "is 0",
    )?;
    check(
        knobs.client_patience_ms.0 > 0,
        "knobs.client_patience_ms",
        "is 0: no answer would ever come in time",
    )?;
    check(
        knobs.clock_skew_ms.len() == nodes,
        "knobs.clock_skew_ms",
        format!("has {} numbers for {nodes} nodes", knobs.clock_skew_ms.len()),
    )?;
    check(
        knobs.clock_drift_ppm.len() == nodes,
        "knobs.clock_drift_ppm",
        format!("has {} numbers for {nodes} nodes", knobs.clock_drift_ppm.len()),
    )
}

fn operations_are_possible(plan: &Plan, created: &BTreeSet<EventSlot>) -> Found {
    let mut seen: BTreeSet<OperationId> = BTreeSet::new();
    let end = plan.knobs.storm_ms.plus(plan.knobs.heal_ms);
    let mut before = None;
    let mut tags = std::collections::BTreeMap::new();
    for operation in &plan.operations {
        let place = format!("operation {}", operation.id.0);
        check(seen.insert(operation.id), &place, "is there twice")?;
        check(
            before <= Some(operation.at_ms),
            &place,
            "is earlier than the one before it",
        )?;
        before = Some(operation.at_ms);
        check(operation.at_ms < end, &place, "lies behind the end of the run")?;
        check(
            operation.client.0 < plan.knobs.clients,
            &place,
            format!(
                "is of client {}, and there are {}",
                operation.client.0, plan.knobs.clients
            ),
        )?;
        node_exists(operation.endpoint, plan.knobs.nodes, &place)?;
        action_is_possible(&operation.action, &place, created)?;
        if let Action::Submit {
            slot,
            voter,
            contestant,
            tag,
        } = operation.action
        {
            let submission = (slot, voter, contestant);
            check(
                *tags.entry(tag).or_insert(submission) == submission,
                &place,
                format!(
                    "sends submission {} with another content than before: a retry is the same request",
                    tag.0
                ),
            )?;
        }
    }
    let submissions: BTreeSet<OperationId> = plan
        .operations
        .iter()
        .filter(|operation| matches!(operation.action, Action::Submit { .. }))
        .map(|operation| operation.id)
        .collect();
    for operation in &plan.operations {
        if let Action::Status { of } = operation.action {
            let place = format!("operation {}", operation.id.0);
            check(
                submissions.contains(&of),
                place,
                format!("asks about operation {}, which submits nothing", of.0),
            )?;
        }
    }
    Ok(())
}

fn action_is_possible(action: &Action, place: &str, created: &BTreeSet<EventSlot>) -> Found {
    match action {
        Action::CreateEvent { contestants, .. } => check(
            (1..=CONTESTANTS_MAX).contains(contestants),
            place,
            format!("creates an event of {contestants} contestants: 1 to {CONTESTANTS_MAX} can be"),
        ),
        Action::OpenEvent { slot }
        | Action::CloseEvent { slot }
        | Action::Leaderboard { slot }
        | Action::Submit { slot, .. } => slot_exists(*slot, created, place),
        Action::Status { .. } => Ok(()),
    }
}

fn node_exists(node: NodeIndex, nodes: u8, place: &str) -> Found {
    check(
        node.0 < nodes,
        place,
        format!("names node {}, and there are {nodes}, counted from 0", node.0),
    )
}

fn slot_exists(slot: EventSlot, created: &BTreeSet<EventSlot>, place: &str) -> Found {
    check(
        created.contains(&slot),
        place,
        format!("names slot {}, which no operation creates", slot.0),
    )
}

fn fault_is_possible(
    fault: &Fault,
    place_in_list: usize,
    knobs: &Knobs,
    created: &BTreeSet<EventSlot>,
) -> Found {
    let place = format!("fault {}", fault.id.0);
    check(
        usize::from(fault.id.0) == place_in_list,
        &place,
        format!("is not numbered by its place, {place_in_list}"),
    )?;
    check(fault.id.0 <= FAULT_ID_MAX, &place, "is one too many")?;
    check(
        fault.ends_at() < knobs.storm_ms,
        &place,
        "lasts to the end of the storm or longer: nothing could heal",
    )?;
    for target in fault.kind.targets() {
        if let Target::Node(node) = target {
            node_exists(node, knobs.nodes, &place)?;
        }
        let needs_others = matches!(target, Target::Follower);
        check(
            !needs_others || knobs.nodes > 1,
            &place,
            "hits a follower, and a single node has none",
        )?;
    }
    match &fault.kind {
        FaultKind::OneWay { from, to } => check(from != to, place, "cuts a node off from itself"),
        FaultKind::Flap { period_ms, .. } | FaultKind::CrashLoop { period_ms, .. } => {
            check(period_ms.0 > 0, place, "has a period of 0")
        }
        FaultKind::Loss { ppm } => check(
            (1..=1_000_000).contains(ppm),
            place,
            format!("loses {ppm} of a million messages"),
        ),
        FaultKind::TransferLeadership { to } => node_exists(*to, knobs.nodes, &place),
        FaultKind::Overload { slot, clients, .. } => {
            check(*clients > 0, &place, "has no clients")?;
            slot_exists(*slot, created, &place)
        }
        _ => Ok(()),
    }
}

/// The atlas of faults. Whatever was acknowledged lies on a majority of disks behind a barrier. A power cut takes only
/// what no barrier covers, so any number of nodes may have one. A disk that fails or is full may be any node's, so at
/// each moment a minority may have one. And at most a minority of nodes ever leaves, one at a time, so that a quorum
/// of the smallest cluster there was is still known from the plan.
pub(super) fn faults_leave_enough(faults: &[Fault], nodes: u8) -> Found {
    let minority = usize::from(nodes.saturating_sub(1)) / 2;
    let disks: Vec<&Fault> = faults.iter().filter(|fault| fault.kind.takes_a_disk()).collect();
    for fault in &disks {
        let at_once = disks.iter().filter(|other| other.is_on_at(fault.at_ms)).count();
        check(
            at_once <= minority,
            format!("fault {}", fault.id.0),
            format!(
                "is the {at_once}. disk that fails at once, and of {nodes} nodes {minority} may: the last good copy could be lost"
            ),
        )?;
    }
    let leaves: Vec<&Fault> = faults
        .iter()
        .filter(|fault| matches!(fault.kind, FaultKind::LeaveAndJoin { .. }))
        .collect();
    for fault in &leaves {
        let place = format!("fault {}", fault.id.0);
        check(
            leaves.len() <= minority,
            &place,
            format!(
                "is one of {} nodes that leave, and of {nodes} nodes {minority} may",
                leaves.len()
            ),
        )?;
        let at_once = leaves.iter().filter(|other| other.is_on_at(fault.at_ms)).count();
        check(at_once <= 1, &place, "takes a node out while another one is")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{FaultId, Seed, SimMs};

    fn plan() -> Plan {
        let mut plan = Plan::of_profile(Seed(3), crate::plan::Profile::Calm);
        plan.faults.clear();
        assert_eq!(plan.knobs.nodes, 3, "the seed is one of three nodes");
        plan
    }

    fn fault(id: u16, at_ms: u64, for_ms: u64, kind: FaultKind) -> Fault {
        Fault {
            id: FaultId(id),
            at_ms: SimMs(at_ms),
            for_ms: SimMs(for_ms),
            kind,
        }
    }

    fn broken(change: impl FnOnce(&mut Plan)) -> String {
        let mut plan = plan();
        change(&mut plan);
        plan.validate().expect_err("it is impossible").to_string()
    }

    #[test]
    fn impossible_knobs_and_operations_are_named() {
        assert_eq!(
            broken(|plan| plan.knobs.nodes = 0),
            "knobs.nodes is 0: 1 to 9 can be run"
        );
        assert!(broken(|plan| plan.knobs.clock_skew_ms.clear()).contains("0 numbers for 3 nodes"));
        assert!(
            broken(|plan| plan.operations[0].endpoint = NodeIndex(9))
                .contains("names node 9, and there are 3")
        );
        assert!(broken(|plan| plan.operations[0].client.0 = 999).contains("is of client 999"));
        assert!(
            broken(|plan| plan.operations[3].at_ms = SimMs(1_000_000))
                .contains("operation 3 lies behind the end")
        );
        assert!(
            broken(|plan| plan.operations[9].at_ms = SimMs(0)).contains("is earlier than the one before")
        );
        assert!(broken(|plan| plan.operations[1].id = OperationId(0)).contains("is there twice"));
        assert!(
            broken(|plan| plan.operations[2].action = Action::Leaderboard { slot: EventSlot(77) })
                .contains("slot 77")
        );
        assert!(
            broken(|plan| plan.operations[2].action = Action::Status { of: OperationId(0) })
                .contains("which submits nothing")
        );
        assert!(broken(|plan| plan.viewers[0].slot = EventSlot(66)).contains("slot 66"));
    }

    #[test]
    fn a_retry_is_the_same_request() {
        let found = broken(|plan| {
            let Some(first) = plan
                .operations
                .iter()
                .position(|operation| matches!(operation.action, Action::Submit { .. }))
            else {
                return;
            };
            let mut again = plan.operations[first].clone();
            again.id = OperationId(60_000);
            if let Action::Submit { contestant, .. } = &mut again.action {
                *contestant += 1;
            }
            plan.operations.insert(first + 1, again);
        });
        assert!(found.contains("with another content"), "{found}");
    }

    #[test]
    fn faults_end_with_the_storm_and_hit_what_is_there() {
        let kill = FaultKind::Kill {
            target: Target::Leader,
        };
        assert!(
            broken(|plan| plan.faults = vec![fault(0, 9_000, 5_000, kill.clone())])
                .contains("nothing could heal")
        );
        assert!(
            broken(|plan| plan.faults = vec![fault(4, 900, 50, kill)])
                .contains("is not numbered by its place")
        );
        assert!(
            broken(|plan| plan.knobs.link_latency_ms_min = 0)
                .contains("link_latency_ms_min is 0: a message takes 1 at least")
        );
        let of_nobody = FaultKind::Hold {
            target: Target::Node(NodeIndex(3)),
        };
        assert!(broken(|plan| plan.faults = vec![fault(0, 900, 50, of_nobody)]).contains("names node 3"));
        let to_itself = FaultKind::OneWay {
            from: Target::Leader,
            to: Target::Leader,
        };
        assert!(broken(|plan| plan.faults = vec![fault(0, 900, 50, to_itself)]).contains("from itself"));
    }

    #[test]
    fn the_last_good_copy_is_never_destroyed() {
        let error = |node| FaultKind::DiskError {
            target: Target::Node(NodeIndex(node)),
        };
        let found =
            broken(|plan| plan.faults = vec![fault(0, 500, 2_000, error(0)), fault(1, 1_000, 100, error(1))]);
        assert!(found.contains("the last good copy could be lost"), "{found}");
        let mut one_after_another = plan();
        one_after_another.faults = vec![fault(0, 500, 100, error(0)), fault(1, 1_000, 100, error(1))];
        assert_eq!(one_after_another.validate(), Ok(()));
        let mut dark = plan();
        dark.faults = vec![fault(0, 500, 100, FaultKind::Blackout { kept: 2 })];
        assert_eq!(
            dark.validate(),
            Ok(()),
            "a power cut takes nothing that was acknowledged"
        );
    }
}
