//! Planted mix-ups: answers, records and events that are another's.

use ostraka_core::{
    Command, ContestantIndex, EventKind, NewEvent, ResultsPolicy, SubmissionKey, VoterNumber,
};

use super::*;
use crate::ids::EventSlot;
use crate::names;
use crate::testing::created;

/// An event and a vote in it, told by the id that the second simulator gives such a vote.
fn one_vote() -> Run {
    let mut run = Run::new();
    run.after(100).create(0, None);
    let first = run.after(10).vote(0, 100, 1, VoteStatus::Processed);
    run.forge(first, answer("1-2-0", VoteStatus::Processed));
    run
}

#[test]
fn biographies_find_a_submission_under_the_key_of_another() {
    let mut run = Run::new();
    run.after(100).create(0, None);
    let unanswered = run.after(5).submission(0, 100, 1);
    let index = run.after(5).commit(vec![vote(0, 100, 1, unanswered)]);
    let unknown = Answer::Unknown {
        reason: "timeout".to_owned(),
    };
    run.after(400).answer(unanswered, unknown);
    let other = run.after(5).submission(0, 100, 2);
    let mut record = vote(0, 100, 2, other);
    if let Command::CastVote(vote) = &mut record {
        vote.key = SubmissionKey(1);
    }
    run.after(5).commit(vec![record]);
    run.after(5).told(other, index, VoteStatus::Processed);
    run.heal(1);
    finds(
        &run,
        Checker::Biographies,
        "submission 2 stands at entry 3 under the key of submission 1",
    );
}

#[test]
fn biographies_find_the_id_of_another_vote_that_nobody_was_told_of() {
    let mut run = one_vote();
    let unanswered = run.after(5).submission(0, 101, 2);
    run.after(5).commit(vec![vote(0, 101, 2, unanswered)]);
    run.after(400).answer(
        unanswered,
        Answer::Unknown {
            reason: "timeout".to_owned(),
        },
    );
    let other = run.after(5).vote(0, 102, 3, VoteStatus::Processed);
    run.forge(other, answer("1-4-0", VoteStatus::Processed));
    run.heal(1);
    assert_eq!(found(&run, Checker::Biographies), Vec::<String>::new());
    run.forge(other, answer("1-3-0", VoteStatus::Processed));
    finds(
        &run,
        Checker::Biographies,
        "submission 3 stands at entry 4, command 0, of e1, and was told the id of command 0 of entry 3 of e1",
    );
}

#[test]
fn durability_finds_a_status_of_another_vote() {
    let mut run = one_vote();
    let second = run.after(10).vote(0, 101, 2, VoteStatus::Processed);
    run.after(5).status(second, 3, VoteStatus::Processed);
    assert_eq!(found(&run, Checker::Durability), Vec::<String>::new());
    run.after(5).status(second, 2, VoteStatus::Processed);
    finds(
        &run,
        Checker::Durability,
        "was given the vote id v3, and whoever asked for its status was told of vote v2",
    );
}

/// A crowd for slot 0 from 500 ms on, and one of its votes at `at_ms`.
pub(super) fn crowd(at_ms: u64, event: u32, contestant: u16) -> Run {
    let mut run = one_vote();
    run.after(5).create(1, None);
    let fault = FaultId(0);
    run.plan.faults.push(Fault {
        id: fault,
        at_ms: SimMs(500),
        for_ms: SimMs(100),
        kind: FaultKind::Overload {
            slot: EventSlot(0),
            clients: 1,
            submissions: 5,
        },
    });
    let mut record = vote(0, 100, 1, OperationId(0));
    if let Command::CastVote(vote) = &mut record {
        vote.voter = names::overload_voter(fault, 3);
        vote.event = EventId(event);
        vote.contestant = ContestantIndex(contestant);
        vote.client_timestamp = Some(UnixMs(1));
        vote.trace = None;
    }
    let mut happenings = [(at_ms, Some(record)), (500, None)];
    happenings.sort_by_key(|(at, _)| *at);
    for (at, record) in happenings {
        run.now_ms = at;
        match record {
            Some(record) => drop(run.commit(vec![record])),
            None => drop(run.record(Happening::FaultBegan { fault, node: None })),
        }
    }
    run.after(100).record(Happening::FaultEnded { fault, bites: 1 });
    run.heal(2);
    run
}

#[test]
fn biographies_find_votes_of_a_crowd_that_it_never_sent() {
    let sound = found(&crowd(510, 1, 0), Checker::Biographies);
    assert_eq!(sound, Vec::<String>::new());
    for foreign in [crowd(510, 2, 0), crowd(510, 1, 1), crowd(490, 1, 0)] {
        finds(&foreign, Checker::Biographies, "and nobody submitted it");
    }
}

/// Two events; then somebody asks about the first, and is answered.
fn asked_about_the_first(action: Action, told: Answer) -> Run {
    let mut run = one_vote();
    run.after(10).create(1, None);
    let operation = run.after(5).invoke(action);
    run.after(5).answer(operation, told);
    run.heal(2);
    run
}

const FIRST: EventSlot = EventSlot(0);

fn standing(event: u32, status: Status, version: u64) -> Answer {
    Answer::EventStatus {
        event: EventId(event),
        status,
        version,
    }
}

