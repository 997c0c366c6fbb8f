//! The snapshot codec: a state as bytes, for the file that a restart begins from and a new node is sent.

mod read;
mod write;

use std::io;

pub use read::read;
pub use write::write;

/// Version of the snapshot format that this program writes, and the newest that it reads.
pub const SNAPSHOT_FORMAT: u32 = 1;

/// Why a snapshot cannot be read. `Io` may pass; the others are terminal: the same bytes never read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error(
        "the snapshot has format {found}; this program reads up to {known}. Start the version of Ostraka that wrote it, \
         or a newer one"
    )]
    Newer { found: u32, known: u32 },
    #[error("the snapshot is damaged: {0}")]
    Corrupt(String),
    #[error("the snapshot could not be read: {0}")]
    Io(#[source] io::Error),
}
