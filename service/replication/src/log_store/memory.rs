//! The log in memory, with a disk that can be cut off: for simulators and tests.
//!
//! A [`MemoryDisk`] outlives the stores opened on it, as a real disk outlives processes. Each store keeps what it was
//! told at once (and lets it be read), queues it for the disk, and the disk makes it durable a barrier at a time, after
//! a latency in the runtime's own time. [`MemoryDisk::crash`] takes what no barrier has covered. Who wants to know what
//! the disk holds for good keeps a [`Journal`].

mod journal;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use ostraka_core::limits::{LOG_PENDING_BYTES_MAX, LOG_READ_BYTES_MAX};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

pub use self::journal::{Journal, Kept};
use super::record::{Record, weight_bytes};
use super::{WriteError, half_open};
use crate::runtime;
use crate::types::{Entry, LogId, RaftVote, Types};

/// What a log amounts to.
#[derive(Clone, Debug, Default)]
struct Content {
    entries: BTreeMap<u64, Entry>,
    vote: Option<RaftVote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
}

impl Content {
    fn last(&self) -> Option<LogId> {
        self.entries
            .last_key_value()
            .map(|(_, entry)| entry.log_id())
            .or(self.purged)
    }

    fn next_index(&self) -> u64 {
        self.last().map_or(0, |id| id.index + 1)
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Append(entry) => {
                assert_eq!(entry.index(), self.next_index(), "a log has no hole");
                self.entries.insert(entry.index(), entry.clone());
            }
            Change::Vote(vote) => self.vote = Some(*vote),
            Change::Committed(committed) => self.committed = *committed,
            Change::Truncate(after) => {
                let _gone = self.entries.split_off(&after.map_or(0, |id| id.index + 1));
            }
            Change::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = self.purged.max(Some(*upto));
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Change {
    Append(Entry),
    Vote(RaftVote),
    Committed(Option<LogId>),
    Truncate(Option<LogId>),
    Purge(LogId),
}

/// Who waits for the changes before it.
enum Waiter {
    Flushed(IOFlushed<Types>),
    Done(oneshot::Sender<Result<(), WriteError>>),
}

impl Waiter {
    fn answer(self, result: Result<(), WriteError>) {
        match self {
            Waiter::Flushed(flushed) => flushed.io_completed(result.map_err(io::Error::from)),
            Waiter::Done(done) => {
                // The asker may have given up waiting; the write stands all the same.
                let _ = done.send(result);
            }
        }
    }
}

enum Queued {
    Change(Change),
    Waiter(Waiter),
}

#[derive(Default)]
struct Disk {
    /// Counts openings and crashes: a store of an earlier life is cut off.
    life: u64,
    durable: Content,
    /// As the running store sees it: durable and queued.
    seen: Content,
    queue: VecDeque<Queued>,
    pending_bytes: usize,
    barrier_latency: Duration,
    barriers: u64,
    barriers_failed: u64,
    /// What barriers fail with, while they do.
    fault: Option<WriteError>,
    /// What every store fails with that is opened from now on.
    rot: Option<WriteError>,
    failed: Option<WriteError>,
    journal: Option<Journal>,
}

impl Disk {
    /// A barrier has covered the change, or luck has.
    fn keep(&mut self, change: &Change, told: &mut Vec<Kept>) {
        self.durable.change(change);
        if self.journal.is_some() {
            told.extend(Kept::of(change));
        }
    }
}

/// Outside the lock, so that whoever is told may look at the disk.
fn tell(journal: Option<Journal>, told: &[Kept]) {
    if let Some(journal) = journal {
        told.iter().for_each(|kept| journal(kept));
    }
}

const FOLDER: &str = "memory";

/// What became of the changes that no barrier had covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    pub kept: usize,
    pub lost: usize,
}

/// A disk in memory. Cheap to clone; all clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    disk: Arc<Mutex<Disk>>,
    /// Wakes the flusher: something is queued, or its life is over.
    work: Arc<Notify>,
    /// Wakes appends that wait for room.
    room: Arc<Notify>,
}

impl MemoryDisk {
    pub fn new() -> Self {
        Self::default()
    }

    /// How long each barrier takes, in the runtime's time. 0 at first.
    pub fn set_barrier_latency(&self, latency: Duration) {
        self.disk.lock().barrier_latency = latency;
    }

    /// From now on barriers fail (or work again, for a store opened later).
    pub fn fail_barriers(&self, fail: bool) {
        let (folder, detail) = (FOLDER.to_owned(), "a fault was injected".to_owned());
        self.disk.lock().fault = fail.then_some(WriteError::Disk { folder, detail });
    }

