//! Forming a cluster, changing its members, moving its leadership, taking a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::metrics::RaftMetrics;
use ostraka_core::LogIndex;
use ostraka_core::limits::{
    MEMBERSHIP_CHANGE_MS_MAX, MEMBERSHIP_LOOK_MS, PEER_CALL_MS_MAX, SNAPSHOT_INSTALL_MS_MAX,
};

use super::status::index_of;
use super::{Group, GroupError};
use crate::peer::Target;
use crate::peer::wire::{MembershipAnswer, MembershipChange};
use crate::runtime::{self, Instant};
use crate::types::{NodeNumber, PeerAddr, Types};

/// Between two looks at whether an earlier change has ended.
const CHANGE_PAUSE: Duration = Duration::from_millis(MEMBERSHIP_LOOK_MS);

impl Group {
    /// Forms a new cluster of one, this node, and waits until it leads. Error if it already has a log.
    pub async fn init(&self, own_addr: PeerAddr) -> Result<(), GroupError> {
        let own = self.inner.config.node;
        let formed = self.raft().initialize(BTreeMap::from([(own, own_addr)])).await;
        formed.map_err(|error| match error {
            RaftError::APIError(InitializeError::NotAllowed(_)) => {
                GroupError::Membership("this node already has a log: it belongs to a cluster".to_owned())
            }
            RaftError::APIError(InitializeError::NotInMembers(error)) => {
                GroupError::Membership(error.to_string())
            }
            RaftError::Fatal(fatal) => stopped(&fatal),
        })?;
        self.wait_metrics(change_deadline(), |metrics| metrics.current_leader == Some(own))
            .await
    }

    /// Adds a node as learner, waits until it has caught up, makes it a voter. From any node.
    pub async fn add(&self, node: NodeNumber, addr: PeerAddr, within: Duration) -> Result<(), GroupError> {
        self.change(MembershipChange::Add { node, addr }, within).await
    }

    /// Removes a voter or learner, from any node. A leader may be removed, and steps down then.
    pub async fn remove(&self, node: NodeNumber) -> Result<(), GroupError> {
        let within = Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        self.change(MembershipChange::Remove { node }, within).await
    }

    /// Hands leadership to a voter and waits until it leads. From any node.
    pub async fn transfer_leader(&self, to: NodeNumber) -> Result<(), GroupError> {
        let within = Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        self.change(MembershipChange::TransferLeader { to }, within).await
    }

    /// Carries a change out here if this node leads, else asks the node that it takes for the leader, once: an operator
    /// who meets an election in between asks again.
    async fn change(&self, change: MembershipChange, within: Duration) -> Result<(), GroupError> {
        let view = self.leader_view();
        let Some((node, addr)) = view.leader.filter(|_| !view.leads) else {
            return self.change_here(change, within).await;
        };
        let target = Target {
            group: self.inner.config.name,
            node,
            addr,
        };
        match self.inner.peers.change_membership(&target, within, &change).await {
            Ok(MembershipAnswer(answer)) => answer,
            Err(error) => Err(GroupError::Membership(format!(
                "node {node} at {}, which this node takes for the leader, did not carry it out: {error}",
                target.addr
            ))),
        }
    }

    pub(crate) async fn change_here(
        &self,
        change: MembershipChange,
        within: Duration,
    ) -> Result<(), GroupError> {
        match change {
            MembershipChange::Add { node, addr } => self.add_here(node, addr, within).await,
            MembershipChange::Remove { node } => self.remove_here(node).await,
            MembershipChange::TransferLeader { to } => self.transfer_leader_here(to).await,
        }
    }

    async fn add_here(&self, node: NodeNumber, addr: PeerAddr, within: Duration) -> Result<(), GroupError> {
        self.must_lead()?;
        if node.0 == 0 {
            return Err(GroupError::Membership("nodes are numbered from 1".to_owned()));
        }
        let deadline = runtime::now() + within;
        let known = self.status();
        if let Some((_, known_addr)) = known.voters.iter().find(|(voter, _)| *voter == node) {
            return if *known_addr == addr {
                Ok(())
            } else {
                let sentence =
                    format!("node {node} is a voter at {known_addr}: remove it before adding it elsewhere");
                Err(GroupError::Membership(sentence))
            };
        }
        self.must_reach(node, &addr).await?;
        changed(deadline, || self.raft().add_learner(node, addr.clone(), false)).await?;
        let caught_up = self.promote(node, deadline).await;
        if caught_up.is_err() {
            // Nothing half-done stays behind; the operator mends the cause and asks again.
            let forgotten = self.remove_here(node).await;
            tracing::warn!(%node, ?forgotten, "a node that was being added did not catch up and was taken out again");
        }
        caught_up
    }

