//! An event's live stream, read through goose's client, and held to its promise with every line.

use std::collections::VecDeque;
use std::time::Duration;

use goose::goose::GooseResponse;
use ostraka_api::ids::{EventId, TraceId};
use ostraka_api::limits::TRACES_PER_DELTA_MAX;
use ostraka_api::sse::{Decoded, Decoder, SSE_MEDIA_TYPE};
use ostraka_api::{StandingsPayload, StreamEvent, TallyPayload};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::findings::Broken;
use super::standings::Standings;
use super::visit::{Call, Visit};

/// Longer than anybody stays. The client's clock for a call runs until the last byte of its answer.
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);

/// What a watcher sees next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Snapshot,
    Tally {
        traces: Vec<TraceId>,
        /// There may be more traces than it lists.
        omitted: bool,
    },
    Closed,
    /// The stream lives.
    Sign,
}

/// What a stream says, read once for however many watchers get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Snapshot(StandingsPayload),
    Tally(TallyPayload),
    Closed(StandingsPayload),
}

impl Said {
    /// None for an event of a later release.
    ///
    /// # Errors
    /// Where it is not what the API has, or its id is not its version.
    pub(crate) fn read(name: &str, data: &str, id: &str) -> Result<Option<Self>, String> {
        let said = match StreamEvent::from_name(name) {
            Some(StreamEvent::Snapshot) => Self::Snapshot(read(data)?),
            Some(StreamEvent::Closed) => Self::Closed(read(data)?),
            Some(StreamEvent::Tally) => Self::Tally(read(data)?),
            None => return Ok(None),
        };
        let version = said.version();
        if id == version.to_string() {
            Ok(Some(said))
        } else {
            Err(format!("an event of version {version} has the id {id:?}"))
        }
    }

    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Snapshot(standings) | Self::Closed(standings) => standings.version,
            Self::Tally(tally) => tally.version,
        }
    }
}

/// What one watcher was shown of a stream, held to its promise.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    standings: Standings,
    /// Something of this very stream was read before, so that a tally must go on from it.
    begun: bool,
}

impl Follower {
    pub(crate) fn new(standings: Standings) -> Self {
        Self {
            standings,
            begun: false,
        }
    }

    pub(crate) fn standings(&self) -> &Standings {
        &self.standings
    }

    /// # Errors
    /// The promise that was broken.
    pub(crate) fn take(&mut self, said: &Said) -> Result<(), String> {
        match said {
            Said::Snapshot(standings) | Said::Closed(standings) => {
                self.standings.take_standings(standings)?;
            }
            Said::Tally(tally) => self.take_tally(tally)?,
        }
        self.begun = true;
        Ok(())
    }

    /// Who skipped frames is shown all totals, since version 0.
    fn take_tally(&mut self, tally: &TallyPayload) -> Result<(), String> {
        let (told, since) = (self.standings.version(), tally.previous_version);
        if self.begun && since != told && since != 0 {
            return Err(format!(
                "a tally goes on from version {since}, and {told} was shown before it"
            ));
        }
        let (shown, all) = (tally.contestants.len(), self.standings.totals().len());
        if since == 0 && shown < all {
            return Err(format!("a tally since version 0 has {shown} totals of {all}"));
        }
        self.standings.take_tally(tally)
    }
}

/// Whether there may be more traces than it lists.
pub(crate) fn omits_traces(tally: &TallyPayload) -> bool {
    // Of many skipped frames the newest traces are listed, and the others are not counted.
    tally.traces_omitted > 0 || tally.previous_version == 0 && tally.traces.len() >= TRACES_PER_DELTA_MAX
}

/// Reads bytes as a watcher does. No connection, so that it can be shown what it must find.
pub(crate) struct Reader {
    decoder: Decoder,
    follower: Follower,
}