    /// From now on there is no room for anything more (or there is again, for a store opened later).
    pub fn fill(&self, full: bool) {
        let folder = FOLDER.to_owned();
        self.disk.lock().fault = full.then_some(WriteError::DiskFull { folder });
    }

    /// What the disk holds has rotted: whoever opens it from now on finds that, at the first look, and can do nothing with
    /// it. There is no other way out than another disk.
    pub fn rot(&self) {
        let (folder, detail) = (FOLDER.to_owned(), "an entry is damaged".to_owned());
        self.disk.lock().rot = Some(WriteError::Disk { folder, detail });
    }

    /// From now on `journal` is told of all that the disk keeps, as it comes to keep it.
    pub fn keep_journal(&self, journal: Journal) {
        self.disk.lock().journal = Some(journal);
    }

    /// Who is told, for the disk that takes this one's place.
    pub fn journal(&self) -> Option<Journal> {
        self.disk.lock().journal.clone()
    }

    /// Barriers completed since the disk is there.
    pub fn barriers(&self) -> u64 {
        self.disk.lock().barriers
    }

    /// Barriers that failed since the disk is there.
    pub fn barriers_failed(&self) -> u64 {
        self.disk.lock().barriers_failed
    }

    /// A power cut: what no barrier has covered is gone, nobody is answered, the store is cut off.
    pub fn crash(&self) -> Crash {
        self.crash_keeping(0)
    }

    /// A power cut that came when the first `changes` of those not covered had reached the disk by luck. With
    /// `usize::MAX` only the process dies, and what it had written stays.
    pub fn crash_keeping(&self, changes: usize) -> Crash {
        let mut told = Vec::new();
        let mut crash = Crash { kept: 0, lost: 0 };
        let (orphans, journal) = {
            let mut disk = self.disk.lock();
            disk.life += 1;
            let queue = std::mem::take(&mut disk.queue);
            let all = queue.iter().filter_map(|queued| match queued {
                Queued::Change(change) => Some(change),
                Queued::Waiter(_) => None,
            });
            for change in all {
                if crash.kept < changes {
                    disk.keep(change, &mut told);
                    crash.kept += 1;
                } else {
                    crash.lost += 1;
                }
            }
            disk.seen = disk.durable.clone();
            disk.pending_bytes = 0;
            (queue, disk.journal.clone())
        };
        tell(journal, &told);
        // Dropped outside the lock: nobody is answered, as nobody is by a machine without power.
        drop(orphans);
        self.work.notify_waiters();
        self.room.notify_waiters();
        crash
    }

    /// Starts a store on what is durable. Must be called inside the runtime. An earlier store on the same disk is cut
    /// off, as by [`crash`](Self::crash).
    pub fn open(&self) -> MemoryLogStore {
        self.crash();
        let life = {
            let mut disk = self.disk.lock();
            disk.failed = disk.rot.clone();
            disk.life
        };
        let flusher = self.clone();
        // Detached: it ends with its life.
        drop(runtime::spawn(async move { flusher.run(life).await }));
        MemoryLogStore {
            reader: MemoryLogReader {
                disk: self.clone(),
                life,
            },
        }
    }

    async fn run(self, life: u64) {
        loop {
            let woken = self.work.notified();
            let latency = {
                let disk = self.disk.lock();
                match disk.life == life && disk.failed.is_none() {
                    false => return,
                    true if disk.queue.is_empty() => None,
                    true => Some((disk.queue.len(), disk.barrier_latency)),
                }
            };
            let Some((queued, latency)) = latency else {
                woken.await;
                continue;
            };
            if !latency.is_zero() {
                runtime::sleep(latency).await;
            }
            self.complete(life, queued);
        }
    }

    /// One barrier over the first `queued` items. One that fails is the last: everybody who waits is told, and of what was
    /// written a crash decides how much is there, as of anything that no barrier has covered.
    fn complete(&self, life: u64, queued: usize) {
        let mut told = Vec::new();
        let (waiters, result, journal) = {
            let mut disk = self.disk.lock();
            if disk.life != life {
                return;
            }
            if disk.failed.is_none() {
                disk.failed = disk.fault.clone();
            }
            let result = disk.failed.clone().map_or(Ok(()), Err);
            let mut waiters = Vec::new();
            let answered = if result.is_ok() { queued } else { disk.queue.len() };
            let items: Vec<Queued> = disk.queue.drain(..answered).collect();
            for item in items {
                match item {
                    Queued::Waiter(waiter) => waiters.push(waiter),
                    Queued::Change(change) if result.is_err() => disk.queue.push_back(Queued::Change(change)),
                    Queued::Change(change) => {
                        if let Change::Append(entry) = &change {
                            disk.pending_bytes -= weight_bytes(entry);
                        }
                        disk.keep(&change, &mut told);
                    }
                }
            }
            disk.barriers += u64::from(result.is_ok());
            disk.barriers_failed += u64::from(result.is_err());
            (waiters, result, disk.journal.clone())
        };
        tell(journal, &told);
        for waiter in waiters {
            waiter.answer(result.clone());
        }
        self.room.notify_waiters();
    }
}

