//! What goes wrong.

use super::{Draw, any_node, fresh_from_ms};
use crate::ids::{EventSlot, FaultId, NodeIndex, SimMs};
use crate::plan::profile::Family;
use crate::plan::{Fault, FaultKind, Knobs, Profile, Target, validate};

/// No fault begins earlier: something must have happened that can be lost.
const FIRST_MS: u64 = 400;

/// In percent: losses of a leader that meet a crowd.
const CROWD_AT_A_LOSS_PERCENT: u64 = 40;

/// An operator takes a node out, gives it empty disks and adds it, in milliseconds.
const REPLACEMENT_MS: u64 = 1_500;

pub(super) fn draw(draw: &mut Draw, profile: Profile, knobs: &Knobs, slots: &[EventSlot]) -> Vec<Fault> {
    let (few, many) = profile.faults();
    let families = profile.families();
    let mut faults: Vec<Fault> = Vec::new();
    for _ in 0..draw.between(few, many) {
        let family = draw.weighted(&families);
        let (at_ms, for_ms) = span(draw, family, knobs);
        faults.push(Fault {
            id: FaultId(0),
            at_ms: SimMs(at_ms),
            for_ms: SimMs(for_ms),
            kind: kind(draw, family, knobs, slots),
        });
        // What would be too much at once is left out.
        if validate::faults_leave_enough(&faults, knobs.nodes).is_err() {
            faults.pop();
        }
    }
    if profile == Profile::Membership && draw.percent(40) {
        rolling_restart(draw, knobs, &mut faults);
    }
    crowds_where_leaders_go(draw, knobs, slots, &mut faults);
    faults
}

/// Sorts by time and numbers by place.
pub(super) fn in_order(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort_by_key(|fault| fault.at_ms);
    for (place, fault) in faults.iter_mut().enumerate() {
        fault.id = FaultId(place as u16);
    }
    faults
}

/// Each node once, one after another.
fn rolling_restart(draw: &mut Draw, knobs: &Knobs, faults: &mut Vec<Fault>) {
    let each_ms = (knobs.storm_ms.0 - FIRST_MS) / (u64::from(knobs.nodes) + 1);
    let first = any_node(draw, knobs).0;
    for place in 0..knobs.nodes {
        let node = NodeIndex((first + place) % knobs.nodes);
        faults.push(Fault {
            id: FaultId(0),
            at_ms: SimMs(FIRST_MS + each_ms * u64::from(place)),
            for_ms: SimMs(each_ms / 3),
            kind: FaultKind::Restart {
                target: Target::Node(node),
            },
        });
    }
}

/// Where a leader is to be lost, a crowd is often in the middle of voting: what becomes of a batch that is in flight then
/// is what a failover is most likely to get wrong, and of the plan's own votes hardly ever one is.
fn crowds_where_leaders_go(draw: &mut Draw, knobs: &Knobs, slots: &[EventSlot], faults: &mut Vec<Fault>) {
    let losses: Vec<SimMs> = faults
        .iter()
        .filter(|fault| loses_the_leader(&fault.kind))
        .map(|fault| fault.at_ms)
        .collect();
    for lost_at in losses {
        if !draw.percent(CROWD_AT_A_LOSS_PERCENT) {
            continue;
        }
        let before_ms = draw.between(20, 150);
        let for_ms = before_ms + draw.between(150, 400);
        let at_ms = lost_at.0.saturating_sub(before_ms).max(FIRST_MS);
        faults.push(Fault {
            id: FaultId(0),
            at_ms: SimMs(at_ms.min(knobs.storm_ms.0 - 1 - for_ms)),
            for_ms: SimMs(for_ms),
            kind: FaultKind::Overload {
                slot: draw.pick(slots),
                clients: draw.between(6, 18) as u16,
                submissions: draw.between(60, 200) as u32,
            },
        });
    }
}

fn loses_the_leader(kind: &FaultKind) -> bool {
    let is_meant = |target: &Target| *target == Target::Leader;
    match kind {
        FaultKind::TransferLeadership { .. } => true,
        FaultKind::OneWay { from, to } => is_meant(from) || is_meant(to),
        FaultKind::Isolate { target }
        | FaultKind::Flap { target, .. }
        | FaultKind::PowerCut { target, .. }
        | FaultKind::Kill { target }
        | FaultKind::Restart { target }
        | FaultKind::Hold { target }
        | FaultKind::DiskError { target }
        | FaultKind::LeaveAndJoin { target } => is_meant(target),
        _ => false,
    }
}