impl Reader {
    pub(crate) fn new(standings: Standings) -> Self {
        Self {
            decoder: Decoder::default(),
            follower: Follower::new(standings),
        }
    }

    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Seen>, Broken> {
        let decoded = self.decoder.feed(chunk);
        let decoded = decoded.map_err(|error| Broken::Fault(error.to_string()))?;
        let seen = decoded.into_iter().filter_map(|decoded| match decoded {
            Decoded::Event {
                event,
                data,
                last_event_id,
            } => self.event(&event, &data, &last_event_id).transpose(),
            Decoded::Comment(_) => Some(Ok(Seen::Sign)),
            Decoded::Retry(_) => None,
        });
        let seen: Result<_, String> = seen.collect();
        seen.map_err(Broken::Fault)
    }

    fn event(&mut self, name: &str, data: &str, id: &str) -> Result<Option<Seen>, String> {
        let Some(said) = Said::read(name, data, id)? else {
            return Ok(None);
        };
        self.follower.take(&said)?;
        Ok(Some(match said {
            Said::Snapshot(_) => Seen::Snapshot,
            Said::Closed(_) => Seen::Closed,
            Said::Tally(tally) => Seen::Tally {
                omitted: omits_traces(&tally),
                traces: tally.traces,
            },
        }))
    }
}

fn read<T: DeserializeOwned>(data: &str) -> Result<T, String> {
    serde_json::from_str(data)
        .map_err(|error| format!("the stream says something else than the API has: {error}"))
}

/// A stream that somebody watches.
pub(crate) struct Stream {
    name: &'static str,
    answer: GooseResponse,
    reader: Reader,
    waiting: VecDeque<Seen>,
}

impl Stream {
    /// Opens it; with `from` it goes on from what was shown before.
    pub(crate) async fn open(
        visit: &mut Visit<'_>,
        name: &'static str,
        event: EventId,
        token: &str,
        from: Option<Standings>,
    ) -> Result<Self, Broken> {
        let mut call =
            Call::get(name, format!("/v1/event/{event}/stream"), token).header("accept", SSE_MEDIA_TYPE);
        if let Some(standings) = &from {
            call = call.header("last-event-id", standings.version().to_string());
        }
        Ok(Self {
            name,
            answer: visit.send(&call, STREAM_TIMEOUT).await?,
            reader: Reader::new(from.unwrap_or_else(|| Standings::new(event))),
            waiting: VecDeque::new(),
        })
    }

    pub(crate) fn standings(&self) -> &Standings {
        self.reader.follower.standings()
    }

    /// What was shown, for another stream to go on from.
    pub(crate) fn leave(self) -> Standings {
        self.reader.follower.standings
    }

    /// The next thing, or none by that time.
    pub(crate) async fn next(&mut self, visit: &Visit<'_>, until: Instant) -> Result<Option<Seen>, Broken> {
        loop {
            if let Some(seen) = self.waiting.pop_front() {
                return Ok(Some(seen));
            }
            let Ok(response) = &mut self.answer.response else {
                return Err(visit.no_answer(self.name));
            };
            match tokio::time::timeout_at(until, response.chunk()).await {
                Err(_) => return Ok(None),
                Ok(Ok(Some(chunk))) => {
                    visit.world.findings.heard();
                    self.waiting.extend(self.reader.feed(&chunk)?);
                }
                Ok(Ok(None) | Err(_)) => return Err(visit.cut(self.name)),
            }
        }
    }

    /// Reads up to the first snapshot.
    pub(crate) async fn snapshot(&mut self, visit: &Visit<'_>, within: Duration) -> Result<(), Broken> {
        let until = Instant::now() + within;
        while let Some(seen) = self.next(visit, until).await? {
            if seen == Seen::Snapshot {
                return Ok(());
            }
        }
        Err(visit.no_snapshot(self.name))
    }

