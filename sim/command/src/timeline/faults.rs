//! The faults of a run in words, with the nodes that they hit, as far as the history tells: a plan says "the leader", and
//! who that was is known only from the run.

use std::collections::BTreeMap;

use ostraka_sim_model::history::{Happening, History, Life};
use ostraka_sim_model::ids::{FaultId, NodeIndex};
use ostraka_sim_model::plan::{Fault, FaultKind, Plan, Target};

use super::words::{self, Hit};

pub(super) struct Faults<'a> {
    plan: &'a Plan,
    hits: BTreeMap<FaultId, Hit>,
}

impl<'a> Faults<'a> {
    pub(super) fn of(plan: &'a Plan, history: &History) -> Self {
        let mut hits = BTreeMap::new();
        // The node of the highest term so far: who leads, or has led last.
        let mut newest: Option<(u64, NodeIndex)> = None;
        for record in &history.records {
            match &record.what {
                Happening::Node {
                    node,
                    life: Life::Leads { term },
                } if newest.is_none_or(|(known, _)| known < *term) => newest = Some((*term, *node)),
                Happening::FaultBegan { fault, node } => {
                    let leader = newest.map(|(_, leader)| leader);
                    let far = planned(plan, *fault).and_then(|planned| far_end(planned, *node, leader, plan));
                    hits.entry(*fault).or_insert(Hit { node: *node, far });
                }
                _ => {}
            }
        }
        Faults { plan, hits }
    }

    pub(super) fn words(&self, fault: FaultId) -> String {
        let hit = self.hits.get(&fault).copied().unwrap_or_default();
        planned(self.plan, fault).map_or_else(
            || "a fault".to_owned(),
            |planned| words::fault(&planned.kind, hit),
        )
    }

    /// What stands in the drawing.
    pub(super) fn name(&self, fault: FaultId) -> &'static str {
        planned(self.plan, fault).map_or("a fault", |planned| planned.kind.name())
    }
}

fn planned(plan: &Plan, fault: FaultId) -> Option<&Fault> {
    plan.faults.iter().find(|planned| planned.id == fault)
}

/// At whom the lost messages of a one-way cut were aimed: a history names their sender only. Whoever is the leader's
/// follower, or the follower's leader, is its neighbour ([`Target::Follower`]).
fn far_end(
    fault: &Fault,
    near: Option<NodeIndex>,
    leader: Option<NodeIndex>,
    plan: &Plan,
) -> Option<NodeIndex> {
    let FaultKind::OneWay { from, to } = fault.kind else {
        return None;
    };
    let nodes = plan.knobs.nodes.max(1);
    let leader = match (from, near) {
        (Target::Leader, Some(near)) => Some(near),
        (Target::Follower, Some(near)) => {
            let before = (near.0 % nodes).checked_sub(1);
            Some(NodeIndex(before.unwrap_or(nodes - 1)))
        }
        _ => leader,
    };
    match to {
        Target::Node(node) => Some(node),
        Target::Leader => leader,
        Target::Follower => leader.map(|leader| NodeIndex((leader.0 % nodes + 1) % nodes)),
    }
}
