//! Planted lies to one of a crowd, and records that no run can have made.

use super::foreign::crowd;
use super::*;
use crate::history::Record;
use crate::ids::EventSlot;
use crate::plan::Action;

/// The vote of the crowd's place 3 stands at entry 4 of the log; this is what the voter of `place` was told.
fn told(place: u32, answer: Answer) -> Run {
    let mut run = crowd(510, 1, 0);
    let is_end = |record: &Record| matches!(record.what, Happening::FaultEnded { .. });
    let end = run.history.records.iter().position(is_end).expect("it ends");
    let record = Record {
        at: run.history.records[end].at,
        what: Happening::CrowdAnswered {
            fault: FaultId(0),
            place,
            answer,
        },
    };
    run.history.records.insert(end, record);
    run
}

#[test]
fn what_a_crowd_was_told_is_held_against_the_log() {
    let sound = told(3, answer("1-4-0", VoteStatus::Processed));
    for checker in [Checker::Biographies, Checker::Durability] {
        assert_eq!(found(&sound, checker), Vec::<String>::new());
        let without = crowd(510, 1, 0).check(checker).compared;
        assert!(
            sound.check(checker).compared > without,
            "{checker:?} did not look"
        );
    }
    finds(
        &told(3, answer("1-4-0", VoteStatus::Duplicate)),
        Checker::Biographies,
        "voter 3 of overload 0 was told Duplicate, and the log says Processed",
    );
    for other in ["1-3-0", "2-4-0", "1-4-1", "v4"] {
        finds(
            &told(3, answer(other, VoteStatus::Processed)),
            Checker::Biographies,
            "which is not that of command 0 of entry 4",
        );
    }
    let refused = Answer::Refused {
        status: 503,
        code: "overloaded".to_owned(),
    };
    finds(
        &told(3, refused.clone()),
        Checker::Biographies,
        "voter 3 of overload 0 was refused as overloaded, and is in the log",
    );
    assert_eq!(
        found(&told(2, refused), Checker::Biographies),
        Vec::<String>::new()
    );
}

#[test]
fn a_crowd_is_refused_for_being_one_and_for_nothing_else() {
    let refused = |status, code: &str| {
        let code = code.to_owned();
        told(2, Answer::Refused { status, code })
    };
    assert_eq!(
        found(&refused(503, "overloaded"), Checker::Liveness),
        Vec::<String>::new()
    );
    let mut unreached = refused(0, "unreachable");
    felt(&mut unreached, 0);
    assert_eq!(found(&unreached, Checker::Liveness), Vec::<String>::new());
    for (status, code) in [
        (500, "internal"),
        (401, "invalid-token"),
        (404, "event-not-found"),
    ] {
        finds(
            &refused(status, code),
            Checker::Liveness,
            &format!("voter 2 of overload 0 was refused as {status} {code}, and nothing"),
        );
    }
}

#[test]
fn an_acknowledged_vote_of_a_crowd_that_is_in_no_log_is_lost() {
    finds(
        &told(2, answer("1-4-0", VoteStatus::Processed)),
        Checker::Durability,
        "voter 2 of overload 0 was acknowledged as 1-4-0 and is lost",
    );
}

#[test]
fn an_acknowledged_vote_of_a_crowd_was_on_a_quorum_of_disks_by_then() {
    let mut early = told(3, answer("1-4-0", VoteStatus::Processed));
    let is_told = |record: &Record| matches!(record.what, Happening::CrowdAnswered { .. });
    let place = early.history.records.iter().position(is_told).expect("told");
    let mut record = early.history.records.remove(place);
    let is_begin = |record: &Record| matches!(record.what, Happening::FaultBegan { .. });
    let begin = early
        .history
        .records
        .iter()
        .position(is_begin)
        .expect("it begins");
    record.at = early.history.records[begin].at;
    early.history.records.insert(begin + 1, record);
    finds(
        &early,
        Checker::Durability,
        "voter 3 of overload 0 was acknowledged as 1-4-0, and entry 4 was on a quorum of disks 10000 µs later",
    );
}