/// When it begins and how long it lasts.
fn span(draw: &mut Draw, family: Family, knobs: &Knobs) -> (u64, u64) {
    let (short, long) = match family {
        Family::Kill | Family::PowerCut | Family::Restart | Family::Blackout => (50, 2_000),
        Family::Hold => (200, 2_000),
        Family::Rot => (700, 2_000),
        // Long enough to meet a barrier, and an election that another fault has begun.
        Family::DiskError | Family::TransferLeadership => (900, 2_500),
        Family::Loss | Family::SlowLinks | Family::SlowDisk => (800, 5_000),
        // Twice through both logs, at the pace of a leader who may be hard to reach.
        Family::LeaveAndJoin => (2_000, 5_000),
        Family::Overload => (200, 600),
        // Long enough for some of its periods to cut off whom they mean.
        Family::Flap => (1_000, 3_500),
        Family::Isolate | Family::OneWay | Family::CrashLoop | Family::DiskFull | Family::ClockJump => {
            (400, 3_500)
        }
    };
    let for_ms = draw.between(short, long);
    let at_ms = draw.between(
        FIRST_MS,
        (knobs.storm_ms.0 - 1 - for_ms).min(latest(family, knobs)),
    );
    (at_ms, for_ms)
}

/// A node whose disks have rotted is replaced when there is a leader again, and the fresh questions go to it as well: a
/// lease, a timeout and a split vote are up to two of the shortest election timeout each (seed 3010171).
fn latest(family: Family, knobs: &Knobs) -> u64 {
    match family {
        Family::Rot => {
            let leaderless_ms = 6 * knobs.election_ms;
            fresh_from_ms(knobs)
                .saturating_sub(leaderless_ms + REPLACEMENT_MS)
                .max(FIRST_MS + 1)
        }
        _ => u64::MAX,
    }
}

fn target(draw: &mut Draw, knobs: &Knobs) -> Target {
    let node = any_node(draw, knobs);
    draw.weighted(&[
        (5, Target::Leader),
        (2, Target::Follower),
        (3, Target::Node(node)),
    ])
}

fn kind(draw: &mut Draw, family: Family, knobs: &Knobs, slots: &[EventSlot]) -> FaultKind {
    let target = target(draw, knobs);
    let period_ms = SimMs(draw.between(80, 500));
    let kept = draw.weighted(&[(1, 0), (1, 1), (1, 3)]);
    match family {
        Family::Isolate => FaultKind::Isolate { target },
        Family::OneWay => one_way(draw),
        Family::Flap => FaultKind::Flap { target, period_ms },
        Family::SlowLinks => FaultKind::SlowLinks {
            target,
            extra_ms: draw.between(20, 400) as u32,
        },
        Family::Loss => FaultKind::Loss {
            ppm: draw.pick(&[5_000, 30_000, 120_000]),
        },
        Family::PowerCut => FaultKind::PowerCut { target, kept },
        Family::Blackout => FaultKind::Blackout { kept },
        Family::Kill => FaultKind::Kill { target },
        Family::Restart => FaultKind::Restart { target },
        Family::CrashLoop => FaultKind::CrashLoop {
            target,
            period_ms: SimMs(draw.between(300, 900)),
        },
        Family::Hold => FaultKind::Hold { target },
        Family::DiskError => FaultKind::DiskError { target },
        Family::SlowDisk => FaultKind::SlowDisk {
            target,
            barrier_ms: draw.between(10, 250),
        },
        Family::DiskFull => FaultKind::DiskFull { target },
        Family::Rot => FaultKind::Rot { target },
        Family::ClockJump => FaultKind::ClockJump {
            target,
            by_ms: draw.pick(&[-60_000, -3_000, -400, 400, 3_000, 60_000]),
        },
        Family::TransferLeadership => FaultKind::TransferLeadership {
            to: any_node(draw, knobs),
        },
        Family::LeaveAndJoin => FaultKind::LeaveAndJoin { target },
        Family::Overload => FaultKind::Overload {
            slot: draw.pick(slots),
            clients: draw.between(4, 16) as u16,
            submissions: draw.between(100, 400) as u32,
        },
    }
}

fn one_way(draw: &mut Draw) -> FaultKind {
    let (from, to) = draw.pick(&[
        (Target::Leader, Target::Follower),
        (Target::Follower, Target::Leader),
    ]);
    FaultKind::OneWay { from, to }
}
