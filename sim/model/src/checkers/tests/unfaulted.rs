//! Planted records that no honest run has: deaths of nothing, answers without end, what nobody asked, what was told twice.

use super::foreign::crowd;
use super::*;
use crate::history::Record;

fn at(run: &mut Run, ms: u64, what: Happening) {
    let at = SimMicros(ms * 1_000);
    let place = run.history.records.partition_point(|record| record.at <= at);
    run.history.records.insert(place, Record { at, what });
}

fn dies(life: Life) -> Happening {
    Happening::Node {
        node: NodeIndex(1),
        life,
    }
}

/// A clean run with a fault of such a kind from 100 to 200 ms, which hits node 2, and a death at that time.
fn dead(kind: FaultKind, life: Life, ms: u64, node: u8) -> Run {
    let mut run = clean();
    run.plan.faults.push(Fault {
        id: FaultId(0),
        at_ms: SimMs(100),
        for_ms: SimMs(100),
        kind,
    });
    let (fault, node) = (FaultId(0), Some(NodeIndex(node)));
    at(&mut run, 100, Happening::FaultBegan { fault, node });
    at(&mut run, 200, Happening::FaultEnded { fault, bites: 1 });
    at(&mut run, ms, dies(life));
    run
}

fn is_of_a_fault(run: &Run) -> bool {
    !found(run, Checker::Liveness)
        .iter()
        .any(|sentence| sentence.contains("and no fault of the plan did that to it then"))
}

#[test]
fn liveness_finds_who_dies_of_nothing() {
    let target = Target::Leader;
    let lost = || Life::LostPower { lost: 1, kept: 0 };
    let kill = || FaultKind::Kill { target };
    let looped = || FaultKind::CrashLoop {
        target,
        period_ms: SimMs(40),
    };
    let cut = || FaultKind::PowerCut { target, kept: 0 };
    assert!(is_of_a_fault(&dead(kill(), Life::Killed, 100, 1)));
    assert!(is_of_a_fault(&dead(looped(), Life::Killed, 140, 1)));
    assert!(is_of_a_fault(&dead(cut(), lost(), 100, 1)));
    assert!(is_of_a_fault(&dead(
        FaultKind::Blackout { kept: 0 },
        lost(),
        100,
        0
    )));
    assert!(is_of_a_fault(&dead(
        FaultKind::Rot { target },
        Life::Replaced,
        900,
        1
    )));
    assert!(is_of_a_fault(&dead(
        FaultKind::Restart { target },
        Life::StoppedGracefully,
        900,
        1
    )));
    // Another node's, at another time, of another kind, of none at all.
    assert!(!is_of_a_fault(&dead(kill(), Life::Killed, 100, 2)));
    assert!(!is_of_a_fault(&dead(kill(), Life::Killed, 150, 1)));
    assert!(!is_of_a_fault(&dead(looped(), Life::Killed, 240, 1)));
    assert!(!is_of_a_fault(&dead(kill(), lost(), 100, 1)));
    assert!(!is_of_a_fault(&dead(cut(), Life::Killed, 100, 1)));
    assert!(!is_of_a_fault(&dead(kill(), Life::Replaced, 900, 1)));
    for life in [Life::Killed, lost(), Life::Replaced, Life::StoppedGracefully] {
        let mut run = clean();
        run.record(dies(life));
        assert!(!is_of_a_fault(&run));
    }
}

/// The last of what a clean run asks in the storm, answered so much later, with or without a fault.
fn late(waited_ms: u64, is_disturbed: bool) -> Run {
    let mut run = clean();
    run.plan.knobs.client_patience_ms = SimMs(400);
    let operation = run.submission(0, 100, 1);
    if is_disturbed {
        run.plan.faults.push(Fault {
            id: FaultId(0),
            at_ms: SimMs(run.now_ms),
            for_ms: SimMs(1),
            kind: FaultKind::Loss { ppm: 1 },
        });
        let (fault, node) = (FaultId(0), None);
        run.record(Happening::FaultBegan { fault, node });
        run.record(Happening::FaultEnded { fault, bites: 1 });
    }
    run.after(waited_ms).told(operation, 2, VoteStatus::Processed);
    run
}

