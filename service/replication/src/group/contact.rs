//! Whether a leader with a quorum behind it is there, as far as this node can tell without asking anyone.

use std::time::Duration;

use openraft::ServerState;
use openraft_rt::Instant as _;
use ostraka_core::limits::{CUT_OFF_LOOK_MS, CUT_OFF_MS, QUORUM_SILENCE_MS_MAX};

use super::Group;
use crate::runtime::{self, watch};

/// Why this node cannot expect the group to take anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfTouch {
    /// The leader says so.
    #[error("the cluster does not count this node as a member any more: stop it, or add it again")]
    Removed,
    #[error("no leader is known")]
    NoLeader,
    /// This node leads, and alone.
    #[error("this node leads and has heard from no quorum {}", ago(.0))]
    NoQuorum(Option<Duration>),
    #[error("the leader, node {leader}, has been silent {}", ago(.silence))]
    LeaderSilent {
        leader: crate::NodeNumber,
        silence: Option<Duration>,
    },
    #[error("the consensus core is ended, or too busy to say who leads")]
    NoWord,
}

fn ago(silence: &Option<Duration>) -> String {
    silence.map_or("so far".to_owned(), |silence| {
        format!("for {:.1} s", silence.as_secs_f64())
    })
}

impl Group {
    /// `None` while the group's leader is heard by this node, and a quorum by the leader if that is this node.
    pub async fn out_of_touch(&self) -> Option<OutOfTouch> {
        if self.inner.voters.is_expelled() {
            return Some(OutOfTouch::Removed);
        }
        let metrics = self.raft().metrics().borrow().clone();
        let own = self.inner.config.node;
        let Some(leader) = metrics.current_leader else {
            return Some(OutOfTouch::NoLeader);
        };
        if metrics.state == ServerState::Leader {
            let alone = metrics.membership_config.membership().voter_ids().eq([own]);
            let silence = metrics.last_quorum_acked.map(|at| at.into_inner().elapsed());
            return (!alone && self.is_too_long(silence)).then_some(OutOfTouch::NoQuorum(silence));
        }
        // A follower keeps the leader that it had until the next is elected, so the name alone says little.
        let asking = self
            .raft()
            .with_raft_state(|state| (state.vote_ref().is_committed(), state.vote_last_modified()));
        let asked = runtime::timeout(Duration::from_millis(QUORUM_SILENCE_MS_MAX), asking);
        match asked.await {
            Some(Ok((true, heard))) => {
                let silence = heard.map(|at| at.elapsed());
                self.is_too_long(silence)
                    .then_some(OutOfTouch::LeaderSilent { leader, silence })
            }
            Some(Ok((false, _))) => Some(OutOfTouch::NoLeader),
            Some(Err(_)) | None => Some(OutOfTouch::NoWord),
        }
    }

    /// Whether this node is cut off, as it changes: it has heard of no leader with a quorum behind it for longer than a
    /// change of leader takes. What it is asked to submit then is given up at once.
    pub fn cut_off(&self) -> watch::Receiver<bool> {
        self.inner.cut_off.subscribe()
    }

    /// Completes when this node is cut off.
    pub(super) async fn until_cut_off(&self) {
        let mut cut_off = self.cut_off();
        while !*cut_off.borrow_and_update() {
            if cut_off.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How long ago a leader with a quorum behind it was heard, this node's own quorum included. `None` where that
    /// cannot be told now, as in an election.
    async fn quorum_heard(&self) -> Option<Duration> {
        let metrics = self.raft().metrics().borrow().clone();
        if metrics.state == ServerState::Leader {
            let alone = metrics
                .membership_config
                .membership()
                .voter_ids()
                .eq([self.inner.config.node]);
            let acked = metrics.last_quorum_acked.map(|at| at.into_inner().elapsed());
            return if alone { Some(Duration::ZERO) } else { acked };
        }
        let asking = self
            .raft()
            .with_raft_state(|state| (state.vote_ref().is_committed(), state.vote_last_modified()));
        match runtime::timeout(Duration::from_millis(CUT_OFF_MS), asking).await {
            Some(Ok((true, heard))) => heard.map(|at| at.elapsed()),
            _ => None,
        }
    }

    /// Longer than a change of leader takes.
    pub(super) fn is_too_long(&self, silence: Option<Duration>) -> bool {
        let bound =
            Duration::from_millis(QUORUM_SILENCE_MS_MAX).max(4 * self.inner.config.election_timeout_max);
        silence.is_none_or(|silence| silence > bound)
    }
}

/// Keeps [`Group::cut_off`] true to life, as long as it is polled.
pub(super) async fn keep_watch(group: Group) {
    let bound = Duration::from_millis(CUT_OFF_MS).max(2 * group.inner.config.election_timeout_max);
    let mut heard_at = runtime::now();
    loop {
        runtime::sleep(Duration::from_millis(CUT_OFF_LOOK_MS)).await;
        let now = runtime::now();
        if let Some(heard) = group.quorum_heard().await {
            heard_at = heard_at.max(now.checked_sub(heard).unwrap_or(heard_at));
        }
        let is_cut_off = now.saturating_duration_since(heard_at) > bound;
        group.inner.cut_off.send_if_modified(|was| {
            let changes = *was != is_cut_off;
            *was = is_cut_off;
            changes
        });
    }
}
