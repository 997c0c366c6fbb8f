//! Log stores: where the replicated log is kept.
//!
//! Two stores with one meaning, held to it by one conformance suite: [`sled`], on disk, and [`memory`], for simulators
//! and tests. Both promise: what was appended is readable when `append` returns; a callback that says "flushed" is
//! never wrong, and comes in the order of the appends; a vote, a truncation and a purge are durable when they return;
//! after one failed write nothing is acknowledged any more; what a crash takes is a suffix of what was not flushed.

use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::storage::RaftLogStorage;

use crate::REPLACE_NODE;
use crate::types::{LogId, Types};

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod conformance_rigs;
#[cfg(test)]
mod conformance_support;
#[cfg(test)]
mod honesty;
pub mod memory;
pub mod meta;
pub mod record;
#[cfg(feature = "sled")]
pub mod sled;

/// What openraft's `RaftLogStorage<Types>` is, under our name.
pub trait LogStore: RaftLogStorage<Types> {}

impl<S: RaftLogStorage<Types>> LogStore for S {}

/// Why the log takes no more writes. Terminal: the process must end and be started again. The fate of what was being
/// written is unknown; nothing of it was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("disk full: free space on {folder} then restart; nothing acknowledged was lost")]
    DiskFull { folder: String },
    #[error(
        "writing the log in {folder} failed ({detail}): check the disk, then restart; nothing acknowledged was lost"
    )]
    Disk { folder: String, detail: String },
    #[error("the log refuses an append that would leave a hole: entry {found} where {expected} belongs")]
    Hole { expected: u64, found: u64 },
    #[error("the log refuses an entry: {0}")]
    Entry(#[from] record::EncodeError),
    #[error("the log is closed")]
    Closed,
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        let kind = match &error {
            WriteError::DiskFull { .. } => io::ErrorKind::StorageFull,
            WriteError::Entry(_) | WriteError::Hole { .. } => io::ErrorKind::InvalidInput,
            WriteError::Disk { .. } | WriteError::Closed => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Why entries cannot be read. Terminal: the entries are lost on this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("the log in {folder} is damaged ({detail}): {REPLACE_NODE}")]
    Damaged { folder: String, detail: String },
    #[error("reading the log in {folder} failed ({detail}): check the disk, then restart")]
    Disk { folder: String, detail: String },
    #[error(transparent)]
    Stopped(#[from] WriteError),
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        let kind = match &error {
            ReadError::Damaged { .. } => io::ErrorKind::InvalidData,
            ReadError::Disk { .. } | ReadError::Stopped(_) => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

/// Which entries a log holds: those behind `purged`, up to and with `last`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
}

impl Extent {
    /// Whether the log goes up to `index` or further.
    pub fn reaches(&self, index: u64) -> bool {
        self.last.is_some_and(|last| last.index >= index)
    }
}

/// Asks an open log for the index behind its last durable entry. Cheap to clone, and never waits for a disk.
#[derive(Clone)]
pub struct LogEnd(Arc<dyn Fn() -> u64 + Send + Sync>);

impl LogEnd {
    pub fn new(ask: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(ask))
    }

    pub fn get(&self) -> u64 {
        (self.0)()
    }
}

/// A range of indexes as `[start, end)`.
fn half_open(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(&index) => index,
        Bound::Excluded(&index) => index.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&index) => index.saturating_add(1),
        Bound::Excluded(&index) => index,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
