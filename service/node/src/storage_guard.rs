//! Watches the free space of the data folder's disk, so that votes are refused with a sentence before the log's own
//! writes begin to fail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ostraka_core::limits::{STORAGE_FREE_BYTES_MIN, STORAGE_FREE_BYTES_RESUME, STORAGE_LOOK_MS};

/// A full disk is noticed within this time.
const CHECK_INTERVAL: Duration = Duration::from_millis(STORAGE_LOOK_MS);

/// Looks until the task is dropped; sets and clears `full`, and says so once each time.
pub(crate) async fn watch(folder: PathBuf, full: Arc<AtomicBool>) {
    loop {
        match free_bytes(&folder) {
            Ok(free_bytes) => update(&folder, free_bytes, &full),
            Err(error) => tracing::warn!(folder = %folder.display(), %error, "free space cannot be read"),
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

fn update(folder: &Path, free_bytes: u64, full: &AtomicBool) {
    let was_full = full.load(Ordering::Relaxed);
    let is_full = is_full(was_full, free_bytes);
    if is_full == was_full {
        return;
    }
    full.store(is_full, Ordering::Relaxed);
    let folder = folder.display();
    if is_full {
        tracing::error!(%folder, free_bytes, "the disk is nearly full: votes are refused until space is freed");
    } else {
        tracing::info!(%folder, free_bytes, "the disk has space again: votes are taken");
    }
}

/// Two thresholds, so that a disk at the edge does not flap.
fn is_full(was_full: bool, free_bytes: u64) -> bool {
    free_bytes
        < if was_full {
            STORAGE_FREE_BYTES_RESUME
        } else {
            STORAGE_FREE_BYTES_MIN
        }
}

/// Bytes that this process may still write there.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_below_the_reserve_and_free_again_only_above_the_higher_mark() {
        assert!(!is_full(false, STORAGE_FREE_BYTES_MIN));
        assert!(is_full(false, STORAGE_FREE_BYTES_MIN - 1));
        assert!(is_full(true, STORAGE_FREE_BYTES_RESUME - 1));
        assert!(!is_full(true, STORAGE_FREE_BYTES_RESUME));
    }

    #[test]
    fn the_free_space_of_a_real_folder_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(free_bytes(dir.path()).unwrap() > 0);
        assert!(free_bytes(&dir.path().join("absent")).is_err());
    }
}
