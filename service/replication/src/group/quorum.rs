//! Whether those who stay can agree without one who leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::metrics::RaftMetrics;
use openraft_rt::Instant as _;
use ostraka_core::limits::QUORUM_SILENCE_MS_MAX;

use super::{Group, GroupError};
use crate::runtime::{self, Instant};
use crate::types::{NodeNumber, Types};

impl Group {
    /// A removal is agreed on by a quorum of the voters before it and by one of those after it (joint consensus, Ongaro's
    /// thesis, §4.3). Without either it would stop half-way, and take effect whenever somebody comes back. So it is not
    /// begun then. Whoever counts has answered a heartbeat since the removal was asked for: an older answer may be a
    /// dead node's.
    pub(super) async fn quorum_stays(
        &self,
        leaving: NodeNumber,
        deadline: Instant,
    ) -> Result<(), GroupError> {
        let begun = runtime::now();
        let look_until = deadline.min(begun + Duration::from_millis(QUORUM_SILENCE_MS_MAX));
        let agrees = self.wait_metrics(look_until, |metrics| {
            self.can_agree(&self.heard_since(begun, metrics), metrics, leaving)
        });
        match agrees.await {
            Err(GroupError::Timeout) => {}
            done => return done,
        }
        let metrics = self.raft().metrics().borrow().clone();
        let heard = self.heard_since(begun, &metrics);
        let silent: Vec<String> = voters(&metrics)
            .filter(|voter| !heard.contains(voter))
            .map(|voter| format!("node {voter}"))
            .collect();
        let silent = silent.join(", ");
        Err(GroupError::Membership(format!(
            "node {leaving} is not removed: {silent} cannot be reached, and without node {leaving} there would be no \
             quorum; start {silent} first, or remove what cannot be started"
        )))
    }

    fn can_agree(
        &self,
        heard: &BTreeSet<NodeNumber>,
        metrics: &RaftMetrics<Types>,
        leaving: NodeNumber,
    ) -> bool {
        let is_quorum = |of: BTreeSet<NodeNumber>| of.intersection(heard).count() > of.len() / 2;
        let staying = voters(metrics).filter(|voter| *voter != leaving);
        is_quorum(voters(metrics).collect()) && is_quorum(staying.collect())
    }

    /// This node, which leads, and whoever has answered it since then.
    fn heard_since(&self, begun: Instant, metrics: &RaftMetrics<Types>) -> BTreeSet<NodeNumber> {
        let own = self.inner.config.node;
        let answers = metrics.heartbeat.iter().flatten();
        let fresh = answers
            .filter(|(_, answered)| answered.is_some_and(|at| at.into_inner().elapsed() <= begun.elapsed()));
        fresh.map(|(node, _)| *node).chain([own]).collect()
    }
}

fn voters(metrics: &RaftMetrics<Types>) -> impl Iterator<Item = NodeNumber> {
    metrics.membership_config.membership().voter_ids()
}
