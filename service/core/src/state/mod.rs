//! State: what the applied log amounts to.

mod apply;
mod check;
mod counted;
mod directory;
mod event;
mod extras;
mod holdings;
mod layered;
mod position;
mod probes;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use check::InvariantBroken;
pub use event::Event;

pub(crate) use counted::{CountedChunk, CountedVote, CountedVotes};
pub(crate) use directory::{ChunkNumber, voter_at};
pub(crate) use event::{EventInfo, Ledger, Tally};
pub(crate) use extras::{ExtraVote, ExtraVotes, place_of};
pub(crate) use layered::Rows;
pub(crate) use position::PackedPosition;
pub(crate) use probes::Probes;

use crate::command::NewEvent;
use crate::ids::{EventId, LogIndex, RequestKey, UnixMs, VotePosition, VoterNumber};
use crate::limits::EVENTS_MAX;
use crate::outcome::{EventRefusal, VoteVerdict};
use holdings::Holdings;
use schedule::Schedule;

/// All events with their tallies and voters.
///
/// Cloning is cheap (it copies one pointer an event, none a voter), so that a snapshot can be written from a clone
/// while entries go on being applied to the original. What a later entry records is put beside the chunks that a clone
/// holds, and goes into them when it is gone.
#[derive(Clone, Debug, Default)]
pub struct State {
    last_applied: LogIndex,
    /// The newest stamp seen. Time never runs backwards, whatever leaders' clocks say.
    effective_time: UnixMs,
    /// Event n stands at n - 1.
    events: Vec<Arc<Event>>,
    requests: Arc<BTreeMap<RequestKey, EventId>>,
    schedule: Schedule,
    holdings: Holdings,
}

impl State {
    pub fn new() -> Self {
        Self::default()
    }

    /// The last entry applied or skipped; 0 for none.
    pub fn last_applied(&self) -> LogIndex {
        self.last_applied
    }

    /// The newest of all stamps applied: the time by which scheduled openings and closings have happened.
    pub fn effective_time(&self) -> UnixMs {
        self.effective_time
    }

    pub fn event(&self, event: EventId) -> Option<&Event> {
        self.events.get(place_of_event(event)?).map(|event| &**event)
    }

    /// All events, ascending by id.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|event| &**event)
    }

    /// The event that this request created.
    pub fn event_of_request(&self, request: RequestKey) -> Option<EventId> {
        self.requests.get(&request).copied()
    }

    /// The verdict on the vote at `position`, if it stands there and is this voter's. A canary event knows its newest
    /// probes only.
    pub fn vote_verdict(
        &self,
        event: EventId,
        voter: VoterNumber,
        position: VotePosition,
    ) -> Option<VoteVerdict> {
        self.event(event)?.vote_verdict(voter, position)
    }

    /// Which limit stands against creating this event; `None` also where its request has created one. What it says it
    /// says for good, on a replica that lags, too: events are never deleted, so no later entry makes room.
    pub fn no_room_for(&self, spec: &NewEvent) -> Option<EventRefusal> {
        if self.event_of_request(spec.request).is_some() {
            None
        } else if self.events.len() >= EVENTS_MAX {
            Some(EventRefusal::TooManyEvents)
        } else {
            self.holdings.no_room_for(spec)
        }
    }

    /// When the next scheduled opening or closing is due; the leader proposes a `Tick` then.
    pub fn next_due(&self) -> Option<UnixMs> {
        self.schedule.next().map(|(at, _, _)| at)
    }

    /// A state made of stored parts; schedule, requests and holdings follow from the events.
    pub(crate) fn from_parts(last_applied: LogIndex, effective_time: UnixMs, events: Vec<Event>) -> Self {
        let mut schedule = Schedule::default();
        for event in &events {
            schedule.add(event);
        }
        let requests = events.iter().map(|event| (event.request(), event.id())).collect();
        let holdings = Holdings::of(events.iter().map(|event| &event.info.spec));
        State {
            last_applied,
            effective_time,
            events: events.into_iter().map(Arc::new).collect(),
            requests: Arc::new(requests),
            schedule,
            holdings,
        }
    }
}

fn place_of_event(event: EventId) -> Option<usize> {
    (event.0 as usize).checked_sub(1)
}
