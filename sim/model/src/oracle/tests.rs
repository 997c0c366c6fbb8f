use ostraka_core::{ContestantIndex, EventKind, NewContestant, ResultsPolicy};

use super::*;
use crate::history::{LoggedEntry, Status};

fn created(request: u128, opens_at: Option<u64>, closes_at: Option<u64>) -> Command {
    let contestant = |name: &str| NewContestant {
        name: name.to_string(),
        description: String::new(),
        image_url: String::new(),
    };
    Command::CreateEvent(Box::new(NewEvent {
        request: RequestKey(request),
        owner: VoterNumber(1),
        name: format!("slot-{request}"),
        kind: EventKind::Public,
        results: ResultsPolicy::Live,
        opens_at: opens_at.map(UnixMs),
        closes_at: closes_at.map(UnixMs),
        contestants: vec![contestant("Ada"), contestant("Bo")],
    }))
}

fn vote(event: u32, voter: u32, key: u64, contestant: u16) -> Command {
    Command::CastVote(VoteRecord {
        voter: VoterNumber(voter),
        event: EventId(event),
        contestant: ContestantIndex(contestant),
        key: SubmissionKey(key),
        client_timestamp: None,
        trace: None,
        trace_sampled: false,
    })
}

fn close(event: u32, by: u32) -> Command {
    Command::CloseEvent {
        event: EventId(event),
        by: VoterNumber(by),
        by_operator: false,
    }
}

/// Entries are numbered from 1; each has its stamp.
fn oracle(entries: Vec<(u64, Vec<Command>)>) -> Oracle {
    let logged: Vec<LoggedEntry> = entries
        .into_iter()
        .zip(1..)
        .map(|((stamp, commands), index)| LoggedEntry {
            index: LogIndex(index),
            term: 1,
            stamped_at: UnixMs(stamp),
            body: Batch { commands }.encode(),
        })
        .collect();
    let log = CommittedLog {
        entries: logged.iter().map(|entry| (entry.index.0, entry)).collect(),
        ..CommittedLog::default()
    };
    Oracle::of(&log)
}

fn rulings(oracle: &Oracle) -> Vec<Ruling> {
    oracle.votes.iter().map(|vote| vote.ruling).collect()
}

fn place(index: u64, offset: u16) -> VotePosition {
    VotePosition {
        index: LogIndex(index),
        offset,
    }
}

use Ruling::{First, Retry};
use VoteStatus::{Duplicate, Processed, RejectedClosed, RejectedNotOpen};

#[test]
fn the_first_vote_of_a_voter_counts_and_a_retry_gets_its_outcome() {
    let oracle = oracle(vec![
        (10, vec![created(1, None, None)]),
        (
            11,
            vec![
                vote(1, 7, 1, 0),
                vote(1, 7, 1, 0),
                vote(1, 8, 1, 1),
                vote(1, 7, 2, 1),
            ],
        ),
        (12, vec![vote(1, 7, 2, 1), vote(1, 9, 1, 2), vote(5, 9, 1, 0)]),
    ]);
    let retry = |first, verdict| Retry { first, verdict };
    assert_eq!(
        rulings(&oracle),
        [
            First(Processed),
            retry(place(2, 0), Processed),
            First(Processed),
            First(Duplicate),
            retry(place(2, 3), Duplicate),
            Ruling::NoSuchContestant,
            Ruling::NoSuchEvent,
        ]
    );
    let event = &oracle.events[&EventId(1)];
    assert_eq!(event.slot.map(|slot| slot.0), Some(1));
    let versions: Vec<_> = event
        .versions
        .iter()
        .map(|(version, (_, totals))| (*version, totals.clone()))
        .collect();
    assert_eq!(versions, [(1, vec![0, 0]), (2, vec![1, 1])]);
    assert_eq!(oracle.counted(), 2);
}

#[test]
fn a_closing_by_hand_cuts_between_two_commands_of_one_entry() {
    let oracle = oracle(vec![
        (
            10,
            vec![
                created(1, None, None),
                created(1, None, None),
                created(2, None, None),
            ],
        ),
        (
            11,
            vec![
                vote(1, 7, 1, 0),
                close(1, 2),
                vote(1, 8, 1, 0),
                close(1, 1),
                vote(1, 9, 1, 0),
                vote(1, 7, 2, 0),
            ],
        ),
        (12, vec![vote(1, 9, 1, 0)]),
    ]);
    assert_eq!(oracle.events.len(), 2, "one event a request");
    let event = &oracle.events[&EventId(1)];
    assert_eq!(event.closed, Some(place(2, 3)), "not by one who is not the owner");
    assert!(event.closed_by_hand);
    assert_eq!(
        event.standings_at(2).map(|seen| (seen.status, seen.totals)),
        Some((Status::Closed, vec![Some(2), Some(0)]))
    );
    let expected = [
        First(Processed),
        First(Processed),
        First(RejectedClosed),
        First(Duplicate),
        Retry {
            first: place(2, 4),
            verdict: RejectedClosed,
        },
    ];
    assert_eq!(rulings(&oracle), expected);
}

