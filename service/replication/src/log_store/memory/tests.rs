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
