//! What only a disk in memory can be made to do.

use super::*;
use crate::log_store::conformance_rigs::{append, append_durably, entries, read_all};

/// Only the process dies after a barrier has failed: what was queued behind that barrier must not be found without
/// what the barrier should have covered.
#[tokio::test(start_paused = true)]
async fn nothing_survives_a_failed_barrier_that_came_after_it() {
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
    disk.crash_keeping(usize::MAX);
    assert_eq!(read_all(&mut disk.open()).await, entries(1, 0..3));
}