#[test]
fn schedules_go_by_the_newest_stamp_and_time_never_runs_back() {
    let oracle = oracle(vec![
        (100, vec![created(1, Some(200), Some(300))]),
        (150, vec![vote(1, 7, 1, 0)]),
        (250, vec![vote(1, 7, 1, 0), vote(1, 7, 2, 0)]),
        (90, vec![vote(1, 8, 1, 0)]),
        (300, vec![vote(1, 9, 1, 0)]),
        (
            120,
            vec![
                vote(1, 10, 1, 0),
                Command::OpenEvent {
                    event: EventId(1),
                    by: VoterNumber(1),
                    by_operator: true,
                },
            ],
        ),
    ]);
    let expected = [
        First(RejectedNotOpen),
        Retry {
            first: place(2, 0),
            verdict: RejectedNotOpen,
        },
        First(Processed),
        First(Processed),
        First(RejectedClosed),
        First(RejectedClosed),
    ];
    assert_eq!(rulings(&oracle), expected);
    let event = &oracle.events[&EventId(1)];
    assert_eq!(
        (event.opened, event.closed),
        (Some(place(3, 0)), Some(place(5, 0)))
    );
    assert_eq!(event.versions.keys().copied().collect::<Vec<_>>(), [1, 3, 4, 5]);
    assert_eq!(
        (event.version(), event.version_after(3), event.version_after(5)),
        (5, Some(4), None)
    );
    assert_eq!(oracle.stamps_back, 2);
}

#[test]
fn impossible_schedules_make_no_event() {
    let oracle = oracle(vec![(
        100,
        vec![
            created(1, None, Some(100)),
            created(2, Some(500), Some(400)),
            created(3, Some(50), Some(101)),
        ],
    )]);
    let slots: Vec<_> = oracle
        .events
        .values()
        .map(|event| (event.slot.map(|slot| slot.0), event.status))
        .collect();
    assert_eq!(slots, [(Some(3), Status::Open)]);
}

#[test]
fn sixteen_further_submissions_are_remembered() {
    let mut commands: Vec<Command> = (0..20).map(|key| vote(1, 7, key, 0)).collect();
    commands.insert(0, created(1, None, None));
    let oracle = oracle(vec![(1, commands)]);
    let rulings = rulings(&oracle);
    assert_eq!(rulings[0], First(Processed));
    assert!(rulings[1..17].iter().all(|ruling| *ruling == First(Duplicate)));
    assert!(rulings[17..].iter().all(|ruling| *ruling == Ruling::TooMany));
    assert_eq!(oracle.votes[17].ruling.told(oracle.votes[17].position), None);
}

#[test]
fn hidden_totals_show_when_the_event_is_closed() {
    let mut hidden = created(1, None, None);
    if let Command::CreateEvent(spec) = &mut hidden {
        spec.results = ResultsPolicy::AfterClose;
    }
    let oracle = oracle(vec![
        (1, vec![hidden]),
        (2, vec![vote(1, 7, 1, 0)]),
        (3, vec![close(1, 1)]),
    ]);
    let event = &oracle.events[&EventId(1)];
    assert_eq!(
        event.standings_at(2).map(|seen| seen.totals),
        Some(vec![None, None])
    );
    assert_eq!(
        event.standings_at(3).map(|seen| seen.totals),
        Some(vec![Some(1), Some(0)])
    );
    assert_eq!(event.standings_at(4), None);
}

#[test]
fn what_is_no_batch_is_said_so() {
    let entry = LoggedEntry {
        index: LogIndex(1),
        term: 1,
        stamped_at: UnixMs(1),
        body: vec![250, 1, 2],
    };
    let log = CommittedLog {
        entries: [(1, &entry)].into(),
        ..CommittedLog::default()
    };
    assert_eq!(Oracle::of(&log).unreadable, [LogIndex(1)]);
}
