//! The batch codec.
//!
//! A batch is: version (1 byte), count of commands (4), the commands. A command's first byte holds its code in the low
//! four bits and its flags in the high four. A vote takes 19 bytes, 8 more with a client timestamp, 16 more with a
//! trace: there are hundreds of millions of them.

use super::CodecError;
use super::codes::{KIND_CODES, RESULTS_CODES, code_of, value_of};
use super::wire::{ByteReader, ByteWriter};
use crate::command::{Batch, Command, NewContestant, NewEvent, VoteRecord};
use crate::ids::{ContestantIndex, EventId, RequestKey, SubmissionKey, TraceId, UnixMs, VoterNumber};
use crate::limits::{
    BATCH_BYTES_MAX, BATCH_VOTES_MAX, CONTESTANTS_PER_EVENT_MAX, DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX,
    URL_BYTES_MAX,
};

/// Version of the batch format that this program writes, and the newest that it reads.
pub const BATCH_VERSION: u8 = 1;

/// Bytes of a batch besides its commands.
pub const BATCH_HEAD_BYTES: usize = 5;

const CREATE_EVENT: u8 = 1;
const OPEN_EVENT: u8 = 2;
const CLOSE_EVENT: u8 = 3;
const CAST_VOTE: u8 = 4;
const TICK: u8 = 5;

const CODE_MASK: u8 = 0x0f;
const FLAG_BY_OPERATOR: u8 = 0x10;
const FLAG_CLIENT_TIMESTAMP: u8 = 0x10;
const FLAG_TRACE: u8 = 0x20;
const FLAG_TRACE_SAMPLED: u8 = 0x40;
const FLAG_OPENS_AT: u8 = 0x10;
const FLAG_CLOSES_AT: u8 = 0x20;

const VOTE_BYTES: usize = 1 + 4 + 4 + 2 + 8;
const TIME_BYTES: usize = 8;
const TRACE_BYTES: usize = 16;
const TEXT_HEAD_BYTES: usize = 4;
const CONTESTANT_BYTES_MIN: usize = 3 * TEXT_HEAD_BYTES;
const STATUS_COMMAND_BYTES: usize = 1 + 4 + 4;
const CREATE_BYTES_MIN: usize = 1 + 16 + 4 + 1 + 1 + TEXT_HEAD_BYTES + 4;

impl Command {
    /// Bytes that this command adds to an encoded batch.
    pub fn encoded_len(&self) -> usize {
        match self {
            Command::CreateEvent(event) => new_event_len(event),
            Command::OpenEvent { .. } | Command::CloseEvent { .. } => STATUS_COMMAND_BYTES,
            Command::CastVote(vote) => {
                let timestamp = if vote.client_timestamp.is_some() {
                    TIME_BYTES
                } else {
                    0
                };
                let trace = if vote.trace.is_some() { TRACE_BYTES } else { 0 };
                VOTE_BYTES + timestamp + trace
            }
            Command::Tick => 1,
        }
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            Command::CreateEvent(event) => encode_new_event(event, out),
            Command::OpenEvent {
                event,
                by,
                by_operator,
            } => {
                encode_status_command(OPEN_EVENT, *event, *by, *by_operator, out);
            }
            Command::CloseEvent {
                event,
                by,
                by_operator,
            } => {
                encode_status_command(CLOSE_EVENT, *event, *by, *by_operator, out);
            }
            Command::CastVote(vote) => encode_vote(vote, out),
            Command::Tick => out.put_u8(TICK),
        }
    }

    fn decode_from(bytes: &mut ByteReader<'_>) -> Result<Command, CodecError> {
        let head = bytes.u8()?;
        let flags = head & !CODE_MASK;
        match head & CODE_MASK {
            CREATE_EVENT => Ok(Command::CreateEvent(Box::new(decode_event(head, flags, bytes)?))),
            OPEN_EVENT => {
                let (event, by, by_operator) = decode_status_command(head, flags, bytes)?;
                Ok(Command::OpenEvent {
                    event,
                    by,
                    by_operator,
                })
            }
            CLOSE_EVENT => {
                let (event, by, by_operator) = decode_status_command(head, flags, bytes)?;
                Ok(Command::CloseEvent {
                    event,
                    by,
                    by_operator,
                })
            }
            CAST_VOTE => decode_vote(head, flags, bytes),
            TICK => {
                known_flags(head, flags, 0)?;
                Ok(Command::Tick)
            }
            _ => Err(unknown_command(head)),
        }
    }
}

