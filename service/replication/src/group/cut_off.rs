//! Whether this node is cut off: others may have a leader, and it hears none.

use std::time::Duration;

use futures_util::future::{join, join_all};
use openraft::ServerState;
use openraft_rt::Instant as _;
use ostraka_core::limits::{CUT_OFF_LOOK_MS, CUT_OFF_MS};

use super::Group;
use crate::peer::Target;
use crate::runtime::{self, Instant, watch};

const LOOK: Duration = Duration::from_millis(CUT_OFF_LOOK_MS);
/// The others' word is asked for after half of the silence that is too long.
const ASK_AFTER: Duration = Duration::from_millis(CUT_OFF_MS / 2);

impl Group {
    /// Whether this node is cut off, as it changes: for longer than a change of leader takes it has heard of no leader
    /// with a quorum behind it, nor from a quorum that waits for a leader as well; or it is a cluster by itself, and another
    /// one calls it as its member. What it is asked to submit then is given up at once.
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

    /// Whether a leader with a quorum behind it was heard lately, as far as the last look knows. Asks nobody, so that an
    /// answer to others never waits for the consensus core.
    pub(crate) fn hears_a_leader(&self) -> bool {
        let heard = *self.inner.leader_heard.lock();
        heard.is_some_and(|at| runtime::now().saturating_duration_since(at) <= ASK_AFTER)
    }

    /// How long ago a leader with a quorum behind it was heard, this node's own quorum included. `None` where that
    /// cannot be told now, as in an election.
    async fn quorum_heard(&self) -> Option<Duration> {
        let metrics = self.raft().metrics().borrow().clone();
        if metrics.state == ServerState::Leader {
            let acked = metrics.last_quorum_acked.map(|at| at.into_inner().elapsed());
            return if self.is_alone() {
                Some(Duration::ZERO)
            } else {
                acked
            };
        }
        let asking = self
            .raft()
            .with_raft_state(|state| (state.vote_ref().is_committed(), state.vote_last_modified()));
        match runtime::timeout(LOOK, asking).await {
            Some(Ok((true, heard))) => heard.map(|at| at.elapsed()),
            _ => None,
        }
    }

    /// Whether a quorum of the voters answers, this node included, and none of them hears a leader. An election is on
    /// then, however long it takes, and nobody is better off elsewhere.
    async fn others_wait_too(&self) -> bool {
        let voters = self.status().voters;
        let own = self.inner.config.node;
        let others = voters.iter().filter(|(node, _)| *node != own);
        let asking = others.clone().map(|(node, addr)| {
            let target = Target {
                group: self.inner.config.name,
                node: *node,
                addr: addr.clone(),
                is_voter: false,
            };
            async move { self.inner.peers.hearing(&target, 2 * LOOK).await }
        });
        let answers: Vec<_> = join_all(asking).await.into_iter().flatten().collect();
        let itself = voters.len() - others.count();
        answers.len() + itself > voters.len() / 2 && answers.iter().all(|answer| !answer.leader)
    }
}

/// Keeps [`Group::cut_off`] true to life, as long as it is polled.
pub(super) async fn keep_watch(group: Group) {
    let bound = Duration::from_millis(CUT_OFF_MS).max(2 * group.inner.config.election_timeout_max);
    // A node that has just begun is not cut off before it has had the time to hear.
    let mut in_touch_at = runtime::now();
    loop {
        let is_silent = in_touch_at.elapsed() > ASK_AFTER;
        let asking = async { is_silent && group.others_wait_too().await };
        let (others_wait_too, ()) = join(asking, runtime::sleep(LOOK)).await;
        let now = runtime::now();
        let heard = group.quorum_heard().await;
        let heard_at: Option<Instant> = heard.and_then(|ago| now.checked_sub(ago));
        let mut leader_heard = group.inner.leader_heard.lock();
        *leader_heard = (*leader_heard).max(heard_at);
        drop(leader_heard);
        in_touch_at = in_touch_at.max(heard_at.unwrap_or(in_touch_at));
        if others_wait_too {
            in_touch_at = now;
        }
        let is_silent = now.saturating_duration_since(in_touch_at) > bound;
        let is_cut_off = is_silent || group.claimed_by().is_some();
        group.inner.cut_off.send_if_modified(|was| {
            let changes = *was != is_cut_off;
            *was = is_cut_off;
            changes
        });
    }
}
