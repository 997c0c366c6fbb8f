//! Snapshots as files in a folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::checked::DamagedSnapshot;
use super::frame::{FrameError, frame_error};
use super::{Place, SNAPSHOTS_KEPT, SnapshotError, SnapshotReader, StoredSnapshot};
use crate::durable_fs;
use crate::log_store::LogEnd;
use crate::types::SnapshotMeta;

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".ost";
const STAGED_SUFFIX: &str = ".tmp";
const DAMAGED_SUFFIX: &str = ".damaged";
/// A note beside a snapshot: the log did not durably reach it when it was put in place.
const NOTE_SUFFIX: &str = ".early";
/// Index behind the log's last entry at that time (8 bytes, big-endian), CRC-32 of them.
const NOTE_BYTES: usize = 12;

/// A file under a temporary name; removed with its last handle unless it got a lasting name.
#[derive(Debug)]
pub(super) struct Staged {
    path: PathBuf,
}

impl Staged {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        match fs::remove_file(&self.path) {
            Ok(()) => {}
            // Adopted: it has its lasting name now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "an unfinished snapshot stays until restart");
            }
        }
    }
}

#[derive(Clone)]
pub(super) struct Files {
    folder: PathBuf,
    /// Distinguishes temporary names.
    staged: Arc<AtomicU64>,
    /// `None`: no log stands beside them that could end before a snapshot.
    log_end: Option<LogEnd>,
}