impl Batch {
    /// Bytes of `encode`'s result.
    pub fn encoded_len(&self) -> usize {
        BATCH_HEAD_BYTES + self.commands.iter().map(Command::encoded_len).sum::<usize>()
    }

    /// The batch as bytes. Whoever builds a batch keeps it within `BATCH_VOTES_MAX` commands and `BATCH_BYTES_MAX`
    /// bytes (the batcher does); what is over them is encoded here and refused by `decode`.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.put_u8(BATCH_VERSION);
        out.put_count(self.commands.len());
        for command in &self.commands {
            command.encode_to(&mut out);
        }
        out
    }

    /// Reads what `encode` wrote. Never panics, and allocates in proportion to `bytes` at most.
    ///
    /// # Errors
    /// Every one is terminal; see [`CodecError`].
    pub fn decode(bytes: &[u8]) -> Result<Batch, CodecError> {
        if bytes.len() > BATCH_BYTES_MAX {
            let found = bytes.len() as u64;
            return Err(CodecError::OverLimit {
                what: "bytes of a batch",
                found,
                max: BATCH_BYTES_MAX as u64,
            });
        }
        let mut reader = ByteReader::new(bytes);
        let found = reader.u8()?;
        if found != BATCH_VERSION {
            return Err(CodecError::UnknownVersion {
                what: "a batch",
                found,
                known: BATCH_VERSION,
            });
        }
        let count = reader.count("commands of a batch", BATCH_VOTES_MAX, 1)?;
        let mut commands = Vec::with_capacity(count);
        for _ in 0..count {
            commands.push(Command::decode_from(&mut reader)?);
        }
        reader.finish()?;
        Ok(Batch { commands })
    }
}

fn unknown_command(head: u8) -> CodecError {
    CodecError::UnknownCode {
        what: "a command",
        found: head,
    }
}

/// A flag that this program does not know means a command that it would misread.
fn known_flags(head: u8, flags: u8, known: u8) -> Result<(), CodecError> {
    if flags & !known == 0 {
        Ok(())
    } else {
        Err(unknown_command(head))
    }
}

fn flag(present: bool, flag: u8) -> u8 {
    if present { flag } else { 0 }
}

fn encode_vote(vote: &VoteRecord, out: &mut Vec<u8>) {
    let flags = flag(vote.client_timestamp.is_some(), FLAG_CLIENT_TIMESTAMP)
        | flag(vote.trace.is_some(), FLAG_TRACE)
        | flag(vote.trace_sampled, FLAG_TRACE_SAMPLED);
    out.put_u8(CAST_VOTE | flags);
    out.put_u32(vote.voter.0);
    out.put_u32(vote.event.0);
    out.put_u16(vote.contestant.0);
    out.put_u64(vote.key.0);
    if let Some(UnixMs(timestamp)) = vote.client_timestamp {
        out.put_u64(timestamp);
    }
    if let Some(TraceId(trace)) = vote.trace {
        out.extend_from_slice(&trace);
    }
}

fn decode_vote(head: u8, flags: u8, bytes: &mut ByteReader<'_>) -> Result<Command, CodecError> {
    known_flags(
        head,
        flags,
        FLAG_CLIENT_TIMESTAMP | FLAG_TRACE | FLAG_TRACE_SAMPLED,
    )?;
    Ok(Command::CastVote(VoteRecord {
        voter: VoterNumber(bytes.u32()?),
        event: EventId(bytes.u32()?),
        contestant: ContestantIndex(bytes.u16()?),
        key: SubmissionKey(bytes.u64()?),
        client_timestamp: optional_time(flags & FLAG_CLIENT_TIMESTAMP != 0, bytes)?,
        trace: if flags & FLAG_TRACE != 0 {
            Some(TraceId(bytes.array()?))
        } else {
            None
        },
        trace_sampled: flags & FLAG_TRACE_SAMPLED != 0,
    }))
}

fn optional_time(present: bool, bytes: &mut ByteReader<'_>) -> Result<Option<UnixMs>, CodecError> {
    if present {
        Ok(Some(UnixMs(bytes.u64()?)))
    } else {
        Ok(None)
    }
}

