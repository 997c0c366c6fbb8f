//! Forming a cluster, changing its members, moving its leadership, taking a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hyper::StatusCode;
use openraft::ChangeMembers;
use openraft::errors::{InitializeError, RaftError};
use ostraka_core::LogIndex;
use ostraka_core::limits::{MEMBERSHIP_CHANGE_MS_MAX, PEER_CALL_MS_MAX, SNAPSHOT_INSTALL_MS_MAX};

use super::status::index_of;
use super::turns::{LOOK_PAUSE, stopped};
use super::{Group, GroupError};
use crate::cluster::{ClusterId, ClusterRecord};
use crate::peer::wire::{MembershipAnswer, MembershipChange, Standing};
use crate::peer::{CallError, Target};
use crate::runtime::{self, Instant};
use crate::types::{MembershipId, NodeNumber, PeerAddr};

impl Group {
    /// Forms a new cluster of one, this node, and waits until it leads. Error if it already has a log or belongs to a
    /// cluster that others formed.
    pub async fn init(&self, own_addr: PeerAddr) -> Result<(), GroupError> {
        let own = self.inner.config.node;
        self.found_cluster().await?;
        let formed = self.raft().initialize(BTreeMap::from([(own, own_addr)])).await;
        formed.map_err(|error| match error {
            RaftError::APIError(InitializeError::NotAllowed(_)) => {
                GroupError::Membership(format!(
                    "this node already has a {:?} log, so there is nothing to form; `ostraka cluster status` shows the \
                     cluster that it belongs to",
                    self.inner.config.name
                ))
            }
            RaftError::APIError(InitializeError::NotInMembers(error)) => {
                GroupError::Membership(error.to_string())
            }
            RaftError::Fatal(fatal) => stopped(&fatal),
        })?;
        self.wait_metrics(change_deadline(), |metrics| metrics.current_leader == Some(own))
            .await
    }

    /// The cluster has a number of its own before its log has an entry.
    async fn found_cluster(&self) -> Result<(), GroupError> {
        let (own, group) = (self.inner.config.node, self.inner.config.name);
        let formed = ClusterRecord {
            id: ClusterId(runtime::mix(self.inner.config.seed ^ own.0.rotate_left(17))),
            formed_here: true,
        };
        let settled = self.cluster().settle(formed, self.inner.config.offload).await;
        let record = settled.map_err(|error| {
            GroupError::Storage(format!(
                "the new cluster's number cannot be written down: {error}"
            ))
        })?;
        if record.formed_here {
            return Ok(());
        }
        Err(GroupError::Membership(format!(
            "no new cluster is formed, because another one, {}, counts this node {own} as its member: this node's data \
             folder was empty when that cluster reached it, so it was emptied, or is the wrong one, and the {group:?} log \
             that it had is not there. With the right data folder, start the node again. If that is lost, run `ostraka \
             cluster remove --node {own}` at another node, start this one with an empty data folder and `--bootstrap \
             wait`, then add it again with `ostraka cluster add`",
            record.id
        )))
    }

    /// Whether the node could be added now: it answers, and has no log or one of this very cluster. Changes nothing.
    /// From any node.
    pub async fn check_add(&self, node: NodeNumber, addr: PeerAddr) -> Result<(), GroupError> {
        let within = Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        self.change(MembershipChange::CheckAdd { node, addr }, within)
            .await
            .map(|_| ())
    }

    /// Adds a node as learner, waits until it has caught up, makes it a voter. From any node. `over` is the membership
    /// that is to be changed, as [`Group::membership`] of any node said; error `MembersChanged` if it is not the newest.
    /// Returns the one that there is then.
    pub async fn add(
        &self,
        node: NodeNumber,
        addr: PeerAddr,
        over: MembershipId,
        within: Duration,
    ) -> Result<MembershipId, GroupError> {
        self.change(MembershipChange::Add { node, addr, over }, within)
            .await
    }

    /// Removes a voter or learner, from any node. A leader may be removed, and hands over before. `over` and what it
    /// returns as for [`Group::add`].
    pub async fn remove(&self, node: NodeNumber, over: MembershipId) -> Result<MembershipId, GroupError> {
        let within = Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        self.change(MembershipChange::Remove { node, over }, within).await
    }

    /// Hands leadership to a voter and waits until it leads; done where it leads already. From any node.
    pub async fn transfer_leader(&self, to: NodeNumber) -> Result<(), GroupError> {
        let within = Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        self.change(MembershipChange::TransferLeader { to }, within)
            .await
            .map(|_| ())
    }

