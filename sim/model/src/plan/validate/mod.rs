//! What a plan must be to be run, and to be judged: a plan that may destroy the last good copy of a vote proves nothing.

mod faults;
mod fresh;
mod knobs;

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::VoterNumber;

use super::{Action, LINK_LATENCY_MS_MIN, Operation, Plan};
use crate::ids::{EventSlot, NodeIndex, OperationId, SimMs};
use crate::names;
pub(super) use faults::leave_enough as faults_leave_enough;

const CONTESTANTS_MAX: u16 = 1_000;
/// One owner makes them all, in a moment: so many are let through at once, and even the largest of them stay within what one
/// owner may have. The oracle and the checkers know neither limit.
const CREATIONS_MAX: usize = 20;
/// A client has them one after another, and a checker compares them with each other.
const OPERATIONS_MAX: usize = 50_000;
/// Each is a stream that stays open.
const VIEWERS_MAX: usize = 1_000;
/// A day: no run is longer, and a schedule past its end is as good as none.
const SCHEDULED_MS_MAX: u64 = 24 * 3_600_000;
/// An hour. Tokens last a month: neither skew nor the jumps of all of a plan's faults together outlive that.
const CLOCK_OFF_MS_MAX: u64 = 3_600_000;

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
        knobs::are_possible(&self.knobs)?;
        let created = self.created_slots();
        creations_are_possible(&self.operations)?;
        operations_are_possible(self, &created)?;
        statuses_are_possible(&self.operations)?;
        fresh::can_succeed(self)?;
        viewers_are_possible(self, &created)?;
        faults::are_possible(self, &created)
    }

    fn created_slots(&self) -> BTreeSet<EventSlot> {
        let slot = |operation: &Operation| match operation.action {
            Action::CreateEvent { slot, .. } => Some(slot),
            _ => None,
        };
        self.operations.iter().filter_map(slot).collect()
    }
}

fn creations_are_possible(operations: &[Operation]) -> Found {
    let creates = |operation: &&Operation| matches!(operation.action, Action::CreateEvent { .. });
    let count = operations.iter().filter(creates).count();
    check(
        count <= CREATIONS_MAX,
        "operations",
        format!("create events {count} times: {CREATIONS_MAX} at most can be judged"),
    )
}

fn viewers_are_possible(plan: &Plan, created: &BTreeSet<EventSlot>) -> Found {
    let count = plan.viewers.len();
    check(
        count <= VIEWERS_MAX,
        "viewers",
        format!("are {count}: {VIEWERS_MAX} at most can be run"),
    )?;
    let end = plan.knobs.storm_ms.plus(plan.knobs.heal_ms);
    let mut seen = BTreeSet::new();
    for viewer in &plan.viewers {
        let place = format!("viewer {}", viewer.viewer.0);
        check(seen.insert(viewer.viewer), &place, "is there twice")?;
        node_exists(viewer.endpoint, plan.knobs.nodes, &place)?;
        slot_exists(viewer.slot, created, &place)?;
        check(viewer.from_ms < end, &place, "begins after the end of the run")?;
    }
    Ok(())
}

fn operations_are_possible(plan: &Plan, created: &BTreeSet<EventSlot>) -> Found {
    let count = plan.operations.len();
    check(
        count <= OPERATIONS_MAX,
        "operations",
        format!("are {count}: {OPERATIONS_MAX} at most can be run"),
    )?;
    let mut seen: BTreeSet<OperationId> = BTreeSet::new();
    let end = plan.knobs.storm_ms.plus(plan.knobs.heal_ms);
    let mut before = None;
    let mut tags = BTreeMap::new();
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
            voter_is_possible(voter, &place)?;
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
    Ok(())
}

fn statuses_are_possible(operations: &[Operation]) -> Found {
    let submissions: BTreeSet<OperationId> = operations
        .iter()
        .filter(|operation| matches!(operation.action, Action::Submit { .. }))
        .map(|operation| operation.id)
        .collect();
    for operation in operations {
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
        Action::CreateEvent {
            contestants,
            opens_at_ms,
            closes_at_ms,
            ..
        } => {
            check(
                (1..=CONTESTANTS_MAX).contains(contestants),
                place,
                format!("creates an event of {contestants} contestants: 1 to {CONTESTANTS_MAX} can be"),
            )?;
            let latest = (*opens_at_ms).max(*closes_at_ms).unwrap_or(SimMs(0)).0;
            check(
                latest <= SCHEDULED_MS_MAX,
                place,
                format!("is scheduled for {latest}: {SCHEDULED_MS_MAX} ms at most can be"),
            )
        }
        Action::OpenEvent { slot }
        | Action::CloseEvent { slot }
        | Action::Leaderboard { slot }
        | Action::Submit { slot, .. } => slot_exists(*slot, created, place),
        Action::Status { .. } => Ok(()),
    }
}

/// Numbers from the overloads' first on lead back to a crowd, and not to the operation that submitted.
fn voter_is_possible(voter: VoterNumber, place: &str) -> Found {
    let last = names::OVERLOAD_VOTER_FIRST - 1;
    check(
        (1..=last).contains(&voter.0),
        place,
        format!("votes for voter {}, and 1 to {last} are a plan's", voter.0),
    )
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

#[cfg(test)]
mod tests;