    /// Watches for so long, or until the event is closed.
    pub(crate) async fn watch(&mut self, visit: &Visit<'_>, time: Duration) -> Result<(), Broken> {
        let until = Instant::now() + time;
        while let Some(seen) = self.next(visit, until).await? {
            if seen == Seen::Closed {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SNAPSHOT: &str = concat!(
        "event: snapshot\nid: 5\ndata: {\"event_id\":\"e1\",\"event_name\":\"E\",\"status\":\"open\",\"version\":5,",
        "\"contestants\":[{\"contestant_id\":\"e1-c0\",\"contestant_name\":\"Ada\",\"total_votes\":3}]}\n\n"
    );

    const TOTAL: &str = "{\"contestant_id\":\"e1-c0\",\"total_votes\":4}";

    fn tally(id: u64, previous_version: u64, version: u64, total: u64) -> String {
        format!(
            "event: tally\nid: {id}\ndata: {{\"event_id\":\"e1\",\"status\":\"open\",\"version\":{version},\
             \"previous_version\":{previous_version},\"contestants\":[{{\"contestant_id\":\"e1-c0\",\
             \"total_votes\":{total}}}],\"traces\":[],\"traces_omitted\":0}}\n\n"
        )
    }

    fn reader() -> Reader {
        let mut reader = Reader::new(Standings::new("e1".parse().unwrap()));
        assert_eq!(reader.feed(SNAPSHOT.as_bytes()), Ok(vec![Seen::Snapshot]));
        reader
    }

    #[test]
    fn a_stream_is_read_across_cut_up_chunks() {
        let mut reader = reader();
        let text = tally(7, 5, 7, 4) + ": still here\n\n" + &tally(9, 7, 9, 6);
        let seen: Vec<_> = text
            .as_bytes()
            .chunks(7)
            .flat_map(|chunk| reader.feed(chunk).unwrap())
            .collect();
        let shown = Seen::Tally {
            traces: Vec::new(),
            omitted: false,
        };
        assert_eq!(seen, [shown.clone(), Seen::Sign, shown]);
        assert_eq!(
            (
                reader.follower.standings().version(),
                reader.follower.standings().sum()
            ),
            (9, 6)
        );
    }

    #[test]
    fn who_skipped_frames_is_shown_all_totals() {
        let mut reader = reader();
        let full = tally(9, 0, 9, 4);
        let seen = |omitted, traces| Seen::Tally { traces, omitted };
        assert_eq!(reader.feed(full.as_bytes()), Ok(vec![seen(false, Vec::new())]));
        assert_eq!(reader.follower.standings().sum(), 4);
        let trace = format!("\"{}\"", "ab".repeat(16));
        let traces = [trace.as_str(); TRACES_PER_DELTA_MAX].join(",");
        let crowded = tally(11, 0, 11, 4).replace("\"traces\":[]", &format!("\"traces\":[{traces}]"));
        let listed = vec![TraceId([0xab; 16]); TRACES_PER_DELTA_MAX];
        assert_eq!(reader.feed(crowded.as_bytes()), Ok(vec![seen(true, listed)]));
    }

    #[test]
    fn every_planted_lie_is_found() {
        for (lie, word) in [
            (tally(7, 5, 7, 2), "the total went back from 3 to 2"),
            (tally(4, 5, 4, 4), "the version went back from 5 to 4"),
            (tally(7, 6, 7, 4), "goes on from version 6, and 5 was shown"),
            (
                tally(7, 0, 7, 4).replace(TOTAL, ""),
                "since version 0 has 0 totals of 1",
            ),
            (tally(8, 5, 7, 4), "version 7 has the id \"8\""),
            (SNAPSHOT.replace("e1", "e2"), "was shown e2"),
            ("event: tally\nid: 7\ndata: {}\n\n".to_string(), "something else"),
        ] {
            let Err(Broken::Fault(fault)) = reader().feed(lie.as_bytes()) else {
                panic!("got through: {lie}");
            };
            assert!(fault.contains(word), "{fault}");
        }
    }

    #[test]
    fn who_comes_back_goes_on_from_what_he_was_shown() {
        let shown = reader().follower.standings;
        let again = || Reader::new(shown.clone());
        // His last version is no event of the new stream, so it may begin anywhere after it.
        assert!(again().feed(tally(9, 5, 9, 4).as_bytes()).is_ok());
        assert!(again().feed(tally(9, 5, 9, 2).as_bytes()).is_err());
        assert!(again().feed(tally(4, 3, 4, 4).as_bytes()).is_err());
    }
}