    /// Carries a change out here if this node leads, else asks the node that it takes for the leader, once: an operator
    /// who meets an election in between asks again.
    async fn change(&self, change: MembershipChange, within: Duration) -> Result<MembershipId, GroupError> {
        let view = self.leader_view();
        let Some((node, addr)) = view.leader.filter(|_| !view.leads) else {
            return self.change_here(change, within).await;
        };
        self.ask_to_change((node, addr), change, within).await
    }

    /// Has another node, which is taken for the leader, carry the change out.
    async fn ask_to_change(
        &self,
        (node, addr): (NodeNumber, PeerAddr),
        change: MembershipChange,
        within: Duration,
    ) -> Result<MembershipId, GroupError> {
        let target = Target {
            group: self.inner.config.name,
            node,
            addr,
            is_voter: false,
        };
        let error = match self.inner.peers.change_membership(&target, within, &change).await {
            Ok(MembershipAnswer(answer)) => return answer,
            Err(error) => error,
        };
        let sentence = format!(
            "node {node} at {}, which this node takes for the leader, did not carry it out: {error}",
            target.addr
        );
        Err(match error {
            CallError::NotSent(_) | CallError::Refused(StatusCode::SERVICE_UNAVAILABLE, _) => {
                GroupError::Unreachable(sentence)
            }
            CallError::TimedOut(_) | CallError::Broken(_) => GroupError::Timeout,
            CallError::Refused(..) | CallError::Answer(_) => GroupError::Membership(sentence),
        })
    }

    pub(crate) async fn change_here(
        &self,
        change: MembershipChange,
        within: Duration,
    ) -> Result<MembershipId, GroupError> {
        let deadline = runtime::now() + within;
        self.to_its_end(within, move |group| async move {
            match change {
                MembershipChange::Add { node, addr, over } => {
                    group.add_here(node, addr, over, deadline).await
                }
                MembershipChange::Remove { node, over } => group.remove_here(node, over, deadline).await,
                MembershipChange::CheckAdd { node, addr } => {
                    group.check_add_here(node, &addr).await?;
                    Ok(group.membership())
                }
                MembershipChange::TransferLeader { to } => {
                    group.transfer_leader_here(to, deadline).await?;
                    Ok(group.membership())
                }
            }
        })
        .await
    }

