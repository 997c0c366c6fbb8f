//! A group: one replicated log and the machine that it drives, as the rest of the service sees it.

mod adapter;
mod budget;
mod builder;
mod catch_up;
mod contact;
mod copy;
mod cut_off;
mod leader;
mod membership;
mod quorum;
mod reads;
mod sentence;
mod start;
mod status;
mod submit;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ostraka_core::LogIndex;
use ostraka_core::limits::GROUP_SHUTDOWN_MS_MAX;
use parking_lot::Mutex;

use crate::cluster::{ClusterId, ClusterKeeper};
use crate::env::{Offload, SharedClock};
use crate::machine::{Machine, SharedMachine};
use crate::peer::{PeerClient, Voters};
use crate::runtime::{self, Instant, OwnedTask, watch};
use crate::snapshot_store::SnapshotStore;
use crate::types::{GroupName, MembershipId, NodeNumber, PeerAddr, Types};

pub(crate) use adapter::Snapshot;
pub use contact::OutOfTouch;
pub use copy::{CopyError, GroupCopy};

/// openraft's handle over our state machine.
pub(crate) type RaftHandle = openraft::Raft<Types, adapter::Adapter>;

/// How long a shutdown waits for the core, which may be inside a slow write.
const SHUTDOWN_MAX: Duration = Duration::from_millis(GROUP_SHUTDOWN_MS_MAX);

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
    /// Where snapshots are written and read.
    pub offload: Offload,
    /// Set while this node's disk has too little space: as the leader it then refuses proposals, its own and its peers'.
    pub storage_full: Arc<AtomicBool>,
}

impl GroupConfig {
    /// The timings for nodes within one site. A follower grants its leader `election_timeout_max` since the last sign
    /// of life, then waits a random time between the two before it asks for votes: 450 to 600 ms after a leader's
    /// death, nine heartbeats and more.
    pub fn new(name: GroupName, node: NodeNumber, seed: u64) -> Self {
        Self {
            name,
            node,
            heartbeat_interval: Duration::from_millis(50),
            election_timeout_min: Duration::from_millis(150),
            election_timeout_max: Duration::from_millis(300),
            snapshot_every_entries: 50_000,
            log_keep_entries: None,
            seed,
            offload: Offload::Threads,
            storage_full: Arc::default(),
        }
    }
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
    Refused(Refusal),
    /// Terminal for this process: the group has stopped. Certainly not in the log.
    #[error("the group has stopped: {0}")]
    Stopped(String),
}

/// Why the leader takes no proposal at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum Refusal {
    #[error("it has more proposals than a quorum's disks keep up with")]
    Overloaded,
    #[error("its disk is nearly full")]
    StorageFull,
    /// The submitter's fault: no leader takes it.
    #[error("the proposal is larger than an entry may be")]
    TooLarge,
}

/// Why an operator's request has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
pub enum GroupError {
    /// Terminal: the stored data or the configuration has to be looked at.
    #[error("{0}")]
    Storage(String),
    /// Terminal: the cluster's membership does not allow it.
    #[error("{0}")]
    Membership(String),
    /// Retryable, there.
    #[error("this node does not lead the group{}", .0.as_ref().map(|addr| format!("; its leader is at {addr}")).unwrap_or_default())]
    NotLeader(Option<PeerAddr>),
    /// Retryable, over the membership that there is now. Nothing was changed.
    #[error(
        "refused, because since this was asked for the members were changed, or confirmed, by somebody else (now {0}); look \
         at `ostraka cluster status` and ask again if it is still wanted"
    )]
    MembersChanged(MembershipId),
    /// Unknown: it may still happen.
    #[error("no quorum answered in time")]
    Timeout,
    /// Terminal for this process.
    #[error("the group has stopped: {0}")]
    Stopped(String),
    /// Retryable: nothing was changed. A node that the operator named does not answer; it may be starting.
    #[error("{0}")]
    Unreachable(String),
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
    /// The newest membership that this node knows. Whoever asks for a change of members names it.
    pub membership: MembershipId,
    /// A change of members has begun and not ended: the voters are those of before and after it.
    pub changing: bool,
    /// Follower's matched index, on the leader only.
    pub replication: Vec<(NodeNumber, LogIndex)>,
    /// Milliseconds since a follower's last answer, on the leader only; `None` where it has given none.
    pub silence_ms: Vec<(NodeNumber, Option<u64>)>,
}

/// The handle. Cheap to clone. [`Group::shutdown`] ends what it stands for; dropping it does not.
#[derive(Clone)]
pub struct Group {
    inner: Arc<Inner>,
}

