//! A plan: everything that one simulated run does, written out, so that it can be kept, replayed and shrunk.
//!
//! A seed makes a plan; the plan alone makes the run. Nothing is drawn at random while it runs but what the plan's seed
//! feeds to the nodes themselves.

mod file;
mod generate;
mod profile;
mod validate;

use ostraka_core::VoterNumber;
use serde::{Deserialize, Deserializer, Serialize};

pub use file::PlanError;
pub use profile::Profile;
pub use validate::Impossible;

use crate::ids::{
    ClientIndex, EventSlot, FaultId, NodeIndex, OperationId, Seed, SimMs, SubmissionTag, ViewerIndex,
};

/// Format of plan files that this program writes and reads.
pub const PLAN_FORMAT: u32 = 1;

/// Simulators let hosts take turns: a message that took no time could arrive before it was sent.
pub const LINK_LATENCY_MS_MIN: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub format: u32,
    pub seed: Seed,
    /// What the seed was biased towards.
    pub profile: Profile,
    pub knobs: Knobs,
    /// Ascending by `at_ms`; those of one client happen one after another. Those from `storm_ms` on are the fresh ones
    /// that a healed cluster must answer with success.
    pub operations: Vec<Operation>,
    pub viewers: Vec<Viewer>,
    /// Ascending by `at_ms`.
    pub faults: Vec<Fault>,
}

impl Plan {
    /// Numbers the faults by their place, as a plan must have them after some were taken away. Nothing else in a plan
    /// names a fault: an overload's voters follow from its number when it is run.
    pub fn number_faults(&mut self) {
        for (place, fault) in self.faults.iter_mut().enumerate() {
            // Of more than validation lets pass, the last ones share a number.
            fault.id = FaultId(u16::try_from(place).unwrap_or(u16::MAX));
        }
    }
}

/// `null` where there is none. Without this, serde takes a field that is missing for one that is `null`, and a plan that
/// lost a line would be run as another plan.
fn written<'de, D: Deserializer<'de>, T: Deserialize<'de>>(source: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(source)
}

/// What the cluster is like before anything goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    pub nodes: u8,
    pub clients: u16,
    /// Faults lie before this, and all operations but the fresh ones; then the cluster must heal.
    pub storm_ms: SimMs,
    /// After the storm, the cluster has this long to converge and to answer the fresh operations.
    pub heal_ms: SimMs,
    pub link_latency_ms_min: u32,
    pub link_latency_ms_max: u32,
    pub barrier_micros: u64,
    pub heartbeat_ms: u64,
    pub election_ms: u64,
    pub snapshot_every_entries: u64,
    #[serde(deserialize_with = "written")]
    pub log_keep_entries: Option<u64>,
    /// By node: how far its wall clock is off at the start, and how much faster it runs (parts per million).
    pub clock_skew_ms: Vec<i64>,
    pub clock_drift_ppm: Vec<i32>,
    /// A client waits this long for an answer before it holds the outcome for unknown.
    pub client_patience_ms: SimMs,
}

/// One client action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    pub id: OperationId,
    pub client: ClientIndex,
    pub at_ms: SimMs,
    /// The node that is asked.
    pub endpoint: NodeIndex,
    pub action: Action,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Action {
    CreateEvent {
        slot: EventSlot,
        contestants: u16,
        /// Milliseconds of true time from the start of the run.
        #[serde(deserialize_with = "written")]
        opens_at_ms: Option<SimMs>,
        #[serde(deserialize_with = "written")]
        closes_at_ms: Option<SimMs>,
        after_close: bool,
    },
    OpenEvent {
        slot: EventSlot,
    },
    CloseEvent {
        slot: EventSlot,
    },
    /// The same tag is the same submission: a retry, perhaps through another node.
    Submit {
        slot: EventSlot,
        voter: VoterNumber,
        contestant: u16,
        tag: SubmissionTag,
    },
    /// Asks what became of the vote that `of` submitted; skipped if nothing is known of it.
    Status {
        of: OperationId,
    },
    Leaderboard {
        slot: EventSlot,
    },
}

/// One who watches a stream from `from_ms` to the end of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Viewer {
    pub viewer: ViewerIndex,
    pub slot: EventSlot,
    pub from_ms: SimMs,
    pub endpoint: NodeIndex,
}

/// Whom a fault hits, found out when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    Node(NodeIndex),
    /// Whoever leads the vote log at that moment, or led it last.
    Leader,
    /// The node after the leader, in order of number.
    Follower,
}

