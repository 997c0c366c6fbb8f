//! The engine's folder before the engine sees it.
//!
//! sled 0.34 mends its files while it opens them: what it takes for the torn end of a crash is overwritten, and damage in
//! the middle looks the same to it. So nothing that may be damaged is opened in place. [`rehearse`] walks the folder
//! without writing; if that shows everything whole, the engine may open it, and will overwrite nothing that counts. If
//! not, the engine opens a *copy* first, and the caller looks at what came of it. Only if that is good may the original
//! be opened; else it stays byte for byte as it was.
//!
//! The copy is never put in the original's place, so there is no moment at which an old copy could come back over newer
//! writes: whenever the process dies, what is left of a copy is removed by the next start, and everything is decided anew
//! from the original.

pub mod seal;
mod walk;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ostraka_core::limits::{ENGINE_LOCK_LOOK_MS, ENGINE_LOCK_MS_MAX};
use walk::{Finding, walk};

use crate::durable_fs;

/// The copy's folder, in the folder that was copied: the same disk, and gone with it.
pub const REHEARSAL_FOLDER: &str = "REHEARSAL";

/// Why a folder must not be opened. It was not changed. The caller adds which folder.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// Retryable, once the other process has ended.
    #[error("it is in use by another process")]
    InUse,
    /// Terminal for this folder.
    #[error("{0}")]
    Damaged(String),
    /// Retryable, once there is space.
    #[error("{doubt}; a look into a copy of it needs {bytes} free bytes on its disk")]
    NoRoom { doubt: String, bytes: u64 },
    /// Unknown: depends on the cause.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Decides whether the engine may open `folder`. An error of `open` means no.
///
/// - `doubt`: a reason of the caller's own to open a copy first.
/// - `seal`: the number of the newest [`seal`] that a barrier has passed, 0 before the first; `None` for a folder to whose
///   last writes nobody was told "durable".
/// - `open`: opens the copy whose folder it is given, reads everything that counts, and closes it. It is called at most
///   once, and not at all where the folder is whole.
///
/// Reads all of the engine's file once; where it must copy, needs as much free space as the folder takes, for as long
/// as it runs (a file system with reflinks needs none).
pub fn rehearse<E: From<RehearsalError>>(
    folder: &Path,
    doubt: Option<String>,
    seal: Option<u64>,
    open: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let failed = |error: io::Error| E::from(RehearsalError::Io(error));
    let lock = lock(folder)?;
    let copy = Copy(folder.join(REHEARSAL_FOLDER));
    copy.remove().map_err(failed)?;
    let finding = walk(folder, seal).map_err(failed)?;
    let doubt = match finding {
        Finding::Damaged(what) => return Err(RehearsalError::Damaged(what).into()),
        Finding::Doubtful(what) => Some(what),
        Finding::Whole => doubt,
    };
    if let Some(doubt) = doubt {
        tracing::warn!(folder = %folder.display(), doubt, "not closed cleanly, or damaged: opening a copy first");
        check_room(folder, doubt)?;
        copy_engine_folder(folder, &copy.0).map_err(failed)?;
        open(&copy.0)?;
        copy.remove().map_err(failed)?;
        remove_unfinished(folder).map_err(failed)?;
    }
    // Explicitly: a child process between fork and exec would keep the lock of a file that is merely closed.
    if let Some(lock) = lock {
        lock.unlock().map_err(failed)?;
    }
    Ok(())
}

/// Refuses what no crash leaves. For folders that are copies already.
pub fn refuse_damaged(folder: &Path) -> Result<(), RehearsalError> {
    match walk(folder, None)? {
        Finding::Damaged(what) => Err(RehearsalError::Damaged(what)),
        Finding::Whole | Finding::Doubtful(_) => Ok(()),
    }
}

/// The engine's errors in words of ours; its own texts name insides and end in a backtrace.
pub fn explain(error: &sled::Error) -> String {
    match error {
        sled::Error::Io(error) => format!("reading or writing failed: {error}"),
        sled::Error::Corruption { .. } => "a checksum does not match".to_owned(),
        sled::Error::Unsupported(_) => "its files are of another version of the storage engine".to_owned(),
        sled::Error::CollectionNotFound(_) => "one of its trees is missing".to_owned(),
        sled::Error::ReportableBug(_) => "the storage engine found its pages in disorder".to_owned(),
    }
}

/// Makes what an open database consists of survive a power cut: sled writes `conf` without syncing it, and renames its
/// `snap.*` files without syncing the folder.
pub fn sync_engine_files(folder: &Path) -> io::Result<()> {
    for file in ["conf", "db"] {
        File::open(folder.join(file))?.sync_all()?;
    }
    durable_fs::sync_dir(&folder.join("blobs"))?;
    durable_fs::sync_dir(folder)
}

/// Copies a folder of the engine's files, without what an interrupted start left in it.
pub fn copy_engine_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == REHEARSAL_FOLDER || is_unfinished(&name) {
            continue;
        }
        let target = to.join(name);
        if entry.file_type()?.is_dir() {
            copy_engine_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Opens, and tries again for a moment where it is in use: a database that this process has dropped is held for a few
/// milliseconds more by the engine's own threads. Against other processes the lock of the data folder stands.
pub fn while_locked<T, E>(
    is_in_use: impl Fn(&E) -> bool,
    mut open: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    for _look in 0..ENGINE_LOCK_MS_MAX / ENGINE_LOCK_LOOK_MS {
        match open() {
            Err(error) if is_in_use(&error) => {
                std::thread::sleep(Duration::from_millis(ENGINE_LOCK_LOOK_MS));
            }
            other => return other,
        }
    }
    open()
}

/// The engine's own lock, so that no other process changes the folder under the walk. `None` where there is no file yet.
fn lock(folder: &Path) -> Result<Option<File>, RehearsalError> {
    let file = match File::open(folder.join("db")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    while_locked(
        |error| matches!(error, RehearsalError::InUse),
        || match file.try_lock() {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => Err(RehearsalError::InUse),
            Err(TryLockError::Error(error)) => Err(error.into()),
        },
    )?;
    Ok(Some(file))
}

/// sled writes a snapshot under this name before it gives it its own. Started again in between, it would take the
/// unfinished file for the newest one and refuse the folder; the older one, still there, says the same.
fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"))
}

fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_unfinished(&entry.file_name()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn check_room(folder: &Path, doubt: String) -> Result<(), RehearsalError> {
    let bytes = folder_bytes(folder)?.saturating_add(ENGINE_ROOM_BYTES);
    let stat = rustix::fs::statvfs(folder).map_err(io::Error::from)?;
    if stat.f_bavail.saturating_mul(stat.f_frsize) < bytes {
        return Err(RehearsalError::NoRoom { doubt, bytes });
    }
    Ok(())
}

/// What the engine may add to the copy: a segment or two and a snapshot.
const ENGINE_ROOM_BYTES: u64 = 4 * 1024 * 1024;

fn folder_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            found.len()
        };
    }
    Ok(bytes)
}

/// Removed when it is dropped, whatever happens.
struct Copy(PathBuf);

impl Copy {
    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!(folder = %self.0.display(), %error, "a copy was not removed; the next start removes it");
        }
    }
}

#[cfg(test)]
mod tests;
