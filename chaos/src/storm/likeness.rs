//! What each nemesis is to the checkers: the fault of their own that disturbs a cluster most like it. They look at it to know
//! when a cluster was disturbed, and how wrong clocks were; how often it bit is counted by the nemesis itself.

use ostraka_sim_model::ids::{FaultId, NodeIndex, SimMs};
use ostraka_sim_model::plan::{Fault, FaultKind, Target};

use super::{StormFault, StormPlan};
use crate::limits::{
    CLOCK_JUMP_S, CLOCK_SKEW_STEP_S, CRASH_LOOP_PERIOD, DELAY, DELAY_JITTER, FLAP_PERIOD, LOSS_PER_MILLE,
    SLOW_BARRIER, STORM_FAULT_LIKE_MAX,
};

/// Ascending by their time, as the storm's own.
pub(super) fn of(storm: &StormPlan) -> Vec<Fault> {
    let mut faults = Vec::new();
    for fault in &storm.faults {
        for (place, kind) in kinds(fault, storm.nodes).into_iter().enumerate() {
            let place = u16::try_from(place).expect("fewer than nodes");
            faults.push(Fault {
                id: FaultId(fault.id.0 * STORM_FAULT_LIKE_MAX + place),
                at_ms: fault.at_ms,
                for_ms: fault.for_ms,
                kind,
            });
        }
    }
    faults
}

/// The storm's fault that one of the checkers' stands for.
pub(super) fn storm_fault(like: FaultId) -> FaultId {
    FaultId(like.0 / STORM_FAULT_LIKE_MAX)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn kinds(fault: &StormFault, nodes: u8) -> Vec<FaultKind> {
    let target = fault.target;
    let extra_ms = u32::try_from(millis(DELAY + DELAY_JITTER)).unwrap_or(u32::MAX);
    let kind = match fault.nemesis.as_str() {
        "kill" | "bit-flip" | "torn-tail" | "lost-snapshot" => FaultKind::Kill { target },
        "pause" => FaultKind::Hold { target },
        "crash-loop" => FaultKind::CrashLoop {
            target,
            period_ms: SimMs(millis(CRASH_LOOP_PERIOD)),
        },
        "restart" | "rolling-restart" | "rolling-upgrade" => FaultKind::Restart { target },
        "isolate" | "one-way" | "one-way-in" | "reset" => FaultKind::Isolate { target },
        "flap" => FaultKind::Flap {
            target,
            period_ms: SimMs(millis(FLAP_PERIOD)),
        },
        "loss" => FaultKind::Loss {
            ppm: LOSS_PER_MILLE * 1_000,
        },
        "power-cut" => FaultKind::PowerCut { target, kept: 0 },
        "blackout" => FaultKind::Blackout { kept: 0 },
        "disk-full" => FaultKind::DiskFull { target },
        "disk-error" | "disk-error-on-write" => FaultKind::DiskError { target },
        "slow-disk" => FaultKind::SlowDisk {
            target,
            barrier_ms: millis(SLOW_BARRIER),
        },
        "clock-jump" => jump(target, CLOCK_JUMP_S),
        "clock-skew" => {
            let ahead = (1..nodes)
                .map(|node| jump(Target::Node(NodeIndex(node)), i64::from(node) * CLOCK_SKEW_STEP_S));
            return ahead.collect();
        }
        // Slow in one way or another.
        _ => FaultKind::SlowLinks { target, extra_ms },
    };
    vec![kind]
}

fn jump(target: Target, by_s: i64) -> FaultKind {
    FaultKind::ClockJump {
        target,
        by_ms: by_s * 1_000,
    }
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::ids::Seed;

    use super::*;
    use crate::nemesis;
    use crate::rig::Fs;
    use crate::storm::single;

    #[test]
    fn every_nemesis_is_something_to_the_checkers() {
        for kind in nemesis::ALL {
            let plan = single(kind, Seed(1), 3, Fs::Xfs);
            let like = of(&plan);
            assert!(!like.is_empty(), "{}", kind.name);
            for fault in &like {
                assert_eq!(storm_fault(fault.id), plan.faults[0].id);
                assert_eq!(
                    (fault.at_ms, fault.for_ms),
                    (plan.faults[0].at_ms, plan.faults[0].for_ms)
                );
            }
        }
    }
}
