//! Planted losses, and clusters that do not heal.

use super::*;

#[test]
fn durability_finds_acknowledged_votes_that_are_lost() {
    let mut run = clean();
    let operation = run.submission(0, 105, 50);
    run.told(operation, 40, VoteStatus::Processed);
    finds(
        &run,
        Checker::Durability,
        "submission 50 was acknowledged as v40 (Processed) and is lost",
    );
}

#[test]
fn durability_finds_an_ack_before_the_quorum() {
    let mut run = Run::new();
    run.create(0, None);
    let operation = run.submission(0, 100, 1);
    let entry = run.next_entry(vec![vote(0, 100, 1, operation)]);
    run.durable(0, entry.clone());
    run.after(5).told(operation, 2, VoteStatus::Processed);
    run.after(5).durable(1, entry.clone());
    run.durable(2, entry);
    run.heal(1);
    finds(
        &run,
        Checker::Durability,
        "was acknowledged as v2, and entry 2 was on a quorum of disks 5000 µs later",
    );
}

#[test]
fn durability_finds_a_status_that_goes_back_and_one_that_is_forgotten() {
    let mut run = clean();
    run.forge(
        OperationId(6),
        Answer::Status {
            vote_id: "v2".to_owned(),
            status: VoteStatus::Acked,
        },
    );
    finds(
        &run,
        Checker::Durability,
        "vote v2 was Processed, and later Acked",
    );
    let mut run = clean();
    run.forge(
        OperationId(6),
        Answer::Refused {
            status: 404,
            code: "vote-not-found".to_owned(),
        },
    );
    finds(
        &run,
        Checker::Durability,
        "later that id was refused as vote-not-found",
    );
}

/// A run in which node 2 dropped entry 3 when a client had its outcome, the record's place, and its time.
fn dropped() -> (Run, usize, SimMicros) {
    let mut run = clean();
    let truncated = Happening::Truncated {
        node: NodeIndex(1),
        from: LogIndex(3),
    };
    let told = run.history.records.iter().position(|record| {
        matches!(
            record.what,
            Happening::Answered {
                operation: OperationId(4),
                ..
            }
        )
    });
    let told = told.expect("it was answered");
    let at = run.history.records[told].at;
    run.history
        .records
        .insert(told + 1, crate::history::Record { at, what: truncated });
    (run, told + 1, at)
}

#[test]
fn durability_lets_a_snapshot_and_nothing_else_take_the_place_of_what_is_dropped() {
    let (run, place, at) = dropped();
    // Two others hold it: a snapshot may take its place, and nothing else.
    let next = |what| {
        let mut run = run.clone();
        let record = crate::history::Record { at, what };
        run.history.records.insert(place + 1, record);
        run
    };
    let snapshot = |index| Happening::Snapshot {
        node: NodeIndex(1),
        index: LogIndex(index),
        digest: 1,
        bytes: 1,
    };
    finds(&next(snapshot(2)), Checker::Durability, "node 2 dropped entry 3");
    let interrupted = Happening::Node {
        node: NodeIndex(1),
        life: Life::Killed,
    };
    for run in [next(snapshot(3)), next(interrupted)] {
        let sentences = found(&run, Checker::Durability).join("\n");
        assert!(!sentences.contains("dropped entry"), "{sentences}");
    }
    // Of the two others one has dropped it as well: now a quorum does not hold it.
    let mut run = next(snapshot(3));
    let also = Happening::Truncated {
        node: NodeIndex(0),
        from: LogIndex(3),
    };
    run.history
        .records
        .insert(place, crate::history::Record { at, what: also });
    finds(&run, Checker::Durability, "node 2 dropped entry 3");
}

#[test]
fn durability_finds_a_node_that_has_applied_what_it_never_wrote_down() {
    let mut run = clean();
    let is_hole = |what: &Happening| matches!(what, Happening::Durable { node: NodeIndex(2), entry } if entry.index.0 == 2);
    run.history.records.retain(|record| !is_hole(&record.what));
    finds(
        &run,
        Checker::Durability,
        "node 3 has applied entry 2, which neither its log nor a snapshot of it has",
    );
    // A snapshot of it covers it, if it can have come from somewhere.
    let snapshot = |node| Happening::Snapshot {
        node: NodeIndex(node),
        index: LogIndex(2),
        digest: 1,
        bytes: 1,
    };
    let mut covered = run.clone();
    covered.record(snapshot(2));
    let lacks = "node 3 has applied entry 2, which neither its log nor a snapshot of it has";
    finds(&covered, Checker::Durability, lacks);
    covered.record(snapshot(1));
    assert_eq!(found(&covered, Checker::Durability), Vec::<String>::new());
    // A node that has nothing at all is one that has applied what it never wrote down, from the first entry on.
    run.history.records.retain(|record| {
        !matches!(
            record.what,
            Happening::Durable {
                node: NodeIndex(2),
                ..
            }
        )
    });
    finds(
        &run,
        Checker::Durability,
        "node 3 has applied entry 1, which neither",
    );
}

