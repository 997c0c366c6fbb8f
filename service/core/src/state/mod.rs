//! State: what the applied log amounts to.

use crate::command::Batch;
use crate::ids::{EntryMeta, EventId, LogIndex, UnixMs, VotePosition, VoterNumber};
use crate::outcome::{Applied, VoteVerdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventStatus {
    Scheduled,
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    Public,
    /// For probes: votes are acknowledged and shown on the event's own stream, never in a public tally.
    Canary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultsPolicy {
    Live,
    AfterClose,
}

/// One event with its tally. Fields are private; readers use the accessors.
#[derive(Clone, Debug)]
pub struct Event {}

#[derive(Clone, Debug, Default)]
pub struct State {}

impl State {
    pub fn new() -> Self {
        Self::default()
    }

    /// Applies one entry. Deterministic: equal states and equal entries give equal states and outcomes.
    ///
    /// # Panics
    /// If an invariant of the state is broken (a replica that finds its own state impossible stops), or if
    /// `meta.index` is not above the last applied index. Client input never panics.
    pub fn apply(&mut self, _meta: EntryMeta, _batch: &Batch) -> Applied {
        unreachable!()
    }

    pub fn last_applied(&self) -> LogIndex {
        unreachable!()
    }

    pub fn event(&self, _event: EventId) -> Option<&Event> {
        unreachable!()
    }

    pub fn events(&self) -> impl Iterator<Item = &Event> {
        std::iter::empty()
    }

    /// The verdict on the vote at `position`, if it stands there and is this voter's.
    pub fn vote_verdict(&self, _event: EventId, _voter: VoterNumber, _position: VotePosition) -> Option<VoteVerdict> {
        unreachable!()
    }

    /// When the next scheduled opening or closing is due; the leader proposes a `Tick` then.
    pub fn next_due(&self) -> Option<UnixMs> {
        unreachable!()
    }
}
