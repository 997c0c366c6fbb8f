//! Reading. Nothing is believed: every length is checked against its limit before memory is taken for it, every order
//! and position is checked, and at the end the whole state must hold together.

use std::io::{self, Read};
use std::sync::Arc;

use super::write::{BITMAP_BYTES, END_MARK};
use super::{SNAPSHOT_FORMAT, SnapshotError};
use crate::codec::{ByteReader, CodecError, STATUS_CODES, VERDICT_CODES, decode_new_event, value_of};
use crate::ids::{EventId, LogIndex, SubmissionKey, UnixMs, VoterNumber};
use crate::limits::{
    CONTESTANTS_PER_EVENT_MAX, EVENTS_MAX, EXTRA_SUBMISSIONS_PER_VOTER_MAX, PROBE_KEYS_PER_EVENT_MAX,
    SNAPSHOT_EVENT_BYTES_MAX, SNAPSHOT_PIECE_BYTES, SPARSE_VOTERS_PER_CHUNK_MAX, VOTERS_PER_CHUNK,
};
use crate::state::{
    ChunkNumber, CountedChunk, CountedVote, CountedVotes, Event, EventInfo, ExtraVote, ExtraVotes, Ledger,
    PackedPosition, Probes, State, Tally, voter_at,
};
use crate::terms::EventKind;

const SPARSE_ROW_BYTES: usize = 2 + 8 + 4;
const DENSE_ROW_BYTES: usize = 8 + 4;
const EXTRA_ROW_BYTES: usize = 2 + 8 + 8;
const PROBE_ROW_BYTES: usize = 4 + 8 + 8;

impl From<CodecError> for SnapshotError {
    fn from(error: CodecError) -> Self {
        SnapshotError::Corrupt(error.to_string())
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => corrupt("it ends early"),
            _ => SnapshotError::Io(error),
        }
    }
}

fn corrupt(what: &str) -> SnapshotError {
    SnapshotError::Corrupt(what.to_owned())
}

fn require(holds: bool, what: &str) -> Result<(), SnapshotError> {
    if holds { Ok(()) } else { Err(corrupt(what)) }
}

/// Reads what [`super::write`] wrote, and nothing beyond it. Reads small pieces: hand in a buffered reader.
///
/// # Errors
/// See [`SnapshotError`]. Never panics, whatever the bytes are.
pub fn read(from: &mut dyn Read) -> Result<State, SnapshotError> {
    let mut source = Source {
        from,
        piece: Vec::new(),
    };
    let format = source.u32()?;
    if format > SNAPSHOT_FORMAT {
        return Err(SnapshotError::Newer {
            found: format,
            known: SNAPSHOT_FORMAT,
        });
    }
    require(format == SNAPSHOT_FORMAT, "its format number is 0")?;
    let mut head = source.take(16)?;
    let (last_applied, effective_time) = (LogIndex(head.u64()?), UnixMs(head.u64()?));
    let count = source.count(EVENTS_MAX, "there are more events than the limit")?;
    let mut events = Vec::new();
    for place in 0..count {
        events.push(read_event(EventId(place as u32 + 1), &mut source)?);
    }
    require(source.u32()? == END_MARK, "its end mark is missing")?;
    let state = State::from_parts(last_applied, effective_time, events);
    state
        .check_invariants()
        .map_err(|broken| SnapshotError::Corrupt(broken.to_string()))?;
    Ok(state)
}

/// Reads pieces into one buffer, whose size the callers' limits bound.
struct Source<'a> {
    from: &'a mut dyn Read,
    piece: Vec<u8>,
}

impl Source<'_> {
    fn take(&mut self, length: usize) -> Result<ByteReader<'_>, SnapshotError> {
        self.piece.resize(length, 0);
        self.from.read_exact(&mut self.piece)?;
        Ok(ByteReader::new(&self.piece))
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        Ok(self.take(4)?.u32()?)
    }

    fn count(&mut self, max: usize, over: &str) -> Result<usize, SnapshotError> {
        let count = self.u32()? as usize;
        require(count <= max, over)?;
        Ok(count)
    }

    /// Reads `count` rows of `row_bytes` each, in pieces.
    fn rows(
        &mut self,
        count: usize,
        row_bytes: usize,
        mut row: impl FnMut(&mut ByteReader<'_>) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut left = count;
        while left > 0 {
            let now = left.min(SNAPSHOT_PIECE_BYTES / row_bytes);
            let mut reader = self.take(now * row_bytes)?;
            for _ in 0..now {
                row(&mut reader)?;
            }
            left -= now;
        }
        Ok(())
    }

    /// The number of a chunk, which must be above the one before it.
    fn chunk_number(&mut self, before: &mut Option<ChunkNumber>) -> Result<ChunkNumber, SnapshotError> {
        let number = ChunkNumber(self.u32()?);
        require(number.0 <= ChunkNumber::MAX, "a chunk's number is too large")?;
        require(
            before.is_none_or(|before| number > before),
            "chunks are out of order",
        )?;
        *before = Some(number);
        Ok(number)
    }
}

fn read_event(id: EventId, source: &mut Source<'_>) -> Result<Event, SnapshotError> {
    let length = source.count(SNAPSHOT_EVENT_BYTES_MAX, "an event's record is too long")?;
    let mut record = source.take(length)?;
    let spec = decode_new_event(&mut record)?;
    let info = EventInfo {
        id,
        created_index: LogIndex(record.u64()?),
        spec,
    };
    let tally = read_tally(record)?;
    let ledger = match info.spec.kind {
        EventKind::Public => Ledger::Public {
            counted: read_counted(source)?,
            extras: read_extras(source)?,
        },
        EventKind::Canary => Ledger::Canary(Arc::new(read_probes(source)?)),
    };
    Ok(Event {
        info: Arc::new(info),
        tally,
        ledger,
    })
}

