//! What the load costs this machine, and what the nodes answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ostraka_sim_model::ids::NodeIndex;
use serde::Serialize;

use crate::proc::{self, ProcessId};
use crate::rig::Rig;

/// Processor time over a stretch without a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Costs {
    /// Microseconds a vote, user and system, of the harness: the load, its viewers and its watchers.
    pub harness_micros_a_vote: f64,
    /// Of all nodes together.
    pub nodes_micros_a_vote: f64,
    pub harness_cores: f64,
    pub nodes_cores: f64,
    /// Cores that had nothing to do. Where this is about none, every latency says more of the machine than of the service.
    pub idle_cores: f64,
}

/// Processor times at one moment.
pub(crate) struct Meter {
    at: Instant,
    harness: Duration,
    nodes: Duration,
    idle: Duration,
}

impl Meter {
    pub(crate) fn read(rig: &Rig) -> Self {
        let pids = rig.indexes().into_iter().filter_map(|index| rig.pid(index).ok()?);
        Self {
            at: Instant::now(),
            harness: proc::cpu_time(ProcessId(std::process::id())).unwrap_or_default(),
            nodes: pids.filter_map(proc::cpu_time).sum(),
            idle: proc::idle_time().unwrap_or_default(),
        }
    }

    /// Of so many votes since `before`.
    pub(crate) fn since(&self, before: &Self, votes: u64) -> Costs {
        let wall_s = self.at.duration_since(before.at).as_secs_f64();
        let harness_s = self.harness.saturating_sub(before.harness).as_secs_f64();
        let nodes_s = self.nodes.saturating_sub(before.nodes).as_secs_f64();
        let a_vote = |seconds: f64| seconds * 1e6 / votes.max(1) as f64;
        Costs {
            harness_micros_a_vote: a_vote(harness_s),
            nodes_micros_a_vote: a_vote(nodes_s),
            harness_cores: harness_s / wall_s,
            nodes_cores: nodes_s / wall_s,
            idle_cores: self.idle.saturating_sub(before.idle).as_secs_f64() / wall_s,
        }
    }
}

/// HTTP answers by status.
pub(super) type Answers = BTreeMap<u16, u64>;

/// The answers that each node counts, and the life in which it does.
pub(super) struct Counted(BTreeMap<NodeIndex, (Option<ProcessId>, Answers)>);

impl Counted {
    /// A node that does not answer has counted nothing that could be known.
    pub(super) fn read(rig: &Rig) -> Self {
        let of = |index| {
            let metrics = rig.operator_get(index, "/metrics").ok()?;
            let answers = answers(&String::from_utf8_lossy(&metrics.body));
            Some((index, (rig.pid(index).ok()?, answers)))
        };
        Self(rig.indexes().into_iter().filter_map(of).collect())
    }

    /// What was answered since `before`. A node that was started since counts from nothing, and what its life before had
    /// answered since is lost with it.
    pub(super) fn since(&self, before: &Self) -> Answers {
        let mut all = Answers::new();
        for (index, (life, answers)) in &self.0 {
            let earlier = before.0.get(index).filter(|(earlier, _)| earlier == life);
            for (status, count) in answers {
                let known = earlier.and_then(|(_, known)| known.get(status)).copied();
                *all.entry(*status).or_default() += count.saturating_sub(known.unwrap_or_default());
            }
        }
        all.retain(|_, count| *count > 0);
        all
    }
}

/// Out of a node's metrics, over all routes.
fn answers(metrics: &str) -> Answers {
    let mut answers = Answers::new();
    for line in metrics.lines() {
        let Some(rest) = line.strip_prefix("ostraka_http_responses_total{") else {
            continue;
        };
        let status = rest
            .split_once("status=\"")
            .and_then(|(_, rest)| rest.split_once('"'));
        let count = rest
            .rsplit_once(' ')
            .and_then(|(_, count)| count.parse::<u64>().ok());
        if let (Some(Ok(status)), Some(count)) = (status.map(|(status, _)| status.parse()), count) {
            *answers.entry(status).or_default() += count;
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# TYPE ostraka_http_responses counter\n\
        ostraka_http_responses_total{route=\"/v1/vote/submit\",status=\"200\"} 7\n\
        ostraka_http_responses_total{route=\"/v1/vote/submit\",status=\"503\"} 2\n\
        ostraka_http_responses_total{route=\"/v1/auth/login\",status=\"200\"} 1\n\
        ostraka_votes_total{status=\"processed\"} 7\n";

    #[test]
    fn answers_are_counted_by_status_over_all_routes() {
        assert_eq!(answers(METRICS), Answers::from([(200, 8), (503, 2)]));
    }

    #[test]
    fn a_node_that_was_started_anew_counts_from_nothing() {
        let counted = |pid, of_200| {
            let answers = Answers::from([(200, of_200), (500, 1)]);
            Counted([(NodeIndex(0), (Some(ProcessId(pid)), answers))].into())
        };
        let same = counted(7, 10).since(&counted(7, 4));
        assert_eq!(same, Answers::from([(200, 6)]));
        let anew = counted(8, 3).since(&counted(7, 4));
        assert_eq!(anew, Answers::from([(200, 3), (500, 1)]));
    }

    #[test]
    fn processor_time_is_told_a_vote_and_a_second() {
        let at = Instant::now();
        let meter = |seconds: u64, harness, nodes, idle| Meter {
            at: at + Duration::from_secs(seconds),
            harness: Duration::from_millis(harness),
            nodes: Duration::from_millis(nodes),
            idle: Duration::from_millis(idle),
        };
        let costs = meter(10, 4_500, 13_000, 2_000).since(&meter(0, 500, 1_000, 0), 50_000);
        let expected = Costs {
            harness_micros_a_vote: 80.0,
            nodes_micros_a_vote: 240.0,
            harness_cores: 0.4,
            nodes_cores: 1.2,
            idle_cores: 0.2,
        };
        assert_eq!(costs, expected);
    }
}
