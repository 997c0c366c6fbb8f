//! After the storm: waits until all nodes have applied the same, and asks each what it holds.

use std::time::Instant;

use ostraka_core::ids::LogIndex;
use ostraka_sim_model::history::{Happening, Standings};
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::names::OWNER;

use super::stage::SharedStage;
use crate::limits::{POLL_PAUSE, SETTLED_WAIT};
use crate::rig::{NodeStatus, Rig};

/// Returns when all is well, or with the time for it; what each node said is in the history then.
pub(super) async fn settle(stage: &SharedStage, rig: &Rig) {
    let until = Instant::now() + SETTLED_WAIT;
    while !(is_whole(rig).await && audience_is_there(stage).await) && Instant::now() < until {
        tokio::time::sleep(POLL_PAUSE).await;
    }
    for node in rig.indexes() {
        if let Some(vote) = status(rig, node).await.as_ref().and_then(NodeStatus::vote) {
            let applied = LogIndex(vote.applied_index);
            let boards = boards(stage, node).await;
            stage.record(Happening::Settled {
                node,
                applied,
                boards,
            });
        }
    }
}

async fn status(rig: &Rig, node: NodeIndex) -> Option<NodeStatus> {
    let rig = rig.clone();
    let asked = tokio::task::spawn_blocking(move || rig.status(node).ok());
    asked.await.ok().flatten()
}

/// Whether every node has applied all of the same log.
async fn is_whole(rig: &Rig) -> bool {
    let mut points = Vec::new();
    for node in rig.indexes() {
        let Some(status) = status(rig, node).await else {
            return false;
        };
        let Some(vote) = status.vote() else { return false };
        points.push((vote.applied_index, vote.last_log_index));
    }
    let first = points.first().map(|(applied, _)| *applied);
    points
        .iter()
        .all(|(applied, last)| applied == last && Some(*applied) == first)
}

async fn audience_is_there(stage: &SharedStage) -> bool {
    let boards = boards(stage, NodeIndex(0)).await;
    !boards.is_empty()
        && boards.iter().all(|board| {
            stage
                .known
                .all_have_seen(&stage.plan.viewers, board.event, board.version)
        })
}

async fn boards(stage: &SharedStage, node: NodeIndex) -> Vec<Standings> {
    ostraka_sim_crowd::boards(&stage.client(node, true), &stage.token(OWNER)).await
}
