//! Snapshots as files in a folder.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::frame::{FrameError, frame_error};
use super::{Place, SNAPSHOTS_KEPT, SnapshotError, SnapshotReader, StoredSnapshot};
use crate::durable_fs;
use crate::types::{LogId, SnapshotMeta};

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".ost";
const STAGED_SUFFIX: &str = ".tmp";
const DAMAGED_SUFFIX: &str = ".damaged";

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
}

impl Files {
    pub(super) fn open(folder: &Path) -> Result<Self, SnapshotError> {
        let files = Self {
            folder: folder.to_path_buf(),
            staged: Arc::default(),
        };
        files.prepare().map_err(|source| files.failed(source))?;
        Ok(files)
    }

    pub(super) fn open_read_only(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            staged: Arc::default(),
        }
    }

    fn prepare(&self) -> io::Result<()> {
        durable_fs::create_dir_all_durable(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(STAGED_SUFFIX) {
                fs::remove_file(path)?;
            }
        }
        durable_fs::sync_dir(&self.folder)
    }

    pub(super) fn failed(&self, source: io::Error) -> SnapshotError {
        let place = self.folder.display().to_string();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => SnapshotError::DiskFull(place),
            _ => SnapshotError::Io { place, source },
        }
    }

    fn path_of(&self, index: u64) -> PathBuf {
        self.folder.join(format!("{PREFIX}{index:020}{SUFFIX}"))
    }

    /// Indexes of the kept snapshots, ascending.
    fn indexes(&self) -> Result<Vec<u64>, SnapshotError> {
        let listed = || -> io::Result<Vec<u64>> {
            let mut indexes = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let name = entry?.file_name();
                let index: Option<u64> = name
                    .to_str()
                    .and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
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

    pub(super) fn check(&self, purged: Option<LogId>) -> Result<(), SnapshotError> {
        let mut indexes = self.indexes()?;
        while let Some(index) = indexes.pop() {
            let path = self.path_of(index);
            let Err(error) = self.look(&path).and_then(|snapshot| snapshot.verify()) else {
                return Ok(());
            };
            let error = self.sort(&path, error);
            let SnapshotError::Damaged { detail, .. } = &error else {
                return Err(error);
            };
            let covered = match (indexes.last(), purged) {
                (_, None) => true,
                (Some(&older), Some(purged)) => older >= purged.index,
                (None, Some(_)) => false,
            };
            if !covered {
                return Err(error);
            }
            tracing::error!(
                snapshot = %path.display(),
                %detail,
                "A SNAPSHOT IS DAMAGED. It is set aside; the log still leads to the same state. Check the disk."
            );
            self.set_aside(&path).map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    fn set_aside(&self, path: &Path) -> io::Result<()> {
        let mut aside = path.as_os_str().to_owned();
        aside.push(DAMAGED_SUFFIX);
        fs::rename(path, aside)?;
        durable_fs::sync_dir(&self.folder)
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
            match fs::remove_file(self.path_of(index)) {
                Ok(()) => {}
                // Two handles may prune at once.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }
}
