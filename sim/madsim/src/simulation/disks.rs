//! A machine's disk, and what it comes to keep of the log, told to the history.

use std::hash::Hasher;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ostraka_core::LogIndex;
use ostraka_replication::log_store::memory::{Kept, MemoryDisk};
use ostraka_replication::snapshot_store::SnapshotStore;
use ostraka_replication::{ClusterKeeper, NodeNumber};
use ostraka_sim_model::history::{Happening, Life, LoggedEntry};
use ostraka_sim_model::ids::NodeIndex;
use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

use super::stage::SharedStage;

pub(crate) struct Disks {
    storage: Mutex<Storage>,
    barrier: Duration,
    /// Barriers done, and failed, on disks that are not there any more.
    past: Mutex<(u64, u64)>,
    /// The newest snapshot that the history knows.
    snapshot_told: AtomicU64,
}

#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) log: MemoryDisk,
    pub(crate) snapshots: SnapshotStore,
    /// Which cluster the node belongs to.
    pub(crate) cluster: Arc<ClusterKeeper>,
}

impl Storage {
    fn empty() -> Self {
        Self {
            log: MemoryDisk::new(),
            snapshots: SnapshotStore::in_memory(),
            cluster: Arc::new(ClusterKeeper::in_memory()),
        }
    }
}

/// The term in which a node was last seen to win the lead, by node.
pub(crate) type Terms = Arc<Mutex<Vec<u64>>>;

impl Disks {
    pub(crate) fn new(stage: &SharedStage, node: NodeIndex, terms: Terms) -> Self {
        let disks = Self {
            storage: Mutex::new(Storage::empty()),
            past: Mutex::default(),
            barrier: Duration::from_micros(stage.plan.knobs.barrier_micros),
            snapshot_told: AtomicU64::new(0),
        };
        let journal_stage = stage.clone();
        disks
            .log()
            .keep_journal(Arc::new(move |kept| tell(&journal_stage, node, kept, &terms)));
        disks.set_barrier(None);
        disks
    }

    pub(crate) fn storage(&self) -> Storage {
        self.storage.lock().clone()
    }

    pub(crate) fn log(&self) -> MemoryDisk {
        self.storage.lock().log.clone()
    }

    /// Empty disks take the place of these.
    pub(crate) fn replace(&self) {
        *self.past.lock() = (self.barriers(), self.barriers_failed());
        let journal = self.log().journal();
        *self.storage.lock() = Storage::empty();
        journal
            .into_iter()
            .for_each(|journal| self.log().keep_journal(journal));
        self.snapshot_told.store(0, Ordering::Relaxed);
        self.set_barrier(None);
    }

    pub(crate) fn barriers(&self) -> u64 {
        self.past.lock().0 + self.log().barriers()
    }

    pub(crate) fn barriers_failed(&self) -> u64 {
        self.past.lock().1 + self.log().barriers_failed()
    }

    /// How long each barrier takes; `None` for what the plan calls normal.
    pub(crate) fn set_barrier(&self, latency: Option<Duration>) {
        self.log().set_barrier_latency(latency.unwrap_or(self.barrier));
    }

    /// The power goes. Returns changes lost and changes kept by luck.
    pub(crate) fn lose_power(&self, kept: u32) -> (u64, u64) {
        let crash = self
            .log()
            .crash_keeping(usize::try_from(kept).unwrap_or(usize::MAX));
        (crash.lost as u64, crash.kept as u64)
    }

    /// The process goes; what it has written stays.
    pub(crate) fn lose_process(&self) {
        self.log().crash_keeping(usize::MAX);
    }

    /// Tells of a snapshot that was not told of before.
    pub(crate) fn look_for_snapshot(&self, stage: &SharedStage, node: NodeIndex) {
        let snapshots = self.storage.lock().snapshots.clone();
        let snapshot = snapshots.latest().expect("memory can be read");
        let Some(snapshot) = snapshot else { return };
        if self.snapshot_told.swap(snapshot.index(), Ordering::Relaxed) == snapshot.index() {
            return;
        }
        let mut body = Vec::new();
        let mut reader = snapshot.open().expect("memory can be read");
        reader.read_to_end(&mut body).expect("a kept snapshot is whole");
        let mut hasher = SipHasher13::new();
        hasher.write(&body);
        stage.record(Happening::Snapshot {
            node,
            index: LogIndex(snapshot.index()),
            digest: hasher.finish(),
            bytes: body.len() as u64,
        });
    }
}

fn tell(stage: &SharedStage, node: NodeIndex, kept: &Kept, terms: &Terms) {
    match kept {
        Kept::Entry {
            index,
            term,
            stamped_at,
            proposal,
        } => stage.record(Happening::Durable {
            node,
            entry: LoggedEntry {
                index: *index,
                term: *term,
                stamped_at: *stamped_at,
                body: proposal.as_ref().map_or_else(Vec::new, |body| body.to_vec()),
            },
        }),
        Kept::Truncated { from } => stage.record(Happening::Truncated { node, from: *from }),
        Kept::Vote {
            term,
            node: winner,
            won: true,
        } if *winner == NodeNumber(u64::from(node.0) + 1) => {
            // Kept again when the same leader confirms it: one win a term is enough.
            let known = &mut terms.lock()[usize::from(node.0)];
            if *known < *term {
                *known = *term;
                let life = Life::Leads { term: *term };
                stage.record(Happening::Node { node, life });
            }
        }
        Kept::Vote { .. } | Kept::Purged { .. } => {}
    }
}
