//! What is voted in where something is measured: one event, and voters who are no neighbours.

use ostraka_core::{
    Batch, Command, ContestantIndex, EventId, EventKind, NewContestant, NewEvent, RequestKey, ResultsPolicy,
    SubmissionKey, UnixMs, VoteRecord, VoterNumber,
};

pub(crate) const EVENT: EventId = EventId(1);
const CONTESTANTS: u64 = 26;
/// Prime, and far from every power of two: its multiples visit each voter once, and no two neighbours in a row.
const STRIDE: u64 = 1_000_000_007;

/// The entry that creates the event.
pub(crate) fn created() -> Batch {
    let contestant = |place: u64| NewContestant {
        name: format!("contestant {place}"),
        description: String::new(),
        image_url: String::new(),
    };
    Batch {
        commands: vec![Command::CreateEvent(Box::new(NewEvent {
            request: RequestKey(1),
            owner: VoterNumber(1),
            name: "the final".to_owned(),
            kind: EventKind::Public,
            results: ResultsPolicy::Live,
            opens_at: None,
            closes_at: None,
            contestants: (0..CONTESTANTS).map(contestant).collect(),
        }))],
    }
}

/// Which of so many comes as the one of that number, from 0.
pub(crate) fn scattered(number: u64, of: u64) -> u64 {
    number * STRIDE % of
}

/// The vote of that number, by the voter who comes at that place, from 0.
pub(crate) fn vote(number: u64, place: u64) -> VoteRecord {
    let voter = place + 1;
    VoteRecord {
        voter: VoterNumber(voter as u32),
        event: EVENT,
        contestant: ContestantIndex((voter % CONTESTANTS) as u16),
        // As a keyed hash spreads them.
        key: SubmissionKey(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        client_timestamp: Some(UnixMs(1_700_000_000_000 + number / 100)),
        trace: None,
        trace_sampled: false,
    }
}