/// Reads what its store was told. Cheap to clone.
#[derive(Clone)]
pub struct MemoryLogReader {
    disk: MemoryDisk,
    life: u64,
}

impl MemoryLogReader {
    fn with<T>(&self, look: impl FnOnce(&mut Disk) -> T) -> Result<T, WriteError> {
        let mut disk = self.disk.disk.lock();
        if disk.life != self.life {
            return Err(WriteError::Closed);
        }
        match &disk.failed {
            Some(error) => Err(error.clone()),
            None => Ok(look(&mut disk)),
        }
    }

    fn read(&self, start: u64, end: u64, bytes_max: usize) -> Result<Vec<Entry>, WriteError> {
        if start >= end {
            return Ok(Vec::new());
        }
        self.with(|disk| {
            let mut bytes = 0;
            let mut found: Vec<Entry> = Vec::new();
            for entry in disk.seen.entries.range(start..end).map(|(_, entry)| entry) {
                bytes += weight_bytes(entry);
                if bytes > bytes_max && !found.is_empty() {
                    break;
                }
                found.push(entry.clone());
            }
            found
        })
    }
}

impl RaftLogReader<Types> for MemoryLogReader {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (start, end) = half_open(&range);
        Ok(self.read(start, end, usize::MAX)?)
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.with(|disk| disk.seen.vote)?)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        Ok(self.read(start, end, LOG_READ_BYTES_MAX)?)
    }
}

/// The one writing handle on a [`MemoryDisk`].
pub struct MemoryLogStore {
    reader: MemoryLogReader,
}

impl MemoryLogStore {
    /// Changes what is seen, now, and queues it for the disk. Where nobody waits, it rides with the next barrier.
    fn change(&self, changes: Vec<Change>, waiter: Option<Waiter>) -> Result<(), WriteError> {
        let awaited = waiter.is_some();
        self.reader.with(|disk| {
            for change in changes {
                if let Change::Append(entry) = &change {
                    disk.pending_bytes += weight_bytes(entry);
                }
                disk.seen.change(&change);
                disk.queue.push_back(Queued::Change(change));
            }
            disk.queue.extend(waiter.map(Queued::Waiter));
        })?;
        if awaited {
            self.reader.disk.work.notify_waiters();
        }
        Ok(())
    }

    async fn change_durably(&self, change: Change) -> Result<(), io::Error> {
        let (done, answer) = oneshot::channel();
        self.change(vec![change], Some(Waiter::Done(done)))?;
        Ok(answer.await.unwrap_or(Err(WriteError::Closed))?)
    }

    fn check(&self, entries: &[Entry]) -> Result<(), WriteError> {
        let next_index = self.reader.with(|disk| disk.seen.next_index())?;
        for (expected, entry) in (next_index..).zip(entries) {
            if entry.index() != expected {
                return Err(WriteError::Hole {
                    expected,
                    found: entry.index(),
                });
            }
            // What the disk store would refuse is refused here too.
            Record::from_entry(entry)?;
        }
        Ok(())
    }

    async fn wait_for_room(&self) -> Result<(), WriteError> {
        loop {
            let freed = self.reader.disk.room.notified();
            if self.reader.with(|disk| disk.pending_bytes)? < LOG_PENDING_BYTES_MAX {
                return Ok(());
            }
            freed.await;
        }
    }
}

impl RaftLogStorage<Types> for MemoryLogStore {
    type LogReader = MemoryLogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        Ok(self.reader.with(|disk| LogState {
            last_purged_log_id: disk.seen.purged,
            last_log_id: disk.seen.last(),
        })?)
    }

    async fn get_log_reader(&mut self) -> MemoryLogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        self.change_durably(Change::Vote(*vote)).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        Ok(self.change(vec![Change::Committed(committed)], None)?)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.reader.with(|disk| disk.seen.committed)?)
    }

    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let accepted = match self.wait_for_room().await {
            Ok(()) => self.check(&entries),
            Err(error) => Err(error),
        };
        if let Err(error) = accepted {
            flushed.io_completed(Err(error.clone().into()));
            return Err(error.into());
        }
        let changes = entries.into_iter().map(Change::Append).collect();
        Ok(self.change(changes, Some(Waiter::Flushed(flushed)))?)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.change_durably(Change::Truncate(last)).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.change_durably(Change::Purge(upto)).await
    }
}
