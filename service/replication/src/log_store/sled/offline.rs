//! Reading a log that no node has open, for audits.

use std::path::{Path, PathBuf};

use super::shared::{Positions, Shared, index_after};
use super::trees::{self, Found, OpenError, Trees};
use crate::log_store::record::{Assembler, Record, part_key};
use crate::log_store::{Extent, ReadError};
use crate::sled_folder;
use crate::types::{LogId, RaftVote};

/// A log opened for reading. Takes the folder's lock, creates no folder and changes no entry. sled itself mends what it
/// opens, so an audit opens a copy ([`copy_engine_folder`](crate::sled_folder::copy_engine_folder)).
pub struct OfflineLog {
    folder: PathBuf,
    trees: Trees,
    positions: Positions,
    torn: Option<u64>,
}

impl OfflineLog {
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_copy(folder, folder)
    }

    /// Opens `copy`; its errors name the folder that it is a copy of, which is whose reader can do something about them.
    pub fn open_copy(copy: &Path, original: &Path) -> Result<Self, OpenError> {
        trees::check_format(original)?;
        if !trees::db_path(copy).exists() {
            let detail = "it has no database".to_owned();
            return Err(OpenError::NotALog {
                folder: original.to_path_buf(),
                detail,
            });
        }
        Ok(Self::of(original, trees::open_copy(copy, original)?))
    }

    pub(super) fn of(folder: &Path, found: Found) -> Self {
        Self {
            folder: folder.to_path_buf(),
            trees: found.trees,
            positions: found.positions,
            torn: found.torn,
        }
    }

    pub fn vote(&self) -> Option<RaftVote> {
        self.positions.vote
    }

    /// Commit position as last saved. Entries behind it may be committed too.
    pub fn committed(&self) -> Option<LogId> {
        self.positions.committed
    }

    pub fn purged(&self) -> Option<LogId> {
        self.positions.purged
    }

    pub fn extent(&self) -> Extent {
        Extent {
            purged: self.purged(),
            last: self.last(),
        }
    }

    /// The last whole entry, or `purged` when there is none.
    pub fn last(&self) -> Option<LogId> {
        self.positions.last
    }

    /// Index of an entry that a crash cut short. It was never acknowledged and is left out of [`entries`](Self::entries).
    pub fn torn(&self) -> Option<u64> {
        self.torn
    }

    /// All entries behind the purged ones, in order, each verified. The first error ends the walk.
    pub fn entries(&self) -> OfflineEntries {
        let shared = Shared::new(&self.folder, self.positions.clone());
        let next = self.positions.first_index();
        let end = index_after(&self.positions.last);
        let parts = self
            .trees
            .entries
            .range(part_key(next, 0)..part_key(end.max(next), 0));
        OfflineEntries {
            shared,
            parts,
            assembler: Assembler::default(),
            next,
            end,
            last_term: 0,
        }
    }
}

/// Walks a log from its first entry to its last: no gap, checksums right, terms never falling.
pub struct OfflineEntries {
    shared: Shared,
    parts: sled::Iter,
    assembler: Assembler,
    next: u64,
    end: u64,
    last_term: u64,
}

impl OfflineEntries {
    fn read_next(&mut self) -> Result<Record, ReadError> {
        loop {
            let Some(part) = self.parts.next() else {
                return Err(self.shared.damaged(format!("entry {} is missing", self.next)));
            };
            let (key, value) = part.map_err(|error| ReadError::Disk {
                folder: self.shared.folder.display().to_string(),
                detail: sled_folder::explain(&error),
            })?;
            let fed = self
                .assembler
                .feed(&key, &value)
                .map_err(|error| self.shared.damaged(error))?;
            let Some(record) = fed else { continue };
            if record.log_id.index != self.next {
                return Err(self.shared.damaged(format!("entry {} is missing", self.next)));
            }
            let term = **record.log_id.committed_leader_id();
            if term < self.last_term {
                return Err(self
                    .shared
                    .damaged(format!("at entry {} the term falls", self.next)));
            }
            self.last_term = term;
            return Ok(record);
        }
    }
}

impl Iterator for OfflineEntries {
    type Item = Result<Record, ReadError>;

    /// # Errors
    /// [`ReadError::Damaged`] or [`ReadError::Disk`], once; nothing follows.
    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        let found = self.read_next();
        self.next = if found.is_ok() { self.next + 1 } else { self.end };
        Some(found)
    }
}
