//! What both stores promise, as tests that both must pass: openraft's own suite, and ours.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use ostraka_core::limits::{LOG_ENTRY_BODY_BYTES_MAX, LOG_READ_BYTES_MAX};
use tempfile::TempDir;

use super::conformance_rigs::{
    LyingRig, MemoryRig, Rig, SledRig, append, append_durably, entries, entry, members, read_all,
};
use super::conformance_support::{FromAnywhere, IdleMachine};
use super::memory::{MemoryDisk, MemoryLogStore};
use super::sled::SledLogStore;
use crate::types::{Entry, LogId, NodeNumber, RaftVote, Types};

struct MemoryBuilder {
    barrier_latency: Duration,
}

impl StoreBuilder<Types, FromAnywhere<MemoryLogStore>, IdleMachine, ()> for MemoryBuilder {
    async fn build(&self) -> Result<((), FromAnywhere<MemoryLogStore>, IdleMachine), StorageError<Types>> {
        let disk = MemoryDisk::new();
        disk.set_barrier_latency(self.barrier_latency);
        Ok(((), FromAnywhere::new(disk.open()), IdleMachine::default()))
    }
}

struct SledBuilder;

impl StoreBuilder<Types, FromAnywhere<SledLogStore>, IdleMachine, TempDir> for SledBuilder {
    async fn build(&self) -> Result<(TempDir, FromAnywhere<SledLogStore>, IdleMachine), StorageError<Types>> {
        let folder = tempfile::tempdir().unwrap();
        let store = SledLogStore::open(&folder.path().join("log")).unwrap();
        Ok((folder, FromAnywhere::new(store), IdleMachine::default()))
    }
}

#[test]
fn openrafts_suite_on_memory() {
    for barrier_latency in [Duration::ZERO, Duration::from_millis(1)] {
        Types::run(Suite::test_all(MemoryBuilder { barrier_latency })).unwrap();
    }
}

#[test]
fn openrafts_suite_on_sled() {
    Types::run(Suite::test_all(SledBuilder)).unwrap();
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

/// What was acknowledged survives a crash: entries, vote, membership, purge position, a saved commit position.
async fn acknowledged_survives<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    let vote = RaftVote::new_committed(4, NodeNumber(2));
    store.save_vote(&vote).await.unwrap();
    append_durably(&mut store, entries(1, 0..10)).await;
    append_durably(&mut store, vec![members(10)]).await;
    store
        .save_committed(Some(LogId::new_term_index(1, 9)))
        .await
        .unwrap();
    append_durably(&mut store, entries(4, 11..20)).await;
    store.purge(LogId::new_term_index(1, 4)).await.unwrap();
    let before = read_all(&mut store).await;
    assert_eq!(before.len(), 15);
    rig.crash(store);

    let mut store = rig.open();
    let state = store.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(LogId::new_term_index(1, 4)));
    assert_eq!(state.last_log_id, Some(LogId::new_term_index(4, 19)));
    assert_eq!(
        store.get_log_reader().await.read_vote().await.unwrap(),
        Some(vote)
    );
    assert_eq!(
        store.read_committed().await.unwrap(),
        Some(LogId::new_term_index(1, 9))
    );
    assert_eq!(read_all(&mut store).await, before);
    append_durably(&mut store, entries(4, 20..22)).await;
    assert_eq!(read_all(&mut store).await.len(), 17);
}

/// What was not acknowledged may be lost, but only from the end.
async fn unacknowledged_is_lost_from_the_end<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    append_durably(&mut store, entries(1, 0..5)).await;
    rig.hold_barriers(true);
    for index in 5..50 {
        let _unanswered = append(&mut store, entries(1, index..index + 1)).await;
    }
    store
        .save_committed(Some(LogId::new_term_index(1, 49)))
        .await
        .unwrap();
    rig.crash(store);
    let mut store = rig.open();
    let found = read_all(&mut store).await;
    assert!((5..=50).contains(&found.len()), "{} entries", found.len());
    assert_eq!(found, entries(1, 0..found.len() as u64));
    let committed = store.read_committed().await.unwrap();
    assert!(
        committed <= store.get_log_state().await.unwrap().last_log_id,
        "a restart applies up to it"
    );
}

