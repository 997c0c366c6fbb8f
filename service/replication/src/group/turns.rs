//! Changes of the membership take turns.
//!
//! A change of voters is two entries: a joint membership, and the final one, which whoever asked for the change proposes
//! when the first is committed (Ongaro's thesis, §4.3). What another change finds in between is neither the old
//! membership nor the new one: a node that is on its way out still counts as a voter. So a change begins when the one
//! before has ended, and goes on to its end even if whoever asked for it has stopped waiting.
//!
//! A request can be late: it waits in a network, or at a leader that is on its way out. So whoever asks names the membership
//! that the change is meant for, and every change that is said to be done has put a newer one into the log, also where
//! there was nothing to change.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::errors::{ChangeMembershipError, ClientWriteError, Fatal, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::raft::Precondition;
use openraft::{ChangeMembers, ServerState};
use ostraka_core::LogIndex;
use ostraka_core::limits::{MEMBERSHIP_CHANGE_MS_MAX, MEMBERSHIP_LOOK_MS};
use tokio::sync::MutexGuard;

use super::status::{is_joint, membership_of};
use super::{Group, GroupError};
use crate::runtime::{self, Instant};
use crate::types::{MembershipId, NodeNumber, PeerAddr, Types};

/// Between two looks at whether the log takes a change.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(MEMBERSHIP_LOOK_MS);

impl Group {
    /// Runs `change` to its end, also when nobody waits for that any more. Error `Timeout` after `within`: it may still
    /// happen.
    pub(super) async fn to_its_end<F>(
        &self,
        within: Duration,
        change: impl FnOnce(Group) -> F,
    ) -> Result<MembershipId, GroupError>
    where
        F: Future<Output = Result<MembershipId, GroupError>> + Send + 'static,
    {
        let task = runtime::spawn(runtime::seeded(self.next_seed(), change(self.clone())));
        match runtime::timeout(within, task).await {
            None => Err(GroupError::Timeout),
            Some(Ok(done)) => done,
            // Panicked, or aborted with the runtime.
            Some(Err(ended)) => Err(GroupError::Stopped(ended.to_string())),
        }
    }

    /// The turn of a change that is meant for the membership `meant`, if that is the one that there is. Error
    /// `MembersChanged` if another change came first.
    pub(super) async fn turn_over(
        &self,
        meant: MembershipId,
        deadline: Instant,
    ) -> Result<Turn<'_>, GroupError> {
        let guard = self.alone(deadline).await?;
        self.must_lead()?;
        // Before what is half-way is ended: whoever has seen it means what it ends with.
        let found = self.membership();
        if found != meant {
            return Err(GroupError::MembersChanged(found));
        }
        self.begin(guard, deadline).await
    }

    /// The turn of a change to whatever membership there is.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<Turn<'_>, GroupError> {
        let guard = self.alone(deadline).await?;
        self.begin(guard, deadline).await
    }

    /// When no other change is under way here.
    async fn alone(&self, deadline: Instant) -> Result<MutexGuard<'_, ()>, GroupError> {
        let left = deadline.saturating_duration_since(runtime::now());
        let guard = runtime::timeout(left, self.inner.turns.lock()).await;
        guard.ok_or(GroupError::Timeout)
    }

    /// When the last change in the log has ended.
    async fn begin<'a>(
        &'a self,
        guard: MutexGuard<'a, ()>,
        deadline: Instant,
    ) -> Result<Turn<'a>, GroupError> {
        self.end_last_change(deadline).await?;
        Ok(Turn {
            over: self.membership(),
            _guard: guard,
        })
    }

    /// The newest membership that this node knows. It need not be committed.
    pub fn membership(&self) -> MembershipId {
        membership_of(&self.raft().metrics().borrow())
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
        let ended = self.confirm_members(self.membership(), deadline).await;
        ended.map(|_| ())
    }

    /// Puts the members into the log once more, without a change; if that was half-way, with its end.
    pub(super) async fn confirm_members(
        &self,
        over: MembershipId,
        deadline: Instant,
    ) -> Result<MembershipId, GroupError> {
        let nothing_more = ChangeMembers::AddVoterIds(BTreeSet::new());
        self.change_members(over, nothing_more, deadline).await
    }

    /// Has the core change the membership `over`, and no other; again until it takes it up: a new leader takes none before
    /// its first entry is committed. Once taken up, the core's answer is waited for, however long that takes; it comes at
    /// the latest when the node leads no more. Voters that leave are no learners after it.
    pub(super) async fn change_members(
        &self,
        over: MembershipId,
        change: ChangeMembers<NodeNumber, PeerAddr>,
        deadline: Instant,
    ) -> Result<MembershipId, GroupError> {
        loop {
            let over = Precondition::LastMembershipLogId {
                last_membership_log_id: over.0,
            };
            let error = match self
                .raft()
                .change_membership_if(change.clone(), false, [over])
                .await
            {
                Ok(written) => return Ok(MembershipId(Some(written.log_id))),
                Err(RaftError::Fatal(fatal)) => return Err(stopped(&fatal)),
                Err(RaftError::APIError(error)) => error,
            };
            match error {
                ClientWriteError::ForwardToLeader(forward) => {
                    return Err(GroupError::NotLeader(forward.leader_node));
                }
                ClientWriteError::LogEntryDiscarded(_) => return Err(GroupError::Timeout),
                ClientWriteError::PreconditionFailed(_) => {
                    return Err(GroupError::MembersChanged(self.membership()));
                }
                ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
                ) if runtime::now() + LOOK_PAUSE < deadline => runtime::sleep(LOOK_PAUSE).await,
                error => return Err(GroupError::Membership(error.to_string())),
            }
        }
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

    /// Has another voter take the lead, and waits until somebody does: a leader that hands over leads no more, and whoever
    /// is elected instead must not wait for the turn that this one holds.
    pub(super) async fn hand_over(&self, to: NodeNumber) -> Result<(), GroupError> {
        if to == self.inner.config.node {
            // The core would write nothing and send no heartbeat any more, and wait for nobody but itself.
            let sentence = format!("node {to} cannot hand leadership over to itself");
            return Err(GroupError::Membership(sentence));
        }
        let deadline = runtime::now() + Duration::from_millis(MEMBERSHIP_CHANGE_MS_MAX);
        // From here on this node leads no more, whether the other one takes over or not. One that lacks some of the log, or has
        // not been heard from since it was cut off, would not: then nobody leads until the next election.
        self.round(to, deadline).await?;
        let term = self.raft().metrics().borrow().current_term;
        let handing = self.raft().trigger().transfer_leader(to).await;
        handing.map_err(|fatal| stopped(&fatal))?;
        let mut elected = None;
        self.wait_metrics(deadline, |metrics| {
            // Who leads in this term says nothing of the hand-over.
            elected = metrics.current_leader.filter(|_| metrics.current_term > term);
            elected.is_some()
        })
        .await?;
        match elected {
            Some(other) if other != to => {
                let sentence = format!("node {other} was elected before node {to} took over; ask again");
                Err(GroupError::Membership(sentence))
            }
            _ => Ok(()),
        }
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

/// A change may be made, of the membership `over`, for as long as this is kept.
pub(super) struct Turn<'a> {
    pub(super) over: MembershipId,
    _guard: MutexGuard<'a, ()>,
}

pub(super) fn stopped(fatal: &Fatal<Types>) -> GroupError {
    GroupError::Stopped(fatal.to_string())
}
