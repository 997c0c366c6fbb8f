//! A machine's disks, and what they come to keep of the vote log, told to the history.

use std::hash::Hasher;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ostraka_core::LogIndex;
use ostraka_node::env::{ClusterKeeper, Crash, Kept, MemoryDisk, MemoryStorage, NodeNumber, SnapshotStore};
use ostraka_node::secrets::Secrets;
use ostraka_sim_model::history::{Happening, Life, LoggedEntry};
use ostraka_sim_model::ids::NodeIndex;
use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

use crate::stage::SharedStage;

pub(crate) struct Disks {
    storage: Mutex<MemoryStorage>,
    barrier: Duration,
    /// Barriers done, and failed, on disks that are not there any more.
    past: Mutex<(u64, u64)>,
    /// The newest snapshot that the history knows.
    snapshot_told: AtomicU64,
}

/// The term in which a node was last seen to win the lead of the vote log, by node.
pub(crate) type Terms = Arc<Mutex<Vec<u64>>>;

impl Disks {
    pub(crate) fn new(stage: &SharedStage, node: NodeIndex, secrets: Secrets, terms: Terms) -> Self {
        let barrier = Duration::from_micros(stage.plan.knobs.barrier_micros);
        let storage = empty(secrets);
        let journal_stage = stage.clone();
        storage
            .vote_log
            .keep_journal(Arc::new(move |kept| tell(&journal_stage, node, kept, &terms)));
        let disks = Self {
            storage: Mutex::new(storage),
            barrier,
            past: Mutex::default(),
            snapshot_told: AtomicU64::new(0),
        };
        disks.set_barrier(None);
        disks
    }

    pub(crate) fn storage(&self) -> MemoryStorage {
        self.storage.lock().clone()
    }

    /// Empty disks take the place of these. The secrets are the operator's, who gives them again.
    pub(crate) fn replace(&self) {
        *self.past.lock() = (self.barriers(), self.barriers_failed());
        let mut storage = self.storage.lock();
        let journal = storage.vote_log.journal();
        *storage = empty(storage.secrets.clone());
        journal
            .into_iter()
            .for_each(|journal| storage.vote_log.keep_journal(journal));
        drop(storage);
        self.snapshot_told.store(0, Ordering::Relaxed);
        self.set_barrier(None);
    }

    pub(crate) fn rot(&self) {
        self.logs().iter().for_each(MemoryDisk::rot);
    }

    fn logs(&self) -> [MemoryDisk; 2] {
        let storage = self.storage.lock();
        [storage.identity_log.clone(), storage.vote_log.clone()]
    }

    /// How long each barrier takes; `None` for what the plan calls normal.
    pub(crate) fn set_barrier(&self, latency: Option<Duration>) {
        for log in self.logs() {
            log.set_barrier_latency(latency.unwrap_or(self.barrier));
        }
    }

    /// The power goes. Returns changes lost and changes kept by luck.
    pub(crate) fn lose_power(&self, kept: u32) -> (u64, u64) {
        let kept = usize::try_from(kept).unwrap_or(usize::MAX);
        let crashes = self.logs().map(|log| log.crash_keeping(kept));
        let sum = |of: fn(&Crash) -> usize| crashes.iter().map(of).sum::<usize>() as u64;
        (sum(|crash| crash.lost), sum(|crash| crash.kept))
    }

    /// The process goes; what it has written stays. On a disk whose barrier has failed that is anyone's guess: the first
    /// few changes, as many as the barriers before happen to say.
    pub(crate) fn lose_process(&self) {
        for log in self.logs() {
            let kept = match log.barriers_failed() {
                0 => usize::MAX,
                _ => usize::try_from(log.barriers() % 4).unwrap_or_default(),
            };
            log.crash_keeping(kept);
        }
    }

    pub(crate) fn fail_barriers(&self, fail: bool) {
        self.logs().iter().for_each(|log| log.fail_barriers(fail));
    }

    pub(crate) fn fill(&self, full: bool) {
        self.logs().iter().for_each(|log| log.fill(full));
    }

    pub(crate) fn barriers(&self) -> u64 {
        self.past.lock().0 + self.logs().iter().map(MemoryDisk::barriers).sum::<u64>()
    }

    pub(crate) fn barriers_failed(&self) -> u64 {
        self.past.lock().1 + self.logs().iter().map(MemoryDisk::barriers_failed).sum::<u64>()
    }

    /// Tells of a snapshot that was not told of before.
    pub(crate) fn look_for_snapshot(&self, stage: &SharedStage, node: NodeIndex) {
        let snapshots = self.storage.lock().vote_snapshots.clone();
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

fn empty(secrets: Secrets) -> MemoryStorage {
    MemoryStorage {
        secrets,
        identity_log: MemoryDisk::new(),
        identity_snapshots: SnapshotStore::in_memory(),
        vote_log: MemoryDisk::new(),
        vote_snapshots: SnapshotStore::in_memory(),
        cluster: Arc::new(ClusterKeeper::in_memory()),
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
