//! A group: one replicated log and the machine that it drives, as the rest of the service sees it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ostraka_core::LogIndex;

use crate::env::{SharedClock, SharedNet};
use crate::machine::{Machine, SharedMachine};
use crate::types::{GroupName, NodeNumber, PeerAddr};

/// What a group is started with.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    pub name: GroupName,
    pub node: NodeNumber,
    pub heartbeat_interval: Duration,
    pub election_timeout_min: Duration,
    pub election_timeout_max: Duration,
    /// A snapshot is taken when this many entries were applied since the last.
    pub snapshot_every_entries: u64,
    /// Entries kept in the log behind the last snapshot. `None` keeps all: the log is the truth and an audit needs it.
    pub log_keep_entries: Option<u64>,
    /// Seed of the group's own randomness (election timeouts).
    pub seed: u64,
}

/// A submission that was applied: its place and the machine's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    pub index: LogIndex,
    pub reply: Bytes,
}

/// Why a submission has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Retryable: certainly not in the log. No leader was reachable until the deadline.
    #[error("no leader was reachable in time")]
    NoLeader,
    /// Unknown: it may have been committed. Resubmit with the same keys to find out.
    #[error("the outcome is unknown: the submission may still be committed")]
    Unknown,
    /// Retryable: certainly not in the log. The leader sheds load or its disk is full.
    #[error("the leader refused: {0}")]
    Refused(String),
    /// Terminal for this process: the group has stopped.
    #[error("the group has stopped: {0}")]
    Stopped(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error("{0}")]
    Storage(String),
    #[error("{0}")]
    Membership(String),
    #[error("this node is not the leader; the leader is {0:?}")]
    NotLeader(Option<PeerAddr>),
    #[error("no quorum answered in time")]
    Timeout,
    #[error("the group has stopped: {0}")]
    Stopped(String),
}

/// A picture of the group for status pages and metrics.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GroupStatus {
    pub name: GroupName,
    pub node: NodeNumber,
    pub role: String,
    pub term: u64,
    pub leader: Option<NodeNumber>,
    pub last_log_index: LogIndex,
    pub committed_index: LogIndex,
    pub applied_index: LogIndex,
    pub snapshot_index: LogIndex,
    pub purged_index: LogIndex,
    pub voters: Vec<(NodeNumber, PeerAddr)>,
    pub learners: Vec<(NodeNumber, PeerAddr)>,
    /// Follower's matched index, on the leader only.
    pub replication: Vec<(NodeNumber, LogIndex)>,
}

/// The handle. Cheap to clone.
#[derive(Clone)]
pub struct Group {
    _inner: Arc<()>,
}

impl Group {
    /// Opens the stored log and snapshot, restores the machine and joins in. Never forms a cluster by itself.
    pub async fn start<M: Machine, L: crate::log_store::LogStore>(
        _config: GroupConfig,
        _machine: SharedMachine<M>,
        _log: L,
        _snapshots: crate::snapshot_store::SnapshotStore,
        _peers: Arc<crate::peer::PeerClient>,
        _clock: SharedClock,
    ) -> Result<Group, GroupError> {
        let _: Option<SharedNet> = None;
        unreachable!()
    }

    /// Submits from any node: proposes here if this is the leader, else forwards the bytes to it; after a change of
    /// leader submits the same bytes again, until `within` is over. Safe because every command carries its own key.
    pub async fn submit(&self, _body: Bytes, _within: Duration) -> Result<Submitted, SubmitError> {
        unreachable!()
    }

    /// An index such that a read of any machine that has applied it is linearizable (Raft's ReadIndex, §6.4 of
    /// Ongaro's thesis), from any node. Concurrent callers share one round to the quorum.
    pub async fn read_index(&self, _within: Duration) -> Result<LogIndex, SubmitError> {
        unreachable!()
    }

    /// Waits until this replica has applied `index`. `false` when `within` is over first.
    pub async fn wait_applied(&self, _index: LogIndex, _within: Duration) -> bool {
        unreachable!()
    }

    pub fn applied_index(&self) -> LogIndex {
        unreachable!()
    }

    pub fn is_leader(&self) -> bool {
        unreachable!()
    }

    pub fn status(&self) -> GroupStatus {
        unreachable!()
    }

    /// Forms a new cluster of one, this node. Error if it already has a log.
    pub async fn init(&self, _own_addr: PeerAddr) -> Result<(), GroupError> {
        unreachable!()
    }

    /// Adds a node as learner, waits until it has caught up, makes it a voter. Leader only.
    pub async fn add(&self, _node: NodeNumber, _addr: PeerAddr, _within: Duration) -> Result<(), GroupError> {
        unreachable!()
    }

    pub async fn remove(&self, _node: NodeNumber) -> Result<(), GroupError> {
        unreachable!()
    }

    pub async fn transfer_leader(&self, _to: NodeNumber) -> Result<(), GroupError> {
        unreachable!()
    }

    /// Takes a snapshot now.
    pub async fn snapshot(&self) -> Result<LogIndex, GroupError> {
        unreachable!()
    }

    /// Completes when the group has stopped by itself, with the sentence to print (a failed barrier, an impossible
    /// state). The node then exits.
    pub async fn failed(&self) -> String {
        unreachable!()
    }

    pub async fn shutdown(&self) {}
}
