//! Disks to run the conformance suite on, and what its tests share.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use ostraka_core::UnixMs;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::memory::{MemoryDisk, MemoryLogReader, MemoryLogStore};
use super::sled::{Barrier, FileBarrier, SledLogStore};
use crate::types::{Entry, EntryPayload, LogId, Membership, NodeNumber, PeerAddr, Proposal, RaftVote, Types};

/// A disk on which a store can be opened, that can be cut off, and whose barriers can be made to fail or to wait.
pub(super) trait Rig: Send + Sync {
    type Store: RaftLogStorage<Types>;

    fn open(&mut self) -> Self::Store;
    /// What a crash at this moment leaves; the next `open` finds it.
    fn crash(&mut self, store: Self::Store);
    fn fail_barriers(&self);
    /// Holds barriers back until released.
    fn hold_barriers(&self, hold: bool);
}

pub(super) struct MemoryRig(MemoryDisk);

impl MemoryRig {
    pub(super) fn new() -> Self {
        let disk = MemoryDisk::new();
        disk.set_barrier_latency(Duration::from_millis(2));
        Self(disk)
    }

    /// A crash that the first `changes` without a barrier survive.
    pub(super) fn crash_keeping(&self, changes: usize) {
        self.0.crash_keeping(changes);
    }
}

impl Rig for MemoryRig {
    type Store = MemoryLogStore;

    fn open(&mut self) -> MemoryLogStore {
        self.0.open()
    }

    fn crash(&mut self, store: MemoryLogStore) {
        self.0.crash();
        drop(store);
    }

    fn fail_barriers(&self) {
        self.0.fail_barriers(true);
    }

    fn hold_barriers(&self, hold: bool) {
        self.0
            .set_barrier_latency(Duration::from_millis(if hold { 200 } else { 2 }));
    }
}

#[derive(Clone, Default)]
struct Switches {
    fail: Arc<AtomicBool>,
    hold: Arc<AtomicBool>,
}

struct SwitchedBarrier {
    real: FileBarrier,
    switches: Switches,
}

impl Barrier for SwitchedBarrier {
    fn make_durable(&mut self) -> io::Result<()> {
        while self.switches.hold.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.switches.fail.load(Ordering::SeqCst) {
            return Err(io::Error::other("a fault was injected"));
        }
        self.real.make_durable()
    }
}

/// A crash is a copy of the folder as it is at that moment: what a killed process leaves.
pub(super) struct SledRig {
    folder: TempDir,
    generation: u32,
    switches: Switches,
}

impl SledRig {
    pub(super) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            generation: 0,
            switches: Switches::default(),
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().join(format!("log-{}", self.generation))
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Rig for SledRig {
    type Store = SledLogStore;

    fn open(&mut self) -> SledLogStore {
        let switches = self.switches.clone();
        SledLogStore::open_with(&self.path(), |db| {
            Ok(SwitchedBarrier {
                real: FileBarrier::open(db)?,
                switches,
            })
        })
        .unwrap()
    }

    fn crash(&mut self, store: SledLogStore) {
        let from = self.path();
        self.generation += 1;
        copy_folder(&from, &self.path());
        self.switches.hold.store(false, Ordering::SeqCst);
        self.switches.fail.store(false, Ordering::SeqCst);
        drop(store);
    }

    fn fail_barriers(&self) {
        self.switches.fail.store(true, Ordering::SeqCst);
    }

    fn hold_barriers(&self, hold: bool) {
        self.switches.hold.store(hold, Ordering::SeqCst);
    }
}

pub(super) fn entry(term: u64, index: u64, body_bytes: usize) -> Entry {
    let body: Vec<u8> = (0..body_bytes).map(|at| (at as u64 * 7 + index) as u8).collect();
    let proposal = Proposal {
        stamped_at: UnixMs(1_000 + index),
        body: body.into(),
    };
    Entry {
        log_id: LogId::new_term_index(term, index),
        payload: EntryPayload::Normal(proposal),
    }
}

pub(super) fn entries(term: u64, indexes: std::ops::Range<u64>) -> Vec<Entry> {
    indexes.map(|index| entry(term, index, 300)).collect()
}

pub(super) fn members(index: u64) -> Entry {
    let nodes = (1..=3).map(|node| (NodeNumber(node), PeerAddr(format!("node-{node}:8082"))));
    let nodes: std::collections::BTreeMap<NodeNumber, PeerAddr> = nodes.collect();
    let voters = nodes.keys().copied().collect();
    let membership = Membership::new(vec![voters], nodes).unwrap();
    Entry {
        log_id: LogId::new_term_index(1, index),
        payload: EntryPayload::Membership(membership),
    }
}

pub(super) type Flushed = oneshot::Receiver<Result<(), io::Error>>;

/// Appends without waiting for the disk.
pub(super) async fn append<S: RaftLogStorage<Types>>(store: &mut S, entries: Vec<Entry>) -> Flushed {
    let (done, flushed) = Types::oneshot();
    store.append(entries, IOFlushed::signal(done)).await.unwrap();
    flushed
}

pub(super) async fn append_durably<S: RaftLogStorage<Types>>(store: &mut S, entries: Vec<Entry>) {
    append(store, entries).await.await.unwrap().unwrap();
}

pub(super) async fn read_all<S: RaftLogStorage<Types>>(store: &mut S) -> Vec<Entry> {
    store
        .get_log_reader()
        .await
        .try_get_log_entries(..)
        .await
        .unwrap()
}

/// A planted fault: says "flushed" at once, and forgets votes.
pub(super) struct LyingStore(MemoryLogStore);

impl RaftLogStorage<Types> for LyingStore {
    type LogReader = MemoryLogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> MemoryLogReader {
        self.0.get_log_reader().await
    }

    async fn save_vote(&mut self, _vote: &RaftVote) -> Result<(), io::Error> {
        Ok(())
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let appended = self.0.append(entries, IOFlushed::noop()).await;
        flushed.io_completed(Ok(()));
        appended
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.0.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.0.purge(upto).await
    }
}

pub(super) struct LyingRig(MemoryRig);

impl LyingRig {
    pub(super) fn new() -> Self {
        Self(MemoryRig::new())
    }
}

impl Rig for LyingRig {
    type Store = LyingStore;

    fn open(&mut self) -> LyingStore {
        LyingStore(self.0.open())
    }

    fn crash(&mut self, store: LyingStore) {
        self.0.crash(store.0);
    }

    fn fail_barriers(&self) {
        self.0.fail_barriers();
    }

    fn hold_barriers(&self, hold: bool) {
        self.0.hold_barriers(hold);
    }
}
