//! What a healed cluster must do it must be able to do: whatever asks for success after the storm asks about an event that is made
//! after it, for a contestant that there is, once. Else the run would blame the service for its plan.

use std::collections::BTreeMap;

use ostraka_core::VoterNumber;

use super::{Found, check};
use crate::ids::{EventSlot, OperationId, SubmissionTag};
use crate::plan::{Action, Operation, Plan};

/// An event that is created after the storm.
struct Event {
    contestants: u16,
    is_closed: bool,
    /// By voter: what was submitted.
    submitted: BTreeMap<VoterNumber, SubmissionTag>,
}

/// What the fresh operations so far have made.
#[derive(Default)]
struct Made {
    events: BTreeMap<EventSlot, Event>,
    votes: Vec<OperationId>,
}

pub(super) fn can_succeed(plan: &Plan) -> Found {
    let mut made = Made::default();
    let is_fresh = |operation: &&Operation| operation.at_ms >= plan.knobs.storm_ms;
    for operation in plan.operations.iter().filter(is_fresh) {
        let place = format!("operation {}", operation.id.0);
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
                self.submits(*slot, *voter, *contestant, *tag, place)?;
                self.votes.push(operation.id);
                Ok(())
            }
            Action::OpenEvent { slot } => self.open_event(*slot, place).map(drop),
            Action::CloseEvent { slot } => {
                self.event(*slot, place)?.is_closed = true;
                Ok(())
            }
            Action::Leaderboard { slot } => self.event(*slot, place).map(drop),
            Action::Status { of } => check(
                self.votes.contains(of),
                place,
                format!(
                    "asks after the storm about operation {}, and no vote of after it was that",
                    of.0
                ),
            ),
        }
    }

    fn event(&mut self, slot: EventSlot, place: &str) -> Result<&mut Event, super::Impossible> {
        check(
            self.events.contains_key(&slot),
            place,
            format!(
                "asks after the storm about slot {}, which nobody creates after it: nothing promises that it is there",
                slot.0
            ),
        )?;
        Ok(self.events.get_mut(&slot).expect("it was just looked at"))
    }

    fn open_event(&mut self, slot: EventSlot, place: &str) -> Result<&mut Event, super::Impossible> {
        let event = self.event(slot, place)?;
        check(
            !event.is_closed,
            place,
            "comes after the event was closed, and is to succeed",
        )?;
        Ok(event)
    }

    fn submits(
        &mut self,
        slot: EventSlot,
        voter: VoterNumber,
        contestant: u16,
        tag: SubmissionTag,
        place: &str,
    ) -> Found {
        let event = self.open_event(slot, place)?;
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
}
