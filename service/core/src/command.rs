//! Commands: requested changes, as clients ask for them, before the log has given them a place.

use crate::ids::{ContestantIndex, EventId, RequestKey, SubmissionKey, TraceId, UnixMs, VoterNumber};
use crate::limits::{
    COMMAND_BYTES_MAX, CONTESTANTS_PER_EVENT_MAX, CONTESTANTS_PER_EVENT_MIN, DESCRIPTION_BYTES_MAX,
    NAME_BYTES_MAX, URL_BYTES_MAX,
};
use crate::terms::{EventKind, ResultsPolicy};

/// One requested change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    CreateEvent(Box<NewEvent>),
    OpenEvent {
        event: EventId,
        by: VoterNumber,
        by_operator: bool,
    },
    CloseEvent {
        event: EventId,
        by: VoterNumber,
        by_operator: bool,
    },
    CastVote(VoteRecord),
    /// Carries nothing but the entry's time: lets scheduled openings and closings happen while nobody votes.
    Tick,
}

/// A vote as it is submitted. In an event of kind `Canary` it is a probe: it never touches dedupe or a public tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRecord {
    pub voter: VoterNumber,
    pub event: EventId,
    pub contestant: ContestantIndex,
    pub key: SubmissionKey,
    /// The client's own clock, as it says.
    pub client_timestamp: Option<UnixMs>,
    pub trace: Option<TraceId>,
    /// The client asked for this trace to be recorded (W3C `sampled` flag).
    pub trace_sampled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    pub request: RequestKey,
    pub owner: VoterNumber,
    pub name: String,
    pub kind: EventKind,
    pub results: ResultsPolicy,
    pub opens_at: Option<UnixMs>,
    pub closes_at: Option<UnixMs>,
    pub contestants: Vec<NewContestant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContestant {
    pub name: String,
    pub description: String,
    pub image_url: String,
}

impl NewEvent {
    /// Whether every text, the number of contestants and the bytes of the whole are within the limits. The API asks field by field and says
    /// which; this is the state's own last word.
    pub fn is_within_limits(&self) -> bool {
        let contestants = CONTESTANTS_PER_EVENT_MIN..=CONTESTANTS_PER_EVENT_MAX;
        self.name.len() <= NAME_BYTES_MAX
            && contestants.contains(&self.contestants.len())
            && self.contestants.iter().all(NewContestant::is_within_limits)
            && crate::codec::new_event_len(self) <= COMMAND_BYTES_MAX
    }
}

impl NewContestant {
    fn is_within_limits(&self) -> bool {
        self.name.len() <= NAME_BYTES_MAX
            && self.description.len() <= DESCRIPTION_BYTES_MAX
            && self.image_url.len() <= URL_BYTES_MAX
    }
}

/// The commands of one log entry, in order. `encode` refuses nothing it can decode; `decode` refuses trailing bytes,
/// unknown versions and anything over the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub commands: Vec<Command>,
}
