//! What the clients of a run have learned so far.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ostraka_client::api::VoteId;
use ostraka_core::EventId;
use ostraka_sim_model::history::{Answer, Sight};
use ostraka_sim_model::ids::{EventSlot, OperationId, ViewerIndex};
use ostraka_sim_model::plan::{Action, Operation, Viewer};

use crate::sights::version_of;

/// Shared by all clients and viewers of a run.
#[derive(Debug, Default)]
pub struct Known {
    learned: Mutex<Learned>,
}

#[derive(Debug, Default)]
struct Learned {
    events: BTreeMap<EventSlot, EventId>,
    votes: BTreeMap<OperationId, VoteId>,
    /// The version that each viewer has seen last.
    seen: BTreeMap<ViewerIndex, u64>,
}

impl Known {
    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of an operation's answer.
    ///
    /// # Panics
    /// If a vote id of the answer is none: the client has parsed it before.
    pub fn learn(&self, operation: &Operation, answer: &Answer) {
        match (&operation.action, answer) {
            (Action::CreateEvent { slot, .. }, Answer::EventCreated { event }) => {
                self.learned().events.entry(*slot).or_insert(*event);
            }
            (_, Answer::Vote { vote_id, .. }) => {
                let vote = vote_id.parse().expect("the client has parsed it before");
                self.learned().votes.insert(operation.id, vote);
            }
            _ => {}
        }
    }

    pub fn event(&self, slot: EventSlot) -> Option<EventId> {
        self.learned().events.get(&slot).copied()
    }

    pub fn vote(&self, operation: OperationId) -> Option<VoteId> {
        self.learned().votes.get(&operation).cloned()
    }

    /// Takes note of what a viewer was shown.
    pub fn learn_sight(&self, viewer: ViewerIndex, sight: &Sight) {
        if let Some(version) = version_of(sight) {
            self.learned().seen.insert(viewer, version);
        }
    }

    /// Whether each of `viewers` that watches `event` has seen it at `version`.
    pub fn all_have_seen(&self, viewers: &[Viewer], event: EventId, version: u64) -> bool {
        let learned = self.learned();
        let mut of_event = viewers
            .iter()
            .filter(|viewer| learned.events.get(&viewer.slot) == Some(&event));
        of_event.all(|viewer| {
            let last = learned.seen.get(&viewer.viewer);
            last.is_some_and(|last| *last >= version)
        })
    }
}