    async fn add_here(
        &self,
        node: NodeNumber,
        addr: PeerAddr,
        over: MembershipId,
        deadline: Instant,
    ) -> Result<MembershipId, GroupError> {
        if let Some(confirmed) = self.add_learner(node, addr, over, deadline).await? {
            return Ok(confirmed);
        }
        // Some of the time is for taking it out again. While it catches up, other changes may have their turn: an
        // operator may think better of it.
        let left = deadline.saturating_duration_since(runtime::now());
        let undoing = (left / 2).min(Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX));
        let promoted = match self.caught_up(node, deadline - undoing).await {
            Ok(()) => self.promote(node, deadline).await,
            Err(error) => Err(error),
        };
        let error = match promoted {
            Ok(promoted) => return Ok(promoted),
            Err(error) => error,
        };
        // Nothing half-done stays behind; the operator mends the cause and asks again.
        let forgotten = self.give_up_adding(node, change_deadline()).await;
        tracing::warn!(%node, %error, ?forgotten, "a node that was being added did not catch up");
        let sentence = match forgotten {
            Ok(Some(voting)) => return Ok(voting),
            Ok(None) => format!("node {node} did not become a voter ({error}) and was taken out again"),
            Err(undone) => format!(
                "node {node} did not become a voter ({error}) and could not be taken out again ({undone}): look at \
                 `ostraka cluster status`, then run `ostraka cluster remove --node {node}`"
            ),
        };
        Err(GroupError::Membership(sentence))
    }

    /// Takes a node out that is a learner still. If it is a voter after all, by this addition or another: the membership
    /// that says so.
    async fn give_up_adding(
        &self,
        node: NodeNumber,
        deadline: Instant,
    ) -> Result<Option<MembershipId>, GroupError> {
        let turn = self.turn(deadline).await?;
        if self.voter_addr(node).is_some() {
            return Ok(Some(turn.over));
        }
        if self.status().is_member(node) {
            let change = ChangeMembers::RemoveNodes(BTreeSet::from([node]));
            self.change_members(turn.over, change, deadline).await?;
        }
        Ok(None)
    }

    /// Whether the node could be added now. Asks it, and changes nothing.
    async fn check_add_here(&self, node: NodeNumber, addr: &PeerAddr) -> Result<(), GroupError> {
        self.must_lead()?;
        if node.0 == 0 {
            return Err(GroupError::Membership("nodes are numbered from 1".to_owned()));
        }
        if let Some(known_addr) = self.voter_addr(node).filter(|known| known != addr) {
            let sentence =
                format!("node {node} is a voter at {known_addr}: remove it before adding it elsewhere");
            return Err(GroupError::Membership(sentence));
        }
        if node == self.inner.config.node {
            return Ok(());
        }
        let standing = self.standing_of(node, addr).await?;
        let own = self.cluster().known().map(|record| record.id);
        foreign_past(own, standing).map_or(Ok(()), |past| {
            Err(GroupError::Membership(format!(
                "node {node} at {addr} is not added, and nothing was changed: {past}. Adding it would mix two histories. \
                 If what it has may go, start it with an empty data folder and `--bootstrap wait`, then add it again",
            )))
        })
    }

    fn voter_addr(&self, node: NodeNumber) -> Option<PeerAddr> {
        let voters = self.status().voters;
        let found = voters.into_iter().find(|(voter, _)| *voter == node);
        found.map(|(_, addr)| addr)
    }

    /// A node that does not answer, is another one or has another secret is not made a member.
    async fn standing_of(&self, node: NodeNumber, addr: &PeerAddr) -> Result<Standing, GroupError> {
        let target = Target {
            group: self.inner.config.name,
            node,
            addr: addr.clone(),
            is_voter: false,
        };
        let within = Duration::from_millis(PEER_CALL_MS_MAX);
        let error = match self.inner.peers.standing(&target, within).await {
            Ok(standing) => return Ok(standing),
            Err(error) => error,
        };
        let sentence = format!("node {node} is not added, and nothing was changed: {addr}: {error}");
        // What is just starting listens soon, and has all its logs a little later.
        Err(match error {
            CallError::NotSent(_)
            | CallError::TimedOut(_)
            | CallError::Broken(_)
            | CallError::Refused(StatusCode::SERVICE_UNAVAILABLE, _) => GroupError::Unreachable(sentence),
            CallError::Refused(..) | CallError::Answer(_) => GroupError::Membership(sentence),
        })
    }

    /// What this node has of the log, for a leader that is asked to add it.
    pub(crate) async fn standing_here(&self) -> Result<Standing, GroupError> {
        // Through the core once: its first report is out then.
        let first_report = self.raft().with_raft_state(|_| ());
        first_report.await.map_err(|fatal| stopped(&fatal))?;
        let last_log_index = self.raft().metrics().borrow().last_log_index;
        Ok(Standing {
            cluster: self.cluster().known().map(|record| record.id),
            last_log_index: last_log_index.map(LogIndex),
        })
    }

    /// If it is a voter already, the membership that confirms it; else it is a learner now.
    async fn add_learner(
        &self,
        node: NodeNumber,
        addr: PeerAddr,
        over: MembershipId,
        deadline: Instant,
    ) -> Result<Option<MembershipId>, GroupError> {
        let turn = self.turn_over(over, deadline).await?;
        self.check_add_here(node, &addr).await?;
        if self.voter_addr(node).is_some() {
            // In the log, so that a removal that was asked for before this is late.
            return self.confirm_members(turn.over, deadline).await.map(Some);
        }
        let change = ChangeMembers::AddNodes(BTreeMap::from([(node, addr)]));
        self.change_members(turn.over, change, deadline).await?;
        Ok(None)
    }

    async fn promote(&self, node: NodeNumber, deadline: Instant) -> Result<MembershipId, GroupError> {
        let turn = self.turn(deadline).await?;
        if !self.status().is_member(node) {
            let sentence = format!("node {node} was removed while it was being added");
            return Err(GroupError::Membership(sentence));
        }
        let change = ChangeMembers::AddVoterIds(BTreeSet::from([node]));
        self.change_members(turn.over, change, deadline).await
    }

    /// A leader hands leadership over before it leaves: a node that leads a cluster to which it does not belong is
    /// neither one thing nor the other, and the cluster would wait for an election.
    async fn remove_here(
        &self,
        node: NodeNumber,
        over: MembershipId,
        deadline: Instant,
    ) -> Result<MembershipId, GroupError> {
        self.must_lead()?;
        if node != self.inner.config.node {
            return self.take_out(node, over, deadline).await;
        }
        let (heir, over) = {
            let turn = self.turn_over(over, deadline).await?;
            let Some(heir) = self.heir() else {
                let sentence = format!("node {node} is the only voter: a cluster without any is none");
                return Err(GroupError::Membership(sentence));
            };
            self.quorum_stays(node, deadline).await?;
            self.hand_over(heir.0).await?;
            (heir, turn.over)
        };
        self.ask_heir(heir, MembershipChange::Remove { node, over }, deadline)
            .await
    }

    /// Has the node that leads from now on carry the change out. It may not know yet that it does.
    async fn ask_heir(
        &self,
        heir: (NodeNumber, PeerAddr),
        change: MembershipChange,
        deadline: Instant,
    ) -> Result<MembershipId, GroupError> {
        loop {
            let left = deadline.saturating_duration_since(runtime::now());
            let answer = self.ask_to_change(heir.clone(), change.clone(), left).await;
            let is_early = answer == Err(GroupError::NotLeader(None));
            if !is_early || runtime::now() + LOOK_PAUSE >= deadline {
                return answer;
            }
            runtime::sleep(LOOK_PAUSE).await;
        }
    }

    async fn take_out(
        &self,
        node: NodeNumber,
        over: MembershipId,
        deadline: Instant,
    ) -> Result<MembershipId, GroupError> {
        let turn = self.turn_over(over, deadline).await?;
        let status = self.status();
        let removed = BTreeSet::from([node]);
        let change = if status.voters.iter().any(|(voter, _)| *voter == node) {
            self.quorum_stays(node, deadline).await?;
            ChangeMembers::RemoveVoters(removed)
        } else if status.learners.iter().any(|(learner, _)| *learner == node) {
            ChangeMembers::RemoveNodes(removed)
        } else {
            let sentence = format!("node {node} is not in the cluster");
            return Err(GroupError::Membership(sentence));
        };
        self.change_members(turn.over, change, deadline).await
    }

    async fn transfer_leader_here(&self, to: NodeNumber, deadline: Instant) -> Result<(), GroupError> {
        let _turn = self.turn(deadline).await?;
        if self.voter_addr(to).is_none() {
            return Err(GroupError::Membership(format!("node {to} is not a voter")));
        }
        if to == self.inner.config.node {
            // What was asked for is so already, if it leads still.
            return self.must_lead();
        }
        self.hand_over(to).await
    }

    /// Takes a snapshot now. Returns the last index that is in it.
    pub async fn snapshot(&self) -> Result<LogIndex, GroupError> {
        let target = self.applied_index();
        let deadline = runtime::now() + Duration::from_millis(SNAPSHOT_INSTALL_MS_MAX);
        loop {
            // The core builds one at a time, and a wish that comes meanwhile is lost.
            let asked = self.raft().trigger().snapshot().await;
            asked.map_err(|fatal| stopped(&fatal))?;
            let look = deadline.min(runtime::now() + Duration::from_millis(PEER_CALL_MS_MAX));
            let built = self.wait_metrics(look, |metrics| index_of(metrics.snapshot) >= target);
            match built.await {
                Err(GroupError::Timeout) if look < deadline => {}
                done => break done?,
            }
        }
        Ok(index_of(self.raft().metrics().borrow().snapshot))
    }

    pub(super) fn must_lead(&self) -> Result<(), GroupError> {
        let view = self.leader_view();
        if view.leads {
            Ok(())
        } else {
            Err(GroupError::NotLeader(view.leader.map(|(_, addr)| addr)))
        }
    }
}