async fn truncation_survives<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    append_durably(&mut store, entries(1, 0..20)).await;
    store
        .truncate_after(Some(LogId::new_term_index(1, 11)))
        .await
        .unwrap();
    assert_eq!(read_all(&mut store).await, entries(1, 0..12));
    append_durably(&mut store, entries(2, 12..15)).await;
    let expected = [entries(1, 0..12), entries(2, 12..15)].concat();
    assert_eq!(read_all(&mut store).await, expected);
    rig.crash(store);
    let mut store = rig.open();
    assert_eq!(read_all(&mut store).await, expected);
    store.truncate_after(None).await.unwrap();
    rig.crash(store);
    let mut store = rig.open();
    assert_eq!(read_all(&mut store).await, []);
    assert_eq!(store.get_log_state().await.unwrap().last_log_id, None);
    append_durably(&mut store, entries(3, 0..2)).await;
}

/// A snapshot took the node past its log's end: the log goes on behind it.
async fn purge_past_the_end<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    append_durably(&mut store, entries(1, 0..5)).await;
    store.purge(LogId::new_term_index(3, 1_000)).await.unwrap();
    assert_eq!(read_all(&mut store).await, []);
    rig.crash(store);
    let mut store = rig.open();
    let state = store.get_log_state().await.unwrap();
    assert_eq!(state.last_log_id, Some(LogId::new_term_index(3, 1_000)));
    append_durably(&mut store, entries(3, 1_001..1_003)).await;
    rig.crash(store);
    let mut store = rig.open();
    assert_eq!(read_all(&mut store).await, entries(3, 1_001..1_003));
}

/// Readable as soon as append returns; acknowledged only after the barrier, in order.
async fn readable_first_acknowledged_later<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    append_durably(&mut store, entries(1, 0..1)).await;
    rig.hold_barriers(true);
    let mut waiting = Vec::new();
    for index in 1..20 {
        waiting.push(append(&mut store, entries(1, index..index + 1)).await);
        assert_eq!(read_all(&mut store).await, entries(1, 0..index + 1));
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    for flushed in &mut waiting {
        assert!(flushed.try_recv().is_err(), "acknowledged before the barrier");
    }
    rig.hold_barriers(false);
    // Whenever one is seen answered, all before it are.
    while let Some(last) = waiting.pop() {
        last.await.unwrap().unwrap();
        for earlier in &mut waiting {
            earlier.try_recv().expect("answered before a later one").unwrap();
        }
        waiting.clear();
    }
}

/// After one failed barrier nothing is acknowledged any more, and everybody is told why.
async fn a_failed_barrier_ends_it<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    append_durably(&mut store, entries(1, 0..3)).await;
    let mut reader = store.get_log_reader().await;
    rig.fail_barriers();
    let failed = append(&mut store, entries(1, 3..4))
        .await
        .await
        .unwrap()
        .unwrap_err();
    assert!(failed.to_string().contains("a fault was injected"), "{failed}");
    assert!(
        failed.to_string().contains("nothing acknowledged was lost"),
        "{failed}"
    );
    let (done, flushed) = Types::oneshot();
    assert!(
        store
            .append(entries(1, 4..5), IOFlushed::signal(done))
            .await
            .is_err()
    );
    assert!(flushed.await.unwrap().is_err());
    assert!(store.save_vote(&RaftVote::new(9, NodeNumber(1))).await.is_err());
    assert!(store.truncate_after(None).await.is_err());
    assert!(store.purge(LogId::new_term_index(1, 1)).await.is_err());
    assert!(reader.try_get_log_entries(0..1).await.is_err());
    rig.crash(store);
    let mut store = rig.open();
    let found = read_all(&mut store).await;
    assert_eq!(found[..3], entries(1, 0..3), "what was acknowledged is there");
}

async fn sizes_around_the_part_boundary<R: Rig>(mut rig: R) {
    let sizes = [
        0,
        1,
        3_963,
        3_964,
        3_965,
        3_999,
        4_000,
        4_001,
        64 * 1024,
        LOG_ENTRY_BODY_BYTES_MAX,
    ];
    let mut store = rig.open();
    let expected: Vec<Entry> = sizes
        .iter()
        .enumerate()
        .map(|(index, &bytes)| entry(1, index as u64, bytes))
        .collect();
    for entry in &expected {
        append_durably(&mut store, vec![entry.clone()]).await;
    }
    rig.crash(store);
    let mut store = rig.open();
    assert!(read_all(&mut store).await == expected);
    let too_large = vec![entry(1, expected.len() as u64, LOG_ENTRY_BODY_BYTES_MAX + 1)];
    let (done, flushed) = Types::oneshot();
    assert!(store.append(too_large, IOFlushed::signal(done)).await.is_err());
    assert!(flushed.await.unwrap().is_err());
}

