use std::collections::BTreeSet;

use ostraka_core::{EventId, LogIndex};

use super::*;
use crate::history::{Answer, Happening, Life, LoggedEntry, Sight, Status, VoteStatus};
use crate::ids::{EventSlot, FaultId, NodeIndex, OperationId, SimMs};
use crate::plan::{Action, Fault, FaultKind, Target};
use crate::testing::{Run, clean, vote};
use crate::verdict::judge;

fn points(run: &Run) -> BTreeSet<Point> {
    met(&Case::new(&run.plan, &run.history))
}

#[track_caller]
fn meets(run: &Run, wanted: &[Point]) {
    let met = points(run);
    for point in wanted {
        assert!(met.contains(point), "{point:?} is not among {met:?}");
    }
}

fn life(run: &mut Run, node: u8, life: Life) {
    let node = NodeIndex(node);
    run.record(Happening::Node { node, life });
}

fn began(run: &mut Run, kind: FaultKind, node: Option<u8>) -> FaultId {
    let fault = FaultId(run.plan.faults.len() as u16);
    run.plan.faults.push(Fault {
        id: fault,
        at_ms: SimMs(run.now_ms),
        for_ms: SimMs(1),
        kind,
    });
    let node = node.map(NodeIndex);
    run.record(Happening::FaultBegan { fault, node });
    fault
}

fn ended(run: &mut Run, fault: FaultId) {
    run.record(Happening::FaultEnded { fault, bites: 1 });
}

fn unknown() -> Answer {
    Answer::Unknown {
        reason: "timeout".to_owned(),
    }
}

#[test]
fn a_clean_run_meets_what_it_does_and_no_more() {
    let expected = [Point::StreamResumedOnAnotherNode, Point::ClosedWhileAway];
    assert_eq!(points(&clean()), expected.into());
}

#[test]
fn each_point_has_a_sentence_of_its_own() {
    let sentences: BTreeSet<&str> = Point::ALL.iter().map(|point| point.sentence()).collect();
    assert_eq!(sentences.len(), Point::ALL.len());
    assert!(Point::ALL.len() >= 16);
}

/// The leader of term 1 is isolated and dies with a vote in flight; the leader of term 2 commits it.
fn failover() -> Run {
    let mut run = Run::new();
    life(&mut run, 0, Life::Leads { term: 1 });
    run.create(0, None);
    let target = Target::Leader;
    let cut = began(&mut run, FaultKind::Isolate { target }, Some(0));
    let in_flight = run.after(5).submission(0, 100, 1);
    let entry = run.next_entry(vec![vote(0, 100, 1, in_flight)]);
    run.after(5).durable(0, entry.clone());
    let orphan = LoggedEntry {
        index: LogIndex(3),
        ..entry.clone()
    };
    run.durable(0, orphan);
    life(run.after(5), 0, Life::LostPower { lost: 2, kept: 1 });
    run.after(300);
    life(&mut run, 1, Life::Leads { term: 2 });
    run.after(5).durable(1, entry.clone());
    run.durable(2, entry);
    run.after(5).answer(in_flight, unknown());
    ended(&mut run, cut);
    life(run.after(5), 0, Life::Ready);
    let (node, from) = (NodeIndex(0), LogIndex(3));
    run.record(Happening::Truncated { node, from });
    let retry = run.after(5).submission(0, 100, 1);
    run.after(5).commit(vec![vote(0, 100, 1, retry)]);
    run.after(5).told(retry, 2, VoteStatus::Processed);
    run.after(5).vote(0, 100, 2, VoteStatus::Duplicate);
    run.heal(1);
    run
}

#[test]
fn a_failover_meets_its_points() {
    let expected = [
        Point::LeaderLostWithBatchInFlight,
        Point::EntryDroppedByFollower,
        Point::OldTermEntryCommittedLater,
        Point::TermsOverlapped,
        Point::UnsyncedChangesLost,
        Point::TornTail,
        Point::RetryGotFirstOutcome,
    ];
    meets(&failover(), &expected);
}

#[test]
fn unknown_outcomes_are_told_apart() {
    let mut run = Run::new();
    run.create(0, None);
    let counted = run.submission(0, 100, 1);
    run.commit(vec![vote(0, 100, 1, counted)]);
    run.after(900).answer(counted, unknown());
    let gone = run.submission(0, 101, 2);
    run.after(900).answer(gone, unknown());
    run.heal(1);
    meets(&run, &[Point::UnknownThenCounted, Point::UnknownAndGone]);
}

