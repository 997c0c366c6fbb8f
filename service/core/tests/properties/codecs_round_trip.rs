//! Batches and outcomes come back from their bytes as they were; other bytes are refused, without a panic and without
//! taking more memory than the bytes are worth.

use std::fmt::Debug;

use ostraka_core::codec::{BATCH_HEAD_BYTES, BATCH_VERSION, OUTCOMES_VERSION};
use ostraka_core::limits::{BATCH_BYTES_MAX, BATCH_VOTES_MAX, CONTESTANTS_PER_EVENT_MAX, NAME_BYTES_MAX};
use ostraka_core::outcome::{decode_outcomes, encode_outcomes};
use ostraka_core::{
    Batch, CodecError, Command, EventId, EventKind, EventRefusal, EventStatus, LogIndex, NewEvent, Outcome,
    RejectReason, TraceId, UnixMs, VoteOutcome, VotePosition, VoteVerdict,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::generate::{create, new_event, some_command, some_vote, vote};

/// Each with the number that it has in stored bytes for ever.
const REFUSALS: [(u8, EventRefusal); 9] = [
    (1, EventRefusal::EventNotFound),
    (2, EventRefusal::NotTheOwner),
    (3, EventRefusal::AlreadyClosed),
    (4, EventRefusal::TooManyEvents),
    (5, EventRefusal::ScheduleImpossible),
    (6, EventRefusal::OutsideLimits),
    (7, EventRefusal::OwnerHasTooManyEvents),
    (8, EventRefusal::OwnerEventsTooLarge),
    (9, EventRefusal::EventsTooLarge),
];

fn some_batch() -> impl Strategy<Value = Batch> {
    prop::collection::vec(some_command(), 0..40).prop_map(|commands| Batch { commands })
}

fn some_outcome() -> impl Strategy<Value = Outcome> {
    let position = (any::<u64>(), any::<u16>()).prop_map(|(index, offset)| VotePosition {
        index: LogIndex(index),
        offset,
    });
    let verdict = select(vec![
        VoteVerdict::Processed,
        VoteVerdict::Duplicate,
        VoteVerdict::Rejected(RejectReason::EventNotOpen),
        VoteVerdict::Rejected(RejectReason::EventClosed),
    ]);
    let status = select(vec![
        EventStatus::Scheduled,
        EventStatus::Open,
        EventStatus::Closed,
    ]);
    prop_oneof![
        any::<u32>().prop_map(|id| Outcome::EventCreated(EventId(id))),
        (any::<u32>(), status, any::<u64>()).prop_map(|(id, status, at)| Outcome::EventStatus {
            event: EventId(id),
            status,
            at: LogIndex(at)
        }),
        select(REFUSALS.map(|(_, refusal)| refusal).to_vec()).prop_map(Outcome::EventRefused),
        (position, verdict)
            .prop_map(|(position, verdict)| Outcome::Vote(VoteOutcome::Recorded { position, verdict })),
        select(vec![
            VoteOutcome::EventNotFound,
            VoteOutcome::ContestantNotFound,
            VoteOutcome::TooManySubmissions
        ])
        .prop_map(Outcome::Vote),
        Just(Outcome::Ticked),
    ]
}

/// Bytes that decode must be the only bytes of what they decode to: then nothing in them was passed over.
fn faithful<T: Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, CodecError>,
    encode: impl Fn(&T) -> Vec<u8>,
) -> Result<(), String> {
    match decode(bytes) {
        Ok(decoded) if encode(&decoded) != bytes => Err(format!("{decoded:?} is not these bytes")),
        _ => Ok(()),
    }
}

fn refused_or_faithful(bytes: &[u8]) -> Result<(), String> {
    faithful(bytes, Batch::decode, Batch::encode)?;
    faithful(bytes, decode_outcomes, |outcomes| encode_outcomes(outcomes))?;
    let room = Batch::decode(bytes).map_or(0, |batch| batch.commands.capacity());
    let room = room.max(decode_outcomes(bytes).map_or(0, |outcomes| outcomes.capacity()));
    if room > bytes.len() {
        return Err(format!("{} bytes took room for {room} commands", bytes.len()));
    }
    Ok(())
}

