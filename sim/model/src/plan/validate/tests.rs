mod fresh;

use super::*;
use crate::ids::{FaultId, Seed};
use crate::plan::{Fault, FaultKind, Target};

fn plan() -> Plan {
    let mut plan = Plan::of_profile(Seed(3), crate::plan::Profile::Calm);
    plan.faults.clear();
    assert_eq!(plan.knobs.nodes, 3, "the seed is one of three nodes");
    plan
}

fn fault(id: u16, at_ms: u64, for_ms: u64, kind: FaultKind) -> Fault {
    Fault {
        id: FaultId(id),
        at_ms: SimMs(at_ms),
        for_ms: SimMs(for_ms),
        kind,
    }
}

fn broken(change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = plan();
    change(&mut plan);
    plan.validate().expect_err("it is impossible").to_string()
}

#[test]
fn impossible_knobs_and_operations_are_named() {
    assert_eq!(
        broken(|plan| plan.knobs.nodes = 0),
        "knobs.nodes is 0: 1 to 9 can be run"
    );
    assert!(broken(|plan| plan.knobs.clock_skew_ms.clear()).contains("0 numbers for 3 nodes"));
    assert!(
        broken(|plan| plan.operations[0].endpoint = NodeIndex(9)).contains("names node 9, and there are 3")
    );
    assert!(broken(|plan| plan.operations[0].client.0 = 999).contains("is of client 999"));
    assert!(
        broken(|plan| plan.operations[3].at_ms = SimMs(1_000_000))
            .contains("operation 3 lies behind the end")
    );
    assert!(broken(|plan| plan.operations[9].at_ms = SimMs(0)).contains("is earlier than the one before"));
    assert!(broken(|plan| plan.operations[1].id = OperationId(0)).contains("is there twice"));
    assert!(
        broken(|plan| plan.operations[2].action = Action::Leaderboard { slot: EventSlot(77) })
            .contains("slot 77")
    );
    assert!(
        broken(|plan| plan.operations[2].action = Action::Status { of: OperationId(0) })
            .contains("which submits nothing")
    );
    assert!(broken(|plan| plan.viewers[0].slot = EventSlot(66)).contains("slot 66"));
}

/// What the oracle and the checkers know nothing of must be out of a plan's reach.
#[test]
fn a_plan_stays_within_what_one_owner_may_create() {
    use ostraka_core::limits::{
        CONTESTANT_OWN_BYTES, CREATE_EVENT_PER_CALLER_BURST, EVENT_BYTES_PER_OWNER_MAX, EVENT_OWN_BYTES,
        EVENTS_PER_OWNER_MAX,
    };
    let found = broken(|plan| {
        let creation = plan.operations[0].clone();
        assert!(matches!(creation.action, Action::CreateEvent { .. }));
        let more = (0..20).map(|place| Operation {
            id: OperationId(60_000 + place),
            ..creation.clone()
        });
        plan.operations.splice(1..1, more);
    });
    assert!(found.ends_with("times: 20 at most can be judged"), "{found}");
    let count = CREATIONS_MAX as u64;
    let largest = EVENT_OWN_BYTES + 10 + u64::from(CONTESTANTS_MAX) * (CONTESTANT_OWN_BYTES + 20);
    assert!(count <= u64::from(CREATE_EVENT_PER_CALLER_BURST));
    assert!(count <= EVENTS_PER_OWNER_MAX && count * largest <= EVENT_BYTES_PER_OWNER_MAX);
}

#[test]
fn a_retry_is_the_same_request() {
    let found = broken(|plan| {
        let Some(first) = plan
            .operations
            .iter()
            .position(|operation| matches!(operation.action, Action::Submit { .. }))
        else {
            return;
        };
        let mut again = plan.operations[first].clone();
        again.id = OperationId(60_000);
        if let Action::Submit { contestant, .. } = &mut again.action {
            *contestant += 1;
        }
        plan.operations.insert(first + 1, again);
    });
    assert!(found.contains("with another content"), "{found}");
}

#[test]
fn faults_end_with_the_storm_and_hit_what_is_there() {
    let kill = FaultKind::Kill {
        target: Target::Leader,
    };
    assert!(
        broken(|plan| plan.faults = vec![fault(0, 9_000, 5_000, kill.clone())])
            .contains("nothing could heal")
    );
    assert!(
        broken(|plan| plan.faults = vec![fault(4, 900, 50, kill)]).contains("is not numbered by its place")
    );
    assert!(
        broken(|plan| plan.knobs.link_latency_ms_min = 0)
            .contains("link_latency_ms_min is 0: a message takes 1 at least")
    );
    let of_nobody = FaultKind::Hold {
        target: Target::Node(NodeIndex(3)),
    };
    assert!(broken(|plan| plan.faults = vec![fault(0, 900, 50, of_nobody)]).contains("names node 3"));
    let to_itself = FaultKind::OneWay {
        from: Target::Leader,
        to: Target::Leader,
    };
    assert!(broken(|plan| plan.faults = vec![fault(0, 900, 50, to_itself)]).contains("from itself"));
}