struct Inner {
    config: GroupConfig,
    raft: RaftHandle,
    /// [`Machine::check`] of the group's machine.
    check: fn(&[u8]) -> Result<(), String>,
    applied: watch::Receiver<LogIndex>,
    snapshots: SnapshotStore,
    peers: Arc<PeerClient>,
    clock: SharedClock,
    budget: Arc<budget::Budget>,
    voters: Arc<Voters>,
    reads: reads::ReadQueue,
    /// Held by the change of members that is under way here.
    turns: tokio::sync::Mutex<()>,
    /// Draws seeds and jitter, one number each.
    draws: AtomicU64,
    stopping: Arc<AtomicBool>,
    cut_off: watch::Sender<bool>,
    /// Which other cluster has last called this node as its member, and when.
    claim: Mutex<Option<(ClusterId, Instant)>>,
    /// When a leader with a quorum behind it was last heard, as far as the last look knows.
    leader_heard: Mutex<Option<Instant>>,
    /// The sentence of a machine that found its state impossible.
    broken: watch::Receiver<Option<String>>,
    tasks: Mutex<Vec<OwnedTask<()>>>,
}

impl Group {
    /// Opens the stored log and snapshot, restores the machine and joins in. Never forms a cluster by itself.
    pub async fn start<M: Machine, L: crate::log_store::LogStore>(
        config: GroupConfig,
        machine: SharedMachine<M>,
        log: L,
        snapshots: SnapshotStore,
        peers: Arc<PeerClient>,
        clock: SharedClock,
    ) -> Result<Group, GroupError> {
        start::start(config, machine, log, snapshots, peers, clock).await
    }

    pub fn name(&self) -> GroupName {
        self.inner.config.name
    }

    pub fn node(&self) -> NodeNumber {
        self.inner.config.node
    }

    /// Whether a leader has said that this node is no member, and none has fed it since.
    pub fn is_expelled(&self) -> bool {
        self.inner.voters.is_expelled()
    }

    /// A leader feeds this node, so it is a member.
    pub(crate) fn note_fed(&self) {
        self.inner.voters.note_fed();
    }

    /// Whether this node has anything of the log, or a snapshot in its place.
    pub(crate) fn has_log(&self) -> bool {
        self.raft().metrics().borrow().last_log_index.is_some()
    }

    /// Waits until this replica has applied `index`. `false` when `within` is over first.
    pub async fn wait_applied(&self, index: LogIndex, within: Duration) -> bool {
        let mut applied = self.inner.applied.clone();
        let reached = runtime::timeout(within, applied.wait_for(|applied| *applied >= index)).await;
        matches!(reached, Some(Ok(_)))
    }

    pub fn applied_index(&self) -> LogIndex {
        *self.inner.applied.borrow()
    }

    pub fn is_leader(&self) -> bool {
        self.leader_view().leads
    }

    /// Completes when the group has stopped by itself, with the sentence to print (a failed barrier, an impossible
    /// state). The node then exits. Never completes after [`Group::shutdown`].
    pub async fn failed(&self) -> String {
        let mut metrics = self.raft().metrics();
        let mut broken = self.inner.broken.clone();
        let sentence = tokio::select! {
            biased;
            // Its sender goes with the core, which has its own sentence then.
            Ok(found) = broken.wait_for(Option::is_some) => found,
            stopped = metrics.wait_for(|metrics| metrics.running_state.is_err()) => {
                stopped.ok().and_then(|metrics| metrics.running_state.err()).map(|fatal| sentence::of_fatal(&fatal))
            }
        };
        if self.inner.stopping.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        sentence.unwrap_or_else(|| "the consensus core has ended without a word".to_owned())
    }

    /// Ends the group's tasks. Submissions in flight end with an error.
    pub async fn shutdown(&self) {
        self.inner.stopping.store(true, Ordering::Relaxed);
        self.inner.tasks.lock().clear();
        let ending = runtime::seeded(self.next_seed(), self.raft().shutdown());
        match runtime::timeout(SHUTDOWN_MAX, ending).await {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(%error, "the consensus core did not end well"),
            None => tracing::warn!("the consensus core did not end in time"),
        }
    }

    pub(crate) fn raft(&self) -> &RaftHandle {
        &self.inner.raft
    }

    pub(crate) fn snapshots(&self) -> &SnapshotStore {
        &self.inner.snapshots
    }

    pub(crate) fn offload(&self) -> Offload {
        self.inner.config.offload
    }

    /// Which cluster this node belongs to.
    pub(crate) fn cluster(&self) -> &Arc<ClusterKeeper> {
        self.inner.peers.cluster()
    }

    /// A fresh seed, the same at the same place of the same run.
    pub(crate) fn next_seed(&self) -> u64 {
        runtime::mix(
            self.inner.config.seed ^ self.inner.draws.fetch_add(1, Ordering::Relaxed).rotate_left(32),
        )
    }

    /// Why nothing can be asked of the group any more, if so.
    fn stopped(&self) -> Option<String> {
        if let Some(sentence) = &*self.inner.broken.borrow() {
            return Some(sentence.clone());
        }
        self.raft()
            .metrics()
            .borrow()
            .running_state
            .as_ref()
            .err()
            .map(sentence::of_fatal)
    }
}
