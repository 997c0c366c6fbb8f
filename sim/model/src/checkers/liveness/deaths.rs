//! Who dies, dies of a fault of the plan's: of one that does that to a node, to that node, and at its time. A history in which
//! nodes die of nothing is no run's, and each such death would excuse what a sound cluster must do.

use super::super::Report;
use crate::case::Case;
use crate::history::{Happening, Life};
use crate::ids::{NodeIndex, SimMicros};
use crate::lives::{self, Felt};
use crate::plan::FaultKind;

pub(super) fn have_their_fault(case: &Case, report: &mut Report) {
    let felt = lives::felt(case);
    for (place, record) in case.history.records.iter().enumerate() {
        let Happening::Node { node, life } = &record.what else {
            continue;
        };
        let what = match life {
            Life::LostPower { .. } => "lost its power",
            Life::Killed => "was killed",
            Life::Replaced => "was given new disks",
            Life::StoppedGracefully => "was told to stop",
            _ => continue,
        };
        let is_of_one = felt.iter().any(|felt| does(felt, *node, life, record.at));
        report.safe(is_of_one, place, || {
            format!("node {node} {what}, and no fault of the plan did that to it then")
        });
    }
}

fn does(felt: &Felt, node: NodeIndex, life: &Life, at: SimMicros) -> bool {
    let Some(began) = felt.began.filter(|began| *began <= at) else {
        return false;
    };
    let is_at_it = felt.ended.is_none_or(|ended| at <= ended);
    let hits = felt.node == Some(node);
    match (life, &felt.fault.kind) {
        (Life::LostPower { .. }, FaultKind::PowerCut { .. }) => hits && at == began,
        (Life::LostPower { .. }, FaultKind::Blackout { .. }) => at == began,
        (Life::Killed, FaultKind::Kill { .. } | FaultKind::Rot { .. }) => hits && at == began,
        // Where its node was down at the beginning, no record says which it is.
        (Life::Killed, FaultKind::CrashLoop { .. }) => is_at_it && (hits || felt.node.is_none()),
        // These take their time, and more than the fault has.
        (Life::Replaced, FaultKind::Rot { .. }) | (Life::StoppedGracefully, FaultKind::Restart { .. }) => {
            hits
        }
        _ => false,
    }
}