/// What in a node's past forbids that it joins the cluster `own`, as a clause of a sentence.
fn foreign_past(own: Option<ClusterId>, standing: Standing) -> Option<String> {
    let name = |id: Option<ClusterId>| id.map_or("without a number".to_owned(), |id| id.to_string());
    let entries = match standing.last_log_index {
        Some(LogIndex(last)) => format!("has a log up to entry {last}"),
        None => "has no log yet".to_owned(),
    };
    match (standing.cluster, standing.last_log_index) {
        // New, or back: within one cluster Raft finds where two logs part, and mends it.
        (None, None) => None,
        (Some(theirs), _) if Some(theirs) == own => None,
        (theirs, _) => Some(format!(
            "it belongs to another cluster, {} (this one is {}), and {entries}",
            name(theirs),
            name(own)
        )),
    }
}

fn change_deadline() -> Instant {
    runtime::now() + Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: ClusterId = ClusterId(1);
    const OTHER: ClusterId = ClusterId(2);

    #[test]
    fn only_new_nodes_and_nodes_of_the_same_cluster_have_no_foreign_past() {
        let logs = [None, Some(LogIndex(0)), Some(LogIndex(7))];
        for last_log_index in logs {
            let past = |own, cluster| {
                foreign_past(
                    own,
                    Standing {
                        cluster,
                        last_log_index,
                    },
                )
            };
            assert_eq!(past(Some(OWN), Some(OWN)), None);
            assert!(past(Some(OWN), Some(OTHER)).is_some());
            assert!(past(None, Some(OTHER)).is_some());
            // From before clusters had numbers: a log is not known to be ours, no log is nobody's.
            for own in [None, Some(OWN)] {
                assert_eq!(past(own, None).is_none(), last_log_index.is_none());
            }
        }
    }
}
