//! Writing. The layout, all numbers little-endian:
//!
//! ```text
//! snapshot  format u32 = 1, last applied u64, effective time u64, count u32, event..., end mark u32
//! event     length u32, record, then (public) counted, extras or (canary) probes
//! record    the creation as in a batch of version 1, created u64, status u8, opened u64 (0: no), closed u64 (0: no),
//!           version u64, counted u64, duplicates u64, rejected u64, count u32, total u64...
//! counted   count u32 of chunks, each: number u32, rows u32, then
//!           up to SPARSE_VOTERS_PER_CHUNK_MAX rows: (place u16, packed u64, key tag u32)...
//!           more: 512 bytes of bitmap (bit n of byte m: place 8m + n), (packed u64, key tag u32)...
//! extras    count u32 of chunks, each: number u32, rows u32, (place u16, key u64, packed u64)...
//! probes    count u32, (voter u32, key u64, packed u64)...
//! ```
//!
//! Chunks, places and events ascend; a voter's extras and the probes go from old to new. So equal states give equal
//! bytes.

use std::io::{self, Write};

use super::SNAPSHOT_FORMAT;
use crate::codec::{ByteWriter, STATUS_CODES, code_of, encode_new_event};
use crate::ids::LogIndex;
use crate::limits::{SNAPSHOT_PIECE_BYTES, VOTERS_PER_CHUNK};
use crate::state::{
    CountedChunk, CountedVote, CountedVotes, Event, ExtraVotes, Ledger, Probes, Rows, State, place_of,
};

pub(super) const END_MARK: u32 = 0x444e_4521;
pub(super) const BITMAP_BYTES: usize = VOTERS_PER_CHUNK / 8;

/// Writes the state to `out`, in pieces of about `SNAPSHOT_PIECE_BYTES`; equal states give equal bytes. Does not flush
/// `out`.
///
/// # Errors
/// What `out` says. What was written so far is then not a snapshot.
pub fn write(state: &State, out: &mut dyn Write) -> io::Result<()> {
    let mut sink = Sink {
        out,
        piece: Vec::with_capacity(2 * SNAPSHOT_PIECE_BYTES),
    };
    sink.piece.put_u32(SNAPSHOT_FORMAT);
    sink.piece.put_u64(state.last_applied().0);
    sink.piece.put_u64(state.effective_time().0);
    sink.piece.put_count(state.events().count());
    for event in state.events() {
        write_event(event, &mut sink)?;
    }
    sink.piece.put_u32(END_MARK);
    sink.pass_on()
}

/// Gathers small writes.
struct Sink<'a> {
    out: &'a mut dyn Write,
    piece: Vec<u8>,
}

impl Sink<'_> {
    fn pass_on(&mut self) -> io::Result<()> {
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    fn pass_on_if_full(&mut self) -> io::Result<()> {
        if self.piece.len() >= SNAPSHOT_PIECE_BYTES {
            self.pass_on()
        } else {
            Ok(())
        }
    }
}

fn write_event(event: &Event, sink: &mut Sink<'_>) -> io::Result<()> {
    let mut record = Vec::new();
    encode_new_event(&event.info.spec, &mut record);
    record.put_u64(event.created_index().0);
    record.put_u8(code_of(STATUS_CODES, event.status()));
    record.put_u64(event.opened_index().unwrap_or(LogIndex(0)).0);
    record.put_u64(event.closed_index().unwrap_or(LogIndex(0)).0);
    record.put_u64(event.version().0);
    record.put_u64(event.counted());
    record.put_u64(event.duplicates());
    record.put_u64(event.rejected());
    record.put_count(event.totals().len());
    for total in event.totals() {
        record.put_u64(*total);
    }
    sink.piece.put_count(record.len());
    sink.piece.extend_from_slice(&record);
    sink.pass_on_if_full()?;
    match &event.ledger {
        Ledger::Public { counted, extras } => {
            write_counted(counted, sink)?;
            write_extras(extras, sink)
        }
        Ledger::Canary(probes) => write_probes(probes, sink),
    }
}

fn write_counted(counted: &CountedVotes, sink: &mut Sink<'_>) -> io::Result<()> {
    sink.piece.put_count(counted.chunks().count());
    for (number, chunk) in counted.chunks() {
        let chunk = chunk.merged();
        sink.piece.put_u32(number.0);
        sink.piece.put_count(chunk.len());
        if chunk.is_dense() {
            sink.piece.extend_from_slice(&bitmap(&chunk));
        }
        for (place, CountedVote { packed, key_tag }) in chunk.rows() {
            if !chunk.is_dense() {
                sink.piece.put_u16(place);
            }
            sink.piece.put_u64(packed.0);
            sink.piece.put_u32(key_tag);
        }
        sink.pass_on_if_full()?;
    }
    Ok(())
}

fn bitmap(chunk: &CountedChunk) -> [u8; BITMAP_BYTES] {
    let mut bits = [0; BITMAP_BYTES];
    for (place, _) in chunk.rows() {
        bits[usize::from(place) / 8] |= 1 << (place % 8);
    }
    bits
}

fn write_extras(extras: &ExtraVotes, sink: &mut Sink<'_>) -> io::Result<()> {
    sink.piece.put_count(extras.chunks().count());
    for (number, rows) in extras.chunks() {
        sink.piece.put_u32(number.0);
        let rows = rows.merged();
        sink.piece.put_count(rows.len());
        for (row, extra) in &*rows {
            sink.piece.put_u16(place_of(*row));
            sink.piece.put_u64(extra.key.0);
            sink.piece.put_u64(extra.packed.0);
            sink.pass_on_if_full()?;
        }
    }
    Ok(())
}

fn write_probes(probes: &Probes, sink: &mut Sink<'_>) -> io::Result<()> {
    sink.piece.put_count(probes.len());
    for (voter, probe) in probes.iter() {
        sink.piece.put_u32(voter.0);
        sink.piece.put_u64(probe.key.0);
        sink.piece.put_u64(probe.packed.0);
    }
    sink.pass_on_if_full()
}
