//! What the live stream says: `GET /v1/event/{event_id}/stream`.
//!
//! First a `snapshot` (all contestants), then `tally` events with what changed, as absolute totals, and at the end
//! `closed` with the final result. Each event's `id:` is the log index its totals amount to.

use ostraka_core::ids::{ContestantId, EventId, LogIndex, TraceId};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

use crate::event::{EventStatus, LeaderboardEntry};
use crate::{trace, wire};

/// The kinds of stream events, by what stands in their `event:` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamEvent {
    Snapshot,
    Tally,
    Closed,
}

impl StreamEvent {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Tally => "tally",
            Self::Closed => "closed",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Snapshot, Self::Tally, Self::Closed]
            .into_iter()
            .find(|event| event.name() == name)
    }
}

/// Data of `snapshot` and `closed`: all contestants, in the order of creation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StandingsPayload {
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    #[serde(alias = "eventName")]
    pub event_name: String,
    pub status: EventStatus,
    /// The log index that the totals amount to; also the event's `id:`.
    pub version: u64,
    pub contestants: Vec<LeaderboardEntry>,
}

/// Data of `tally`: what changed since `previous_version`. Names are left out; the snapshot gave them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TallyPayload {
    #[serde(alias = "eventId", with = "wire::id")]
    #[schema(value_type = String, example = "e17")]
    pub event_id: EventId,
    pub status: EventStatus,
    /// The log index that the totals amount to; also the event's `id:`.
    pub version: u64,
    /// The version that this subscriber was told before; 0 in a tally of all contestants, for one who skipped some. Totals are
    /// absolute, so a gap heals with the next change.
    #[serde(alias = "previousVersion")]
    pub previous_version: u64,
    /// Only contestants whose total changed; empty while totals are hidden.
    pub contestants: Vec<TallyEntry>,
    /// Sampled traces of votes that these totals are the first to include: 32 lower-case hex digits each.
    #[serde(with = "trace::hex_ids", default)]
    #[schema(value_type = Vec<String>, example = json!(["4bf92f3577b34da6a3ce929d0e0e4736"]))]
    pub traces: Vec<TraceId>,
    /// How many more there were than are listed; in a tally of all contestants, so far.
    #[serde(alias = "tracesOmitted", default)]
    pub traces_omitted: u32,
}

/// A contestant's total: absolute, never a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TallyEntry {
    #[serde(alias = "contestantId", with = "wire::id")]
    #[schema(value_type = String, example = "e17-c3")]
    pub contestant_id: ContestantId,
    #[serde(alias = "totalVotes")]
    pub total_votes: u64,
}

/// Where a subscriber stopped reading: the `id:` of the last event it got, which it sends back as `Last-Event-ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResumeToken(pub LogIndex);

impl ResumeToken {
    /// Reads a `Last-Event-ID`. What this service did not write gives `None`: the subscriber starts anew, for a bad
    /// token is no reason to show nobody the count.
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        if !canonical {
            return None;
        }
        // Digits alone can still be more than 64 bits hold.
        text.parse().ok().map(|index| Self(LogIndex(index)))
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_resume_tokens_start_anew() {
        for bad in [
            "",
            "-1",
            "+1",
            " 1",
            "1 ",
            "01",
            "00",
            "1.0",
            "abc",
            "18446744073709551616",
            "１",
        ] {
            assert_eq!(ResumeToken::parse(bad), None, "{bad:?}");
        }
        assert_eq!(ResumeToken::parse("0"), Some(ResumeToken(LogIndex(0))));
        assert_eq!(
            ResumeToken::parse("18446744073709551615"),
            Some(ResumeToken(LogIndex(u64::MAX)))
        );
    }

    #[test]
    fn event_names_are_stable() {
        for (event, name) in [
            (StreamEvent::Snapshot, "snapshot"),
            (StreamEvent::Tally, "tally"),
            (StreamEvent::Closed, "closed"),
        ] {
            assert_eq!(event.name(), name);
            assert_eq!(StreamEvent::from_name(name), Some(event));
        }
        assert_eq!(StreamEvent::from_name("message"), None);
    }

    #[test]
    fn a_tally_looks_as_documented() {
        let payload = TallyPayload {
            event_id: "e17".parse().unwrap(),
            status: EventStatus::Open,
            version: 12,
            previous_version: 9,
            contestants: vec![TallyEntry {
                contestant_id: "e17-c3".parse().unwrap(),
                total_votes: 5,
            }],
            traces: vec![TraceId([0xab; 16])],
            traces_omitted: 0,
        };
        let text = serde_json::to_string(&payload).unwrap();
        let expected = concat!(
            r#"{"event_id":"e17","status":"open","version":12,"previous_version":9,"#,
            r#""contestants":[{"contestant_id":"e17-c3","total_votes":5}],"#,
            r#""traces":["abababababababababababababababab"],"traces_omitted":0}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<TallyPayload>(&text).unwrap(), payload);
    }

    proptest! {
        #[test]
        fn resume_tokens_round_trip(index: u64) {
            let token = ResumeToken(LogIndex(index));
            prop_assert_eq!(ResumeToken::parse(&token.to_string()), Some(token));
        }

        #[test]
        fn what_parses_was_canonical(text in ".*") {
            if let Some(token) = ResumeToken::parse(&text) {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }
}
