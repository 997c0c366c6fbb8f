//! A service at fault may say anything: whatever a history holds, it is judged, and nobody panics.

use ostraka_core::{Batch, Command, EventId, LogIndex, UnixMs};
use proptest::prelude::*;

use crate::case::Case;
use crate::evidence::Failure;
use crate::history::{
    Answer, Happening, History, Life, LoggedEntry, Record, Sight, Standings, Status, VoteStatus,
};
use crate::ids::{FaultId, NodeIndex, OperationId, Seed, SimMicros, ViewerIndex};
use crate::plan::Plan;
use crate::sometimes::Coverage;
use crate::testing::{Run, clean, created, maker, vote};
use crate::verdict::Judgement;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..12_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn standings() -> impl Strategy<Value = Standings> {
    let totals = prop::collection::vec(prop::option::of(number()), 0..4);
    (0..4_u32, status(), number(), totals).prop_map(|(event, status, version, totals)| Standings {
        event: EventId(event),
        status,
        version,
        totals,
    })
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Scheduled), Just(Status::Open), Just(Status::Closed)]
}

fn verdict() -> impl Strategy<Value = VoteStatus> {
    use VoteStatus::{Acked, Duplicate, Processed, RejectedClosed, RejectedNotOpen, RejectedOther};
    prop::sample::select(vec![
        Acked,
        Processed,
        Duplicate,
        RejectedNotOpen,
        RejectedClosed,
        RejectedOther,
    ])
}

fn answer() -> impl Strategy<Value = Answer> {
    let codes = vec![
        "event-not-found",
        "event-already-closed",
        "vote-not-found",
        "overloaded",
        "",
    ];
    let vote_id = || prop::sample::select(vec!["a", "b", ""]).prop_map(str::to_owned);
    prop_oneof![
        (0..4_u32).prop_map(|event| Answer::EventCreated {
            event: EventId(event)
        }),
        (0..4_u32, status(), number()).prop_map(|(event, status, version)| Answer::EventStatus {
            event: EventId(event),
            status,
            version
        }),
        (vote_id(), verdict()).prop_map(|(vote_id, status)| Answer::Vote { vote_id, status }),
        (vote_id(), verdict()).prop_map(|(vote_id, status)| Answer::Status { vote_id, status }),
        (standings(), any::<bool>()).prop_map(|(standings, linearizable)| Answer::Board {
            standings,
            linearizable
        }),
        (any::<u16>(), prop::sample::select(codes)).prop_map(|(status, code)| Answer::Refused {
            status,
            code: code.to_owned()
        }),
        Just(Answer::Unknown {
            reason: String::new()
        }),
        Just(Answer::Skipped),
    ]
}

fn sight() -> impl Strategy<Value = Sight> {
    let totals = prop::collection::vec((0..5_u16, number()), 0..4);
    prop_oneof![
        (any::<u8>(), prop::option::of(number())).prop_map(|(node, resumed_from)| Sight::Connected {
            node: NodeIndex(node),
            resumed_from
        }),
        standings().prop_map(Sight::Snapshot),
        standings().prop_map(Sight::Closed),
        (0..4_u32, status(), number(), number(), totals).prop_map(
            |(event, status, version, previous_version, totals)| {
                Sight::Tally {
                    event: EventId(event),
                    status,
                    version,
                    previous_version,
                    totals,
                }
            }
        ),
        Just(Sight::Disconnected),
    ]
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![
        Just(Life::Started),
        Just(Life::Ready),
        (number(), number()).prop_map(|(lost, kept)| Life::LostPower { lost, kept }),
        Just(Life::Killed),
        Just(Life::StoppedGracefully),
        Just(Life::Failed(String::new())),
        Just(Life::Replaced),
        number().prop_map(|term| Life::Leads { term }),
    ]
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let command = prop_oneof![
        (0..4_u8, prop::option::of(number()))
            .prop_map(|(slot, closes)| { created(slot, closes.map(|closes| closes % 20_000)) }),
        (0..3_u8, 98..104_u32, 0..9_u32, 0..40_u32).prop_map(|(slot, voter, tag, operation)| vote(
            slot,
            voter,
            tag,
            OperationId(operation)
        )),
        (0..4_u32).prop_map(|event| Command::CloseEvent {
            event: EventId(event),
            by: crate::names::OWNER,
            by_operator: true
        }),
        Just(Command::Tick),
    ];
    prop_oneof![
        4 => prop::collection::vec(command, 0..4).prop_map(|commands| Batch { commands }.encode()),
        1 => prop::collection::vec(any::<u8>(), 0..9),
    ]
}