#[test]
fn an_operation_is_sent_and_answered_once() {
    let mut run = clean();
    let operation = run.submission(0, 105, 50);
    run.record(Happening::Invoked { operation });
    finds(&run, Checker::Biographies, "was sent or answered out of its turn");

    let mut run = clean();
    let first = run.history.records.iter().find_map(|record| match &record.what {
        Happening::Answered { operation, answer } => Some((*operation, answer.clone())),
        _ => None,
    });
    let (operation, answer) = first.expect("somebody is answered");
    run.answer(operation, answer);
    finds(&run, Checker::Biographies, "was sent or answered out of its turn");

    let mut run = clean();
    let unsent = OperationId(9_999);
    run.answer(unsent, answer_of_none());
    finds(
        &run,
        Checker::Biographies,
        "operation 9999 was sent or answered out of its turn",
    );
    for what in [
        Happening::Invoked { operation: unsent },
        Happening::Answered {
            operation: unsent,
            answer: Answer::Skipped,
        },
    ] {
        let mut run = clean();
        run.record(what);
        finds(
            &run,
            Checker::Biographies,
            "operation 9999 was sent or answered out of its turn",
        );
    }
}

/// A look at an event's standings, skipped as soon as it was due.
fn skipped(slot: u8, is_sent: bool) -> (Run, OperationId) {
    let mut run = clean();
    let operation = run.invoke(Action::Leaderboard {
        slot: EventSlot(slot),
    });
    if !is_sent {
        run.history.records.pop();
    }
    run.answer(operation, Answer::Skipped);
    (run, operation)
}

#[test]
fn only_what_could_not_be_sent_is_skipped() {
    let out_of_turn = "was sent or answered out of its turn";
    let (mut unknown, operation) = skipped(9, false);
    assert_eq!(found(&unknown, Checker::Biographies), Vec::<String>::new());
    // Once, and it is not sent after all.
    let mut again = unknown.clone();
    again.answer(operation, Answer::Skipped);
    finds(&again, Checker::Biographies, out_of_turn);
    unknown.record(Happening::Invoked { operation });
    finds(&unknown, Checker::Biographies, out_of_turn);
    finds(&skipped(9, true).0, Checker::Biographies, out_of_turn);
    // The event's id was known, and had been for long.
    finds(&skipped(0, false).0, Checker::Biographies, out_of_turn);
}

fn answer_of_none() -> Answer {
    answer("1-1-0", VoteStatus::Processed)
}

/// Says how often the crowd was felt.
fn felt(run: &mut Run, count: u64) {
    for record in &mut run.history.records {
        if let Happening::FaultEnded { bites, .. } = &mut record.what {
            *bites = count;
        }
    }
}

#[test]
fn a_crowd_has_as_many_answers_as_it_was_felt() {
    let mut more = told(3, answer("1-4-0", VoteStatus::Processed));
    assert_eq!(found(&more, Checker::Liveness), Vec::<String>::new());
    felt(&mut more, 2);
    finds(
        &more,
        Checker::Liveness,
        "overload 0 was felt 2 times, and 1 of its crowd were told something",
    );
}

#[test]
fn a_crowd_whose_vote_is_written_down_is_answered_in_time() {
    let mut run = crowd(510, 1, 0);
    felt(&mut run, 0);
    // Its fault ends before the patience of a client, so nobody can be blamed.
    assert_eq!(found(&run, Checker::Liveness), Vec::<String>::new());
    run.plan.knobs.client_patience_ms = SimMs(80);
    let silent = "nothing else disturbed the cluster, and voter 3 of overload 0 was told nothing of its vote";
    finds(&run, Checker::Liveness, silent);
    // Where something else did, there may be a reason.
    run.plan.faults.push(crate::plan::Fault {
        id: FaultId(1),
        at_ms: SimMs(550),
        for_ms: SimMs(10),
        kind: crate::plan::FaultKind::Loss { ppm: 1 },
    });
    let end = run
        .history
        .records
        .iter()
        .position(|record| matches!(record.what, Happening::FaultEnded { .. }));
    let end = end.expect("it ends");
    let at = run.history.records[end].at;
    let fault = FaultId(1);
    for what in [
        Happening::FaultEnded { fault, bites: 1 },
        Happening::FaultBegan { fault, node: None },
    ] {
        run.history.records.insert(end, Record { at, what });
    }
    assert_eq!(found(&run, Checker::Liveness), Vec::<String>::new());
}
