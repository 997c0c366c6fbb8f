//! What goes over the wire: request and response types, problem types, stream events, trace headers.
//!
//! Fields are written in snake_case and read in snake_case or camelCase, because clients in the field use both.
//! Unknown extra fields are ignored; a wrong type is an error. Nothing here does I/O or knows a web framework, so the
//! server, the client and the simulators share one definition.

pub mod challenge;
pub mod event;
pub mod identity;
pub mod json;
mod password;
pub mod problem;
pub mod proof;
pub mod sse;
pub mod stream;
pub mod trace;
pub mod unique;
pub mod validate;
pub mod vote;
pub mod wire;

// The ids and the limits stand in core; whoever speaks the API needs them and need not know core for it.
pub use ostraka_core::{ids, limits};

pub use challenge::{
    Challenge, ChallengeData, ChallengeParameters, ChallengeRequest, Solution, SolveRequest, SolveResponse,
};
pub use event::{
    Consistency, ContestantDraft, ContestantEntry, ContestantRef, ContestantsResponse, CreateEventRequest,
    CreateEventResponse, EventStatus, EventStatusResponse, LeaderboardEntry, LeaderboardResponse,
    ResultsPolicy,
};
pub use identity::{LoginRequest, LoginResponse, Purpose, RegisterRequest, RegisterResponse, RevokeRequest};
pub use json::{BodyError, parse_object};
pub use problem::{ErrorClass, ErrorCode, ProblemBody};
pub use proof::{PROOF_ALGORITHM, ProofError, Work};
pub use stream::{ResumeToken, StandingsPayload, StreamEvent, TallyEntry, TallyPayload};
pub use trace::{SpanId, TraceContext};
pub use validate::FieldError;
pub use vote::{
    Durability, IdempotencyKey, SubmitVoteRequest, SubmitVoteResponse, VoteId, VoteMeta, VoteReason,
    VoteStatus, VoteStatusResponse,
};
