//! Changes of the membership take turns.
//!
//! A change of voters is two entries: a joint membership, and the final one, which whoever asked for the change proposes
//! when the first is committed (Ongaro's thesis, §4.3). What another change finds in between is neither the old
//! membership nor the new one: a node that is on its way out still counts as a voter. So a change begins when the one
//! before has ended, and goes on to its end even if whoever asked for it has stopped waiting.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::{ChangeMembers, ServerState};
use ostraka_core::LogIndex;
use ostraka_core::limits::{MEMBERSHIP_CHANGE_MS_MAX, MEMBERSHIP_LOOK_MS};
use tokio::sync::MutexGuard;

use super::status::is_joint;
use super::{Group, GroupError};
use crate::runtime::{self, Instant};
use crate::types::{NodeNumber, PeerAddr, Types};

/// Between two looks at whether the log takes a change.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(MEMBERSHIP_LOOK_MS);

impl Group {
    /// Runs `change` to its end, also when nobody waits for that any more. Error `Timeout` after `within`: it may still
    /// happen.
    pub(super) async fn to_its_end<F>(
        &self,
        within: Duration,
        change: impl FnOnce(Group) -> F,
    ) -> Result<(), GroupError>
    where
        F: Future<Output = Result<(), GroupError>> + Send + 'static,
    {
        let task = runtime::spawn(runtime::seeded(self.next_seed(), change(self.clone())));
        match runtime::timeout(within, task).await {
            None => Err(GroupError::Timeout),
            Some(Ok(done)) => done,
            // Panicked, or aborted with the runtime.
            Some(Err(ended)) => Err(GroupError::Stopped(ended.to_string())),
        }
    }

    /// The turn of a change, as long as the guard is kept: no other change is under way here, and the last one in the
    /// log has ended.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, GroupError> {
        let left = deadline.saturating_duration_since(runtime::now());
        let turn = runtime::timeout(left, self.inner.turns.lock()).await;
        let turn = turn.ok_or(GroupError::Timeout)?;
        self.end_last_change(deadline).await?;
        Ok(turn)
    }

    /// Waits until the last change is committed, and proposes its second entry if that is missing: a leader that was
    /// replaced between the two leaves it to its successor.
    async fn end_last_change(&self, deadline: Instant) -> Result<(), GroupError> {
        self.must_lead()?;
        self.wait_metrics(deadline, |metrics| {
            metrics.state != ServerState::Leader
                || metrics.membership_config.log_id() <= &metrics.local_committed
        })
        .await?;
        self.must_lead()?;
        if !self.staying_voters().contains(&self.inner.config.node) {
            // It leads a cluster that it is leaving or has left. Who stays has to lead before anything else changes.
            let heir = self.heir();
            if let Some((heir, _)) = heir {
                self.hand_over(heir).await?;
            }
            return Err(GroupError::NotLeader(heir.map(|(_, addr)| addr)));
        }
        if !is_joint(&self.raft().metrics().borrow()) {
            return Ok(());
        }
        tracing::info!("a change of members that its leader left half-way is being ended");
        let nothing_more = ChangeMembers::AddVoterIds(BTreeSet::new());
        changed(deadline, || {
            self.raft().change_membership(nothing_more.clone(), false)
        })
        .await
    }

    /// The voters when the change that may be under way has ended.
    fn staying_voters(&self) -> BTreeSet<NodeNumber> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow();
        let voters = metrics.membership_config.membership().get_joint_config().last();
        voters.cloned().unwrap_or_default()
    }

    /// Who should lead if this node does not any more: of the other voters that stay, the one that has most of the log.
    pub fn heir(&self) -> Option<(NodeNumber, PeerAddr)> {
        let (status, staying) = (self.status(), self.staying_voters());
        let matched = |node: NodeNumber| {
            let found = status.replication.iter().find(|(of, _)| *of == node);
            found.map_or(LogIndex(0), |(_, matched)| *matched)
        };
        let others = status
            .voters
            .iter()
            .filter(|(voter, _)| *voter != self.inner.config.node && staying.contains(voter));
        others.max_by_key(|(voter, _)| matched(*voter)).cloned()
    }

    /// Has another voter take the lead, and waits until it does.
    pub(super) async fn hand_over(&self, to: NodeNumber) -> Result<(), GroupError> {
        let deadline = runtime::now() + Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        let handing = self.raft().trigger().transfer_leader(to).await;
        handing.map_err(|fatal| stopped(&fatal))?;
        self.wait_metrics(deadline, |metrics| metrics.current_leader == Some(to))
            .await
    }

    /// Waits until the core's figures are as `accept` wants them.
    pub(super) async fn wait_metrics(
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

/// Has the core make a change, again until it takes it up: a new leader takes none before its first entry is committed.
/// Once taken up, the core's answer is waited for, however long that takes; it comes at the latest when the node leads
/// no more.
pub(super) async fn changed<T, F>(deadline: Instant, mut change: impl FnMut() -> F) -> Result<(), GroupError>
where
    F: Future<Output = Result<T, RaftError<Types, ClientWriteError<Types>>>>,
{
    loop {
        let error = match change().await {
            Ok(_) => return Ok(()),
            Err(RaftError::Fatal(fatal)) => return Err(stopped(&fatal)),
            Err(RaftError::APIError(error)) => error,
        };
        match error {
            ClientWriteError::ForwardToLeader(forward) => {
                return Err(GroupError::NotLeader(forward.leader_node));
            }
            ClientWriteError::LogEntryDiscarded(_) => return Err(GroupError::Timeout),
            ClientWriteError::ChangeMembershipError(
                ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
            ) if runtime::now() + LOOK_PAUSE < deadline => runtime::sleep(LOOK_PAUSE).await,
            error => return Err(GroupError::Membership(error.to_string())),
        }
    }
}

pub(super) fn stopped(fatal: &Fatal<Types>) -> GroupError {
    GroupError::Stopped(fatal.to_string())
}