fn happening() -> impl Strategy<Value = Happening> {
    let node = || prop_oneof![9 => 0..5_u8, 1 => any::<u8>()].prop_map(NodeIndex);
    let index = || number().prop_map(LogIndex);
    let operation = || (0..40_u32).prop_map(OperationId);
    let entry =
        (index(), 0..4_u64, number(), body()).prop_map(|(index, term, stamped_at, body)| LoggedEntry {
            index,
            term,
            stamped_at: UnixMs(stamped_at),
            body,
        });
    prop_oneof![
        1 => number().prop_map(|time| Happening::Formed { true_time: UnixMs(time) }),
        4 => operation().prop_map(|operation| Happening::Invoked { operation }),
        4 => (operation(), answer()).prop_map(|(operation, answer)| Happening::Answered { operation, answer }),
        4 => (0..9_u16, sight()).prop_map(|(viewer, sight)| Happening::Saw { viewer: ViewerIndex(viewer), sight }),
        1 => (0..4_u16, prop::option::of(node())).prop_map(|(fault, node)| Happening::FaultBegan { fault: FaultId(fault), node }),
        1 => (0..4_u16, number()).prop_map(|(fault, bites)| Happening::FaultEnded { fault: FaultId(fault), bites }),
        2 => (node(), life()).prop_map(|(node, life)| Happening::Node { node, life }),
        6 => (node(), entry).prop_map(|(node, entry)| Happening::Durable { node, entry }),
        1 => (node(), index()).prop_map(|(node, from)| Happening::Truncated { node, from }),
        1 => (node(), index(), number(), number()).prop_map(|(node, index, digest, bytes)| Happening::Snapshot { node, index, digest, bytes }),
        1 => Just(Happening::StormOver),
        2 => (node(), index(), prop::collection::vec(standings(), 0..3)).prop_map(|(node, applied, boards)| Happening::Settled { node, applied, boards }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    (number(), happening()).prop_map(|(at, what)| Record {
        at: SimMicros(at),
        what,
    })
}

fn judge_all(plan: &Plan, history: &History) -> Judgement {
    let case = Case::new(plan, history);
    let judgement = Judgement::of(&case);
    let coverage = Coverage::of(&case, &judgement);
    assert_eq!(coverage.runs, 1);
    judgement
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    #[test]
    fn nonsense_is_judged(seed in 0..50_u64, records in prop::collection::vec(record(), 0..60)) {
        judge_all(&Plan::of_seed(Seed(seed)), &History { records });
    }

    /// A run that is sound but for some records: closer to what a service at fault would do.
    #[test]
    fn sound_runs_with_some_nonsense_are_judged(
        strewn in prop::collection::vec((any::<prop::sample::Index>(), happening()), 1..12),
        dropped in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let Run { plan, mut history, .. } = clean();
        for (place, what) in strewn {
            let place = place.index(history.records.len());
            let at = history.records[place].at;
            history.records.insert(place, Record { at, what });
        }
        for place in dropped {
            history.records.remove(place.index(history.records.len()));
        }
        let judgement = judge_all(&plan, &history);
        let failure = Failure::new(maker(), "00ff".to_owned(), plan, judgement, history);
        let read = Failure::from_json(&failure.to_json()).map_err(|error| error.to_string());
        prop_assert_eq!(read, Ok(failure));
    }
}
