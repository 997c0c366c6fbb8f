//! The outcomes codec: what a replica's machine answers to one entry, as it travels back to the node that submitted it.

use super::CodecError;
use super::codes::{REFUSAL_CODES, STATUS_CODES, VERDICT_CODES, code_of, value_of};
use super::wire::{ByteReader, ByteWriter};
use crate::ids::{EventId, LogIndex, VotePosition};
use crate::limits::BATCH_VOTES_MAX;
use crate::outcome::{Outcome, VoteOutcome};

/// Version of the outcomes format that this program writes, and the newest that it reads.
pub const OUTCOMES_VERSION: u8 = 1;

const EVENT_CREATED: u8 = 1;
const EVENT_STATUS: u8 = 2;
const EVENT_REFUSED: u8 = 3;
const TICKED: u8 = 4;
const VOTE_RECORDED: u8 = 16;
const VOTE_EVENT_NOT_FOUND: u8 = 17;
const VOTE_CONTESTANT_NOT_FOUND: u8 = 18;
const VOTE_TOO_MANY_SUBMISSIONS: u8 = 19;

const HEAD_BYTES: usize = 5;
const RECORDED_BYTES: usize = 1 + 8 + 2 + 1;

/// The outcomes of one entry as bytes.
pub fn encode_outcomes(outcomes: &[Outcome]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + outcomes.len() * RECORDED_BYTES);
    out.put_u8(OUTCOMES_VERSION);
    out.put_count(outcomes.len());
    for outcome in outcomes {
        encode_outcome(outcome, &mut out);
    }
    out
}

/// Reads what `encode_outcomes` wrote. Never panics, and allocates in proportion to `bytes` at most.
///
/// # Errors
/// Every one is terminal; see [`CodecError`].
pub fn decode_outcomes(bytes: &[u8]) -> Result<Vec<Outcome>, CodecError> {
    let mut reader = ByteReader::new(bytes);
    let found = reader.u8()?;
    if found != OUTCOMES_VERSION {
        return Err(CodecError::UnknownVersion {
            what: "an answer",
            found,
            known: OUTCOMES_VERSION,
        });
    }
    let count = reader.count("outcomes of a batch", BATCH_VOTES_MAX, 1)?;
    let mut outcomes = Vec::with_capacity(count);
    for _ in 0..count {
        outcomes.push(decode_outcome(&mut reader)?);
    }
    reader.finish()?;
    Ok(outcomes)
}

fn encode_outcome(outcome: &Outcome, out: &mut Vec<u8>) {
    match outcome {
        Outcome::EventCreated(event) => {
            out.put_u8(EVENT_CREATED);
            out.put_u32(event.0);
        }
        Outcome::EventStatus { event, status, at } => {
            out.put_u8(EVENT_STATUS);
            out.put_u32(event.0);
            out.put_u8(code_of(STATUS_CODES, *status));
            out.put_u64(at.0);
        }
        Outcome::EventRefused(refusal) => {
            out.put_u8(EVENT_REFUSED);
            out.put_u8(code_of(REFUSAL_CODES, *refusal));
        }
        Outcome::Ticked => out.put_u8(TICKED),
        Outcome::Vote(VoteOutcome::Recorded { position, verdict }) => {
            out.put_u8(VOTE_RECORDED);
            out.put_u64(position.index.0);
            out.put_u16(position.offset);
            out.put_u8(code_of(VERDICT_CODES, *verdict));
        }
        Outcome::Vote(VoteOutcome::EventNotFound) => out.put_u8(VOTE_EVENT_NOT_FOUND),
        Outcome::Vote(VoteOutcome::ContestantNotFound) => out.put_u8(VOTE_CONTESTANT_NOT_FOUND),
        Outcome::Vote(VoteOutcome::TooManySubmissions) => out.put_u8(VOTE_TOO_MANY_SUBMISSIONS),
    }
}

fn decode_outcome(bytes: &mut ByteReader<'_>) -> Result<Outcome, CodecError> {
    match bytes.u8()? {
        EVENT_CREATED => Ok(Outcome::EventCreated(EventId(bytes.u32()?))),
        EVENT_STATUS => {
            let event = EventId(bytes.u32()?);
            let status = value_of(STATUS_CODES, "an event's status", bytes.u8()?)?;
            Ok(Outcome::EventStatus {
                event,
                status,
                at: LogIndex(bytes.u64()?),
            })
        }
        EVENT_REFUSED => Ok(Outcome::EventRefused(value_of(
            REFUSAL_CODES,
            "a refusal",
            bytes.u8()?,
        )?)),
        TICKED => Ok(Outcome::Ticked),
        VOTE_RECORDED => {
            let position = VotePosition {
                index: LogIndex(bytes.u64()?),
                offset: bytes.u16()?,
            };
            let verdict = value_of(VERDICT_CODES, "a verdict", bytes.u8()?)?;
            Ok(Outcome::Vote(VoteOutcome::Recorded { position, verdict }))
        }
        VOTE_EVENT_NOT_FOUND => Ok(Outcome::Vote(VoteOutcome::EventNotFound)),
        VOTE_CONTESTANT_NOT_FOUND => Ok(Outcome::Vote(VoteOutcome::ContestantNotFound)),
        VOTE_TOO_MANY_SUBMISSIONS => Ok(Outcome::Vote(VoteOutcome::TooManySubmissions)),
        found => Err(CodecError::UnknownCode {
            what: "an outcome",
            found,
        }),
    }
}
