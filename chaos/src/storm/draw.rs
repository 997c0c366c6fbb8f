//! Plans from seeds.

use ostraka_sim_model::ids::{FaultId, NodeIndex, Seed, SimMs};
use ostraka_sim_model::plan::Target;
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::{StormFault, StormPlan};
use crate::limits::{
    COMPOSITION_FAULT_MS, COMPOSITION_FAULTS, COMPOSITION_MS, STORM_AFTER_MS, STORM_CALM_MS,
    STORM_REQUESTS_PER_S, STORM_VIEWERS,
};
use crate::nemesis::{self, Kind};
use crate::rig::Fs;

fn empty(seed: Seed, nodes: u8, fs: Fs) -> StormPlan {
    StormPlan {
        calm_ms: SimMs(STORM_CALM_MS),
        after_ms: SimMs(STORM_AFTER_MS),
        requests_per_s: STORM_REQUESTS_PER_S,
        viewers: STORM_VIEWERS,
        ..StormPlan::new(seed, nodes, fs)
    }
}

/// One fault, for as long as it says itself.
pub fn single(kind: &Kind, seed: Seed, nodes: u8, fs: Fs) -> StormPlan {
    let mut plan = empty(seed, nodes, fs);
    let fault = StormFault {
        id: FaultId(0),
        at_ms: plan.calm_ms,
        for_ms: SimMs(u64::try_from(kind.lasts.as_millis()).unwrap_or(u64::MAX)),
        nemesis: kind.name.to_owned(),
        target: kind.target,
    };
    plan.storm_ms = fault.ends_at();
    plan.faults.push(fault);
    plan
}

/// Each fault alone. Upgrades only where there is another build: it is not everybody's to give.
pub fn each(seed: Seed, nodes: u8, fs: Fs, upgrades: bool) -> Vec<StormPlan> {
    let kinds = nemesis::ALL.iter();
    kinds
        .filter(|kind| upgrades || !kind.needs.upgrade)
        .map(|kind| single(kind, seed, nodes, fs))
        .collect()
}

/// Several faults in a minute, of which some lie over each other. Those that do are aimed at nodes of their own, fewer than
/// there are: two at one process would undo each other's harm. What concerns a node's files or all nodes stands alone, for
/// the last good copy is nobody's to take.
pub fn composition(seed: Seed, nodes: u8, fs: Fs) -> StormPlan {
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(seed.0);
    let mut plan = empty(seed, nodes, fs);
    plan.storm_ms = SimMs(COMPOSITION_MS - plan.after_ms.0);
    let wanted = chance.random_range(COMPOSITION_FAULTS.0..=COMPOSITION_FAULTS.1);
    // Another build is not everybody's to give.
    let kinds: Vec<&Kind> = nemesis::ALL.iter().filter(|kind| !kind.needs.upgrade).collect();
    // A fault that has found no place after so many attempts is left out.
    for _ in 0..wanted * 20 {
        if plan.faults.len() >= wanted {
            break;
        }
        let kind = kinds.choose(&mut chance).expect("there are nemeses");
        let for_ms = chance.random_range(COMPOSITION_FAULT_MS.0..=COMPOSITION_FAULT_MS.1);
        let latest = plan.storm_ms.0 - for_ms;
        let fault = StormFault {
            id: FaultId(0),
            at_ms: SimMs(chance.random_range(plan.calm_ms.0..=latest)),
            for_ms: SimMs(for_ms),
            nemesis: kind.name.to_owned(),
            target: Target::Node(NodeIndex(chance.random_range(0..nodes))),
        };
        if fits(&plan, &fault) {
            plan.faults.push(fault);
        }
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    for (place, fault) in plan.faults.iter_mut().enumerate() {
        fault.id = FaultId(u16::try_from(place).expect("a handful"));
    }
    plan
}

/// Faults that nothing else may lie over.
const ALONE: [&str; 7] = [
    "blackout",
    "rolling-restart",
    "clock-skew",
    "clock-jump",
    "bit-flip",
    "torn-tail",
    "lost-snapshot",
];

fn fits(plan: &StormPlan, fault: &StormFault) -> bool {
    let mut meanwhile = plan
        .faults
        .iter()
        .filter(|other| other.overlaps(fault))
        .peekable();
    let alone = |fault: &StormFault| ALONE.contains(&fault.nemesis.as_str());
    if alone(fault) {
        return meanwhile.peek().is_none();
    }
    let others: Vec<&StormFault> = meanwhile.collect();
    let nodes_hit = others.len() + 1;
    others
        .iter()
        .all(|other| !alone(other) && other.target != fault.target)
        && nodes_hit < usize::from(plan.nodes)
}