#[test]
fn the_last_good_copy_is_never_destroyed() {
    let error = |node| FaultKind::DiskError {
        target: Target::Node(NodeIndex(node)),
    };
    let found =
        broken(|plan| plan.faults = vec![fault(0, 500, 2_000, error(0)), fault(1, 1_000, 100, error(1))]);
    assert!(found.contains("the last good copy could be lost"), "{found}");
    let mut one_after_another = plan();
    one_after_another.faults = vec![fault(0, 500, 100, error(0)), fault(1, 1_000, 100, error(1))];
    assert_eq!(one_after_another.validate(), Ok(()));
    let mut dark = plan();
    dark.faults = vec![fault(0, 500, 100, FaultKind::Blackout { kept: 2 })];
    assert_eq!(
        dark.validate(),
        Ok(()),
        "a power cut takes nothing that was acknowledged"
    );
}

fn only(kind: FaultKind) -> String {
    broken(|plan| plan.faults = vec![fault(0, 900, 50, kind)])
}

#[test]
fn a_cluster_that_never_forms_is_refused() {
    for (min, max) in [(60_000, 60_001), (2, u32::MAX), (u32::MAX, u32::MAX)] {
        let found = broken(|plan| {
            plan.knobs.link_latency_ms_min = min;
            plan.knobs.link_latency_ms_max = max;
        });
        let sentence = format!("knobs.link_latency_ms_max is {max}: 1 to 20 ms can be run");
        assert_eq!(found, sentence);
    }
    for micros in [100_000_000, u64::MAX] {
        assert_eq!(
            broken(|plan| plan.knobs.barrier_micros = micros),
            format!("knobs.barrier_micros is {micros}: 0 to 100000 µs can be run")
        );
    }
    for (heartbeat_ms, election_ms, sentence) in [
        (1, 2, "heartbeat_ms is 1: 10 to 2000 ms can be run"),
        (u64::MAX - 1, u64::MAX, "heartbeat_ms is 18446744073709551614: "),
        (
            50,
            u64::MAX,
            "election_ms is 18446744073709551615: 1500 ms at most",
        ),
        (50, 10_000_000, "election_ms is 10000000: 1500 ms at most"),
        (50, 100, "election_ms is not above two heartbeats"),
    ] {
        let found = broken(|plan| {
            plan.knobs.heartbeat_ms = heartbeat_ms;
            plan.knobs.election_ms = election_ms;
        });
        assert!(found.contains(sentence), "{found}");
    }
    let far = broken(|plan| {
        plan.knobs.link_latency_ms_max = 20;
        plan.knobs.heartbeat_ms = 40;
        plan.knobs.election_ms = 800;
    });
    assert!(far.contains("no follower could be fed"), "{far}");
}

#[test]
fn a_run_that_could_not_heal_or_never_ends_is_refused() {
    for (storm_ms, sentence) in [
        (1, "knobs.storm_ms is 1: 1000 to 600000 ms"),
        (u64::MAX, "knobs.storm_ms is 1844"),
    ] {
        assert!(broken(|plan| plan.knobs.storm_ms = SimMs(storm_ms)).contains(sentence));
    }
    for heal_ms in [4_999, u64::MAX] {
        let found = broken(|plan| plan.knobs.heal_ms = SimMs(heal_ms));
        let sentence = format!("knobs.heal_ms is {heal_ms}: 5000 to 600000 ms");
        assert!(found.contains(&sentence), "{found}");
    }
    for (patience_ms, sentence) in [
        (1, "is 1, and a healthy cluster may take"),
        (3_001, "is 3001: 3000 ms at most"),
        (u64::MAX, ": 3000 ms at most"),
    ] {
        let found = broken(|plan| plan.knobs.client_patience_ms = SimMs(patience_ms));
        assert!(found.contains(sentence), "{found}");
    }
    assert!(broken(|plan| plan.knobs.clients = u16::MAX).contains("65535: 1 to 1000 can be run"));
}

