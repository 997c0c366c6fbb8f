//! Events: creation, opening and closing, contestants, leaderboard.

use ostraka_core::ids::{ContestantId, EventId, UnixMs, VoterNumber};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{json, wire};

/// Where an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    Scheduled,
    Open,
    Closed,
}

impl From<ostraka_core::EventStatus> for EventStatus {
    fn from(status: ostraka_core::EventStatus) -> Self {
        match status {
            ostraka_core::EventStatus::Scheduled => Self::Scheduled,
            ostraka_core::EventStatus::Open => Self::Open,
            ostraka_core::EventStatus::Closed => Self::Closed,
        }
    }
}

/// When totals are shown: as they grow, or only after the event is closed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ResultsPolicy {
    #[default]
    Live,
    #[serde(alias = "afterClose")]
    AfterClose,
}

impl From<ostraka_core::ResultsPolicy> for ResultsPolicy {
    fn from(results: ostraka_core::ResultsPolicy) -> Self {
        match results {
            ostraka_core::ResultsPolicy::Live => Self::Live,
            ostraka_core::ResultsPolicy::AfterClose => Self::AfterClose,
        }
    }
}

impl From<ResultsPolicy> for ostraka_core::ResultsPolicy {
    fn from(results: ResultsPolicy) -> Self {
        match results {
            ResultsPolicy::Live => Self::Live,
            ResultsPolicy::AfterClose => Self::AfterClose,
        }
    }
}

/// How fresh a read is: at least as new as everything acknowledged before it was asked, or what this node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Consistency {
    Linearizable,
    Stale,
}

/// `POST /v1/event/create`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateEventRequest {
    #[serde(alias = "userId", with = "wire::id")]
    #[schema(value_type = String, example = "u42")]
    pub user_id: VoterNumber,
    #[serde(alias = "eventName")]
    #[schema(example = "Song of the year")]
    pub event_name: String,
    #[serde(deserialize_with = "json::objects")]
    pub contestants: Vec<ContestantDraft>,
    /// RFC 3339. Without it the event is open from its creation.
    #[serde(
        alias = "opensAt",
        default,
        with = "wire::optional_moment",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub opens_at: Option<UnixMs>,
    /// RFC 3339. Without it the event stays open until it is closed.
    #[serde(
        alias = "closesAt",
        default,
        with = "wire::optional_moment",
        skip_serializing_if = "Option::is_none"
    )]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closes_at: Option<UnixMs>,
    /// `live` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<ResultsPolicy>,
    /// An event for probes, which no public tally shows. Operators only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
}

/// A contestant as the organizer writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContestantDraft {
    #[serde(alias = "contestantName")]
    pub contestant_name: String,
    #[serde(alias = "contestantDescription", default)]
    pub contestant_description: String,
    /// Empty, or an http or https URL.
    #[serde(alias = "contestantImageUrl", default)]
    pub contestant_image_url: String,
}

/// 200 of `POST /v1/event/create`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateEventResponse {
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    pub contestants: Vec<ContestantRef>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContestantRef {
    #[serde(alias = "contestantId", with = "wire::id")]
    #[schema(value_type = String, example = "e17-c3")]
    pub contestant_id: ContestantId,
    #[serde(alias = "contestantName")]
    pub contestant_name: String,
}

/// 200 of `POST /v1/event/{event_id}/open` and `/close`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventStatusResponse {
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    pub status: EventStatus,
    /// The log index from which on the event has this status: votes before it and after it are told apart exactly.
    pub version: u64,
}

/// 200 of `GET /v1/contestants/{event_id}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContestantsResponse {
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    pub contestants: Vec<ContestantEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContestantEntry {
    #[serde(alias = "contestantId", with = "wire::id")]
    #[schema(value_type = String, example = "e17-c3")]
    pub contestant_id: ContestantId,
    #[serde(alias = "contestantName")]
    pub contestant_name: String,
    #[serde(alias = "contestantImageUrl")]
    pub contestant_image_url: String,
}

/// 200 of `GET /v1/event/{event_id}/leaderboard`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaderboardResponse {
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    #[serde(alias = "eventName")]
    pub event_name: String,
    pub status: EventStatus,
    pub results: ResultsPolicy,
    /// The log index that the totals amount to.
    pub version: u64,
    pub consistency: Consistency,
    /// Highest first, ties in the order of creation; in the order of creation while totals are hidden.
    pub contestants: Vec<LeaderboardEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaderboardEntry {
    #[serde(alias = "contestantId", with = "wire::id")]
    #[schema(value_type = String, example = "e17-c3")]
    pub contestant_id: ContestantId,
    #[serde(alias = "contestantName")]
    pub contestant_name: String,
    /// Null while results are shown `after_close` and the event is not closed.
    #[serde(alias = "totalVotes")]
    pub total_votes: Option<u64>,
}
