//! Planted silence: viewers who are told nothing though there is something to tell.

use super::*;
use crate::ids::EventSlot;
use crate::plan::Viewer;

/// Long after the storm.
const LATER_MS: u64 = 60_000;

/// A viewer who was told of the first vote and lost its connection just before the end of the storm. Then somebody votes,
/// and the event closes.
fn lost_at_the_end(after: impl FnOnce(&mut Run, ViewerIndex)) -> Run {
    let mut run = Run::new();
    run.after(100).create(0, None);
    run.after(10).vote(0, 100, 1, VoteStatus::Processed);
    let viewer = run.viewer(0);
    run.connected(viewer, 0, None);
    let seen = run.standings(0, 2);
    run.after(5).saw(viewer, Sight::Snapshot(seen));
    run.now_ms = run.plan.knobs.storm_ms.0 - 10;
    run.saw(viewer, Sight::Disconnected);
    run.now_ms = run.plan.knobs.storm_ms.0;
    run.record(Happening::StormOver);
    run.after(10).vote(0, 101, 2, VoteStatus::Processed);
    run.after(10).close(0);
    after(&mut run, viewer);
    run.heal(1);
    run
}

#[track_caller]
fn misses_the_close(run: &Run) {
    finds(
        run,
        Checker::Audience,
        "viewer 0 of e1 is at version Some(2) at the end, and version Some(4) was there for long",
    );
    finds(
        run,
        Checker::Audience,
        "viewer 0 was never told that e1 is closed",
    );
}

#[test]
fn audience_finds_a_viewer_who_finds_no_connection_after_the_storm() {
    misses_the_close(&lost_at_the_end(|_, _| {}));
    misses_the_close(&lost_at_the_end(|run, _| run.now_ms += LATER_MS));
}

#[test]
fn audience_finds_a_connection_on_which_nothing_is_ever_said() {
    misses_the_close(&lost_at_the_end(|run, viewer| {
        run.after(10).connected(viewer, 1, Some(2));
        run.after(LATER_MS);
    }));
    // Again and again, and none of them says anything.
    misses_the_close(&lost_at_the_end(|run, viewer| {
        for _ in 0..100 {
            run.after(100).connected(viewer, 1, Some(2));
            run.saw(viewer, Sight::Disconnected);
        }
    }));
}

#[test]
fn audience_holds_if_the_viewer_is_told_in_time() {
    let run = lost_at_the_end(|run, viewer| {
        run.after(1_000).connected(viewer, 1, Some(2));
        let last = run.standings(0, 4);
        run.after(5).saw(viewer, Sight::Snapshot(last.clone()));
        run.saw(viewer, Sight::Closed(last));
    });
    assert_eq!(found(&run, Checker::Audience), Vec::<String>::new());
}

/// A viewer of the event that is created after the storm, which ends so long after it.
fn fresh_viewer(later_ms: u64) -> Run {
    let mut run = Run::new();
    run.after(100).create(0, None);
    let from_ms = SimMs(run.plan.knobs.storm_ms.0 + 3_050);
    run.plan.viewers.push(Viewer {
        viewer: ViewerIndex(0),
        slot: EventSlot(1),
        from_ms,
        endpoint: NodeIndex(0),
    });
    run.heal(1);
    let version = run.standings(1, 3);
    assert_eq!(version.status, Status::Open);
    run.after(later_ms);
    for node in 0..3 {
        run.record(Happening::Settled {
            node: NodeIndex(node),
            applied: LogIndex(run.index),
            boards: Vec::new(),
        });
    }
    run
}

#[test]
fn audience_finds_a_viewer_of_the_fresh_event_who_sees_nothing() {
    finds(
        &fresh_viewer(20_000),
        Checker::Audience,
        "viewer 0 of e2 is at version None at the end, and version Some(3) was there for long",
    );
    let too_early = fresh_viewer(500);
    assert_eq!(found(&too_early, Checker::Audience), Vec::<String>::new());
}
