//! What is asked of a fleet, how many nodes it takes, and how busy each of their parts is.

use ostraka_api::limits::SUBSCRIBERS_MAX;
use serde::Serialize;

use super::inputs::{Input, Instance, Times};
use super::shape::Shape;

/// Votes of one simulation. Each takes 16 bytes until its end.
const VOTES_MAX: f64 = 20_000_000.0;
/// Zones that nodes are spread over evenly.
const ZONES: usize = 3;
/// More nodes of a kind than anybody would run: what takes more cannot be.
const NODES_MAX: usize = 30_000;
const GIB: f64 = 1_073_741_824.0;

/// What is lost while votes come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Lose {
    Nothing,
    /// One of each kind, the leader among them.
    Node,
    /// A third of each kind, the leader among them.
    Zone,
}

impl Lose {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Node => "a node of each kind",
            Self::Zone => "a zone",
        }
    }

    /// Of so many nodes of a kind, so many are left.
    pub(super) fn left_of(self, nodes: usize) -> usize {
        match self {
            Self::Nothing => nodes,
            Self::Node => nodes.saturating_sub(1),
            Self::Zone => nodes - nodes.div_ceil(ZONES),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Limits {
    pub(crate) ack_p99_ms_max: f64,
    pub(crate) end_to_end_p95_ms_max: f64,
    pub(crate) end_to_end_p99_ms_max: f64,
    /// Of what a core, a network, a disk or a memory has.
    pub(crate) share_max: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Plan {
    /// All of them votes: nothing else costs as much, but logins, which come before the show.
    pub(crate) requests_per_s: f64,
    pub(crate) users: f64,
    pub(crate) watchers: f64,
    pub(crate) shape: Shape,
    pub(crate) seed: u64,
    pub(crate) instance: String,
    pub(crate) log_nodes: usize,
    pub(crate) requests_a_connection: f64,
    pub(crate) tally_ms: f64,
    pub(crate) watchers_a_node: f64,
    /// Watchers' nodes read the stream of others and have no log: not built. Without, each of them has the whole log.
    pub(crate) relays: bool,
    pub(crate) lose: Lose,
    pub(crate) limits: Limits,
    pub(crate) show_hours: f64,
    /// Minutes of a show in which totals move all the time.
    pub(crate) busy_minutes: f64,
    pub(crate) shows_a_month: f64,
}

/// Nodes by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Fleet {
    pub(crate) log: usize,
    pub(crate) front: usize,
    pub(crate) feeders: usize,
}

impl Fleet {
    pub(super) fn left(self, lose: Lose) -> Self {
        Self {
            // Log nodes lie in zones of their own, so one is lost either way.
            log: self.log - usize::from(lose != Lose::Nothing),
            front: lose.left_of(self.front),
            feeders: lose.left_of(self.feeders),
        }
    }

    pub(super) fn nodes(self) -> usize {
        self.log + self.front + self.feeders
    }
}

/// How much of something is used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) what: &'static str,
    pub(crate) share: f64,
    pub(crate) most: f64,
}

impl Plan {
    /// Why such a fleet cannot be thought through; none where it can.
    pub(crate) fn impossible(&self) -> Option<String> {
        if self.log_nodes == 1 && self.lose != Lose::Nothing {
            let sentence =
                "a log of one member cannot lose it: ask for more --log-nodes, or to --lose nothing";
            return Some(sentence.to_string());
        }
        let votes = self.shape.votes(self.requests_per_s);
        (votes > VOTES_MAX).then(|| {
            format!("{votes:.0} votes are too many for one simulation, which takes {VOTES_MAX:.0}: ask for a shorter --shape")
        })
    }

    pub(super) fn front_vote_us(&self, times: &Times) -> f64 {
        times.get(Input::FrontVoteUs) + times.get(Input::ConnectionUs) / self.requests_a_connection
    }

    /// Nodes that have the log from the leader.
    pub(super) fn replicas(&self, fleet: Fleet) -> usize {
        let others = if self.relays { 0 } else { fleet.feeders };
        fleet.log - 1 + fleet.front + others
    }

    /// The fewest nodes with which no share is too high while as many are lost as may be; by kind, the same in each zone.
    pub(super) fn sized(&self, times: &Times, instance: &Instance) -> Result<Fleet, String> {
        let fewest = |what: &str, fits: &dyn Fn(usize) -> bool| {
            let mut counts = (ZONES..=NODES_MAX).step_by(ZONES);
            let found = counts.find(|nodes| fits(self.lose.left_of(*nodes)));
            found.ok_or_else(|| {
                format!("no {NODES_MAX} {what} carry that: ask for less, or for a larger --instance")
            })
        };
        let fits = |shares: &[Share]| shares.iter().all(|share| share.share <= share.most);
        let front = fewest("nodes that take votes", &|nodes| {
            fits(&self.front_shares(times, instance, nodes))
        })?;
        let feeders = fewest("nodes for watchers", &|nodes| {
            fits(&self.feeder_shares(times, instance, nodes))
        })?;
        Ok(Fleet {
            log: self.log_nodes,
            front,
            feeders,
        })
    }

    fn share(&self, what: &'static str, used: f64, there_is: f64) -> Share {
        Share {
            what,
            share: used / there_is,
            most: self.limits.share_max,
        }
    }

    fn front_shares(&self, times: &Times, instance: &Instance, nodes: usize) -> Vec<Share> {
        let (nodes, cores) = (nodes as f64, f64::from(instance.vcpus));
        let busy = self.requests_per_s * self.front_vote_us(times) / 1e6;
        vec![
            self.share("cores of the nodes that take votes", busy, nodes * cores),
            self.share(
                "memory of the nodes with a log",
                self.log_bytes(times),
                instance.memory_gib * GIB,
            ),
        ]
    }

    /// What a node with a log holds in memory.
    fn log_bytes(&self, times: &Times) -> f64 {
        self.users * times.get(Input::VoterBytes)
    }

    fn feeder_shares(&self, times: &Times, instance: &Instance, nodes: usize) -> Vec<Share> {
        let watchers = self.watchers / nodes as f64;
        let tallies_per_s = watchers * 1_000.0 / self.tally_ms;
        let log_bytes = if self.relays { 0.0 } else { self.log_bytes(times) };
        let memory = watchers * times.get(Input::WatcherBytes) + log_bytes;
        let network = instance.network_gbit_s * 1e9 / 8.0;
        let bytes = tallies_per_s * times.get(Input::TallyBytes);
        vec![
            Share {
                what: "places for watchers on a node",
                share: watchers / self.watchers_a_node,
                most: 1.0,
            },
            self.share(
                "cores of the watchers' nodes",
                tallies_per_s * times.get(Input::PushUs) / 1e6,
                f64::from(instance.vcpus),
            ),
            self.share("network of the watchers' nodes", bytes, network),
            self.share("memory of the watchers' nodes", memory, instance.memory_gib * GIB),
        ]
    }

    /// All shares that follow from the numbers alone. What the leader's loop and the one core that applies are used for, only a
    /// simulation says.
    pub(super) fn shares(
        &self,
        times: &Times,
        instance: &Instance,
        disk_mb_s: f64,
        (fleet, left): (Fleet, Fleet),
    ) -> Vec<Share> {
        // Whoever is lost is not sent to.
        let replicas = self.replicas(left) as f64;
        let sent = self.requests_per_s * times.get(Input::VoteBytes) * replicas;
        let written = self.requests_per_s * times.get(Input::VoteDiskBytes);
        let mut shares = self.front_shares(times, instance, left.front);
        shares.push(self.share("the leader's network", sent, instance.network_gbit_s * 1e9 / 8.0));
        shares.push(self.share("disks of the log", written, disk_mb_s * 1e6));
        if fleet.feeders > 0 {
            shares.extend(self.feeder_shares(times, instance, left.feeders));
        }
        shares
    }

    /// As many times as much of everything that people do.
    pub(super) fn times(&self, times: f64) -> Self {
        Self {
            requests_per_s: self.requests_per_s * times,
            watchers: self.watchers * times,
            ..self.clone()
        }
    }
}

/// What one node takes today.
pub(crate) const WATCHERS_A_NODE: usize = SUBSCRIBERS_MAX;