#[test]
fn linearizability_finds_an_answer_about_another_event() {
    let mut run = one_vote();
    run.after(10).create(1, None);
    run.after(5).board(0, 2);
    let sound = found(&run, Checker::Linearizability);
    assert_eq!(sound, Vec::<String>::new());
    let asked = OperationId(3);
    board(&mut run, asked.0, |standings| {
        standings.event = EventId(2);
        standings.version = 3;
    });
    run.heal(2);
    finds(
        &run,
        Checker::Linearizability,
        "operation 3 asked about e1 and was answered about e2",
    );
    for action in [
        Action::OpenEvent { slot: FIRST },
        Action::CloseEvent { slot: FIRST },
    ] {
        finds(
            &asked_about_the_first(action, standing(2, Status::Open, 3)),
            Checker::Linearizability,
            "operation 3 asked about e1 and was answered about e2",
        );
    }
}

#[test]
fn linearizability_finds_openings_and_closings_that_are_said_and_not_done() {
    let sound = asked_about_the_first(Action::OpenEvent { slot: FIRST }, standing(1, Status::Open, 1));
    assert_eq!(found(&sound, Checker::Linearizability), Vec::<String>::new());
    let open_or_closed = [
        (
            Action::OpenEvent { slot: FIRST },
            Status::Scheduled,
            "operation 3 asked for e1 to be Open and was answered that it is Scheduled",
        ),
        (
            Action::CloseEvent { slot: FIRST },
            Status::Open,
            "operation 3 asked for e1 to be Closed and was answered that it is Open",
        ),
        (
            Action::CloseEvent { slot: FIRST },
            Status::Closed,
            "was answered that e1 is Closed at version 1, and it never was by the log",
        ),
    ];
    for (action, status, part) in open_or_closed {
        let run = asked_about_the_first(action, standing(1, status, 1));
        finds(&run, Checker::Linearizability, part);
    }
}

#[test]
fn linearizability_finds_an_opening_that_is_lost() {
    let mut run = one_vote();
    let opens_at_ms = Some(SimMs(10_000_000));
    let operation = run.after(5).invoke(creation(1, opens_at_ms));
    let mut scheduled = created(1, None);
    if let Command::CreateEvent(spec) = &mut scheduled {
        spec.opens_at = Some(UnixMs(START + 10_000_000));
    }
    let version = run.after(5).commit(vec![scheduled]);
    let event = EventId(2);
    run.after(5).answer(operation, Answer::EventCreated { event });
    let opening = run.after(5).invoke(Action::OpenEvent { slot: EventSlot(1) });
    run.after(5).answer(opening, standing(2, Status::Open, version));
    run.heal(2);
    finds(
        &run,
        Checker::Linearizability,
        "was answered that e2 is Open at version 3, and it never was by the log",
    );
}

#[test]
fn liveness_finds_a_fresh_leaderboard_of_another_event() {
    let mut run = one_vote();
    let old = run.standings(0, 2);
    run.heal(1);
    assert_eq!(found(&run, Checker::Liveness), Vec::<String>::new());
    board(&mut run, 5, |standings| *standings = old);
    finds(
        &run,
        Checker::Liveness,
        "the cluster has healed, and the fresh operation 5 got Some(Board",
    );
}

fn creation(slot: u8, opens_at_ms: Option<SimMs>) -> Action {
    Action::CreateEvent {
        slot: EventSlot(slot),
        contestants: 2,
        opens_at_ms,
        closes_at_ms: None,
        after_close: false,
    }
}

/// A run in which slot 0 is created as `change` makes it of what was asked for.
fn created_otherwise(change: impl FnOnce(&mut NewEvent)) -> Run {
    let mut run = Run::new();
    let operation = run.after(100).invoke(Action::CreateEvent {
        slot: FIRST,
        contestants: 2,
        opens_at_ms: None,
        closes_at_ms: Some(SimMs(20_000)),
        after_close: false,
    });
    let mut creation = created(0, Some(20_000));
    if let Command::CreateEvent(spec) = &mut creation {
        change(spec);
    }
    run.after(5).commit(vec![creation]);
    let event = EventId(1);
    run.after(5).answer(operation, Answer::EventCreated { event });
    run.after(5).vote(0, 100, 1, VoteStatus::Processed);
    run.heal(1);
    run
}

#[test]
fn biographies_find_an_event_that_is_not_as_it_was_asked_for() {
    let sound = created_otherwise(|_| {});
    assert_eq!(found(&sound, Checker::Biographies), Vec::<String>::new());
    let changes: [fn(&mut NewEvent); 6] = [
        |spec| spec.closes_at = Some(UnixMs(START + 25_000)),
        |spec| spec.opens_at = Some(UnixMs(START + 1)),
        |spec| spec.results = ResultsPolicy::AfterClose,
        |spec| spec.owner = VoterNumber(101),
        |spec| spec.kind = EventKind::Canary,
        |spec| drop(spec.contestants.pop()),
    ];
    for change in changes {
        finds(
            &created_otherwise(change),
            Checker::Biographies,
            "e1 was created by entry 1 as Wanted",
        );
    }
}

#[test]
fn biographies_find_an_event_that_nobody_asked_for() {
    let mut run = one_vote();
    let mut foreign = created(7, None);
    if let Command::CreateEvent(spec) = &mut foreign {
        spec.name = "an election that nobody called".to_owned();
    }
    run.after(5).commit(vec![foreign]);
    finds(
        &run,
        Checker::Biographies,
        "e2 was created by entry 3, and no operation asks for any such event",
    );
}
