//! A frame: one event's tally at one version, as the bytes that all its subscribers share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use ostraka_api::sse::{EventFrame, write_event};
use ostraka_api::{LeaderboardEntry, ResumeToken, StandingsPayload, StreamEvent, TallyEntry, TallyPayload};
use ostraka_core::ids::ContestantId;
use ostraka_core::{ContestantIndex, Event, EventId, EventStatus, LogIndex, ResultsPolicy};
use serde::Serialize;

use super::Traces;

/// What of an event never changes.
#[derive(Debug)]
struct Description {
    id: EventId,
    name: String,
    contestants: Vec<String>,
}

/// One event's tally at one version. Bytes are made when the first subscriber needs them.
#[derive(Debug)]
pub struct Frame {
    description: Arc<Description>,
    version: LogIndex,
    /// The version that the delta begins from.
    previous: Option<LogIndex>,
    status: EventStatus,
    /// By contestant; `None` while results are hidden.
    totals: Option<Vec<u64>>,
    /// Places whose total differs from the previous frame's.
    changed: Vec<usize>,
    traces: Traces,
    /// Traces of the frames before, for subscribers who skipped those.
    recent: Traces,
    snapshot: OnceLock<Bytes>,
    delta: OnceLock<Bytes>,
    full: OnceLock<Bytes>,
    closed: OnceLock<Bytes>,
}

/// Totals as everyone may see them now.
pub(in crate::vote) fn visible_totals(event: &Event) -> Option<&[u64]> {
    let hidden = event.results() == ResultsPolicy::AfterClose && event.status() != EventStatus::Closed;
    (!hidden).then(|| event.totals())
}

impl Frame {
    /// The tally of `event` as it is now, after `previous`; `traces` are those counted in between.
    pub(super) fn of(event: &Event, previous: Option<&Frame>, traces: Traces) -> Self {
        let description = match previous {
            Some(previous) => Arc::clone(&previous.description),
            None => Arc::new(Description {
                id: event.id(),
                name: event.name().to_owned(),
                contestants: event
                    .contestants()
                    .iter()
                    .map(|contestant| contestant.name.clone())
                    .collect(),
            }),
        };
        let totals = visible_totals(event).map(<[u64]>::to_vec);
        let before = previous.and_then(|previous| previous.totals.as_deref());
        let differs = |place: &usize| {
            let total = |totals: &[u64]| totals[*place];
            totals.as_deref().map(total) != before.map(total)
        };
        let changed = (0..description.contestants.len()).filter(differs).collect();
        Self {
            description,
            version: event.version(),
            previous: previous.map(|previous| previous.version),
            status: event.status(),
            totals,
            changed,
            recent: previous.map(Frame::traces_with_recent).unwrap_or_default(),
            traces,
            snapshot: OnceLock::new(),
            delta: OnceLock::new(),
            full: OnceLock::new(),
            closed: OnceLock::new(),
        }
    }

    pub fn version(&self) -> LogIndex {
        self.version
    }

    pub fn previous(&self) -> Option<LogIndex> {
        self.previous
    }

    pub fn is_closed(&self) -> bool {
        self.status == EventStatus::Closed
    }

    /// All contestants, for a subscriber who has nothing yet.
    pub fn snapshot(&self) -> Bytes {
        self.snapshot
            .get_or_init(|| self.block(StreamEvent::Snapshot, &self.standings()))
            .clone()
    }

    /// The final result.
    pub fn closed(&self) -> Bytes {
        self.closed
            .get_or_init(|| self.block(StreamEvent::Closed, &self.standings()))
            .clone()
    }

    /// What changed since the previous frame, for a subscriber who has that one.
    pub fn delta(&self) -> Bytes {
        let make = || {
            let since = self.previous.unwrap_or_default();
            self.block(
                StreamEvent::Tally,
                &self.tally(since, self.changed.iter().copied(), &self.traces),
            )
        };
        self.delta.get_or_init(make).clone()
    }

    /// All totals, for a subscriber who skipped frames: what changed since version 0. It lists the skipped frames'
    /// traces as well, the newest of them where they are many.
    pub fn full(&self) -> Bytes {
        let make = || {
            let places = 0..self.totals.as_ref().map_or(0, Vec::len);
            self.block(
                StreamEvent::Tally,
                &self.tally(LogIndex(0), places, &self.traces_with_recent()),
            )
        };
        self.full.get_or_init(make).clone()
    }

    fn traces_with_recent(&self) -> Traces {
        let max = ostraka_core::limits::TRACES_PER_DELTA_MAX;
        let all = [self.recent.listed.as_slice(), &self.traces.listed].concat();
        let dropped = all.len().saturating_sub(max);
        Traces {
            listed: all[dropped..].to_vec(),
            omitted: [self.traces.omitted, dropped as u32]
                .into_iter()
                .fold(self.recent.omitted, u32::saturating_add),
        }
    }

    fn contestant(&self, place: usize) -> ContestantId {
        ContestantId {
            event: self.description.id,
            contestant: ContestantIndex(place as u16),
        }
    }

    fn standings(&self) -> StandingsPayload {
        let entry = |(place, name): (usize, &String)| LeaderboardEntry {
            contestant_id: self.contestant(place),
            contestant_name: name.clone(),
            total_votes: self.totals.as_ref().map(|totals| totals[place]),
        };
        StandingsPayload {
            event_id: self.description.id,
            event_name: self.description.name.clone(),
            status: self.status.into(),
            version: self.version.0,
            contestants: self
                .description
                .contestants
                .iter()
                .enumerate()
                .map(entry)
                .collect(),
        }
    }

    fn tally(&self, since: LogIndex, places: impl Iterator<Item = usize>, traces: &Traces) -> TallyPayload {
        let totals = self.totals.as_deref().unwrap_or_default();
        let entry = |place: usize| {
            let total_votes = *totals.get(place)?;
            Some(TallyEntry {
                contestant_id: self.contestant(place),
                total_votes,
            })
        };
        TallyPayload {
            event_id: self.description.id,
            status: self.status.into(),
            version: self.version.0,
            previous_version: since.0,
            contestants: places.filter_map(entry).collect(),
            traces: traces.listed.clone(),
            traces_omitted: traces.omitted,
        }
    }

    fn block<T: Serialize>(&self, event: StreamEvent, payload: &T) -> Bytes {
        let data = serde_json::to_string(payload).expect("a payload is made of what JSON can write");
        let mut block = Vec::with_capacity(data.len() + 64);
        write_event(
            &mut block,
            EventFrame {
                event,
                id: Some(ResumeToken(self.version)),
                data: &data,
            },
        );
        block.into()
    }
}