fn change(bytes: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    for (at, value) in changes {
        bytes[at.index(bytes.len())] = *value;
    }
}

proptest! {
    #[test]
    fn a_batch_comes_back(batch in some_batch()) {
        let bytes = batch.encode();
        prop_assert_eq!(bytes.len(), batch.encoded_len());
        prop_assert_eq!(Batch::decode(&bytes), Ok(batch));
    }

    #[test]
    fn outcomes_come_back(outcomes in prop::collection::vec(some_outcome(), 0..40)) {
        prop_assert_eq!(decode_outcomes(&encode_outcomes(&outcomes)), Ok(outcomes));
    }

    #[test]
    fn changed_bytes_are_refused_or_faithful(
        batch in some_batch(),
        outcomes in prop::collection::vec(some_outcome(), 0..40),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for mut bytes in [batch.encode(), encode_outcomes(&outcomes)] {
            change(&mut bytes, &changes);
            prop_assert_eq!(refused_or_faithful(&bytes), Ok(()));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_faithful(mut bytes in prop::collection::vec(any::<u8>(), 0..200), known: bool) {
        if known && bytes.len() > 4 {
            bytes[0] = BATCH_VERSION;
            bytes[2..5].fill(0);
        }
        prop_assert_eq!(refused_or_faithful(&bytes), Ok(()));
    }

    #[test]
    fn a_cut_or_lengthened_batch_is_refused(batch in some_batch(), cut: prop::sample::Index, more in 1_usize..9) {
        let mut bytes = batch.encode();
        prop_assert_eq!(Batch::decode(&bytes[..cut.index(bytes.len())]), Err(CodecError::EndsEarly));
        bytes.resize(bytes.len() + more, 0);
        prop_assert_eq!(Batch::decode(&bytes), Err(CodecError::TrailingBytes(more)));
    }

    #[test]
    fn a_vote_takes_the_bytes_of_what_it_says(vote in some_vote()) {
        let timestamp = if vote.client_timestamp.is_some() { 8 } else { 0 };
        let trace = if vote.trace.is_some() { 16 } else { 0 };
        prop_assert_eq!(Command::CastVote(vote).encoded_len(), 19 + timestamp + trace);
    }
}

/// The bytes are a contract: this fails when the layout of version 1 changes.
#[test]
fn version_1_is_these_bytes() {
    let mut cast = vote(0x0403_0201, 7, 3, 0x1817_1615_1413_1211);
    cast.client_timestamp = Some(UnixMs(5));
    cast.trace = Some(TraceId([0xaa; 16]));
    cast.trace_sampled = true;
    let (event, by) = (EventId(9), cast.voter);
    let close = Command::CloseEvent {
        event,
        by,
        by_operator: true,
    };
    let bytes = Batch {
        commands: vec![Command::CastVote(cast), close, Command::Tick],
    }
    .encode();
    let expected = [
        &[1, 3, 0, 0, 0][..],
        &[
            0x74, 1, 2, 3, 4, 7, 0, 0, 0, 3, 0, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        ],
        &[5, 0, 0, 0, 0, 0, 0, 0],
        &[0xaa; 16],
        &[0x13, 9, 0, 0, 0, 1, 2, 3, 4],
        &[5],
    ];
    assert_eq!(bytes, expected.concat());
    let outcomes = [Outcome::Ticked, Outcome::EventRefused(EventRefusal::NotTheOwner)];
    assert_eq!(encode_outcomes(&outcomes), [1, 2, 0, 0, 0, 4, 3, 2]);
}

#[test]
fn every_refusal_is_these_bytes_and_the_next_number_is_nobodys() {
    for (code, refusal) in REFUSALS {
        let outcomes = vec![Outcome::EventRefused(refusal)];
        let bytes = [1, 1, 0, 0, 0, 3, code];
        assert_eq!(encode_outcomes(&outcomes), bytes);
        assert_eq!(decode_outcomes(&bytes), Ok(outcomes));
    }
    let unknown = decode_outcomes(&[1, 1, 0, 0, 0, 3, REFUSALS.len() as u8 + 1]);
    assert!(matches!(unknown, Err(CodecError::UnknownCode { found: 10, .. })));
}

#[test]
fn other_versions_and_codes_are_refused() {
    let mut bytes = Batch {
        commands: vec![Command::Tick],
    }
    .encode();
    bytes[0] = BATCH_VERSION + 1;
    assert!(matches!(
        Batch::decode(&bytes),
        Err(CodecError::UnknownVersion {
            found: 2,
            known: 1,
            ..
        })
    ));
    assert!(matches!(
        decode_outcomes(&[OUTCOMES_VERSION + 1]),
        Err(CodecError::UnknownVersion { .. })
    ));
    bytes[0] = BATCH_VERSION;
    // Code 6 is nobody's, and a tick has no flags.
    for command in [0, 6, 15, 0x15, 0x85] {
        bytes[BATCH_HEAD_BYTES] = command;
        assert!(
            matches!(Batch::decode(&bytes), Err(CodecError::UnknownCode { .. })),
            "{command}"
        );
    }
}

#[test]
fn what_is_over_a_limit_is_refused() {
    let refused = |commands: Vec<Command>| {
        let over = Batch::decode(&Batch { commands }.encode());
        assert!(matches!(over, Err(CodecError::OverLimit { .. })), "{over:?}");
    };
    refused(vec![Command::Tick; BATCH_VOTES_MAX + 1]);
    refused(vec![create(new_event(
        1,
        EventKind::Public,
        CONTESTANTS_PER_EVENT_MAX + 1,
    ))]);
    let mut named = new_event(1, EventKind::Public, 1);
    named.name = "x".repeat(NAME_BYTES_MAX + 1);
    refused(vec![create(named)]);
    let mut long = new_event(1, EventKind::Public, CONTESTANTS_PER_EVENT_MAX);
    for contestant in &mut long.contestants {
        contestant.description = "x".repeat(BATCH_BYTES_MAX / CONTESTANTS_PER_EVENT_MAX);
    }
    refused(vec![create(long)]);
    assert!(
        Batch::decode(
            &Batch {
                commands: vec![Command::Tick; BATCH_VOTES_MAX]
            }
            .encode()
        )
        .is_ok()
    );
}

/// A count that the bytes cannot hold is refused before memory is taken for it.
#[test]
fn a_count_without_bytes_is_refused() {
    let mut bytes = vec![BATCH_VERSION];
    bytes.extend_from_slice(&(BATCH_VOTES_MAX as u32).to_le_bytes());
    assert_eq!(Batch::decode(&bytes), Err(CodecError::EndsEarly));
    let empty = NewEvent {
        contestants: Vec::new(),
        ..new_event(1, EventKind::Public, 0)
    };
    let mut bytes = Batch {
        commands: vec![create(empty)],
    }
    .encode();
    let count_at = bytes.len() - 4;
    bytes[count_at..].copy_from_slice(&(CONTESTANTS_PER_EVENT_MAX as u32).to_le_bytes());
    assert_eq!(Batch::decode(&bytes), Err(CodecError::EndsEarly));
}

#[test]
fn a_decoder_that_passes_bytes_over_is_seen() {
    let bytes = Batch {
        commands: vec![Command::Tick],
    }
    .encode();
    let mut longer = bytes.clone();
    longer.push(7);
    let careless = |bytes: &[u8]| Batch::decode(&bytes[..bytes.len().min(BATCH_HEAD_BYTES + 1)]);
    assert_eq!(faithful(&bytes, careless, Batch::encode), Ok(()));
    assert!(faithful(&longer, careless, Batch::encode).is_err());
    assert_eq!(refused_or_faithful(&longer), Ok(()));
}
