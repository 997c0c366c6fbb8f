//! What happens in a campaign, from its seed.

use std::fmt;
use std::time::Duration;

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;

use crate::limits::{CUT_AFTER, CUT_DARK, CUTS_PER_CLUSTER};
use crate::nemesis::First;

/// How many nodes there are, and who loses the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The one node of a cluster of one.
    Alone,
    /// One of three, every other time the leader; the others go on.
    OneOfThree,
    /// All three at once.
    AllOfThree,
}

impl Stage {
    pub fn nodes(self) -> u8 {
        match self {
            Stage::Alone => 1,
            Stage::OneOfThree | Stage::AllOfThree => 3,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Alone => "one node alone",
            Stage::OneOfThree => "one of three nodes",
            Stage::AllOfThree => "all of three nodes",
        })
    }
}

/// Which stages a campaign goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mix {
    /// All of them, cluster by cluster.
    All,
    Only(Stage),
}

impl Mix {
    /// The stage of a campaign's cluster, counted from 0.
    pub fn stage_of(self, cluster: u32) -> Stage {
        match (self, cluster % 3) {
            (Mix::Only(stage), _) => stage,
            (Mix::All, 0) => Stage::Alone,
            (Mix::All, 1) => Stage::AllOfThree,
            (Mix::All, _) => Stage::OneOfThree,
        }
    }
}

/// One cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Round {
    /// From the last check to the cut.
    pub(super) after: Duration,
    /// From the cut until the disks are mounted again, beside the time that it takes.
    pub(super) dark: Duration,
    /// Whom it hits where it hits one.
    pub(super) target: Target,
    /// Every other time the disk, at whatever moment of a barrier.
    pub(super) first: First,
    /// Of the nodes that were cut, the one that is asked for the votes: this draw, divided by their number.
    pub(super) witness: u8,
}

/// Draws the rounds of one cluster. The same seed gives the same rounds.
pub(super) struct Plan {
    chance: Xoshiro256PlusPlus,
    stage: Stage,
}

impl Plan {
    pub(super) fn new(seed: u64, cluster: u32, stage: Stage) -> Self {
        let mixed = seed ^ (u64::from(cluster) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            chance: Xoshiro256PlusPlus::seed_from_u64(mixed),
            stage,
        }
    }

    /// The seed of this cluster's load.
    pub(super) fn load_seed(&mut self) -> u64 {
        self.chance.random()
    }

    pub(super) fn round(&mut self) -> Round {
        let after = self.between(CUT_AFTER);
        let dark = self.between(CUT_DARK);
        let node = self.chance.random_range(0..self.stage.nodes());
        let target = if self.stage == Stage::OneOfThree && self.chance.random() {
            Target::Leader
        } else {
            Target::Node(NodeIndex(node))
        };
        let first = if self.chance.random() {
            First::Disk
        } else {
            First::Process
        };
        Round {
            after,
            dark,
            target,
            first,
            witness: self.chance.random(),
        }
    }

    fn between(&mut self, (min, max): (Duration, Duration)) -> Duration {
        let micros = |bound: Duration| u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.chance.random_range(micros(min)..=micros(max)))
    }
}

/// Cuts of each cluster of a campaign, one after the other.
pub(super) fn shares(cuts: u32) -> impl Iterator<Item = u32> {
    (0..cuts.div_ceil(CUTS_PER_CLUSTER)).map(move |cluster| {
        let before = cluster * CUTS_PER_CLUSTER;
        (cuts - before).min(CUTS_PER_CLUSTER)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(seed: u64, cluster: u32) -> Vec<Round> {
        let mut plan = Plan::new(seed, cluster, Stage::OneOfThree);
        (0..50).map(|_| plan.round()).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_rounds_and_each_cluster_its_own() {
        assert_eq!(rounds(1, 0), rounds(1, 0));
        assert_ne!(rounds(1, 0), rounds(2, 0));
        assert_ne!(rounds(1, 0), rounds(1, 1));
    }

    #[test]
    fn leaders_and_every_node_are_hit_at_moments_within_the_bounds() {
        let rounds = rounds(1, 0);
        let leaders = rounds
            .iter()
            .filter(|round| round.target == Target::Leader)
            .count();
        assert!((10..40).contains(&leaders), "{leaders}");
        let disks = rounds.iter().filter(|round| round.first == First::Disk).count();
        assert!((10..40).contains(&disks), "{disks}");
        for node in 0..3 {
            assert!(
                rounds
                    .iter()
                    .any(|round| round.target == Target::Node(NodeIndex(node)))
            );
        }
        assert!(
            rounds
                .iter()
                .all(|round| (CUT_AFTER.0..=CUT_AFTER.1).contains(&round.after))
        );
        assert!(
            rounds
                .iter()
                .all(|round| (CUT_DARK.0..=CUT_DARK.1).contains(&round.dark))
        );
    }

    #[test]
    fn cuts_are_shared_out_and_every_stage_gets_some() {
        assert_eq!(shares(60).collect::<Vec<_>>(), [25, 25, 10]);
        assert_eq!(shares(2).collect::<Vec<_>>(), [2]);
        assert_eq!(shares(25).count(), 1);
        let stages: Vec<_> = (0..4).map(|cluster| Mix::All.stage_of(cluster)).collect();
        let alone = Stage::Alone;
        assert_eq!(stages, [alone, Stage::AllOfThree, Stage::OneOfThree, alone]);
    }
}
