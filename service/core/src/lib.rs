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

pub use command::{Batch, Command, NewContestant, NewEvent, VoteRecord};
pub use ids::{
    ContestantIndex, EntryMeta, EventId, LogIndex, RequestKey, SubmissionKey, TraceId, UnixMs, VotePosition,
    VoterNumber,
};
pub use outcome::{Applied, EventRefusal, Outcome, RejectReason, VoteOutcome, VoteVerdict};
pub use state::{Event, EventKind, EventStatus, ResultsPolicy, State};