#[test]
fn durability_finds_what_is_shown_too_early_and_dropped_later() {
    let (run, _, _) = dropped();
    // Told of entry 3 before that: it was committed.
    finds(
        &run,
        Checker::Durability,
        "node 2 dropped entry 3 from its disk, which was committed",
    );
    let mut run = Run::new();
    run.create(0, None);
    let operation = run.submission(0, 100, 1);
    let entry = run.next_entry(vec![vote(0, 100, 1, operation)]);
    run.durable(0, entry.clone());
    run.after(1).board(0, 2);
    (1..3).for_each(|node| run.durable(node, entry.clone()));
    run.after(5).told(operation, 2, VoteStatus::Processed);
    run.heal(1);
    let early = found(&run, Checker::Durability);
    assert_eq!(early, Vec::<String>::new(), "on a quorum when it was shown");
    let held = |record: &crate::history::Record| !matches!(&record.what, Happening::Durable { node, entry } if node.0 > 0 && entry.index.0 == 2);
    run.history.records.retain(held);
    finds(
        &run,
        Checker::Durability,
        "version 2 was shown, and entry 2 never was on a quorum",
    );
}

#[test]
fn liveness_finds_a_cluster_that_does_not_heal() {
    let mut run = clean();
    run.history.records.retain(|record| {
        !matches!(
            record.what,
            Happening::Settled {
                node: NodeIndex(1),
                ..
            }
        )
    });
    finds(&run, Checker::Liveness, "node 2 does not run at the end");
    let mut run = clean();
    for record in &mut run.history.records {
        if let Happening::Settled {
            node: NodeIndex(1),
            applied,
            ..
        } = &mut record.what
        {
            applied.0 -= 1;
        }
    }
    finds(&run, Checker::Liveness, "the nodes have not applied the same");
    let mut run = clean();
    run.forge(
        OperationId(10),
        Answer::Unknown {
            reason: "timeout".to_owned(),
        },
    );
    finds(&run, Checker::Liveness, "the fresh operation 10 got Some(Unknown");
    let mut run = clean();
    run.submission(0, 100, 1);
    finds(&run, Checker::Liveness, "had no end");
}

#[test]
fn liveness_finds_a_node_that_is_never_ready_again() {
    let mut run = clean();
    let node = NodeIndex(1);
    for life in [Life::Started, Life::Ready] {
        run.record(Happening::Node { node, life });
    }
    assert!(run.check(Checker::Liveness).violations.is_empty());
    let life = Life::Started;
    run.record(Happening::Node { node, life });
    finds(
        &run,
        Checker::Liveness,
        "node 2 was started and is not ready at the end",
    );
}

#[test]
fn liveness_finds_a_node_that_stops_by_itself() {
    let mut run = clean();
    let failed = Happening::Node {
        node: NodeIndex(1),
        life: Life::Failed("its state is impossible".to_owned()),
    };
    run.record(failed);
    let violations = run.check(Checker::Liveness).violations;
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].class, Class::Safety);
}

const NO_ROOM: &str =
    "the node has stopped: disk full: free space on memory then restart; nothing acknowledged was lost";

/// Node 1's disk is full from 500 ms on for 400 ms, in which so many barriers fail. It stops at `failed_ms`, is started
/// again, and stops once more at 9 s if `again`.
fn full_disk(bites: u64, failed_ms: u64, sentence: &str, again: bool) -> Run {
    let mut run = Run::new();
    run.create(0, None);
    let (node, fault) = (NodeIndex(1), FaultId(0));
    run.plan.faults.push(Fault {
        id: fault,
        at_ms: SimMs(500),
        for_ms: SimMs(400),
        kind: FaultKind::DiskFull {
            target: Target::Node(node),
        },
    });
    let life = |life| Happening::Node { node, life };
    let failed = || life(Life::Failed(sentence.to_owned()));
    let mut happenings = vec![
        (
            500,
            Happening::FaultBegan {
                fault,
                node: Some(node),
            },
        ),
        (900, Happening::FaultEnded { fault, bites }),
        (failed_ms, failed()),
        (failed_ms.max(600) + 300, life(Life::Started)),
        (failed_ms.max(600) + 350, life(Life::Ready)),
    ];
    if again {
        happenings.extend([
            (9_000, failed()),
            (9_300, life(Life::Started)),
            (9_350, life(Life::Ready)),
        ]);
    }
    happenings.sort_by_key(|(at, _)| *at);
    for (at, what) in happenings {
        run.now_ms = at;
        run.record(what);
    }
    run.heal(1);
    run
}

