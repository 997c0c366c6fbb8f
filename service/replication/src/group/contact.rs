//! Whether a leader with a quorum behind it is there, as far as this node can tell without asking anyone.

use std::time::Duration;

use openraft::ServerState;
use openraft_rt::Instant as _;
use ostraka_core::limits::QUORUM_SILENCE_MS_MAX;

use super::Group;
use crate::runtime;

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

    /// Longer than a change of leader takes.
    pub(super) fn is_too_long(&self, silence: Option<Duration>) -> bool {
        let bound =
            Duration::from_millis(QUORUM_SILENCE_MS_MAX).max(4 * self.inner.config.election_timeout_max);
        silence.is_none_or(|silence| silence > bound)
    }
}
