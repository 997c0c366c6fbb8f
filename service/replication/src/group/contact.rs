//! Whether a leader with a quorum behind it is there, as far as this node can tell without asking anyone.

use std::time::Duration;

use openraft::ServerState;
use openraft_rt::Instant as _;
use ostraka_core::limits::{FOREIGN_CLAIM_MS, QUORUM_SILENCE_MS_MAX};

use super::Group;
use crate::cluster::ClusterId;
use crate::runtime;

/// Why this node cannot expect the group to take anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutOfTouch {
    /// The leader says so.
    #[error("the cluster does not count this node as a member any more: stop it, or add it again")]
    Removed,
    /// Nobody but this node is in its cluster, and another one calls it.
    #[error(
        "another cluster, {theirs}, counts this node as its member, and this node is a cluster by itself, {own}: its data \
         folder was emptied or is the wrong one. With the right folder, start it again; if that is lost, run `ostraka \
         cluster remove` for it at a node of cluster {theirs}, start it with an empty data folder and --bootstrap wait, \
         then add it again"
    )]
    Claimed { own: ClusterId, theirs: ClusterId },
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
        if let (Some(theirs), Some(record)) = (self.claimed_by(), self.cluster().known()) {
            return Some(OutOfTouch::Claimed {
                own: record.id,
                theirs,
            });
        }
        let metrics = self.raft().metrics().borrow().clone();
        let Some(leader) = metrics.current_leader else {
            return Some(OutOfTouch::NoLeader);
        };
        if metrics.state == ServerState::Leader {
            let alone = self.is_alone();
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

    /// A member of another cluster has called this node as one of its own. Where nobody else is in this node's cluster, it
    /// takes nothing from clients as long as that goes on: they want the other one, in which they may have voted.
    pub(crate) fn note_claim(&self, theirs: ClusterId) {
        *self.inner.claim.lock() = Some((theirs, runtime::now()));
        if self.is_alone() {
            self.inner
                .cut_off
                .send_if_modified(|was| !std::mem::replace(was, true));
        }
    }

    /// The other cluster that calls this node, which is a cluster by itself, as its member.
    pub(super) fn claimed_by(&self) -> Option<ClusterId> {
        let (theirs, at) = (*self.inner.claim.lock())?;
        let is_recent = at.elapsed() <= Duration::from_millis(FOREIGN_CLAIM_MS);
        (is_recent && self.is_alone()).then_some(theirs)
    }

    /// Whether it has formed a cluster, or been called by one as its member.
    pub fn belongs_to_a_cluster(&self) -> bool {
        self.cluster().known().is_some()
    }

    /// Whether this node is the only voter.
    pub(super) fn is_alone(&self) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow();
        let members = metrics.membership_config.membership();
        members.voter_ids().eq([self.inner.config.node])
    }

    /// Longer than a change of leader takes.
    pub(super) fn is_too_long(&self, silence: Option<Duration>) -> bool {
        let bound =
            Duration::from_millis(QUORUM_SILENCE_MS_MAX).max(4 * self.inner.config.election_timeout_max);
        silence.is_none_or(|silence| silence > bound)
    }
}