#[test]
fn closings_that_race_are_seen() {
    let mut run = Run::new();
    run.create(0, None);
    let (early, late) = (run.submission(0, 100, 1), run.submission(0, 101, 2));
    let close = run.invoke(Action::CloseEvent { slot: EventSlot(0) });
    let event = EventId(1);
    let command = ostraka_core::Command::CloseEvent {
        event,
        by: crate::names::OWNER,
        by_operator: false,
    };
    let again = vote(0, 100, 1, OperationId(77));
    run.after(5).commit(vec![
        vote(0, 100, 1, early),
        again,
        command,
        vote(0, 101, 2, late),
    ]);
    run.after(5).told(early, 2, VoteStatus::Processed);
    run.answer(
        late,
        Answer::Vote {
            vote_id: "late".to_owned(),
            status: VoteStatus::RejectedClosed,
        },
    );
    run.answer(
        close,
        Answer::EventStatus {
            event,
            status: Status::Closed,
            version: 2,
        },
    );
    run.heal(1);
    meets(
        &run,
        &[
            Point::CloseRacedVotes,
            Point::CloseWithinEntry,
            Point::TwoAttemptsInOneEntry,
        ],
    );
}

#[test]
fn a_scheduled_close_under_a_jumping_clock_is_seen() {
    let mut run = Run::new();
    run.create(0, Some(2_000));
    run.now_ms = 1_000;
    let kind = FaultKind::ClockJump {
        target: Target::Leader,
        by_ms: 1_500,
    };
    let jump = began(&mut run, kind, Some(1));
    let operation = run.submission(0, 100, 1);
    let mut entry = run.next_entry(vec![vote(0, 100, 1, operation)]);
    entry.stamped_at.0 += 1_500;
    (0..3).for_each(|node| run.durable(node, entry.clone()));
    run.after(5).told(operation, 2, VoteStatus::RejectedClosed);
    ended(&mut run, jump);
    run.vote(0, 101, 2, VoteStatus::RejectedClosed);
    run.heal(1);
    meets(
        &run,
        &[
            Point::ClockJumpAcrossClose,
            Point::ScheduledCloseRacedVotes,
            Point::TimeRanBack,
        ],
    );
}

#[test]
fn the_fates_of_nodes_are_seen() {
    let mut run = Run::new();
    run.create(0, None);
    run.vote(0, 100, 1, VoteStatus::Processed);
    run.after(5);
    let dark = began(&mut run, FaultKind::Blackout { kept: 0 }, None);
    (0..3).for_each(|node| life(&mut run, node, Life::LostPower { lost: 0, kept: 0 }));
    run.after(50);
    ended(&mut run, dark);
    (0..3).for_each(|node| {
        life(&mut run, node, Life::Started);
        life(&mut run, node, Life::Started);
        life(&mut run, node, Life::Ready);
    });
    let kind = FaultKind::DiskError {
        target: Target::Follower,
    };
    let error = began(run.after(5), kind, Some(2));
    life(run.after(5), 2, Life::Failed("the disk says EIO".to_owned()));
    ended(&mut run, error);
    let kind = FaultKind::LeaveAndJoin {
        target: Target::Follower,
    };
    let left = began(run.after(5), kind, Some(2));
    ended(run.after(5), left);
    let (node, index) = (NodeIndex(2), LogIndex(9));
    run.record(Happening::Snapshot {
        node,
        index,
        digest: 1,
        bytes: 1,
    });
    life(run.after(5), 2, Life::Ready);
    let skipped = run.next_entry(Vec::new());
    (0..2).for_each(|node| run.durable(node, skipped.clone()));
    run.heal(1);
    let expected = [
        Point::BlackoutSurvived,
        Point::QuorumLost,
        Point::EveryNodeRestarted,
        Point::DiskStoppedNode,
        Point::NodeLeftAndCameBack,
        Point::SnapshotTaken,
        Point::SnapshotInstalled,
        Point::RejoinedAfterPurge,
    ];
    meets(&run, &expected);
}