fn encode_status_command(code: u8, event: EventId, by: VoterNumber, by_operator: bool, out: &mut Vec<u8>) {
    out.put_u8(code | flag(by_operator, FLAG_BY_OPERATOR));
    out.put_u32(event.0);
    out.put_u32(by.0);
}

fn decode_status_command(
    head: u8,
    flags: u8,
    bytes: &mut ByteReader<'_>,
) -> Result<(EventId, VoterNumber, bool), CodecError> {
    known_flags(head, flags, FLAG_BY_OPERATOR)?;
    Ok((
        EventId(bytes.u32()?),
        VoterNumber(bytes.u32()?),
        flags & FLAG_BY_OPERATOR != 0,
    ))
}

pub(crate) fn new_event_len(event: &NewEvent) -> usize {
    let opens_at = if event.opens_at.is_some() { TIME_BYTES } else { 0 };
    let closes_at = if event.closes_at.is_some() { TIME_BYTES } else { 0 };
    let contestant_len = |contestant: &NewContestant| {
        let texts = contestant.name.len() + contestant.description.len() + contestant.image_url.len();
        CONTESTANT_BYTES_MIN + texts
    };
    let contestants = event.contestants.iter().map(contestant_len).sum::<usize>();
    CREATE_BYTES_MIN + opens_at + closes_at + event.name.len() + contestants
}

/// Also the form in which a snapshot keeps an event's description.
pub(crate) fn encode_new_event(event: &NewEvent, out: &mut Vec<u8>) {
    let flags =
        flag(event.opens_at.is_some(), FLAG_OPENS_AT) | flag(event.closes_at.is_some(), FLAG_CLOSES_AT);
    out.put_u8(CREATE_EVENT | flags);
    out.put_u128(event.request.0);
    out.put_u32(event.owner.0);
    out.put_u8(code_of(KIND_CODES, event.kind));
    out.put_u8(code_of(RESULTS_CODES, event.results));
    for UnixMs(time) in [event.opens_at, event.closes_at].into_iter().flatten() {
        out.put_u64(time);
    }
    out.put_text(&event.name);
    out.put_count(event.contestants.len());
    for contestant in &event.contestants {
        out.put_text(&contestant.name);
        out.put_text(&contestant.description);
        out.put_text(&contestant.image_url);
    }
}

/// Reads what [`encode_new_event`] wrote.
pub(crate) fn decode_new_event(bytes: &mut ByteReader<'_>) -> Result<NewEvent, CodecError> {
    let head = bytes.u8()?;
    match head & CODE_MASK {
        CREATE_EVENT => decode_event(head, head & !CODE_MASK, bytes),
        _ => Err(unknown_command(head)),
    }
}

fn decode_event(head: u8, flags: u8, bytes: &mut ByteReader<'_>) -> Result<NewEvent, CodecError> {
    known_flags(head, flags, FLAG_OPENS_AT | FLAG_CLOSES_AT)?;
    let request = RequestKey(bytes.u128()?);
    let owner = VoterNumber(bytes.u32()?);
    let kind = value_of(KIND_CODES, "an event's kind", bytes.u8()?)?;
    let results = value_of(RESULTS_CODES, "an event's results policy", bytes.u8()?)?;
    let opens_at = optional_time(flags & FLAG_OPENS_AT != 0, bytes)?;
    let closes_at = optional_time(flags & FLAG_CLOSES_AT != 0, bytes)?;
    let name = bytes.text("bytes of an event's name", NAME_BYTES_MAX)?;
    let count = bytes.count(
        "contestants of an event",
        CONTESTANTS_PER_EVENT_MAX,
        CONTESTANT_BYTES_MIN,
    )?;
    let mut contestants = Vec::with_capacity(count);
    for _ in 0..count {
        contestants.push(NewContestant {
            name: bytes.text("bytes of a contestant's name", NAME_BYTES_MAX)?,
            description: bytes.text("bytes of a contestant's description", DESCRIPTION_BYTES_MAX)?,
            image_url: bytes.text("bytes of an image URL", URL_BYTES_MAX)?,
        });
    }
    Ok(NewEvent {
        request,
        owner,
        name,
        kind,
        results,
        opens_at,
        closes_at,
        contestants,
    })
}
