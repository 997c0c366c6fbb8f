//! Votes: submission and status.

use ostraka_core::ids::{ContestantId, EventId, UnixMs, VoterNumber};
use ostraka_core::outcome::{RejectReason, VoteVerdict};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

use crate::limits::VOTE_ID_CHARS_MAX;
use crate::validate::{self, FieldError};
use crate::{json, wire};

/// A vote's id as clients see it: opaque, 1 to 64 characters of the URL-safe base64 alphabet or `.`. Whether it is
/// genuine is for the service to find out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoteId(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a vote id is 1 to 64 URL-safe characters")]
pub struct MalformedVoteId;

impl VoteId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VoteId {
    type Err = MalformedVoteId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.is_empty() || text.len() > VOTE_ID_CHARS_MAX || !text.bytes().all(safe) {
            return Err(MalformedVoteId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for VoteId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a client sends as `Idempotency-Key`: the same for every retry of one submission, 1 to 128 visible ASCII
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The name of the header.
    pub const HEADER: &'static str = "idempotency-key";

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = FieldError;
    fn from_str(text: &str) -> Result<Self, FieldError> {
        validate::idempotency_key(text)?;
        Ok(Self(text.to_owned()))
    }
}

/// `POST /v1/vote/submit`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitVoteRequest {
    #[serde(alias = "userId", with = "wire::id")]
    #[schema(value_type = String, example = "u42")]
    pub user_id: VoterNumber,
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    #[serde(alias = "contestantId", with = "wire::id")]
    #[schema(value_type = String, example = "e17-c3")]
    pub contestant_id: ContestantId,
    /// RFC 3339, the client's own clock, of which milliseconds count. Without an `Idempotency-Key` it tells a retry from a
    /// second vote.
    #[serde(
        alias = "clientTimestamp",
        default,
        with = "wire::optional_moment",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub client_timestamp: Option<UnixMs>,
    #[serde(
        default,
        deserialize_with = "json::optional_object",
        skip_serializing_if = "Option::is_none"
    )]
    pub meta: Option<VoteMeta>,
}

/// What the client says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteMeta {
    #[serde(alias = "deviceId", default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    #[serde(alias = "appVersion", default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
}

/// How far a vote has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoteStatus {
    /// Durable on a quorum of disks.
    Acked,
    /// Counted in the tallies that everyone sees.
    Processed,
    /// This user already has a counted vote in this event; the first one stands.
    Duplicate,
    /// Durable and recorded, never counted.
    Rejected,
}

/// Why a vote is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum VoteReason {
    EventNotOpen,
    EventClosed,
    AlreadyVoted,
}

/// What stands on disks when an answer is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Behind an fsync on a majority of the group's nodes (on one node: on its disk).
    QuorumFsync,
    /// In memory only: the simulators' and tests' store.
    Volatile,
}

impl VoteStatus {
    /// The status and the reason that belong to what the state machine said.
    pub fn of_verdict(verdict: VoteVerdict) -> (Self, Option<VoteReason>) {
        match verdict {
            VoteVerdict::Processed => (Self::Processed, None),
            VoteVerdict::Duplicate => (Self::Duplicate, Some(VoteReason::AlreadyVoted)),
            VoteVerdict::Rejected(RejectReason::EventNotOpen) => {
                (Self::Rejected, Some(VoteReason::EventNotOpen))
            }
            VoteVerdict::Rejected(RejectReason::EventClosed) => {
                (Self::Rejected, Some(VoteReason::EventClosed))
            }
        }
    }
}

/// 200 of `POST /v1/vote/submit`. A retry gets the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubmitVoteResponse {
    #[serde(alias = "voteId", with = "wire::id")]
    #[schema(value_type = String)]
    pub vote_id: VoteId,
    #[serde(alias = "voteStatus")]
    pub vote_status: VoteStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VoteReason>,
    pub durability: Durability,
}

/// 200 of `GET /v1/vote/{vote_id}/status`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteStatusResponse {
    #[serde(alias = "voteId", with = "wire::id")]
    #[schema(value_type = String)]
    pub vote_id: VoteId,
    #[serde(alias = "voteStatus")]
    pub vote_status: VoteStatus,
    #[serde(alias = "eventName")]
    pub event_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<VoteReason>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn vote_ids_are_url_safe_and_bounded() {
        for good in ["a", "AZaz09-_.", &"x".repeat(VOTE_ID_CHARS_MAX)] {
            assert_eq!(
                good.parse::<VoteId>().map(|id| id.to_string()),
                Ok(good.to_owned())
            );
        }
        for bad in [
            "",
            "a b",
            "a/b",
            "a%20",
            "é",
            "a\n",
            &"x".repeat(VOTE_ID_CHARS_MAX + 1),
        ] {
            assert_eq!(bad.parse::<VoteId>(), Err(MalformedVoteId), "{bad:?}");
        }
    }

    #[test]
    fn verdicts_become_the_words_of_the_contract() {
        for (verdict, expected) in [
            (VoteVerdict::Processed, r#"["processed",null]"#),
            (VoteVerdict::Duplicate, r#"["duplicate","already_voted"]"#),
            (
                VoteVerdict::Rejected(RejectReason::EventNotOpen),
                r#"["rejected","event_not_open"]"#,
            ),
            (
                VoteVerdict::Rejected(RejectReason::EventClosed),
                r#"["rejected","event_closed"]"#,
            ),
        ] {
            assert_eq!(
                serde_json::to_string(&VoteStatus::of_verdict(verdict)).unwrap(),
                expected
            );
        }
    }

    #[test]
    fn an_answer_looks_as_documented() {
        let answer = SubmitVoteResponse {
            vote_id: "abc".parse().unwrap(),
            vote_status: VoteStatus::Processed,
            reason: None,
            durability: Durability::QuorumFsync,
        };
        let text = r#"{"vote_id":"abc","vote_status":"processed","durability":"quorum_fsync"}"#;
        assert_eq!(serde_json::to_string(&answer).unwrap(), text);
        assert_eq!(serde_json::from_str::<SubmitVoteResponse>(text).unwrap(), answer);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in ".{0,80}") {
            if let Ok(id) = text.parse::<VoteId>() {
                prop_assert_eq!(id.as_str(), &text);
            }
            if let Ok(key) = text.parse::<IdempotencyKey>() {
                prop_assert_eq!(key.as_str(), &text);
            }
        }
    }
}
