//! Openings and closings to come.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::event::Event;
use crate::ids::{EventId, UnixMs};
use crate::terms::EventStatus;

/// Opening sorts before closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Open,
    Close,
}

pub(crate) type Due = (UnixMs, EventId, Turn);

/// What is due, by time, then event, then opening before closing: the order in which it happens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schedule {
    due: Arc<BTreeSet<Due>>,
}

/// What an event, as it is, still waits for.
fn awaited(event: &Event) -> impl Iterator<Item = Due> {
    let status = event.status();
    let opening = event.opens_at().filter(|_| status == EventStatus::Scheduled);
    let closing = event.closes_at().filter(|_| status != EventStatus::Closed);
    let opening = opening.map(|at| (at, event.id(), Turn::Open));
    opening
        .into_iter()
        .chain(closing.map(|at| (at, event.id(), Turn::Close)))
}

impl Schedule {
    /// Adds what the event waits for.
    pub(crate) fn add(&mut self, event: &Event) {
        let mut awaited = awaited(event).peekable();
        if awaited.peek().is_some() {
            Arc::make_mut(&mut self.due).extend(awaited);
        }
    }

    /// Takes out what the event waits for; call before its status changes.
    pub(crate) fn remove(&mut self, event: &Event) {
        for due in awaited(event) {
            let was_there = Arc::make_mut(&mut self.due).remove(&due);
            assert!(was_there, "what an event waits for is in the schedule");
        }
    }

    pub(crate) fn next(&self) -> Option<Due> {
        self.due.first().copied()
    }
}
