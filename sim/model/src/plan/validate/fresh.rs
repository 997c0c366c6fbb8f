//! What a healed cluster must do it must be able to do: whatever asks for success after the storm asks about an event that is made
//! after it, for a contestant that there is, once; and at a time when it can. Else the run would blame the service for its plan.
//!
//! One client does one thing after another. Of two clients the one does not wait for the other: what it needs of the other's must
//! have been asked for a client's patience before, for so long the answer may take.

use std::collections::BTreeMap;

use ostraka_core::VoterNumber;

use super::{Found, check};
use crate::ids::{ClientIndex, EventSlot, OperationId, SimMs, SubmissionTag};
use crate::plan::{Action, Knobs, Operation, Plan};

/// The share of its time to heal that a cluster has for itself before it is asked, and that it has for its last answers: both
/// are to be had in a plan of 6 s, whose clients wait for 2.5 s at most and are first heard of after 2 s.
const HEAL_PER_SHARE: u64 = 4;

/// Who asked for something, and when.
#[derive(Clone, Copy)]
struct By {
    client: ClientIndex,
    at_ms: SimMs,
}

impl By {
    fn of(operation: &Operation) -> Self {
        By {
            client: operation.client,
            at_ms: operation.at_ms,
        }
    }

    /// Whether it is done, one way or another, before `operation` is sent.
    fn is_before(self, operation: &Operation, patience: SimMs) -> bool {
        self.client == operation.client || self.at_ms.plus(patience) <= operation.at_ms
    }
}

/// An event that is created after the storm.
struct Event {
    contestants: u16,
    is_closed: bool,
    created: By,
    /// What the event must be open for.
    open_for: Vec<By>,
    /// By voter: what was submitted.
    submitted: BTreeMap<VoterNumber, SubmissionTag>,
}

/// What the fresh operations so far have made.
struct Made {
    patience: SimMs,
    events: BTreeMap<EventSlot, Event>,
    votes: BTreeMap<OperationId, By>,
}

pub(super) fn can_succeed(plan: &Plan) -> Found {
    let mut made = Made {
        patience: plan.knobs.client_patience_ms,
        events: BTreeMap::new(),
        votes: BTreeMap::new(),
    };
    let is_fresh = |operation: &&Operation| operation.at_ms >= plan.knobs.storm_ms;
    for operation in plan.operations.iter().filter(is_fresh) {
        let place = format!("operation {}", operation.id.0);
        has_time(operation, &plan.knobs, &place)?;
        made.follows(operation, &place)?;
    }
    for operation in plan.operations.iter().filter(|operation| !is_fresh(operation)) {
        let slot = slot_of(&operation.action);
        let is_of_fresh = slot.is_some_and(|slot| made.events.contains_key(&slot));
        check(
            !is_of_fresh,
            format!("operation {}", operation.id.0),
            "is of an event that is to be new after the storm",
        )?;
    }
    Ok(())
}

fn has_time(operation: &Operation, knobs: &Knobs, place: &str) -> Found {
    let share = SimMs(knobs.heal_ms.0 / HEAL_PER_SHARE);
    let first = knobs.storm_ms.plus(share);
    check(
        operation.at_ms >= first,
        place,
        format!(
            "comes {} ms after the storm and is to succeed: a cluster that heals has the first {} for itself",
            operation.at_ms.0 - knobs.storm_ms.0,
            share.0
        ),
    )?;
    let answered = operation
        .at_ms
        .plus(SimMs(share.0.min(knobs.client_patience_ms.0)));
    check(
        answered <= knobs.storm_ms.plus(knobs.heal_ms),
        place,
        "comes so late that the run may end before its answer",
    )
}

fn slot_of(action: &Action) -> Option<EventSlot> {
    match action {
        Action::CreateEvent { slot, .. }
        | Action::OpenEvent { slot }
        | Action::CloseEvent { slot }
        | Action::Leaderboard { slot }
        | Action::Submit { slot, .. } => Some(*slot),
        Action::Status { .. } => None,
    }
}

impl Made {
    fn follows(&mut self, operation: &Operation, place: &str) -> Found {
        match &operation.action {
            Action::CreateEvent {
                slot,
                contestants,
                opens_at_ms,
                closes_at_ms,
                ..
            } => {
                check(
                    opens_at_ms.is_none() && closes_at_ms.is_none(),
                    place,
                    "schedules an event after the storm: whoever asks there would depend on a clock",
                )?;
                let event = Event {
                    contestants: *contestants,
                    is_closed: false,
                    created: By::of(operation),
                    open_for: Vec::new(),
                    submitted: BTreeMap::new(),
                };
                self.events.entry(*slot).or_insert(event);
                Ok(())
            }
            Action::Submit {
                slot,
                voter,
                contestant,
                tag,
            } => {
                let event = self.open_event(*slot, operation, place)?;
                submits(event, *voter, *contestant, *tag, place)?;
                self.votes.insert(operation.id, By::of(operation));
                Ok(())
            }
            Action::OpenEvent { slot } => self.open_event(*slot, operation, place).map(drop),
            Action::CloseEvent { slot } => {
                let patience = self.patience;
                let event = self.event(*slot, operation, place)?;
                let mut before = event.open_for.iter();
                is_after(
                    before.all(|by| by.is_before(operation, patience)),
                    place,
                    "what the event must be open for",
                )?;
                event.is_closed = true;
                Ok(())
            }
            Action::Leaderboard { slot } => self.event(*slot, operation, place).map(drop),
            Action::Status { of } => {
                let vote = self.votes.get(of);
                check(
                    vote.is_some(),
                    place,
                    format!(
                        "asks after the storm about operation {}, and no vote of after it was that",
                        of.0
                    ),
                )?;
                let is_before = vote.is_some_and(|by| by.is_before(operation, self.patience));
                is_after(is_before, place, "the vote that it asks about")
            }
        }
    }

    fn event(
        &mut self,
        slot: EventSlot,
        operation: &Operation,
        place: &str,
    ) -> Result<&mut Event, super::Impossible> {
        check(
            self.events.contains_key(&slot),
            place,
            format!(
                "asks after the storm about slot {}, which nobody creates after it: nothing promises that it is there",
                slot.0
            ),
        )?;
        let event = self.events.get_mut(&slot).expect("it was just looked at");
        is_after(
            event.created.is_before(operation, self.patience),
            place,
            "the creation of its event",
        )?;
        Ok(event)
    }

    /// The event is open until then at least.
    fn open_event(
        &mut self,
        slot: EventSlot,
        operation: &Operation,
        place: &str,
    ) -> Result<&mut Event, super::Impossible> {
        let event = self.event(slot, operation, place)?;
        check(
            !event.is_closed,
            place,
            "comes after the event was closed, and is to succeed",
        )?;
        event.open_for.push(By::of(operation));
        Ok(event)
    }
}

fn is_after(holds: bool, place: &str, what: &str) -> Found {
    check(
        holds,
        place,
        format!("comes sooner after another client's request than that one's patience ends: {what}"),
    )
}

fn submits(event: &mut Event, voter: VoterNumber, contestant: u16, tag: SubmissionTag, place: &str) -> Found {
    let contestants = event.contestants;
    check(
        contestant < contestants,
        place,
        format!("votes for contestant {contestant} of {contestants}, counted from 0, and is to succeed"),
    )?;
    let first = *event.submitted.entry(voter).or_insert(tag);
    check(
        first == tag,
        place,
        format!("is another vote of voter {}, and is to succeed", voter.0),
    )
}
