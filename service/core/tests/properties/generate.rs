//! Random logs over a small world, so that retries, duplicates and closings meet often.

use ostraka_core::limits::BATCH_VOTES_MAX;
use ostraka_core::{
    Applied, Batch, Command, ContestantIndex, EntryMeta, EventId, EventKind, LogIndex, NewContestant,
    NewEvent, RequestKey, ResultsPolicy, State, SubmissionKey, TraceId, UnixMs, VoteRecord, VoterNumber,
};
use proptest::prelude::*;
use proptest::sample::select;

/// One entry of a log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) meta: EntryMeta,
    pub(crate) batch: Batch,
}

pub(crate) fn apply_all(state: &mut State, entries: &[Entry]) -> Vec<Applied> {
    entries
        .iter()
        .map(|entry| state.apply(entry.meta, &entry.batch))
        .collect()
}

pub(crate) fn snapshot_of(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    ostraka_core::snapshot::write(state, &mut bytes).expect("memory takes every byte");
    bytes
}

/// One or many commands.
#[derive(Clone, Debug)]
enum Step {
    One(Command),
    /// Voters of neighbouring numbers, one vote each: fills chunks.
    Crowd {
        first: u32,
        count: u32,
        event: EventId,
        key: u64,
    },
}

impl Step {
    fn commands(self) -> Vec<Command> {
        match self {
            Step::One(command) => vec![command],
            Step::Crowd {
                first,
                count,
                event,
                key,
            } => (first..first + count)
                .map(|voter| Command::CastVote(vote(voter, event.0, voter % 2, key)))
                .collect(),
        }
    }
}

pub(crate) fn vote(voter: u32, event: u32, contestant: u32, key: u64) -> VoteRecord {
    VoteRecord {
        voter: VoterNumber(voter),
        event: EventId(event),
        contestant: ContestantIndex(contestant as u16),
        key: SubmissionKey(key),
        client_timestamp: None,
        trace: None,
        trace_sampled: false,
    }
}

/// An event that is open from its creation until closed.
pub(crate) fn new_event(request: u128, kind: EventKind, contestants: usize) -> NewEvent {
    let contestant = |place: usize| NewContestant {
        name: format!("contestant {place}"),
        description: String::new(),
        image_url: String::new(),
    };
    NewEvent {
        request: RequestKey(request),
        owner: VoterNumber(1),
        name: format!("event {request}"),
        kind,
        results: ResultsPolicy::Live,
        opens_at: None,
        closes_at: None,
        contestants: (0..contestants).map(contestant).collect(),
    }
}

pub(crate) fn create(event: NewEvent) -> Command {
    Command::CreateEvent(Box::new(event))
}

pub(crate) fn entry(index: u64, stamped_at: u64, commands: Vec<Command>) -> Entry {
    let meta = EntryMeta {
        index: LogIndex(index),
        stamped_at: UnixMs(stamped_at),
    };
    Entry {
        meta,
        batch: Batch { commands },
    }
}

fn some_voter() -> impl Strategy<Value = u32> {
    // The first is a spammer; the others lie at the edges of chunks and pages, and far out.
    prop_oneof![
        3 => Just(1_u32),
        5 => select(vec![0, 2, 3, 4_095, 4_096, 4_097, 1_048_575, 1_048_576, 300_000_000, u32::MAX]),
    ]
}

fn some_event() -> impl Strategy<Value = EventId> {
    prop_oneof![
        8 => select(vec![1_u32, 1, 1, 1, 2, 3]),
        1 => select(vec![0, 4, 5, 6, u32::MAX]),
    ]
    .prop_map(EventId)
}

pub(crate) fn some_vote() -> impl Strategy<Value = VoteRecord> {
    let trace = any::<[u8; 16]>().prop_map(TraceId);
    let timestamp = any::<u64>().prop_map(UnixMs);
    (
        some_voter(),
        some_event(),
        select(vec![0_u32, 0, 1, 1, 2, 7]),
        prop_oneof![6 => 0_u64..4, 4 => 0_u64..40, 1 => any::<u64>()],
        proptest::option::of(timestamp),
        proptest::option::of(trace),
        any::<bool>(),
    )
        .prop_map(
            |(voter, event, contestant, key, client_timestamp, trace, trace_sampled)| VoteRecord {
                client_timestamp,
                trace,
                trace_sampled,
                ..vote(voter, event.0, contestant, key)
            },
        )
}

fn some_new_event() -> impl Strategy<Value = NewEvent> {
    (
        0_u128..6,
        prop_oneof![3 => Just(EventKind::Public), 1 => Just(EventKind::Canary)],
        prop_oneof![Just(ResultsPolicy::Live), Just(ResultsPolicy::AfterClose)],
        proptest::option::of((0_u64..160).prop_map(UnixMs)),
        proptest::option::of((20_u64..400).prop_map(UnixMs)),
        1_u32..4,
        prop_oneof![30 => select(vec![1_usize, 2, 2, 3, 3]), 1 => Just(0)],
        "[a-zé]{0,5}",
    )
        .prop_map(
            |(request, kind, results, opens_at, closes_at, owner, contestants, text)| {
                let mut event = new_event(request, kind, contestants);
                (event.owner, event.results) = (VoterNumber(owner), results);
                (event.opens_at, event.closes_at) = (opens_at, closes_at);
                event.name = text;
                event
            },
        )
}

pub(crate) fn some_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        20 => some_vote().prop_map(Command::CastVote),
        2 => some_new_event().prop_map(create),
        1 => (some_event(), 1_u32..4, any::<bool>())
            .prop_map(|(event, by, by_operator)| Command::OpenEvent { event, by: VoterNumber(by), by_operator }),
        // Rarer than votes by far, or most events would be closed most of the time.
        1 => (some_event(), 1_u32..4, prop::bool::weighted(0.1))
            .prop_map(|(event, by, by_operator)| Command::CloseEvent { event, by: VoterNumber(by), by_operator }),
        1 => Just(Command::Tick),
    ]
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => some_command().prop_map(Step::One),
        1 => (select(vec![1_u32, 600, 3_500]), prop_oneof![3 => 0_u32..50, 1 => 600_u32..1_300], some_event(), 0_u64..3)
            .prop_map(|(first, count, event, key)| Step::Crowd { first, count, event, key }),
    ]
}

/// A log of up to `entries_max` entries: indexes with gaps, stamps that mostly rise and sometimes fall back. It begins
/// with a few creations, so that it is about something.
pub(crate) fn some_log(entries_max: usize) -> impl Strategy<Value = Vec<Entry>> {
    let step = (1_u64..4, prop_oneof![5 => 0_i64..15, 1 => -40_i64..0]);
    let body = prop::collection::vec((step, prop::collection::vec(some_step(), 0..25)), 1..entries_max);
    (prop::collection::vec(some_new_event(), 1..4), body).prop_map(|(creations, body)| {
        let mut entries = vec![entry(1, 10, creations.into_iter().map(create).collect())];
        let (mut index, mut stamp) = (1, 10_i64);
        for ((index_step, stamp_step), steps) in body {
            index += index_step;
            stamp = (stamp + stamp_step).max(0);
            let mut commands: Vec<Command> = steps.into_iter().flat_map(Step::commands).collect();
            commands.truncate(BATCH_VOTES_MAX);
            entries.push(entry(index, stamp as u64, commands));
        }
        entries
    })
}
