//! What the things of a plan are called when they reach the service, so that a record of the log leads back to the
//! operation that caused it. Whoever runs a plan uses these names and no others.

use ostraka_core::{ContestantIndex, EventId, LogIndex, TraceId, UnixMs, VotePosition, VoterNumber};

use crate::ids::{EventSlot, FaultId, OperationId, SubmissionTag};

/// The user who creates, opens and closes the events.
pub const OWNER: VoterNumber = VoterNumber(1);

/// The lowest voter that a plan's submissions use.
pub const VOTER_FIRST: VoterNumber = VoterNumber(100);

/// Voters from here on vote in overloads only, so many for each.
pub(crate) const OVERLOAD_VOTER_FIRST: u32 = 1_000_000;
const OVERLOAD_VOTERS_EACH: u32 = 100_000;

/// Some moment in the past: the client's own clock is stored with a vote and never believed.
const CLIENT_TIMESTAMP_FIRST: u64 = 1_700_000_000_000;

/// The first half of each trace id, so that an id of any other origin is told apart.
const TRACE_MARK: [u8; 8] = *b"ostrasim";

/// Of so many submissions, one comes without an `Idempotency-Key`: its key is its contestant and timestamp.
const KEYLESS_OF: u32 = 4;

/// The `event_name` of a slot's event.
pub fn event_name(slot: EventSlot) -> String {
    format!("slot-{}", slot.0)
}

pub fn slot_of_event_name(name: &str) -> Option<EventSlot> {
    let slot = name.strip_prefix("slot-")?.parse().ok().map(EventSlot)?;
    (event_name(slot) == name).then_some(slot)
}

/// The name of a contestant of any of the plan's events, by place. Description and image are empty.
pub fn contestant_name(place: u16) -> String {
    format!("contestant {place}")
}

/// The `Idempotency-Key` of each creation of a slot's event: however often it is asked for, there is one.
pub fn creation_key(slot: EventSlot) -> String {
    format!("create-slot-{}", slot.0)
}

/// The `Idempotency-Key` of a submission, if it is sent with one.
pub fn submission_key(tag: SubmissionTag) -> Option<String> {
    (!tag.0.is_multiple_of(KEYLESS_OF)).then(|| format!("submission-{}", tag.0))
}

/// The `client_timestamp` of a submission, the same each time it is sent.
pub fn client_timestamp(tag: SubmissionTag) -> UnixMs {
    UnixMs(CLIENT_TIMESTAMP_FIRST + u64::from(tag.0))
}

pub fn tag_of_client_timestamp(timestamp: UnixMs) -> Option<SubmissionTag> {
    let tag = timestamp.0.checked_sub(CLIENT_TIMESTAMP_FIRST)?;
    u32::try_from(tag).ok().map(SubmissionTag)
}

/// The `traceparent`'s trace id of an operation: it stands in the record that this very request made.
pub fn trace_of_operation(operation: OperationId) -> TraceId {
    let mut trace = [0; 16];
    trace[..8].copy_from_slice(&TRACE_MARK);
    trace[8..].copy_from_slice(&u64::from(operation.0).to_be_bytes());
    TraceId(trace)
}

pub fn operation_of_trace(trace: TraceId) -> Option<OperationId> {
    let (mark, number) = trace.0.split_first_chunk::<8>()?;
    if *mark != TRACE_MARK {
        return None;
    }
    let number = u64::from_be_bytes(number.try_into().ok()?);
    u32::try_from(number).ok().map(OperationId)
}

/// Format and length in bytes of the vote ids that the service gives out, and where their seal begins.
const VOTE_ID_FORMAT: u8 = 1;
const VOTE_ID_BYTES: usize = 23;
const VOTE_ID_SEAL_FROM: usize = 15;