/// One thing going wrong, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub id: FaultId,
    pub at_ms: SimMs,
    pub for_ms: SimMs,
    pub kind: FaultKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum FaultKind {
    /// `target` and all others hear nothing of each other.
    Isolate {
        target: Target,
    },
    /// What `from` sends to `to` is lost; the other way it arrives.
    OneWay {
        from: Target,
        to: Target,
    },
    /// Isolated and reconnected, in turn.
    Flap {
        target: Target,
        period_ms: SimMs,
    },
    /// Messages between `target` and all others take this much longer.
    SlowLinks {
        target: Target,
        extra_ms: u32,
    },
    /// Of a million messages between nodes, this many are lost.
    Loss {
        ppm: u32,
    },
    /// The power goes: what no barrier has covered is lost, but for the first `kept` changes. Back after `for_ms`.
    PowerCut {
        target: Target,
        kept: u32,
    },
    /// All nodes lose power at once.
    Blackout {
        kept: u32,
    },
    /// The process dies; what it had written is with the operating system and survives.
    Kill {
        target: Target,
    },
    /// Told to stop, and started again: a rolling restart is one of these for each node.
    Restart {
        target: Target,
    },
    /// Dies and starts again and again.
    CrashLoop {
        target: Target,
        period_ms: SimMs,
    },
    /// Messages between `target` and all others stand still, and arrive together when it is over. The process itself
    /// goes on: no simulator here can stop one, and none pretends to.
    Hold {
        target: Target,
    },
    /// Barriers fail (EIO); the node must stop by itself. Started again after `for_ms` with a healthy disk.
    DiskError {
        target: Target,
    },
    SlowDisk {
        target: Target,
        barrier_ms: u64,
    },
    DiskFull {
        target: Target,
    },
    /// The process dies, and what its disks hold has rotted: it must not start on them. When it has refused to, and
    /// `for_ms` are over, it is taken out of the cluster, given empty disks, and added again.
    Rot {
        target: Target,
    },
    /// The wall clock jumps, and jumps back after `for_ms`.
    ClockJump {
        target: Target,
        by_ms: i64,
    },
    /// Asked for every now and then until it is so, for `for_ms` at most.
    TransferLeadership {
        to: NodeIndex,
    },
    /// Taken out of the cluster, and added again after `for_ms`.
    LeaveAndJoin {
        target: Target,
    },
    /// So many further submissions at once, from `clients` connections, by the voters of `names::overload_voter`. They
    /// stand in no record but the log's own.
    Overload {
        slot: EventSlot,
        clients: u16,
        submissions: u32,
    },
}

impl Fault {
    pub fn ends_at(&self) -> SimMs {
        self.at_ms.plus(self.for_ms)
    }

    pub fn is_on_at(&self, at: SimMs) -> bool {
        (self.at_ms..=self.ends_at()).contains(&at)
    }
}

impl FaultKind {
    /// What to call it in counts and tables; one name a kind.
    pub fn name(&self) -> &'static str {
        match self {
            FaultKind::Isolate { .. } => "isolate",
            FaultKind::OneWay { .. } => "one-way",
            FaultKind::Flap { .. } => "flap",
            FaultKind::SlowLinks { .. } => "slow-links",
            FaultKind::Loss { .. } => "loss",
            FaultKind::PowerCut { .. } => "power-cut",
            FaultKind::Blackout { .. } => "blackout",
            FaultKind::Kill { .. } => "kill",
            FaultKind::Restart { .. } => "restart",
            FaultKind::CrashLoop { .. } => "crash-loop",
            FaultKind::Hold { .. } => "hold",
            FaultKind::DiskError { .. } => "disk-error",
            FaultKind::SlowDisk { .. } => "slow-disk",
            FaultKind::DiskFull { .. } => "disk-full",
            FaultKind::Rot { .. } => "rot",
            FaultKind::ClockJump { .. } => "clock-jump",
            FaultKind::TransferLeadership { .. } => "transfer-leadership",
            FaultKind::LeaveAndJoin { .. } => "leave-and-join",
            FaultKind::Overload { .. } => "overload",
        }
    }

    /// Whom it is meant for; nobody where it is for all.
    pub fn targets(&self) -> Vec<Target> {
        match *self {
            FaultKind::Isolate { target }
            | FaultKind::Flap { target, .. }
            | FaultKind::SlowLinks { target, .. }
            | FaultKind::PowerCut { target, .. }
            | FaultKind::Kill { target }
            | FaultKind::Restart { target }
            | FaultKind::CrashLoop { target, .. }
            | FaultKind::Hold { target }
            | FaultKind::DiskError { target }
            | FaultKind::SlowDisk { target, .. }
            | FaultKind::DiskFull { target }
            | FaultKind::Rot { target }
            | FaultKind::ClockJump { target, .. }
            | FaultKind::LeaveAndJoin { target } => vec![target],
            FaultKind::OneWay { from, to } => vec![from, to],
            FaultKind::TransferLeadership { to } => vec![Target::Node(to)],
            FaultKind::Loss { .. } | FaultKind::Blackout { .. } | FaultKind::Overload { .. } => Vec::new(),
        }
    }

    /// Whether a disk does not do what it should: fails, takes no more, or gives back something else.
    pub fn takes_a_disk(&self) -> bool {
        matches!(
            self,
            FaultKind::DiskError { .. } | FaultKind::DiskFull { .. } | FaultKind::Rot { .. }
        )
    }

    /// Whether a node is taken out of the cluster for a time.
    pub fn takes_a_member(&self) -> bool {
        matches!(self, FaultKind::LeaveAndJoin { .. } | FaultKind::Rot { .. })
    }
}
