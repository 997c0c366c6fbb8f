//! Planted faults of order and time.

use super::*;

#[test]
fn audience_finds_totals_that_go_back_and_gaps() {
    let mut run = clean();
    for sight in sights(&mut run) {
        if let Sight::Tally { previous_version, .. } = sight {
            *previous_version = 1;
        }
    }
    finds(
        &run,
        Checker::Audience,
        "got what changed since version 1, and had been told Some(2): a gap",
    );
    let mut run = clean();
    let older = run.standings(0, 2);
    let at_reconnect = run.history.records.iter().rposition(|record| {
        matches!(
            record.what,
            Happening::Saw {
                sight: Sight::Snapshot(_),
                ..
            }
        )
    });
    run.history.records[at_reconnect.expect("there is one")].what = Happening::Saw {
        viewer: ViewerIndex(0),
        sight: Sight::Snapshot(older),
    };
    finds(
        &run,
        Checker::Audience,
        "was at version Some(3) and was shown version 2",
    );
    finds(
        &run,
        Checker::Audience,
        "saw the total of contestant 1 go back at version 2",
    );
}

#[test]
fn audience_finds_an_early_final_result_and_lost_places() {
    let mut run = clean();
    for sight in sights(&mut run) {
        if let Sight::Connected {
            resumed_from: resumed_from @ Some(_),
            ..
        } = sight
        {
            *resumed_from = None;
        }
    }
    finds(
        &run,
        Checker::Audience,
        "asked to go on from None, and had seen Some(3)",
    );
    let mut run = clean();
    for sight in sights(&mut run) {
        if let Sight::Closed(standings) = sight {
            standings.totals[0] = Some(7);
        }
    }
    finds(
        &run,
        Checker::Audience,
        "has Closed [Some(7), Some(1)] of e1 at version 6",
    );
}

#[test]
fn audience_finds_viewers_who_never_catch_up() {
    let mut run = clean();
    run.history.records.retain(|record| {
        !matches!(&record.what, Happening::Saw { sight: Sight::Closed(_), .. })
            && !matches!(&record.what, Happening::Saw { sight: Sight::Snapshot(standings), .. } if standings.version == 6)
    });
    finds(
        &run,
        Checker::Audience,
        "is at version Some(3) at the end, and version Some(6) was there for long",
    );
    finds(&run, Checker::Audience, "was never told that e1 is closed");
    let violations = run.check(Checker::Audience).violations;
    assert!(
        violations
            .iter()
            .all(|violation| violation.class == Class::Liveness)
    );
}

#[test]
fn closing_bell_finds_votes_on_the_wrong_side() {
    let mut run = clean();
    run.forge(OperationId(8), answer("v7", VoteStatus::Processed));
    finds(
        &run,
        Checker::ClosingBell,
        "stands at entry 7, after the close, and was accepted",
    );
    let mut run = clean();
    run.forge(OperationId(2), answer("v3", VoteStatus::RejectedClosed));
    finds(
        &run,
        Checker::ClosingBell,
        "stands at entry 3, before the close, and was rejected as late",
    );
    let mut run = clean();
    run.forge(
        OperationId(7),
        Answer::EventStatus {
            event: EventId(1),
            status: Status::Closed,
            version: 5,
        },
    );
    finds(
        &run,
        Checker::ClosingBell,
        "e1 was said to be closed since version 5, and it is since Some(6)",
    );
}

/// A scheduled closing; the vote of operation 1 is sent at `sent_ms`, stamped at once, and answered with `status`.
fn scheduled(closes_ms: u64, sent_ms: u64, status: VoteStatus, stamp_off_ms: i64) -> Run {
    let mut run = Run::new();
    run.create(0, Some(closes_ms));
    run.now_ms = sent_ms;
    let operation = run.submission(0, 100, 1);
    let mut entry = run.next_entry(vec![vote(0, 100, 1, operation)]);
    entry.stamped_at = UnixMs(entry.stamped_at.0.saturating_add_signed(stamp_off_ms));
    (0..3).for_each(|node| run.durable(node, entry.clone()));
    run.after(5).told(operation, 2, status);
    // The schedule is looked at every 100 ms.
    run.now_ms = run.now_ms.max(closes_ms + 100);
    run.commit(vec![ostraka_core::Command::Tick]);
    run.heal(1);
    run
}