/// Which vote an id that a client was told stands for: its event and its place in the log. Written afresh from what the
/// service says of its ids, without the key that seals them; none for a text of any other kind. The second simulator,
/// which has no HTTP, writes the three numbers out.
pub fn place_of_vote_id(text: &str) -> Option<(EventId, VotePosition)> {
    let mut numbers = text.splitn(3, '-');
    if let (Some(event), Some(index), Some(offset)) = (numbers.next(), numbers.next(), numbers.next())
        && let (Ok(event), Ok(index), Ok(offset)) = (event.parse(), index.parse(), offset.parse())
    {
        let index = LogIndex(index);
        return Some((EventId(event), VotePosition { index, offset }));
    }
    let bytes = from_base64(text).filter(|bytes| bytes.len() == VOTE_ID_BYTES)?;
    let (format, place) = bytes[..VOTE_ID_SEAL_FROM].split_first()?;
    if *format != VOTE_ID_FORMAT {
        return None;
    }
    let (event, place) = place.split_first_chunk::<4>()?;
    let (index, place) = place.split_first_chunk::<8>()?;
    let (offset, _) = place.split_first_chunk::<2>()?;
    let index = LogIndex(u64::from_be_bytes(*index));
    let offset = u16::from_be_bytes(*offset);
    Some((
        EventId(u32::from_be_bytes(*event)),
        VotePosition { index, offset },
    ))
}

/// Base64 for URLs, without padding (RFC 4648, §5); what is left over of the last character is not looked at.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = Vec::new();
    let (mut gathered, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let six = LETTERS.iter().position(|known| *known == letter)?;
        gathered = (gathered << 6 | u32::try_from(six).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(gathered >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// The contestant that an overload's submissions vote for: the first, whom every event has.
pub const OVERLOAD_CONTESTANT: ContestantIndex = ContestantIndex(0);

/// The voter of an overload's submission `place`. The submission has a timestamp and no key or trace of its own.
pub fn overload_voter(fault: FaultId, place: u32) -> VoterNumber {
    let first = u32::from(fault.0).saturating_mul(OVERLOAD_VOTERS_EACH);
    VoterNumber(first.saturating_add(OVERLOAD_VOTER_FIRST + place % OVERLOAD_VOTERS_EACH))
}

/// The overload that a voter belongs to, and the place in it.
pub fn overload_of_voter(voter: VoterNumber) -> Option<(FaultId, u32)> {
    let number = voter.0.checked_sub(OVERLOAD_VOTER_FIRST)?;
    let fault = u16::try_from(number / OVERLOAD_VOTERS_EACH).ok().map(FaultId)?;
    Some((fault, number % OVERLOAD_VOTERS_EACH))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vote_ids_of_both_simulators_lead_to_their_votes() {
        let place = |event, index, offset| {
            let index = LogIndex(index);
            Some((EventId(event), VotePosition { index, offset }))
        };
        assert_eq!(
            place_of_vote_id("AQAAAAEAAAAAAAAACwAAUd9DdFdfEqg"),
            place(1, 11, 0)
        );
        assert_eq!(place_of_vote_id("3-70-2"), place(3, 70, 2));
        for foreign in [
            "",
            "v2",
            "1-2",
            "1-2-3-4",
            "AgAAAAEAAAAAAAAACwAAUd9DdFdfEqg",
            "AQAAAAEAAAAAAAAACwAA",
        ] {
            assert_eq!(place_of_vote_id(foreign), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn names_lead_back(slot: u8, tag: u32, operation: u32, fault in 0u16..40_000, place in 0u32..100_000) {
            prop_assert_eq!(slot_of_event_name(&event_name(EventSlot(slot))), Some(EventSlot(slot)));
            let tag = SubmissionTag(tag);
            prop_assert_eq!(tag_of_client_timestamp(client_timestamp(tag)), Some(tag));
            let operation = OperationId(operation);
            prop_assert_eq!(operation_of_trace(trace_of_operation(operation)), Some(operation));
            let voter = overload_voter(FaultId(fault), place);
            prop_assert_eq!(overload_of_voter(voter), Some((FaultId(fault), place)));
        }

        #[test]
        fn foreign_names_lead_nowhere(name in ".{0,12}", trace: [u8; 16]) {
            let _ = place_of_vote_id(&name);
            if let Some(slot) = slot_of_event_name(&name) {
                prop_assert_eq!(event_name(slot), name);
            }
            prop_assert!(operation_of_trace(TraceId(trace)).is_none() || trace[..8] == TRACE_MARK);
        }
    }
}