async fn bounded_reads_and_holes<R: Rig>(mut rig: R) {
    let mut store = rig.open();
    let expected: Vec<Entry> = (0..40).map(|index| entry(1, index, 100_000)).collect();
    append_durably(&mut store, expected.clone()).await;
    for _cold in [false, true] {
        let mut reader = store.get_log_reader().await;
        let some = reader.limited_get_log_entries(3, 40).await.unwrap();
        assert!(
            (1..=LOG_READ_BYTES_MAX / 100_000).contains(&some.len()),
            "{} entries",
            some.len()
        );
        assert_eq!(some, expected[3..3 + some.len()]);
        assert_eq!(reader.limited_get_log_entries(39, 40).await.unwrap().len(), 1);
        assert_eq!(reader.try_get_log_entries(38..=50).await.unwrap(), expected[38..]);
        assert_eq!(reader.try_get_log_entries(50..60).await.unwrap(), []);
        rig.crash(store);
        store = rig.open();
    }
    let (done, flushed) = Types::oneshot();
    let hole = store
        .append(entries(1, 41..42), IOFlushed::signal(done))
        .await
        .unwrap_err();
    assert!(hole.to_string().contains("hole"), "{hole}");
    assert!(flushed.await.unwrap().is_err());
    append_durably(&mut store, entries(1, 40..41)).await;
}

/// Readers always see a whole prefix, whatever the writer does meanwhile.
async fn readers_beside_a_writer<R: Rig>(mut rig: R)
where
    <R::Store as RaftLogStorage<Types>>::LogReader: Clone,
{
    let mut store = rig.open();
    append_durably(&mut store, entries(1, 0..1)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..2 {
        let (mut reader, stop) = (store.get_log_reader().await, stop.clone());
        readers.push(tokio::spawn(async move {
            let (mut reads, mut longest) = (0, 0);
            while !stop.load(Ordering::SeqCst) {
                let found = reader.try_get_log_entries(..).await.unwrap();
                let first = found.first().map_or(0, RaftEntry::index);
                for (entry, index) in found.iter().zip(first..) {
                    assert_eq!(entry.index(), index);
                }
                longest = longest.max(found.len());
                reads += 1;
                tokio::task::yield_now().await;
            }
            (reads, longest)
        }));
    }
    let mut next = 1;
    for round in 0..30 {
        let flushed = append(&mut store, entries(1, next..next + 10)).await;
        next += 10;
        match round % 10 {
            7 => {
                next -= 3;
                store
                    .truncate_after(Some(LogId::new_term_index(1, next - 1)))
                    .await
                    .unwrap();
            }
            9 => store.purge(LogId::new_term_index(1, next - 20)).await.unwrap(),
            _ => {}
        }
        flushed.await.unwrap().unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        let (reads, longest) = reader.await.unwrap();
        assert!(reads > 0 && longest > 10, "{reads} reads, longest {longest}");
    }
}

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::run(super::$name(super::MemoryRig::new())); })*
        }
        mod sled {
            $(#[test] fn $name() { super::run(super::$name(super::SledRig::new())); })*
        }
    };
}

on_both!(
    acknowledged_survives,
    unacknowledged_is_lost_from_the_end,
    truncation_survives,
    purge_past_the_end,
    readable_first_acknowledged_later,
    a_failed_barrier_ends_it,
    sizes_around_the_part_boundary,
    bounded_reads_and_holes,
    readers_beside_a_writer,
);

/// The suite is worth something only if it finds a store out that lies.
#[test]
fn a_lying_store_is_found_out() {
    fn fails(test: impl Future<Output = ()>) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(test))).is_err()
    }
    assert!(fails(acknowledged_survives(LyingRig::new())));
    assert!(fails(truncation_survives(LyingRig::new())));
    assert!(fails(readable_first_acknowledged_later(LyingRig::new())));
    assert!(fails(a_failed_barrier_ends_it(LyingRig::new())));
}
