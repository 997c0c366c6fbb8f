//! What may go wrong, each thing by itself and all of them together.

use std::collections::BTreeSet;

use super::{CLOCK_OFF_MS_MAX, Found, check, node_exists, slot_exists};
use crate::ids::{EventSlot, SimMs};
use crate::plan::{Fault, FaultKind, Knobs, Plan, Target};

/// Far below what numbers of overload voters allow, and so few that all jumps of a clock together outlive no token.
const FAULTS_MAX: usize = 500;
/// What a fault makes slow must be over soon after the storm: a message or a barrier of its last moment takes as long.
const SLOW_MS_MAX: u64 = 1_000;
/// No process is up before: a shorter loop is a node that is down, and takes minutes to simulate.
const LOOP_PERIOD_MS_MIN: u64 = 20;
/// Each is a task with a connection.
const OVERLOAD_CLIENTS_MAX: u16 = 256;
/// Below the voters that each overload has to itself, and little enough for a run to take seconds.
const OVERLOAD_SUBMISSIONS_MAX: u32 = 10_000;

pub(super) fn are_possible(plan: &Plan, created: &BTreeSet<EventSlot>) -> Found {
    let faults = &plan.faults;
    let count = faults.len();
    check(
        count <= FAULTS_MAX,
        "faults",
        format!("are {count}: {FAULTS_MAX} at most can be run"),
    )?;
    let mut before = None;
    for (place, fault) in faults.iter().enumerate() {
        is_possible(fault, place, &plan.knobs, created)?;
        check(
            before <= Some(fault.at_ms),
            format!("fault {}", fault.id.0),
            "is earlier than the one before it",
        )?;
        before = Some(fault.at_ms);
    }
    leave_enough(faults, plan.knobs.nodes)
}

fn is_possible(fault: &Fault, place_in_list: usize, knobs: &Knobs, created: &BTreeSet<EventSlot>) -> Found {
    let place = format!("fault {}", fault.id.0);
    check(
        usize::from(fault.id.0) == place_in_list,
        &place,
        format!("is not numbered by its place, {place_in_list}"),
    )?;
    check(fault.for_ms.0 > 0, &place, "lasts 0 ms: nothing could come of it")?;
    check(
        fault.ends_at() < knobs.storm_ms,
        &place,
        "lasts to the end of the storm or longer: nothing could heal",
    )?;
    for target in fault.kind.targets() {
        if let Target::Node(node) = target {
            node_exists(node, knobs.nodes, &place)?;
        }
        let needs_others = matches!(target, Target::Follower);
        check(
            !needs_others || knobs.nodes > 1,
            &place,
            "hits a follower, and a single node has none",
        )?;
    }
    kind_is_possible(&fault.kind, &place, knobs, created)
}

fn kind_is_possible(kind: &FaultKind, place: &str, knobs: &Knobs, created: &BTreeSet<EventSlot>) -> Found {
    match kind {
        FaultKind::OneWay { from, to } => check(from != to, place, "cuts a node off from itself"),
        FaultKind::Flap { period_ms, .. } => period_is_possible(*period_ms, 1, place, knobs),
        FaultKind::CrashLoop { period_ms, .. } => {
            period_is_possible(*period_ms, LOOP_PERIOD_MS_MIN, place, knobs)
        }
        FaultKind::SlowLinks { extra_ms, .. } => {
            slowness_is_possible(u64::from(*extra_ms), place)?;
            let usual = knobs.link_latency_ms_max;
            check(
                *extra_ms >= usual,
                place,
                format!(
                    "makes a message take {extra_ms} ms longer, and up to {usual} ms is what one takes anyway"
                ),
            )
        }
        FaultKind::SlowDisk { barrier_ms, .. } => {
            slowness_is_possible(*barrier_ms, place)?;
            let usual = knobs.barrier_micros;
            check(
                barrier_ms.saturating_mul(1_000) > usual,
                place,
                format!("makes a barrier take {barrier_ms} ms, and {usual} µs is what it takes anyway"),
            )
        }
        FaultKind::Loss { ppm } => check(
            (1..=1_000_000).contains(ppm),
            place,
            format!("loses {ppm} of a million messages"),
        ),
        FaultKind::ClockJump { by_ms, .. } => is_within(
            by_ms.unsigned_abs(),
            1,
            CLOCK_OFF_MS_MAX,
            place,
            "moves a clock by",
            " ms either way can be run: tokens must outlive it",
        ),
        FaultKind::Overload {
            slot,
            clients,
            submissions,
        } => {
            slot_exists(*slot, created, place)?;
            let clients = u64::from(*clients);
            is_within(
                clients,
                1,
                OVERLOAD_CLIENTS_MAX.into(),
                place,
                "has a crowd of",
                "",
            )?;
            let submissions = u64::from(*submissions);
            is_within(
                submissions,
                1,
                OVERLOAD_SUBMISSIONS_MAX.into(),
                place,
                "submits",
                "",
            )
        }
        _ => Ok(()),
    }
}

fn is_within(value: u64, min: u64, max: u64, place: &str, does: &str, why: &str) -> Found {
    check(
        (min..=max).contains(&value),
        place,
        format!("{does} {value}, and {min} to {max}{why}"),
    )
}

fn period_is_possible(period_ms: SimMs, min: u64, place: &str, knobs: &Knobs) -> Found {
    let why = " ms can be run: it must turn within the storm";
    is_within(period_ms.0, min, knobs.storm_ms.0, place, "has a period of", why)
}

fn slowness_is_possible(extra_ms: u64, place: &str) -> Found {
    let why = " ms can be run: the cluster has to heal from the last of it";
    is_within(extra_ms, 1, SLOW_MS_MAX, place, "slows by", why)
}

/// The atlas of faults. Whatever was acknowledged lies on a majority of disks behind a barrier. A power cut takes only
/// what no barrier covers, so any number of nodes may have one. A disk that fails or is full may be any node's, so at
/// each moment a minority may have one. What rots is one node's in a run. And at most a minority of nodes ever leaves, one at a time, so that a quorum
/// of the smallest cluster there was is still known from the plan.
pub(in crate::plan) fn leave_enough(faults: &[Fault], nodes: u8) -> Found {
    let minority = usize::from(nodes.saturating_sub(1)) / 2;
    let disks: Vec<&Fault> = faults.iter().filter(|fault| fault.kind.takes_a_disk()).collect();
    for fault in &disks {
        let at_once = disks.iter().filter(|other| other.is_on_at(fault.at_ms)).count();
        check(
            at_once <= minority,
            format!("fault {}", fault.id.0),
            format!(
                "is the {at_once}. disk that fails at once, and of {nodes} nodes {minority} may: the last good copy could be lost"
            ),
        )?;
    }
    let leaves: Vec<&Fault> = faults
        .iter()
        .filter(|fault| fault.kind.takes_a_member())
        .collect();
    let rots = |fault: &&&Fault| matches!(fault.kind, FaultKind::Rot { .. });
    if let Some(rot) = leaves.iter().find(rots) {
        check(
            leaves.len() == 1,
            format!("fault {}", rot.id.0),
            "lets the disks of one node rot, and takes others out: nobody knows when it is back",
        )?;
    }
    for fault in &leaves {
        let place = format!("fault {}", fault.id.0);
        check(
            leaves.len() <= minority,
            &place,
            format!(
                "is one of {} nodes that leave, and of {nodes} nodes {minority} may",
                leaves.len()
            ),
        )?;
        let at_once = leaves.iter().filter(|other| other.is_on_at(fault.at_ms)).count();
        check(at_once <= 1, &place, "takes a node out while another one is")?;
    }
    Ok(())
}