impl Files {
    pub(super) fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let files = Self::open_read_only(folder);
        files.prepare()?;
        Ok(files)
    }

    pub(super) fn open_read_only(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            staged: Arc::default(),
            log_end: None,
        }
    }

    pub(super) fn of_log(self, log_end: LogEnd) -> Self {
        let log_end = Some(log_end);
        Self { log_end, ..self }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Creates the folder where there is none, and removes what was never finished.
    pub(super) fn prepare(&self) -> Result<(), SnapshotError> {
        let prepared = || -> io::Result<()> {
            durable_fs::create_dir_all_durable(&self.folder)?;
            for entry in fs::read_dir(&self.folder)? {
                let path = entry?.path();
                if path.to_string_lossy().ends_with(STAGED_SUFFIX) {
                    fs::remove_file(path)?;
                }
            }
            durable_fs::sync_dir(&self.folder)
        };
        prepared().map_err(|source| self.failed(source))?;
        self.drop_notes()
    }

    pub(super) fn failed(&self, source: io::Error) -> SnapshotError {
        let place = self.folder.display().to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SnapshotError::DiskFull(place),
            _ => SnapshotError::Io { place, source },
        }
    }

    pub(super) fn path_of(&self, index: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{index:020}{SUFFIX}"))
    }

    fn note_path_of(&self, index: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{index:020}{NOTE_SUFFIX}"))
    }

    /// Indexes of the kept snapshots, ascending.
    pub(super) fn indexes(&self) -> Result<Vec<u64>, SnapshotError> {
        self.indexes_of(SUFFIX)
    }

    fn indexes_of(&self, suffix: &str) -> Result<Vec<u64>, SnapshotError> {
        let listed = || -> io::Result<Vec<u64>> {
            let mut indexes = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let name = entry?.file_name();
                let index: Option<u64> = name
                    .to_str()
                    .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(suffix)?.parse().ok());
                indexes.extend(index);
            }
            indexes.sort_unstable();
            Ok(indexes)
        };
        match listed() {
            // A folder that is not there holds no snapshots.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|source| self.failed(source)),
        }
    }

    pub(super) fn all(&self) -> Result<Vec<StoredSnapshot>, SnapshotError> {
        let mut all = Vec::new();
        for index in self.indexes()? {
            all.extend(self.find(index)?);
        }
        Ok(all)
    }

    pub(super) fn latest(&self) -> Result<Option<StoredSnapshot>, SnapshotError> {
        match self.indexes()?.last() {
            Some(&index) => self.find(index),
            None => Ok(None),
        }
    }

    pub(super) fn find(&self, index: u64) -> Result<Option<StoredSnapshot>, SnapshotError> {
        let path = self.path_of(index);
        match self.look(&path) {
            Ok(snapshot) => Ok(Some(snapshot)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.sort(&path, error)),
        }
    }

    /// Reads the head.
    fn look(&self, path: &Path) -> io::Result<StoredSnapshot> {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        let meta: SnapshotMeta = SnapshotReader::start(Box::new(file))?.meta().clone();
        let snapshot = StoredSnapshot {
            meta,
            size_bytes,
            place: Place::File(path.to_path_buf()),
        };
        if self.path_of(snapshot.index()) != path {
            return Err(FrameError::Meta.into());
        }
        Ok(snapshot)
    }

    fn sort(&self, path: &Path, error: io::Error) -> SnapshotError {
        let name = path.display().to_string();
        match frame_error(&error) {
            Some(frame @ FrameError::NewerVersion(_)) => SnapshotError::NewerFormat {
                name,
                detail: frame.to_string(),
            },
            Some(frame) => SnapshotError::Damaged {
                name,
                detail: frame.to_string(),
            },
            None => self.failed(error),
        }
    }

    /// Reads a snapshot to its end. What is damaged is told apart from what this program or this user cannot read.
    pub(super) fn verified(
        &self,
        index: u64,
    ) -> Result<Result<StoredSnapshot, DamagedSnapshot>, SnapshotError> {
        let path = self.path_of(index);
        let read = self.look(&path).and_then(|snapshot| {
            snapshot.verify()?;
            Ok(snapshot)
        });
        match read.map_err(|error| self.sort(&path, error)) {
            Ok(snapshot) => Ok(Ok(snapshot)),
            Err(SnapshotError::Damaged { detail, .. }) => Ok(Err(DamagedSnapshot { index, path, detail })),
            Err(error) => Err(error),
        }
    }

    pub(super) fn set_aside(&self, path: &Path) -> Result<(), SnapshotError> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(DAMAGED_SUFFIX);
        fs::rename(path, aside)
            .and_then(|()| durable_fs::sync_dir(&self.folder))
            .map_err(|source| self.failed(source))
    }

    /// What the notes say: where the log ended, by the snapshot's index. One that is damaged says nothing.
    pub(super) fn notes(&self) -> Result<BTreeMap<u64, u64>, SnapshotError> {
        let mut notes = BTreeMap::new();
        for index in self.indexes_of(NOTE_SUFFIX)? {
            let content = fs::read(self.note_path_of(index)).map_err(|source| self.failed(source))?;
            notes.extend(decode_note(&content).map(|log_end| (index, log_end)));
        }
        Ok(notes)
    }

    /// Durable before the snapshot is.
    fn note(&self, index: u64) -> Result<(), SnapshotError> {
        let Some(log_end) = self.log_end.as_ref().map(LogEnd::get) else {
            return Ok(());
        };
        if log_end > index {
            return Ok(());
        }
        durable_fs::write_file_durable(&self.note_path_of(index), &encode_note(log_end))
            .map_err(|source| self.failed(source))
    }

    /// A log that has come past a snapshot never ends before it again.
    fn drop_notes(&self) -> Result<(), SnapshotError> {
        let Some(log_end) = self.log_end.as_ref().map(LogEnd::get) else {
            return Ok(());
        };
        for index in self.indexes_of(NOTE_SUFFIX)? {
            if index < log_end {
                self.remove(&self.note_path_of(index))?;
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), SnapshotError> {
        match fs::remove_file(path) {
            // Two handles may remove at once.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.failed(error)),
            _ => Ok(()),
        }
    }

    pub(super) fn stage(&self) -> Result<(Arc<Staged>, File), SnapshotError> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("incoming-{number}{STAGED_SUFFIX}"));
        let file = File::create_new(&path).map_err(|source| self.failed(source))?;
        Ok((Arc::new(Staged { path }), file))
    }

    pub(super) fn adopt(
        &self,
        snapshot: &StoredSnapshot,
        staged: &Staged,
    ) -> Result<StoredSnapshot, SnapshotError> {
        let path = self.path_of(snapshot.index());
        self.note(snapshot.index())?;
        let renamed = match fs::rename(staged.path(), &path) {
            // Adopted before.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
            other => other,
        };
        renamed
            .and_then(|()| durable_fs::sync_dir(&self.folder))
            .map_err(|source| self.failed(source))?;
        self.prune()?;
        Ok(StoredSnapshot {
            place: Place::File(path),
            ..snapshot.clone()
        })
    }

    fn prune(&self) -> Result<(), SnapshotError> {
        let indexes = self.indexes()?;
        for &index in &indexes[..indexes.len().saturating_sub(SNAPSHOTS_KEPT)] {
            self.remove(&self.path_of(index))?;
        }
        self.drop_notes()
    }
}

fn encode_note(log_end: u64) -> [u8; NOTE_BYTES] {
    let mut note = [0; NOTE_BYTES];
    note[..8].copy_from_slice(&log_end.to_be_bytes());
    note[8..].copy_from_slice(&crc32fast::hash(&log_end.to_be_bytes()).to_be_bytes());
    note
}

fn decode_note(note: &[u8]) -> Option<u64> {
    let log_end = u64::from_be_bytes(*note.first_chunk()?);
    (note == encode_note(log_end)).then_some(log_end)
}