    /// A node that does not answer, is another one or has another secret is not made a member.
    async fn must_reach(&self, node: NodeNumber, addr: &PeerAddr) -> Result<(), GroupError> {
        if node == self.inner.config.node {
            return Ok(());
        }
        let target = Target {
            group: self.inner.config.name,
            node,
            addr: addr.clone(),
        };
        let within = Duration::from_millis(PEER_CALL_MS_MAX);
        match self.inner.peers.read_index(&target, within).await {
            Ok(_) => Ok(()),
            Err(error) => Err(GroupError::Membership(format!(
                "node {node} cannot be added: at {addr} it is {error}"
            ))),
        }
    }

    /// Waits until a learner has the log, and makes it a voter.
    async fn promote(&self, node: NodeNumber, deadline: Instant) -> Result<(), GroupError> {
        let target = self.status().last_log_index;
        self.wait_metrics(deadline, |metrics| {
            let replication = metrics.replication.as_ref();
            replication.is_none_or(|matched| {
                matched
                    .get(&node)
                    .is_some_and(|matched| index_of(*matched) >= target)
            })
        })
        .await?;
        self.must_lead()?;
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
        changed(deadline, || self.raft().change_membership(change.clone(), true)).await
    }

    async fn remove_here(&self, node: NodeNumber) -> Result<(), GroupError> {
        self.must_lead()?;
        let status = self.status();
        let removed = BTreeSet::from([node]);
        let change = if status.voters.iter().any(|(voter, _)| *voter == node) {
            ChangeMembers::RemoveVoters(removed)
        } else if status.learners.iter().any(|(learner, _)| *learner == node) {
            ChangeMembers::RemoveNodes(removed)
        } else {
            return Err(GroupError::Membership(format!(
                "node {node} is not in the cluster"
            )));
        };
        changed(change_deadline(), || {
            self.raft().change_membership(change.clone(), false)
        })
        .await
    }

    async fn transfer_leader_here(&self, to: NodeNumber) -> Result<(), GroupError> {
        self.must_lead()?;
        if !self.status().voters.iter().any(|(voter, _)| *voter == to) {
            return Err(GroupError::Membership(format!("node {to} is not a voter")));
        }
        self.raft()
            .trigger()
            .transfer_leader(to)
            .await
            .map_err(|fatal| stopped(&fatal))?;
        self.wait_metrics(change_deadline(), |metrics| metrics.current_leader == Some(to))
            .await
    }

    /// Takes a snapshot now. Returns the last index that is in it.
    pub async fn snapshot(&self) -> Result<LogIndex, GroupError> {
        let target = self.applied_index();
        self.raft()
            .trigger()
            .snapshot()
            .await
            .map_err(|fatal| stopped(&fatal))?;
        let deadline = runtime::now() + Duration::from_millis(SNAPSHOT_INSTALL_MS_MAX);
        self.wait_metrics(deadline, |metrics| index_of(metrics.snapshot) >= target)
            .await?;
        Ok(index_of(self.raft().metrics().borrow().snapshot))
    }

    fn must_lead(&self) -> Result<(), GroupError> {
        let view = self.leader_view();
        if view.leads {
            Ok(())
        } else {
            Err(GroupError::NotLeader(view.leader.map(|(_, addr)| addr)))
        }
    }

    async fn wait_metrics(
        &self,
        deadline: Instant,
        mut accept: impl FnMut(&RaftMetrics<Types>) -> bool,
    ) -> Result<(), GroupError> {
        let mut metrics = self.raft().metrics();
        let reached = metrics.wait_for(|metrics| metrics.running_state.is_err() || accept(metrics));
        let left = deadline.saturating_duration_since(runtime::now());
        match runtime::timeout(left, reached).await {
            Some(Ok(metrics)) => metrics.running_state.map_err(|fatal| stopped(&fatal)),
            Some(Err(_)) => Err(stopped(&Fatal::Stopped)),
            None => Err(GroupError::Timeout),
        }
    }
}

fn change_deadline() -> Instant {
    runtime::now() + Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX)
}

fn stopped(fatal: &Fatal<Types>) -> GroupError {
    GroupError::Stopped(fatal.to_string())
}

/// Changes the membership. Waits for an earlier change to end, its own leader's or one that it took over.
async fn changed<T, F>(deadline: Instant, mut change: impl FnMut() -> F) -> Result<(), GroupError>
where
    F: Future<Output = Result<T, RaftError<Types, ClientWriteError<Types>>>>,
{
    loop {
        let left = deadline.saturating_duration_since(runtime::now());
        let error = match runtime::timeout(left, change()).await {
            None => return Err(GroupError::Timeout),
            Some(Ok(_)) => return Ok(()),
            Some(Err(RaftError::Fatal(fatal))) => return Err(stopped(&fatal)),
            Some(Err(RaftError::APIError(error))) => error,
        };
        match error {
            ClientWriteError::ForwardToLeader(forward) => {
                return Err(GroupError::NotLeader(forward.leader_node));
            }
            ClientWriteError::LogEntryDiscarded(_) => return Err(GroupError::Timeout),
            ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ) if runtime::now() + CHANGE_PAUSE < deadline => runtime::sleep(CHANGE_PAUSE).await,
            error => return Err(GroupError::Membership(error.to_string())),
        }
    }
}