#[test]
fn closing_bell_holds_clocks_responsible() {
    let holds = |run: &Run| assert_eq!(found(run, Checker::ClosingBell), Vec::<String>::new());
    holds(&scheduled(5_000, 4_990, VoteStatus::Processed, 0));
    holds(&scheduled(5_000, 5_000, VoteStatus::RejectedClosed, 0));
    let early = scheduled(5_000, 3_000, VoteStatus::RejectedClosed, 3_000);
    finds(
        &early,
        Checker::ClosingBell,
        "was rejected as late before any clock had reached the closing",
    );
    finds(&early, Checker::ClosingBell, "later than any clock showed");
    let late = scheduled(5_000, 7_000, VoteStatus::Processed, -3_000);
    finds(
        &late,
        Checker::ClosingBell,
        "was sent when every clock was past the closing, and was accepted",
    );
    // The same, explained by clocks that are wrong.
    let mut explained = scheduled(5_000, 7_000, VoteStatus::Processed, -3_000);
    explained.plan.knobs.clock_skew_ms[1] = -3_000;
    holds(&explained);
    let mut jumped = scheduled(5_000, 3_000, VoteStatus::RejectedClosed, 3_000);
    let kind = FaultKind::ClockJump {
        target: Target::Leader,
        by_ms: 3_000,
    };
    jumped.plan.faults.push(Fault {
        id: FaultId(0),
        at_ms: SimMs(1),
        for_ms: SimMs(9),
        kind,
    });
    let began = Happening::FaultBegan {
        fault: FaultId(0),
        node: Some(NodeIndex(0)),
    };
    jumped.history.records.insert(
        1,
        crate::history::Record {
            at: SimMicros(1_000),
            what: began,
        },
    );
    holds(&jumped);
}

#[test]
fn linearizability_finds_a_stale_answer() {
    let mut run = clean();
    let older = run.standings(0, 2);
    run.forge(
        OperationId(5),
        Answer::Board {
            standings: older.clone(),
            linearizable: true,
        },
    );
    finds(
        &run,
        Checker::Linearizability,
        "e1: what operation 5 did or was told was so up to entry 2, and operation 3 had an answer from entry 4",
    );
    run.forge(
        OperationId(5),
        Answer::Board {
            standings: older,
            linearizable: false,
        },
    );
    assert_eq!(
        found(&run, Checker::Linearizability),
        Vec::<String>::new(),
        "it says itself that it may be stale"
    );
}

#[test]
fn linearizability_finds_an_event_that_is_forgotten_and_a_vote_ahead_of_its_time() {
    let mut run = clean();
    run.forge(
        OperationId(5),
        Answer::Refused {
            status: 404,
            code: "event-not-found".to_owned(),
        },
    );
    finds(
        &run,
        Checker::Linearizability,
        "operation 5 did or was told was so up to entry 0",
    );
    // A vote whose outcome is unknown takes effect before another that was answered before it was sent.
    let mut run = Run::new();
    run.create(0, None);
    let late = OperationId(2);
    let early = run.submission(0, 100, 1);
    run.commit(vec![vote(0, 101, 2, late)]);
    run.after(5).commit(vec![vote(0, 100, 1, early)]);
    run.after(5).told(early, 3, VoteStatus::Processed);
    let operation = run.after(5).submission(0, 101, 2);
    run.after(5).answer(
        operation,
        Answer::Unknown {
            reason: "timeout".to_owned(),
        },
    );
    run.heal(1);
    finds(
        &run,
        Checker::Linearizability,
        "operation 2 did or was told was so up to entry 2",
    );
}

#[test]
fn linearizability_finds_a_close_that_nobody_asked_for() {
    let mut run = Run::new();
    run.create(0, None);
    let event = EventId(1);
    run.commit(vec![ostraka_core::Command::CloseEvent {
        event,
        by: crate::names::OWNER,
        by_operator: false,
    }]);
    run.heal(1);
    finds(
        &run,
        Checker::Linearizability,
        "e1 was closed by entry 2, and nobody asked for it",
    );
}

#[test]
fn a_viewer_whose_node_went_without_a_word_is_given_time() {
    let mut run = clean();
    run.history.records.retain(|record| {
        let sight = match &record.what {
            Happening::Saw { sight, .. } => sight,
            _ => return true,
        };
        // The first connection, with no end.
        !matches!(
            sight,
            Sight::Disconnected
                | Sight::Closed(_)
                | Sight::Connected {
                    resumed_from: Some(_),
                    ..
                }
        ) && !matches!(sight, Sight::Snapshot(standings) if standings.version == 6)
    });
    finds(&run, Checker::Audience, "is at version Some(3) at the end");
    let mut powerless = clean();
    powerless.history = run.history;
    let storm_over = powerless
        .history
        .records
        .iter()
        .position(|record| record.what == Happening::StormOver);
    let at = SimMicros(5_000_000);
    let life = Life::LostPower { lost: 0, kept: 0 };
    let what = Happening::Node {
        node: NodeIndex(0),
        life,
    };
    powerless
        .history
        .records
        .insert(storm_over.expect("it is"), crate::history::Record { at, what });
    assert_eq!(found(&powerless, Checker::Audience), Vec::<String>::new());
    powerless.now_ms = 40_000;
    powerless.record(Happening::StormOver);
    finds(&powerless, Checker::Audience, "is at version Some(3) at the end");
}
