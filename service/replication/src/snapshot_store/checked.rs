//! Snapshots that were looked at, and not changed: whether a node may start with them and the log beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::files::Files;
use super::{SnapshotError, SnapshotStore, StoredSnapshot};
use crate::log_store::{Extent, LogEnd};

/// A snapshot that cannot be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSnapshot {
    pub index: u64,
    pub path: PathBuf,
    pub detail: String,
}

/// A folder of snapshots as it was found.
pub struct CheckedSnapshots {
    files: Files,
    /// Oldest first; of those that were read.
    whole: Vec<StoredSnapshot>,
    /// Newest first.
    damaged: Vec<DamagedSnapshot>,
    /// Where the log ended when a snapshot that it did not reach was put in place, by the snapshot's index.
    early: BTreeMap<u64, u64>,
}

impl CheckedSnapshots {
    /// Reads the newest snapshot to its end, and where it is damaged the one before it.
    pub fn look(folder: &Path) -> Result<Self, SnapshotError> {
        Self::read(folder, false)
    }

    /// Reads all of them to their ends.
    pub fn look_at_all(folder: &Path) -> Result<Self, SnapshotError> {
        Self::read(folder, true)
    }

    fn read(folder: &Path, all: bool) -> Result<Self, SnapshotError> {
        let files = Files::open_read_only(folder);
        let (mut whole, mut damaged) = (Vec::new(), Vec::new());
        for index in files.indexes()?.into_iter().rev() {
            match files.verified(index)? {
                Ok(snapshot) => whole.insert(0, snapshot),
                Err(found) => damaged.push(found),
            }
            if !all && !whole.is_empty() {
                break;
            }
        }
        let early = files.notes()?;
        Ok(Self {
            files,
            whole,
            damaged,
            early,
        })
    }

    pub fn whole(&self) -> &[StoredSnapshot] {
        &self.whole
    }

    pub fn damaged(&self) -> &[DamagedSnapshot] {
        &self.damaged
    }

    /// Whether the state can be had from these snapshots and the log in `folder`, with nothing lost that was there.
    ///
    /// A snapshot holds what was in the log, so a log that ends before it is an older one. Not so where a note says that
    /// the log had not come so far when the snapshot was put in place: it came from a peer, or from entries that a quorum
    /// had made durable before this node did.
    pub fn fit(&self, folder: &Path, log: &Extent) -> Result<(), SnapshotError> {
        let log_end = log.last.map_or(0, |last| last.index + 1);
        let newest_whole = self.whole.last().map(StoredSnapshot::index);
        let damaged = self.damaged.iter().map(|damaged| damaged.index);
        let unexplained = newest_whole.filter(|index| !self.is_early(*index, log));
        if let Some(ahead) = damaged.chain(unexplained).max().filter(|index| *index >= log_end) {
            return Err(SnapshotError::Ahead {
                log: folder.display().to_string(),
                ends: log.last.map_or("before its first entry".to_owned(), |last| {
                    format!("at entry {}", last.index)
                }),
                name: self.files.path_of(ahead).display().to_string(),
                index: ahead,
            });
        }
        let Some(purged) = log.purged else {
            return Ok(());
        };
        if newest_whole.is_some_and(|index| index >= purged.index) {
            return Ok(());
        }
        Err(match self.damaged.first() {
            Some(damaged) if damaged.index >= purged.index => SnapshotError::Damaged {
                name: damaged.path.display().to_string(),
                detail: damaged.detail.clone(),
            },
            _ => SnapshotError::Missing {
                log: folder.display().to_string(),
                begins: purged.index + 1,
                folder: self.files.folder().display().to_string(),
            },
        })
    }

    /// Whether it is known why `log` ends before the snapshot at `index`.
    pub fn is_early(&self, index: u64, log: &Extent) -> bool {
        let log_end = log.last.map_or(0, |last| last.index + 1);
        self.early.get(&index).is_some_and(|ended| *ended <= log_end)
    }

    /// Opens the store: what is damaged is set aside (renamed to `….damaged`), what was never finished is removed. Only
    /// after [`fit`](Self::fit) was asked. `log_end`: of the log beside it.
    pub fn open(self, log_end: LogEnd) -> Result<SnapshotStore, SnapshotError> {
        let files = self.files.of_log(log_end);
        files.prepare()?;
        for damaged in &self.damaged {
            tracing::error!(
                snapshot = %damaged.path.display(),
                detail = %damaged.detail,
                "A SNAPSHOT IS DAMAGED. It is set aside; the log still leads to the same state. Check the disk."
            );
            files.set_aside(&damaged.path)?;
        }
        Ok(SnapshotStore::of_files(files))
    }
}