#[test]
fn a_clock_that_no_token_survives_is_refused() {
    for skew in [i64::MIN, i64::MAX, -3_600_001, 3_600_001] {
        let found = broken(|plan| plan.knobs.clock_skew_ms[1] = skew);
        assert!(
            found.contains(&format!("clock_skew_ms has {skew}: 3600000")),
            "{found}"
        );
    }
    for drift in [i32::MIN, i32::MAX] {
        let found = broken(|plan| plan.knobs.clock_drift_ppm[2] = drift);
        assert!(
            found.contains(&format!("clock_drift_ppm has {drift}: 100000")),
            "{found}"
        );
    }
    let jump = |by_ms| FaultKind::ClockJump {
        target: Target::Leader,
        by_ms,
    };
    assert!(only(jump(0)).contains("moves a clock by 0, and 1 to 3600000"));
    for by_ms in [i64::MIN, i64::MAX] {
        assert!(only(jump(by_ms)).contains("tokens must outlive it"));
    }
    let scheduled = broken(|plan| {
        if let Action::CreateEvent { closes_at_ms, .. } = &mut plan.operations[0].action {
            *closes_at_ms = Some(SimMs(u64::MAX));
        }
    });
    assert!(scheduled.contains("86400000 ms at most"), "{scheduled}");
}

#[test]
fn voters_are_a_plans_own() {
    for (number, sentence) in [
        (0, "votes for voter 0, and 1 to 999999"),
        (1_000_000, "votes for voter 1000000"),
    ] {
        let found = broken(|plan| {
            for operation in &mut plan.operations {
                if let Action::Submit { voter, .. } = &mut operation.action {
                    *voter = VoterNumber(number);
                }
            }
        });
        assert!(found.contains(sentence), "{found}");
    }
}

#[test]
fn faults_that_can_do_nothing_or_too_much_are_refused() {
    let target = Target::Leader;
    let overload = |clients, submissions| FaultKind::Overload {
        slot: EventSlot(0),
        clients,
        submissions,
    };
    let period = |period_ms| FaultKind::Flap {
        target,
        period_ms: SimMs(period_ms),
    };
    let loop_of = |period_ms| FaultKind::CrashLoop {
        target,
        period_ms: SimMs(period_ms),
    };
    for (kind, sentence) in [
        (overload(4, 0), "submits 0, and 1 to 10000"),
        (overload(4, u32::MAX), "submits 4294967295, and 1 to 10000"),
        (overload(0, 4), "has a crowd of 0, and 1 to 256"),
        (overload(u16::MAX, 4), "has a crowd of 65535, and 1 to 256"),
        (period(0), "has a period of 0"),
        (period(u64::MAX), "it must turn within the storm"),
        (loop_of(0), "has a period of 0"),
        (loop_of(u64::MAX), "it must turn within the storm"),
        (
            FaultKind::SlowLinks { target, extra_ms: 0 },
            "slows by 0, and 1 to 1000",
        ),
        (
            FaultKind::SlowLinks { target, extra_ms: 1 },
            "ms is what one takes anyway",
        ),
        (
            FaultKind::SlowLinks {
                target,
                extra_ms: u32::MAX,
            },
            "slows by 4294967295",
        ),
        (
            FaultKind::SlowDisk {
                target,
                barrier_ms: 0,
            },
            "slows by 0",
        ),
        (
            FaultKind::SlowDisk {
                target,
                barrier_ms: u64::MAX,
            },
            "the cluster has to heal from the last of it",
        ),
        (FaultKind::Loss { ppm: 0 }, "loses 0 of a million"),
    ] {
        let found = only(kind);
        assert!(found.contains(sentence), "{found}");
    }
}

#[test]
fn faults_come_in_the_order_of_time_and_last() {
    let kill = FaultKind::Kill {
        target: Target::Leader,
    };
    let later_first =
        broken(|plan| plan.faults = vec![fault(0, 900, 50, kill.clone()), fault(1, 800, 50, kill.clone())]);
    assert_eq!(later_first, "fault 1 is earlier than the one before it");
    let at_once = broken(|plan| plan.faults = vec![fault(0, 900, 0, kill.clone())]);
    assert_eq!(at_once, "fault 0 lasts 0 ms: nothing could come of it");
    let many = broken(|plan| plan.faults = (0..501).map(|id| fault(id, 900, 50, kill.clone())).collect());
    assert_eq!(many, "faults are 501: 500 at most can be run");
}

#[test]
fn kept_plans_can_still_be_run() {
    for simulator in ["", "/madsim"] {
        let kept = format!("{}/..{simulator}/regressions", env!("CARGO_MANIFEST_DIR"));
        let files = std::fs::read_dir(kept).expect("plans that found a bug are kept");
        let mut read = 0;
        for file in files {
            let path = file.expect("the folder can be read").path();
            let text = std::fs::read_to_string(&path).expect("the file can be read");
            let plan = Plan::from_json(&text).map_err(|error| error.to_string());
            assert!(plan.is_ok(), "{}: {plan:?}", path.display());
            read += 1;
        }
        assert!(read > 0);
    }
}