#[test]
fn liveness_finds_an_answer_that_outlasts_the_clients_patience() {
    for (longest_ms, is_disturbed) in [(1_800, false), (2_200, true)] {
        let in_time = found(&late(longest_ms, is_disturbed), Checker::Liveness);
        assert_eq!(in_time, Vec::<String>::new());
        let sentence = format!("and a client whose patience is 400 ms has none left after {longest_ms}");
        finds(&late(longest_ms + 1, is_disturbed), Checker::Liveness, &sentence);
    }
}

/// A crowd whose voter of place 3 is written down at 510 ms, and is told this at that time; its fault ends at 610 ms.
fn told(ms: u64, place: u32, answer: Answer) -> Run {
    let mut run = crowd(510, 1, 0);
    run.plan.knobs.client_patience_ms = SimMs(80);
    let fault = FaultId(0);
    at(&mut run, ms, Happening::CrowdAnswered { fault, place, answer });
    run
}

fn unknown() -> Answer {
    Answer::Unknown {
        reason: "no answer in time".to_owned(),
    }
}

#[test]
fn liveness_finds_a_crowd_that_is_told_twice_or_unasked() {
    let processed = || answer("1-4-0", VoteStatus::Processed);
    let sound = told(520, 3, processed());
    assert_eq!(found(&sound, Checker::Liveness), Vec::<String>::new());
    let unasked = "was told what it did not ask, or told twice";
    let mut twice = sound.clone();
    let (fault, place) = (FaultId(0), 3);
    at(
        &mut twice,
        530,
        Happening::CrowdAnswered {
            fault,
            place,
            answer: processed(),
        },
    );
    finds(&twice, Checker::Liveness, unasked);
    finds(&told(520, 5, unknown()), Checker::Liveness, unasked);
    finds(&told(499, 3, processed()), Checker::Liveness, unasked);
    let fault = FaultId(7);
    at(
        &mut twice,
        530,
        Happening::CrowdAnswered {
            fault,
            place,
            answer: processed(),
        },
    );
    finds(
        &twice,
        Checker::Liveness,
        "somebody of overload 7 was told something, and the plan has none such",
    );
}

#[test]
fn an_unknown_outcome_is_no_answer_to_a_crowd_that_nothing_disturbs() {
    let silent = "and voter 3 of overload 0 was told nothing of its vote";
    let mut late = told(605, 3, unknown());
    let long_before =
        |record: &Record| matches!(&record.what, Happening::Durable { entry, .. } if entry.index.0 == 4);
    assert_eq!(found(&late, Checker::Liveness), Vec::<String>::new());
    for record in late
        .history
        .records
        .iter_mut()
        .filter(|record| long_before(record))
    {
        record.at = SimMicros(402_000);
    }
    finds(&late, Checker::Liveness, silent);
}

#[test]
fn liveness_finds_a_cluster_that_nobody_led_and_a_node_that_tells_twice() {
    let mut run = clean();
    run.history.records.retain(|record| {
        !matches!(
            record.what,
            Happening::Node {
                life: Life::Leads { .. },
                ..
            }
        )
    });
    finds(
        &run,
        Checker::Liveness,
        "the cluster was formed, and nobody ever led it",
    );
    let mut run = clean();
    run.record(Happening::Settled {
        node: NodeIndex(1),
        applied: LogIndex(run.index),
        boards: Vec::new(),
    });
    finds(
        &run,
        Checker::Liveness,
        "node 2 was asked once how it stands, and has told twice",
    );
}

#[test]
fn audience_finds_a_viewer_whom_the_plan_does_not_have() {
    let mut run = clean();
    run.saw(ViewerIndex(9), Sight::Disconnected);
    finds(
        &run,
        Checker::Audience,
        "viewer 9 saw something, and the plan has none such",
    );
}
