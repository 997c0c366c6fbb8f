//! Snapshots of a group's machine: the newest two, whole and checked.
//!
//! On disk: files `snapshot-<index, 20 digits>.ost` in a folder of their own, in the form of [`frame`]. A file is written
//! under a temporary name, synced, renamed, and its folder synced, so that a name always stands for a whole snapshot.
//! All calls block; callers move them off the threads that others wait for.
//!
//! A node looks at its snapshots and its log before it opens either ([`CheckedSnapshots`]). A damaged snapshot is set aside
//! with a loud warning where the next older one, or the log alone, still leads to the same state; otherwise the node
//! refuses with a sentence. Nothing is deleted. Beside a snapshot that the log did not durably reach when it was put in
//! place lies a note, `snapshot-<index>.early`, which goes when the log has come past it.

mod checked;
mod files;
mod frame;
mod synced_file;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

pub use self::checked::{CheckedSnapshots, DamagedSnapshot};
use self::files::{Files, Staged};
pub use self::frame::{FrameError, SnapshotReader};
use self::frame::{FrameWriter, frame_error};
use self::synced_file::SyncedFile;
use crate::REPLACE_NODE;
use crate::types::SnapshotMeta;

/// Snapshots kept. The one before the newest is what a damaged newest falls back to.
pub const SNAPSHOTS_KEPT: usize = 2;

/// Why the snapshot store cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Terminal for this folder.
    #[error(
        "the snapshot {name} is damaged ({detail}) and the log no longer reaches back to before it: {REPLACE_NODE} \
         (nothing was changed)"
    )]
    Damaged { name: String, detail: String },
    /// Terminal for this folder.
    #[error(
        "the log in {log} begins with entry {begins}, and no snapshot in {folder} reaches that far: put back the snapshots \
         that belong to this log, or {REPLACE_NODE} (nothing was changed)"
    )]
    Missing {
        log: String,
        begins: u64,
        folder: String,
    },
    /// Terminal for this folder.
    #[error(
        "the log in {log} ends {ends}, but the snapshot {name} was made from its entries up to {index}: this is an older \
         log, or one that has lost its end. Log and snapshots belong together: put back the log that belongs to these \
         snapshots, or {REPLACE_NODE} (nothing was changed)"
    )]
    Ahead {
        log: String,
        ends: String,
        name: String,
        index: u64,
    },
    /// Terminal for this program.
    #[error("the snapshot {name}: {detail}: start a newer Ostraka")]
    NewerFormat { name: String, detail: String },
    /// Retryable: what was received is not a snapshot; the sender must send again.
    #[error("a received snapshot is unusable: {0}")]
    Received(FrameError),
    /// Retryable, once there is space.
    #[error("disk full: free space on {0}")]
    DiskFull(String),
    /// Unknown: depends on the cause.
    #[error("snapshots in {place}: {source}")]
    Io { place: String, source: io::Error },
}

impl From<SnapshotError> for io::Error {
    fn from(error: SnapshotError) -> Self {
        let kind = match &error {
            SnapshotError::DiskFull(_) => io::ErrorKind::StorageFull,
            SnapshotError::Damaged { .. }
            | SnapshotError::Missing { .. }
            | SnapshotError::Ahead { .. }
            | SnapshotError::Received(_) => io::ErrorKind::InvalidData,
            SnapshotError::NewerFormat { .. } => io::ErrorKind::Unsupported,
            SnapshotError::Io { source, .. } => source.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// Where a snapshot's stored form is.
#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    /// Received, complete and synced, not yet adopted. The file goes when the last handle does.
    Staged(Arc<Staged>),
    Memory(Bytes),
}

/// A handle to one whole snapshot. Cheap to clone and to move; the bytes stay where they are.
#[derive(Clone)]
pub struct StoredSnapshot {
    meta: SnapshotMeta,
    size_bytes: u64,
    place: Place,
}

impl fmt::Debug for StoredSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "snapshot {} ({} bytes, {:?})",
            self.meta, self.size_bytes, self.place
        )
    }
}

impl StoredSnapshot {
    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Last log index that the snapshot covers; 0 for none.
    pub fn index(&self) -> u64 {
        index_of(&self.meta)
    }

    /// Bytes of the stored form, which [`open_raw`](Self::open_raw) yields.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Reads what the machine wrote, checking as it goes.
    pub fn open(&self) -> io::Result<SnapshotReader> {
        SnapshotReader::start(self.open_raw()?)
    }

    /// Reads the stored form, to send it to a peer's [`SnapshotStore::receive`].
    pub fn open_raw(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match &self.place {
            Place::File(path) => Box::new(File::open(path)?),
            Place::Staged(staged) => Box::new(File::open(staged.path())?),
            Place::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
        })
    }

    /// Reads it to its end. An error says what is wrong.
    fn verify(&self) -> io::Result<()> {
        let mut reader = self.open()?;
        if reader.meta() != &self.meta {
            return Err(FrameError::Meta.into());
        }
        io::copy(&mut reader, &mut io::sink()).map(drop)
    }
}

fn index_of(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id.as_ref().map_or(0, |id| id.index)
}

#[derive(Clone)]
enum Kept {
    Files(Files),
    Memory(Arc<Mutex<BTreeMap<u64, StoredSnapshot>>>),
}

/// Keeps the newest snapshots of one group. Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct SnapshotStore {
    kept: Kept,
}