fn read_tally(mut record: ByteReader<'_>) -> Result<Tally, SnapshotError> {
    let index_or_none = |index: u64| Some(LogIndex(index)).filter(|index| index.0 > 0);
    let status = value_of(STATUS_CODES, "an event's status", record.u8()?)?;
    let opened_index = index_or_none(record.u64()?);
    let closed_index = index_or_none(record.u64()?);
    let version = LogIndex(record.u64()?);
    let (counted, duplicates, rejected) = (record.u64()?, record.u64()?, record.u64()?);
    let count = record.count("totals of an event", CONTESTANTS_PER_EVENT_MAX, 8)?;
    let mut totals = Vec::with_capacity(count);
    let mut sum = 0_u64;
    for _ in 0..count {
        let total = record.u64()?;
        sum = sum
            .checked_add(total)
            .ok_or_else(|| corrupt("an event's totals overflow"))?;
        totals.push(total);
    }
    record.finish()?;
    Ok(Tally {
        status,
        opened_index,
        closed_index,
        version,
        totals,
        counted,
        duplicates,
        rejected,
    })
}

fn read_counted(source: &mut Source<'_>) -> Result<CountedVotes, SnapshotError> {
    let mut counted = CountedVotes::default();
    let mut before = None;
    for _ in 0..source.u32()? {
        let number = source.chunk_number(&mut before)?;
        let count = source.count(VOTERS_PER_CHUNK, "a chunk has more voters than places")?;
        require(count > 0, "a chunk is empty")?;
        let places = if count > SPARSE_VOTERS_PER_CHUNK_MAX {
            Some(read_bitmap(count, source)?)
        } else {
            None
        };
        let mut chunk = CountedChunk::default();
        let mut at = 0;
        let mut place_before = None;
        let row_bytes = if places.is_some() {
            DENSE_ROW_BYTES
        } else {
            SPARSE_ROW_BYTES
        };
        source.rows(count, row_bytes, |row| {
            let place = match &places {
                Some(places) => places[at],
                None => row.u16()?,
            };
            at += 1;
            require(
                usize::from(place) < VOTERS_PER_CHUNK,
                "a voter's place is outside the chunk",
            )?;
            require(
                place_before.is_none_or(|before| place > before),
                "voters are out of order",
            )?;
            place_before = Some(place);
            let vote = CountedVote {
                packed: PackedPosition(row.u64()?),
                key_tag: row.u32()?,
            };
            require(vote.position().index.0 > 0, "a counted vote has no position")?;
            chunk.insert(place, vote);
            Ok(())
        })?;
        counted.put_chunk(number, chunk);
    }
    Ok(counted)
}

/// The places that are set, ascending, as many as said.
fn read_bitmap(count: usize, source: &mut Source<'_>) -> Result<Vec<u16>, SnapshotError> {
    let bits = source.take(BITMAP_BYTES)?.array::<BITMAP_BYTES>()?;
    let is_set = |place: &u16| bits[usize::from(*place) / 8] & (1 << (place % 8)) != 0;
    let places: Vec<u16> = (0..VOTERS_PER_CHUNK as u16).filter(is_set).collect();
    require(places.len() == count, "a chunk's bitmap contradicts its count")?;
    Ok(places)
}

/// A stored submission whose verdict's code is known.
fn read_extra(row: &mut ByteReader<'_>) -> Result<ExtraVote, SnapshotError> {
    let extra = ExtraVote {
        key: SubmissionKey(row.u64()?),
        packed: PackedPosition(row.u64()?),
    };
    value_of(VERDICT_CODES, "a verdict", extra.packed.spare())?;
    Ok(extra)
}

fn read_extras(source: &mut Source<'_>) -> Result<ExtraVotes, SnapshotError> {
    let mut extras = ExtraVotes::default();
    let mut before = None;
    for _ in 0..source.u32()? {
        let number = source.chunk_number(&mut before)?;
        let max = VOTERS_PER_CHUNK * EXTRA_SUBMISSIONS_PER_VOTER_MAX;
        let count = source.count(max, "a chunk has more submissions than its voters may have")?;
        require(count > 0, "a chunk is empty")?;
        let mut place_before = 0;
        source.rows(count, EXTRA_ROW_BYTES, |row| {
            let place = row.u16()?;
            require(
                usize::from(place) < VOTERS_PER_CHUNK,
                "a voter's place is outside the chunk",
            )?;
            require(place >= place_before, "submissions are out of order")?;
            place_before = place;
            let extra = read_extra(row)?;
            let voter = voter_at(number, place);
            let (full, known) = (
                extras.is_full(voter),
                extras.of(voter).any(|before| before.key == extra.key),
            );
            require(!full && !known, "a voter's submissions are too many or doubled")?;
            extras.push(voter, extra);
            Ok(())
        })?;
    }
    Ok(extras)
}

fn read_probes(source: &mut Source<'_>) -> Result<Probes, SnapshotError> {
    let mut probes = Probes::default();
    let count = source.count(
        PROBE_KEYS_PER_EVENT_MAX,
        "more probes are remembered than the limit",
    )?;
    source.rows(count, PROBE_ROW_BYTES, |row| {
        let voter = VoterNumber(row.u32()?);
        let probe = read_extra(row)?;
        require(probes.get(voter, probe.key).is_none(), "a probe is doubled")?;
        probes.push(voter, probe);
        Ok(())
    })?;
    Ok(probes)
}
