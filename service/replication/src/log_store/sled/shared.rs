//! What the store's handles, its readers and its writer thread share: the log's positions and its newest entries.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use openraft::entry::RaftEntry;
use ostraka_core::limits::{LOG_PENDING_BYTES_MAX, LOG_TAIL_BYTES_MAX};
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use crate::log_store::record::weight_bytes;
use crate::log_store::{ReadError, WriteError};
use crate::types::{Entry, LogId, RaftVote};

/// Where the log stands, as its users see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions {
    pub(super) vote: Option<RaftVote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
    /// The last entry, or `purged` when there is none.
    pub(super) last: Option<LogId>,
}

impl Positions {
    /// Index of the first entry that is not purged.
    pub(super) fn first_index(&self) -> u64 {
        index_after(&self.purged)
    }
}

pub(super) fn index_after(log_id: &Option<LogId>) -> u64 {
    log_id.as_ref().map_or(0, |id| id.index + 1)
}

/// Positions, and the newest entries: without a gap up to `last`, and at least all that sled does not hold yet.
#[derive(Debug)]
pub(super) struct Mirror {
    pub(super) positions: Positions,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    tail_bytes_max: usize,
    /// Entries below this index can be read from sled.
    stored_end: u64,
}

impl Mirror {
    pub(super) fn new(positions: Positions) -> Self {
        let stored_end = index_after(&positions.last);
        Self {
            positions,
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max: LOG_TAIL_BYTES_MAX,
            stored_end,
        }
    }

    /// Index behind the last durable entry.
    pub(super) fn durable_end(&self) -> u64 {
        self.stored_end
    }

    /// Index of the first entry in the tail; one past the last entry when the tail is empty.
    pub(super) fn tail_start(&self) -> u64 {
        self.tail
            .front()
            .map_or_else(|| index_after(&self.positions.last), RaftEntry::index)
    }

    /// Adds entries at the end. All or none.
    pub(super) fn append(&mut self, entries: &[Entry]) -> Result<(), WriteError> {
        for (expected, entry) in (index_after(&self.positions.last)..).zip(entries) {
            if entry.index() != expected {
                return Err(WriteError::Hole {
                    expected,
                    found: entry.index(),
                });
            }
        }
        for entry in entries {
            self.tail_bytes += weight_bytes(entry);
            self.tail.push_back(entry.clone());
        }
        if let Some(last) = entries.last() {
            self.positions.last = Some(last.log_id());
        }
        Ok(())
    }

    /// Entries of the tail with `start <= index < end`, up to `bytes_max` but at least one.
    pub(super) fn tail_entries(&self, start: u64, end: u64, bytes_max: usize) -> Vec<Entry> {
        let tail_start = self.tail_start();
        let skip = usize::try_from(start.saturating_sub(tail_start)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut found = Vec::new();
        for entry in self
            .tail
            .iter()
            .skip(skip)
            .take_while(|entry| entry.index() < end)
        {
            bytes += weight_bytes(entry);
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(entry.clone());
        }
        found
    }

    /// sled holds everything below `end` now: the tail may forget, oldest first.
    pub(super) fn stored(&mut self, end: u64) {
        self.stored_end = end;
        self.forget(|mirror| mirror.tail_bytes > mirror.tail_bytes_max);
    }

    /// Everything behind `last` is gone, from sled too.
    pub(super) fn truncated(&mut self, last: Option<LogId>) {
        let end = index_after(&last);
        while self.tail.back().is_some_and(|entry| entry.index() >= end) {
            let entry = self.tail.pop_back().expect("it was just looked at");
            self.tail_bytes -= weight_bytes(&entry);
        }
        self.positions.last = last;
        self.stored_end = self.stored_end.min(end);
    }

    /// Everything up to `upto` is out of the log, which may then begin behind its former end.
    pub(super) fn purged(&mut self, upto: LogId) {
        self.positions.purged = Some(upto);
        if self.positions.last < Some(upto) {
            self.positions.last = Some(upto);
        }
        self.stored_end = self.stored_end.max(upto.index + 1);
        self.forget(|mirror| mirror.tail_start() <= upto.index);
    }

    fn forget(&mut self, unwanted: impl Fn(&Mirror) -> bool) {
        while self
            .tail
            .front()
            .is_some_and(|entry| entry.index() < self.stored_end)
            && unwanted(self)
        {
            let entry = self.tail.pop_front().expect("it was just looked at");
            self.tail_bytes -= weight_bytes(&entry);
        }
    }
}

/// Shared by handles, readers and the writer thread.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) mirror: RwLock<Mirror>,
    /// Held by readers while they read sled; taken whole to cut the log at either end, so that a read sees the log as it
    /// was when it began. Appends do not take it.
    pub(super) reshape: RwLock<()>,
    /// Set once, at the first failed write.
    failed: OnceLock<WriteError>,
    /// Bytes that appends may still put before the writer.
    pub(super) room: Semaphore,
}

impl Shared {
    pub(super) fn new(folder: &Path, positions: Positions) -> Self {
        Self {
            folder: folder.to_path_buf(),
            mirror: RwLock::new(Mirror::new(positions)),
            reshape: RwLock::new(()),
            failed: OnceLock::new(),
            room: Semaphore::new(LOG_PENDING_BYTES_MAX),
        }
    }

    pub(super) fn failure(&self) -> Option<WriteError> {
        self.failed.get().cloned()
    }

    /// The first failure stays; whoever waits for room is woken to find it.
    pub(super) fn poison(&self, error: WriteError) -> WriteError {
        let first = self.failed.get_or_init(|| error).clone();
        self.room.close();
        first
    }

    pub(super) fn check_healthy(&self) -> Result<(), WriteError> {
        self.failure().map_or(Ok(()), Err)
    }

    pub(super) fn damaged(&self, detail: impl ToString) -> ReadError {
        ReadError::Damaged {
            folder: self.folder.display().to_string(),
            detail: detail.to_string(),
        }
    }
}
