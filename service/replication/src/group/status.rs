//! A picture of the group.

use openraft::metrics::RaftMetrics;
use openraft::{LogId as RawLogId, ServerState};
use openraft_rt::Instant as _;
use ostraka_core::LogIndex;

use super::{Group, GroupStatus};
use crate::types::{CommittedLeaderId, MembershipId, NodeNumber, PeerAddr, Types};

impl Group {
    pub fn status(&self) -> GroupStatus {
        let metrics = self.raft().metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let nodes = |voters: bool| -> Vec<(NodeNumber, PeerAddr)> {
            let is_voter = |node: &NodeNumber| membership.voter_ids().any(|voter| voter == *node);
            let chosen = membership.nodes().filter(|(node, _)| is_voter(node) == voters);
            chosen.map(|(node, addr)| (*node, addr.clone())).collect()
        };
        let replication = metrics.replication.iter().flatten();
        let heard = metrics.heartbeat.iter().flatten();
        GroupStatus {
            name: self.inner.config.name,
            node: self.inner.config.node,
            role: role_name(metrics.state).to_owned(),
            term: metrics.current_term,
            leader: metrics.current_leader,
            last_log_index: LogIndex(metrics.last_log_index.unwrap_or(0)),
            committed_index: index_of(metrics.local_committed),
            applied_index: self.applied_index(),
            snapshot_index: index_of(metrics.snapshot),
            purged_index: index_of(metrics.purged),
            voters: nodes(true),
            learners: nodes(false),
            membership: membership_of(&metrics),
            changing: is_changing(&metrics),
            replication: replication
                .map(|(node, matched)| (*node, index_of(*matched)))
                .collect(),
            silence_ms: heard
                .map(|(node, at)| (*node, at.map(|at| at.into_inner().elapsed().as_millis() as u64)))
                .collect(),
        }
    }
}

impl GroupStatus {
    /// Whether the log names any members: it belongs to a cluster.
    pub fn has_members(&self) -> bool {
        !self.voters.is_empty() || !self.learners.is_empty()
    }

    /// Whether the node is a voter or learner.
    pub fn is_member(&self, node: NodeNumber) -> bool {
        let mut members = self.voters.iter().chain(&self.learners);
        members.any(|(member, _)| *member == node)
    }
}

pub(super) fn membership_of(metrics: &RaftMetrics<Types>) -> MembershipId {
    MembershipId(*metrics.membership_config.log_id())
}

/// Whether the newest membership that this node knows is not committed, or is the first half of a change.
fn is_changing(metrics: &RaftMetrics<Types>) -> bool {
    let newest = &metrics.membership_config;
    newest.log_id() > &metrics.local_committed || is_joint(metrics)
}

pub(super) fn is_joint(metrics: &RaftMetrics<Types>) -> bool {
    metrics.membership_config.membership().get_joint_config().len() > 1
}

fn role_name(state: ServerState) -> &'static str {
    match state {
        ServerState::Leader => "leader",
        ServerState::Follower => "follower",
        ServerState::Candidate => "candidate",
        ServerState::Learner => "learner",
        ServerState::Shutdown => "stopped",
    }
}

pub(super) fn index_of(log_id: Option<RawLogId<CommittedLeaderId>>) -> LogIndex {
    LogIndex(log_id.map_or(0, |log_id| log_id.index))
}
