//! Outcomes: the verdict on each command, and what an applied entry changed.

pub use crate::codec::{decode_outcomes, encode_outcomes};
use crate::ids::{EventId, LogIndex, TraceId, VotePosition};
use crate::terms::EventStatus;

/// What the state machine says of one command, in the order of the batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    EventCreated(EventId),
    /// The event has this status since the log entry `at`; asking twice changes nothing.
    EventStatus {
        event: EventId,
        status: EventStatus,
        at: LogIndex,
    },
    EventRefused(EventRefusal),
    Vote(VoteOutcome),
    Ticked,
}

/// Why an event command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventRefusal {
    EventNotFound,
    NotTheOwner,
    /// A closed event stays closed: its result is final.
    AlreadyClosed,
    TooManyEvents,
    /// `closes_at` is not after `opens_at`, or lies in the past.
    ScheduleImpossible,
    /// A text is too long, or there are too few or too many contestants. The API says so first, with the field's name.
    OutsideLimits,
    /// The owner has `EVENTS_PER_OWNER_MAX` events.
    OwnerHasTooManyEvents,
    /// The owner's event definitions would take more than `EVENT_BYTES_PER_OWNER_MAX`.
    OwnerEventsTooLarge,
    /// All event definitions would take more than `EVENT_BYTES_MAX`.
    EventsTooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoteOutcome {
    /// The submission has its own place and verdict. A retry gets the same two.
    Recorded {
        position: VotePosition,
        verdict: VoteVerdict,
    },
    EventNotFound,
    ContestantNotFound,
    /// The voter has used up `EXTRA_SUBMISSIONS_PER_VOTER_MAX`.
    TooManySubmissions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VoteVerdict {
    /// Counted (in a canary event: counted as a probe).
    Processed,
    /// The voter already has a counted vote in this event.
    Duplicate,
    Rejected(RejectReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectReason {
    EventNotOpen,
    EventClosed,
}

/// What applying one entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    pub outcomes: Vec<Outcome>,
    /// Events whose tally or status changed, ascending, each once.
    pub changed: Vec<ChangedEvent>,
}

/// A delta, as a pointer to the newest state: tallies are state, not events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedEvent {
    pub event: EventId,
    /// Sampled traces of votes first counted by this entry, at most `TRACES_PER_DELTA_MAX`.
    pub traces: Vec<TraceId>,
    pub traces_omitted: u32,
}
