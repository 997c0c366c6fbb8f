//! Who leads, as far as this node knows, and waiting for that to change.

use openraft::ServerState;
use openraft::errors::ForwardToLeader;
use openraft::metrics::RaftServerMetrics;

use super::Group;
use crate::peer::wire::LeaderHint;
use crate::runtime::watch;
use crate::types::{NodeNumber, Types};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LeaderView {
    pub(super) term: u64,
    /// This node leads.
    pub(super) leads: bool,
    pub(super) leader: LeaderHint,
}

impl LeaderView {
    fn of(metrics: &RaftServerMetrics<Types>) -> Self {
        let leader = metrics.current_leader.and_then(|node| {
            let addr = metrics.membership_config.membership().get_node(&node)?;
            Some((node, addr.clone()))
        });
        let term = metrics.vote.leader_id().term;
        Self {
            term,
            leads: metrics.state == ServerState::Leader,
            leader,
        }
    }

    /// A leader other than this node and other than the one just asked.
    pub(super) fn other_than(hint: LeaderHint, own: NodeNumber, asked: Option<NodeNumber>) -> LeaderHint {
        hint.filter(|(node, _)| *node != own && Some(*node) != asked)
    }
}

pub(super) fn hint_of(forward: ForwardToLeader<Types>) -> LeaderHint {
    forward.leader_id.zip(forward.leader_node)
}

/// Watches the leader.
pub(super) struct LeaderWatch(watch::Receiver<RaftServerMetrics<Types>>);

impl LeaderWatch {
    pub(super) fn now(&mut self) -> LeaderView {
        LeaderView::of(&self.0.borrow_and_update())
    }

    /// Until the view differs from `known`. Never, once the core has ended.
    pub(super) async fn differs_from(&mut self, known: &LeaderView) {
        while self.now() == *known {
            if self.0.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Group {
    pub(super) fn leader_view(&self) -> LeaderView {
        LeaderView::of(&self.raft().server_metrics().borrow())
    }

    pub(super) fn watch_leader(&self) -> LeaderWatch {
        LeaderWatch(self.raft().server_metrics())
    }
}
