//! What is done in each round, and by what it is judged.

use std::time::Duration;

use ostraka_sim_model::plan::Target;
use serde::Serialize;

use crate::Trouble;
use crate::limits::{FAILOVER_BETWEEN_S, FAILOVER_LEAD_DIVISOR, FAILOVER_LEAD_MAX, FAILOVER_LOSS_PER_MILLE};
use crate::nemesis::{Kind, Loss, Nemesis, StreamOf};

/// What a fault leaves a cluster of three to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expects {
    /// The leader is gone: another one has to be elected.
    Failover,
    /// Nobody has to be elected: the service's own objectives hold throughout.
    Undisturbed,
}

/// Faults that a leader goes on leading with, only slower.
const LEADS_ON: [&str; 8] = [
    "loss",
    "slow-links",
    "bandwidth",
    "slow-disk",
    "clock-jump",
    "clock-skew",
    "slow-readers",
    "connection-flood",
];

/// The fault of each round.
#[derive(Clone, Copy)]
pub struct Fault {
    pub kind: &'static Kind,
    pub target: Target,
    /// How long it is left on.
    pub lasts: Duration,
}

impl Fault {
    pub fn expects(&self) -> Expects {
        if self.target == Target::Follower || LEADS_ON.contains(&self.kind.name) {
            Expects::Undisturbed
        } else {
            Expects::Failover
        }
    }

    /// # Errors
    /// [`Trouble::Usage`] for faults under which writes stand still by design, so that the objectives do not speak of them.
    pub fn check(&self) -> Result<(), Trouble> {
        let why = match (self.kind.name, self.target) {
            ("blackout", _) => "takes the power from all nodes",
            ("disk-full", Target::Leader) => "leaves the leader in office, who refuses votes",
            _ => return Ok(()),
        };
        let name = self.kind.name;
        Err(Trouble::usage(format!(
            "{name} {why}: nothing fails over, so no objective of this command is about it; `chaos run --nemesis {name}` judges it"
        )))
    }

    /// As the catalogue makes it, but with the objective's share of lost packets.
    pub(super) fn make(&self, stream: StreamOf) -> Box<dyn Nemesis> {
        match self.kind.name {
            "loss" => Box::new(Loss::of_per_mille(FAILOVER_LOSS_PER_MILLE)),
            _ => self.kind.make(stream),
        }
    }
}

/// From the window's beginning to the fault.
pub(super) fn lead(window: Duration) -> Duration {
    (window / FAILOVER_LEAD_DIVISOR).min(FAILOVER_LEAD_MAX)
}

/// Rounds of each cluster, one after the other, so that none has more votes than `votes_max`.
pub(super) fn shares(rounds: u32, window: Duration, votes_per_s: f64, votes_max: usize) -> Vec<u32> {
    let votes_a_round = (window.as_secs_f64() + FAILOVER_BETWEEN_S as f64) * votes_per_s;
    // At least one, whatever its votes are: the ledger says when it is full.
    let each = (votes_max as f64 / votes_a_round).clamp(1.0, f64::from(u32::MAX)) as u32;
    (0..rounds.div_ceil(each))
        .map(|cluster| (rounds - cluster * each).min(each))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis;

    #[test]
    fn what_takes_the_leader_away_is_a_failover_and_the_rest_is_not() {
        let expects = |name, target| {
            let kind = nemesis::named(name).unwrap();
            let lasts = kind.lasts;
            Fault { kind, target, lasts }.expects()
        };
        for name in ["kill", "isolate", "pause", "power-cut", "restart"] {
            assert_eq!(expects(name, Target::Leader), Expects::Failover);
            assert_eq!(expects(name, Target::Follower), Expects::Undisturbed);
        }
        assert_eq!(expects("slow-disk", Target::Leader), Expects::Undisturbed);
        for name in LEADS_ON {
            assert!(nemesis::named(name).is_some(), "{name}");
        }
    }

    #[test]
    fn what_stops_writes_by_design_is_no_failover() {
        let refused = |name, target| {
            let kind = nemesis::named(name).unwrap();
            let lasts = kind.lasts;
            Fault { kind, target, lasts }.check().is_err()
        };
        assert!(refused("blackout", Target::Follower));
        assert!(refused("disk-full", Target::Leader));
        assert!(!refused("disk-full", Target::Follower));
        assert!(!refused("kill", Target::Leader));
    }

    #[test]
    fn every_round_has_a_cluster_and_no_cluster_too_many_votes() {
        let minute = Duration::from_secs(60);
        // 68 s of 5,000 votes/s are 340,000.
        assert_eq!(shares(7, minute, 5_000.0, 1_100_000), [3, 3, 1]);
        assert_eq!(shares(2, minute, 5_000.0, 1), [1, 1]);
        assert_eq!(shares(1, minute, 0.1, usize::MAX), [1]);
    }

    #[test]
    fn a_short_window_has_a_short_lead() {
        assert_eq!(lead(Duration::from_secs(60)), Duration::from_secs(10));
        assert_eq!(lead(Duration::from_secs(12)), Duration::from_secs(3));
    }
}
