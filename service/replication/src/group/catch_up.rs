//! When a node that is being added has caught up.
//!
//! Ongaro's thesis, §4.2.1: a new server gets the log in rounds, each with what was written during the one before, and is made a
//! voter when a round was short. From then on the cluster may wait for it: for as long as it is behind.

use std::time::Duration;

use ostraka_core::limits::{CATCH_UP_ROUND_MS_MAX, CATCH_UP_ROUNDS_PATIENT};

use super::status::index_of;
use super::{Group, GroupError};
use crate::runtime::{self, Instant};
use crate::types::NodeNumber;

impl Group {
    /// Waits until a learner has the log and gets what is added to it without falling behind.
    pub(super) async fn caught_up(&self, node: NodeNumber, deadline: Instant) -> Result<(), GroupError> {
        let mut rounds = Rounds::new(self.inner.config.election_timeout_max);
        loop {
            let begun = runtime::now();
            self.round(node, deadline).await?;
            if rounds.is_short(begun.elapsed()) {
                return Ok(());
            }
        }
    }

    /// Waits until a node has the log as it is now.
    pub(super) async fn round(&self, node: NodeNumber, deadline: Instant) -> Result<(), GroupError> {
        let target = self.status().last_log_index;
        self.wait_metrics(deadline, |metrics| {
            let replication = metrics.replication.as_ref();
            replication.is_none_or(|matched| {
                matched
                    .get(&node)
                    .is_some_and(|matched| index_of(*matched) >= target)
            })
        })
        .await
    }
}

/// Which round was the last one.
struct Rounds {
    ended: u32,
    longest: Duration,
}

impl Rounds {
    fn new(longest: Duration) -> Self {
        Self { ended: 0, longest }
    }

    /// Whether a round that took so long was short. Two nodes that are far from each other have no shorter ones, so what is
    /// short doubles from time to time.
    fn is_short(&mut self, took: Duration) -> bool {
        let doublings = (self.ended / CATCH_UP_ROUNDS_PATIENT).min(16);
        self.ended += 1;
        let short = Duration::from_millis(CATCH_UP_ROUND_MS_MAX << doublings);
        took <= short.min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// How many rounds of `took` it takes.
    fn rounds_of(took: Duration) -> Option<u32> {
        let mut rounds = Rounds::new(300 * MS);
        (1..10_000).find(|_| rounds.is_short(took))
    }

    #[test]
    fn a_short_round_is_the_last_one() {
        assert_eq!(rounds_of(Duration::ZERO), Some(1));
        assert_eq!(rounds_of(20 * MS), Some(1));
        let mut rounds = Rounds::new(300 * MS);
        let took = [9_000, 400, 30, 19];
        assert_eq!(
            took.map(|ms| rounds.is_short(ms * MS)),
            [false, false, false, true]
        );
    }

    #[test]
    fn what_never_gets_short_is_taken_as_it_is_but_not_behind_an_election() {
        assert_eq!(rounds_of(40 * MS), Some(33));
        assert_eq!(rounds_of(300 * MS), Some(129));
        assert_eq!(rounds_of(301 * MS), None);
    }
}