#[test]
fn liveness_excuses_a_stop_by_what_the_disk_did_and_no_other() {
    for in_time in [550, 950] {
        let run = full_disk(1, in_time, NO_ROOM, false);
        assert_eq!(found(&run, Checker::Liveness), Vec::<String>::new());
    }
    let panic = "it panicked: index out of bounds: the len is 3 but the index is 7";
    finds(
        &full_disk(1, 550, panic, false),
        Checker::Liveness,
        "node 2 stopped by itself, and not for its disk: it panicked",
    );
    let sound = "node 2 stopped by itself, and its disk was sound";
    finds(&full_disk(0, 550, NO_ROOM, false), Checker::Liveness, sound);
    finds(&full_disk(1, 450, NO_ROOM, false), Checker::Liveness, sound);
    finds(&full_disk(1, 550, NO_ROOM, true), Checker::Liveness, sound);
}

#[test]
fn durability_finds_a_snapshot_that_nobody_can_have_made() {
    // Nobody had one so early, and nobody ever has one of what is not in the log.
    let mut early = clean();
    let at = early.history.records[0].at;
    let what = Happening::Snapshot {
        node: NodeIndex(1),
        index: LogIndex(2),
        digest: 1,
        bytes: 1,
    };
    early
        .history
        .records
        .insert(0, crate::history::Record { at, what });
    finds(
        &early,
        Checker::Durability,
        "node 2 had a snapshot of entry 2, and entry 2 was on a quorum of disks",
    );
    let mut ahead = clean();
    ahead.record(Happening::Snapshot {
        node: NodeIndex(2),
        index: LogIndex(1_000_000),
        digest: 1,
        bytes: 1,
    });
    finds(
        &ahead,
        Checker::Durability,
        "node 3 had a snapshot of entry 1000000, and entry 1000000 never was on a quorum",
    );
    let hides = |run: &mut Run| {
        let is_last = |what: &Happening| matches!(what, Happening::Durable { node: NodeIndex(2), entry } if entry.index.0 > 2);
        run.history.records.retain(|record| !is_last(&record.what));
        let index = LogIndex(run.index);
        run.record(Happening::Snapshot {
            node: NodeIndex(2),
            index,
            digest: 1,
            bytes: 1,
        });
    };
    let mut hidden = clean();
    hides(&mut hidden);
    finds(
        &hidden,
        Checker::Durability,
        "node 3 has applied entry 3, which neither",
    );
}

#[test]
fn durability_finds_a_creation_that_is_dropped() {
    for is_shown in [true, false] {
        let mut run = Run::new();
        run.after(100).create(0, None);
        run.after(10);
        let told = run.create(1, None);
        let index = LogIndex(run.index);
        if !is_shown {
            let is_told = |what: &Happening| matches!(what, Happening::Answered { answer: Answer::EventCreated { event }, .. } if *event == told);
            run.history.records.retain(|record| !is_told(&record.what));
        }
        let at_index = |record: &crate::history::Record| match &record.what {
            Happening::Durable {
                node: NodeIndex(1),
                entry,
            } if entry.index == index => Some(entry.clone()),
            _ => None,
        };
        let entry = run
            .history
            .records
            .iter()
            .find_map(at_index)
            .expect("it was written");
        run.record(Happening::Truncated {
            node: NodeIndex(1),
            from: index,
        });
        run.durable(1, entry);
        run.heal(2);
        let sentences = found(&run, Checker::Durability).join("\n");
        assert_eq!(
            sentences.contains("node 2 dropped entry 2 from its disk"),
            is_shown,
            "{sentences}"
        );
    }
}

#[test]
fn durability_finds_that_what_was_shown_is_dropped() {
    for what in ["board", "closing", "crowd"] {
        let mut run = Run::new();
        run.after(100).create(0, None);
        run.after(10);
        match what {
            "closing" => run.close(0),
            _ => {
                run.commit(vec![vote(0, 100, 1, OperationId(0))]);
            }
        }
        if what == "board" {
            run.board(0, 2);
        }
        if what == "crowd" {
            run = super::foreign::crowd(510, 1, 0);
            let fault = FaultId(0);
            run.record(Happening::CrowdAnswered {
                fault,
                place: 3,
                answer: answer("1-4-0", VoteStatus::Processed),
            });
        }
        let index = if what == "crowd" { 4 } else { 2 };
        run.record(Happening::Truncated {
            node: NodeIndex(1),
            from: LogIndex(index),
        });
        finds(
            &run,
            Checker::Durability,
            &format!("node 2 dropped entry {index} from its disk"),
        );
    }
}
