//! The pure heart of Ostraka: ids, commands, outcomes, state and `apply`.
//!
//! Nothing here knows of time, chance, network or disk: each is an argument. The same bytes applied in the
//! same order give the same state on every replica, in production and in the simulators.

pub mod batcher;
pub mod codec;
pub mod command;
pub mod ids;
pub mod limits;
pub mod outcome;
pub mod snapshot;
pub mod state;
pub mod terms;

pub use codec::CodecError;
pub use command::{Batch, Command, NewContestant, NewEvent, VoteRecord};
pub use ids::{
    ContestantId, ContestantIndex, EntryMeta, EventId, LogIndex, ParseIdError, RequestKey, SubmissionKey,
    TraceId, UnixMs, VotePosition, VoterNumber,
};
pub use outcome::{Applied, ChangedEvent, EventRefusal, Outcome, RejectReason, VoteOutcome, VoteVerdict};
pub use state::{Event, State};
pub use terms::{EventKind, EventStatus, ResultsPolicy};
