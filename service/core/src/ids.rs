//! Every id and index of the service, each its own type, so that none can be taken for another.

use serde::{Deserialize, Serialize};

mod text;
pub use text::ParseIdError;

/// Position of an entry in the replicated log. Also tally version, SSE event id and resume token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogIndex(pub u64);

/// Dense number of an account, given by identity, starting at 1. Carried in the token; the vote log knows no other
/// name for a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VoterNumber(pub u32);

/// Dense number of an event, given by `apply` in log order, starting at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(pub u32);

/// Position of a contestant within its event, in the order of creation, starting at 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContestantIndex(pub u16);

/// A contestant's full name: its event and its place in it. Written `e17-c3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContestantId {
    pub event: EventId,
    pub contestant: ContestantIndex,
}

/// Milliseconds since the Unix epoch, as the leader's clock stamped them. Never read inside the core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMs(pub u64);

/// Identifies one submission of one voter in one event; a retry carries the same key. A 64-bit keyed hash of the
/// client's `Idempotency-Key`, or of (contestant, client timestamp) where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubmissionKey(pub u64);

/// Identifies one administrative request (an event's creation), so that a resubmission after a change of leader does
/// not create it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestKey(pub u128);

/// W3C trace id, 16 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TraceId(pub [u8; 16]);

/// Where a vote stands in the log: entry and offset within the entry's batch. What a vote id is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct VotePosition {
    pub index: LogIndex,
    pub offset: u16,
}

/// What the log knows of an entry besides its commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryMeta {
    pub index: LogIndex,
    /// The leader's clock at the moment of proposing.
    pub stamped_at: UnixMs,
}