/// A viewer of node 2, which gets a vote by a snapshot, and is told of it if `told`; and of one that its log has, always.
fn left_behind(told: bool) -> Run {
    let mut run = Run::new();
    let event = run.create(0, None);
    let viewer = run.viewer(0);
    run.connected(viewer, 2, None);
    let standings = run.standings(0, 1);
    run.saw(viewer, Sight::Snapshot(standings));
    let operation = run.submission(0, 100, 1);
    let missed = run.next_entry(vec![vote(0, 100, 1, operation)]);
    (0..2).for_each(|node| run.durable(node, missed.clone()));
    let operation = run.submission(0, 101, 2);
    let held = run.commit(vec![vote(0, 101, 2, operation)]);
    let mut previous_version = 1;
    for version in [missed.index.0, held].into_iter().skip(usize::from(!told)) {
        let tally = Sight::Tally {
            event,
            status: Status::Open,
            version,
            previous_version,
            totals: Vec::new(),
        };
        run.after(5).saw(viewer, tally);
        previous_version = version;
    }
    run
}

#[test]
fn who_is_told_of_a_snapshot_is_told_apart_from_who_is_told_of_the_log() {
    meets(&left_behind(true), &[Point::SnapshotToldWatchers]);
    let silent = points(&left_behind(false));
    assert!(silent.contains(&Point::SnapshotInstalled), "{silent:?}");
    assert!(!silent.contains(&Point::SnapshotToldWatchers), "{silent:?}");
}

#[test]
fn coverage_adds_up_and_outlives_its_file() {
    let (run, other) = (clean(), failover());
    let coverage = |run: &Run| {
        Coverage::of(
            &Case::new(&run.plan, &run.history),
            &judge(&run.plan, &run.history),
        )
    };
    let mut all = coverage(&run);
    assert!(all.unmet().contains(&Point::TornTail));
    all.merge(&coverage(&other));
    assert_eq!((all.runs, all.points[&Point::TornTail]), (2, 1));
    assert_eq!(
        all.faults["isolate"],
        FaultCount {
            planned: 1,
            bitten: 1,
            bites: 1
        }
    );
    assert!(!all.unmet().contains(&Point::TornTail));
    let text = serde_json::to_string(&all).expect("it is plain data");
    assert_eq!(serde_json::from_str::<Coverage>(&text).ok(), Some(all));
}

#[test]
fn what_clients_are_told_is_seen() {
    let mut run = Run::new();
    life(&mut run, 0, Life::Leads { term: 1 });
    run.create(0, None);
    let first = run.after(5).vote(0, 100, 1, VoteStatus::Processed);
    let transfer = began(
        run.after(5),
        FaultKind::TransferLeadership { to: NodeIndex(1) },
        Some(1),
    );
    life(run.after(5), 1, Life::Leads { term: 2 });
    ended(run.after(5), transfer);
    let retry = run.after(5).submission(0, 100, 1);
    run.commit(vec![vote(0, 100, 1, retry)]);
    run.after(5).told(retry, 2, VoteStatus::Processed);
    run.after(5).vote(0, 100, 2, VoteStatus::Duplicate);
    run.after(5).vote(0, 101, 3, VoteStatus::RejectedNotOpen);
    assert_ne!(
        run.plan.operations[first.0 as usize].endpoint,
        run.plan.operations[retry.0 as usize].endpoint
    );
    for code in ["overloaded", "too-many-submissions"] {
        let refused = run.submission(0, 102, 9);
        run.answer(
            refused,
            Answer::Refused {
                status: 503,
                code: code.to_owned(),
            },
        );
    }
    let stale = run.invoke(Action::Leaderboard { slot: EventSlot(0) });
    let mut standings = run.standings(0, 2);
    standings.totals = vec![None, None];
    run.answer(
        stale,
        Answer::Board {
            standings: standings.clone(),
            linearizable: false,
        },
    );
    standings.totals = vec![Some(1), Some(0)];
    standings.status = Status::Closed;
    let viewer = run.viewer(0);
    run.connected(viewer, 0, None);
    run.saw(viewer, Sight::Closed(standings));
    let (event, status) = (EventId(1), Status::Open);
    run.saw(
        viewer,
        Sight::Tally {
            event,
            status,
            version: 9,
            previous_version: 0,
            totals: Vec::new(),
        },
    );
    let expected = [
        Point::LeadershipTransferred,
        Point::RetryThroughAnotherNode,
        Point::DuplicateThroughAnotherNodeAfterFailover,
        Point::VotedBeforeOpening,
        Point::OverloadShed,
        Point::TooManySubmissions,
        Point::StaleLeaderboard,
        Point::HiddenResultsRevealed,
    ];
    meets(&run, &expected);
}