impl SnapshotStore {
    /// Opens a store in `folder` that no log on disk stands beside, creating it where there is none. Removes what was
    /// never finished. A node opens its own by way of [`CheckedSnapshots`].
    pub fn open(folder: &Path) -> Result<Self, SnapshotError> {
        Ok(Self::of_files(Files::open(folder)?))
    }

    fn of_files(files: Files) -> Self {
        Self {
            kept: Kept::Files(files),
        }
    }

    /// A store in memory, for simulators and tests. It lives as long as its clones: a simulated disk.
    pub fn in_memory() -> Self {
        Self {
            kept: Kept::Memory(Arc::default()),
        }
    }

    /// The newest snapshot. Its head is checked here, its body when it is read.
    pub fn latest(&self) -> Result<Option<StoredSnapshot>, SnapshotError> {
        match &self.kept {
            Kept::Files(files) => files.latest(),
            Kept::Memory(kept) => Ok(kept.lock().last_key_value().map(|(_, snapshot)| snapshot.clone())),
        }
    }

    /// The snapshot that covers the log up to exactly `index`.
    pub fn find(&self, index: u64) -> Result<Option<StoredSnapshot>, SnapshotError> {
        match &self.kept {
            Kept::Files(files) => files.find(index),
            Kept::Memory(kept) => Ok(kept.lock().get(&index).cloned()),
        }
    }

    /// All kept snapshots, oldest first.
    pub fn all(&self) -> Result<Vec<StoredSnapshot>, SnapshotError> {
        match &self.kept {
            Kept::Files(files) => files.all(),
            Kept::Memory(kept) => Ok(kept.lock().values().cloned().collect()),
        }
    }

    /// Stores what `body` writes. Durable on return; the oldest beyond [`SNAPSHOTS_KEPT`] are removed.
    pub fn write(
        &self,
        meta: &SnapshotMeta,
        body: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<StoredSnapshot, SnapshotError> {
        let mut incoming = self.receive()?;
        let framed = FrameWriter::start(&mut incoming, meta).and_then(|mut writer| {
            body(&mut writer)?;
            writer.finish().map(drop)
        });
        framed.map_err(|source| self.failed(source))?;
        let staged = incoming.finish_trusted(meta.clone())?;
        self.adopt(&staged)
    }

    /// Takes the stored form from a peer: write its bytes in order, then call [`Incoming::finish`].
    pub fn receive(&self) -> Result<Incoming, SnapshotError> {
        let sink = match &self.kept {
            Kept::Files(files) => {
                let (staged, file) = files.stage()?;
                let file = SyncedFile::new(file);
                Sink::File { staged, file }
            }
            Kept::Memory(_) => Sink::Memory(Vec::new()),
        };
        Ok(Incoming {
            store: self.clone(),
            sink,
            size_bytes: 0,
        })
    }

    /// Makes a received snapshot one of the kept. Durable on return. Adopting twice changes nothing.
    pub fn adopt(&self, snapshot: &StoredSnapshot) -> Result<StoredSnapshot, SnapshotError> {
        match (&self.kept, &snapshot.place) {
            (Kept::Files(files), Place::Staged(staged)) => files.adopt(snapshot, staged),
            (Kept::Memory(kept), Place::Memory(_)) => {
                let mut kept = kept.lock();
                kept.insert(snapshot.index(), snapshot.clone());
                while kept.len() > SNAPSHOTS_KEPT {
                    kept.pop_first();
                }
                Ok(snapshot.clone())
            }
            _ => Ok(snapshot.clone()),
        }
    }

    fn failed(&self, source: io::Error) -> SnapshotError {
        match &self.kept {
            Kept::Files(files) => files.failed(source),
            Kept::Memory(_) => SnapshotError::Io {
                place: "memory".to_owned(),
                source,
            },
        }
    }
}

enum Sink {
    File { staged: Arc<Staged>, file: SyncedFile },
    Memory(Vec<u8>),
}

/// A snapshot on its way in. Dropped before it is finished, it leaves nothing behind.
pub struct Incoming {
    store: SnapshotStore,
    sink: Sink,
    size_bytes: u64,
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.sink {
            Sink::File { file, .. } => file.write(bytes)?,
            Sink::Memory(held) => held.write(bytes)?,
        };
        self.size_bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Incoming {
    /// Bytes taken so far.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Checks that what was written is a whole snapshot, and syncs it. It is not yet one of the kept:
    /// [`SnapshotStore::adopt`] makes it so when Raft installs it.
    pub fn finish(self) -> Result<StoredSnapshot, SnapshotError> {
        let store = self.store.clone();
        let sort = |error: io::Error| match frame_error(&error) {
            Some(frame) => SnapshotError::Received(frame.clone()),
            None => store.failed(error),
        };
        let mut received = self.finish_trusted(SnapshotMeta::default())?;
        received.meta = received.open().map_err(sort)?.meta().clone();
        received.verify().map_err(sort)?;
        Ok(received)
    }

    fn finish_trusted(self, meta: SnapshotMeta) -> Result<StoredSnapshot, SnapshotError> {
        let place = match self.sink {
            Sink::File { staged, file } => {
                file.finish().map_err(|source| self.store.failed(source))?;
                Place::Staged(staged)
            }
            Sink::Memory(bytes) => Place::Memory(bytes.into()),
        };
        Ok(StoredSnapshot {
            meta,
            size_bytes: self.size_bytes,
            place,
        })
    }
}

#[cfg(test)]
mod tests;
