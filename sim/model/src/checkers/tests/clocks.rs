//! Planted faults of the schedule: openings and closings that are late or never come, and stamps that stand still.

use ostraka_core::Command;

use super::*;
use crate::ids::EventSlot;
use crate::plan::Action;
use crate::testing::created;

const SLOT: EventSlot = EventSlot(0);

/// An event with this schedule, in milliseconds of the run, and nobody who votes in it.
fn planned(opens_ms: Option<u64>, closes_ms: Option<u64>) -> Run {
    let mut run = Run::new();
    run.plan.knobs.barrier_micros = 1_000;
    run.plan.knobs.link_latency_ms_max = 5;
    let operation = run.after(100).invoke(Action::CreateEvent {
        slot: SLOT,
        contestants: 2,
        opens_at_ms: opens_ms.map(SimMs),
        closes_at_ms: closes_ms.map(SimMs),
        after_close: false,
    });
    let mut creation = created(0, closes_ms);
    if let Command::CreateEvent(spec) = &mut creation {
        spec.opens_at = opens_ms.map(|at| UnixMs(START + at));
    }
    run.after(5).commit(vec![creation]);
    let event = EventId(1);
    run.after(5).answer(operation, Answer::EventCreated { event });
    run
}

/// The schedule is looked at.
fn tick(run: &mut Run, at_ms: u64) {
    run.now_ms = at_ms;
    run.commit(vec![Command::Tick]);
}

/// Commands that are stamped as if it were `stamp_ms`, on all disks.
fn stamped(run: &mut Run, stamp_ms: u64, commands: Vec<Command>) -> u64 {
    let mut entry = run.next_entry(commands);
    entry.stamped_at = UnixMs(START + stamp_ms);
    (0..3).for_each(|node| run.durable(node, entry.clone()));
    run.index
}

#[track_caller]
fn holds(run: &Run) {
    assert_eq!(found(run, Checker::ClosingBell), Vec::<String>::new());
}

#[test]
fn closing_bell_finds_a_closing_that_comes_late() {
    for (at_ms, is_late) in [(1_100, false), (2_400, false), (2_700, true), (9_000, true)] {
        let mut run = planned(None, Some(1_000));
        tick(&mut run, at_ms);
        run.heal(1);
        match is_late {
            true => finds(
                &run,
                Checker::ClosingBell,
                "e1 was to close at 1800000001000; every clock",
            ),
            false => holds(&run),
        }
    }
}

#[test]
fn closing_bell_finds_a_closing_that_never_comes() {
    let mut run = planned(None, Some(1_000));
    run.after(9_000);
    let (node, applied) = (NodeIndex(0), LogIndex(run.index));
    run.record(Happening::StormOver);
    for node in [node, NodeIndex(1), NodeIndex(2)] {
        let boards = Vec::new();
        run.record(Happening::Settled {
            node,
            applied,
            boards,
        });
    }
    finds(
        &run,
        Checker::ClosingBell,
        "at 2644 ms of the run, and it never did",
    );
}

#[test]
fn closing_bell_finds_an_opening_that_comes_late() {
    let mut in_time = planned(Some(1_000), None);
    tick(&mut in_time, 1_100);
    in_time.heal(1);
    holds(&in_time);
    let mut late = planned(Some(1_000), None);
    tick(&mut late, 9_000);
    late.heal(1);
    finds(
        &late,
        Checker::ClosingBell,
        "e1 was to open at 1800000001000; every clock",
    );
    // Who closed it before has made an end of it.
    let mut closed = planned(Some(1_000), None);
    closed.after(100).close(0);
    closed.heal(1);
    holds(&closed);
}

#[test]
fn closing_bell_waits_for_slow_clocks_and_for_clusters_that_were_disturbed() {
    let late = |change: &dyn Fn(&mut Run)| {
        let mut run = planned(None, Some(1_000));
        change(&mut run);
        tick(&mut run, 4_000);
        run.heal(1);
        run
    };
    finds(&late(&|_| {}), Checker::ClosingBell, "e1 was to close");
    holds(&late(&|run| run.plan.knobs.clock_skew_ms[1] = -1_800));
    holds(&late(&|run| {
        run.now_ms = 3_500;
        let (node, life) = (NodeIndex(1), Life::Leads { term: 2 });
        run.record(Happening::Node { node, life });
    }));
    holds(&late(&|run| {
        let fault = FaultId(0);
        run.plan.faults.push(Fault {
            id: fault,
            at_ms: SimMs(900),
            for_ms: SimMs(100),
            kind: FaultKind::Loss { ppm: 5_000 },
        });
        run.now_ms = 900;
        run.record(Happening::FaultBegan { fault, node: None });
        run.after(100).record(Happening::FaultEnded { fault, bites: 1 });
    }));
}

#[test]
fn closing_bell_finds_stamps_that_stand_still() {
    let mut run = planned(None, Some(20_000));
    run.now_ms = 3_000;
    stamped(&mut run, 2_100, vec![Command::Tick]);
    run.heal(1);
    holds(&run);
    let mut run = planned(None, Some(20_000));
    run.now_ms = 9_000;
    stamped(&mut run, 500, vec![Command::Tick]);
    run.heal(1);
    finds(
        &run,
        Checker::ClosingBell,
        "entry 2 is stamped 1800000000500, older by 7398 ms than any clock showed",
    );
    run.plan.knobs.clock_skew_ms[2] = -7_400;
    holds(&run);
}

#[test]
fn closing_bell_holds_clocks_responsible_for_openings() {
    let mut ignored = planned(Some(1_000), None);
    ignored.now_ms = 9_000;
    let operation = ignored.submission(0, 100, 1);
    let index = stamped(&mut ignored, 900, vec![vote(0, 100, 1, operation)]);
    ignored
        .after(5)
        .told(operation, index, VoteStatus::RejectedNotOpen);
    ignored.heal(1);
    finds(
        &ignored,
        Checker::ClosingBell,
        "was sent when every clock was past the opening, and was rejected as early",
    );
    let mut early = planned(Some(5_000), None);
    early.now_ms = 3_000;
    let operation = early.submission(0, 100, 1);
    let index = stamped(&mut early, 6_000, vec![vote(0, 100, 1, operation)]);
    early.after(5).told(operation, index, VoteStatus::Processed);
    early.heal(1);
    finds(
        &early,
        Checker::ClosingBell,
        "was accepted before any clock had reached the opening",
    );
}
