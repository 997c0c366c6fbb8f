//! What only a disk in memory can be made to do.

use super::*;
use crate::log_store::conformance_rigs::{append, append_durably, entries, read_all};

/// What was queued behind a failed barrier must not be found without what that barrier should have covered.
#[tokio::test(start_paused = true)]
async fn a_failed_barrier_leaves_no_hole() {
    for (kept, found) in [(usize::MAX, 5), (2, 5), (1, 4), (0, 3)] {
        assert_eq!(found_after_a_failed_barrier(kept).await, entries(1, 0..found));
    }
}

async fn found_after_a_failed_barrier(kept: usize) -> Vec<Entry> {
    let disk = MemoryDisk::new();
    disk.set_barrier_latency(Duration::from_millis(2));
    let mut store = disk.open();
    append_durably(&mut store, entries(1, 0..3)).await;
    disk.fail_barriers(true);
    let covered = append(&mut store, entries(1, 3..4)).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    let behind = append(&mut store, entries(1, 4..5)).await;
    assert!(covered.await.unwrap().is_err());
    assert!(behind.await.unwrap().is_err(), "whoever waits is told at once");
    disk.fail_barriers(false);
    disk.crash_keeping(kept);
    read_all(&mut disk.open()).await
}

/// Whoever opens it finds that at the first look; a store that is open reads on, as from a cache.
#[tokio::test(start_paused = true)]
async fn nothing_can_be_done_with_a_disk_that_has_rotted() {
    let disk = MemoryDisk::new();
    let mut before = disk.open();
    append_durably(&mut before, entries(1, 0..3)).await;
    disk.rot();
    assert_eq!(read_all(&mut before).await, entries(1, 0..3));
    let mut store = disk.open();
    let refused = store.get_log_state().await.expect_err("it has rotted");
    assert!(refused.to_string().contains("check the disk"), "{refused}");
    let mut reader = store.get_log_reader().await;
    assert!(reader.try_get_log_entries(0..3).await.is_err());
    assert!(reader.read_vote().await.is_err());
}
