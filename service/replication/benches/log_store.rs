//! What an entry costs in the log: `cargo bench -p ostraka-replication --bench log_store`. Its record to parts and back, and an
//! append until it is durable, in memory and on disk. Each figure is of one entry with as many bytes as 1,000 votes have.

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use ostraka_core::UnixMs;
use ostraka_replication::log_store::memory::MemoryDisk;
use ostraka_replication::log_store::record::{Assembler, PartKey, Record};
use ostraka_replication::log_store::sled::SledLogStore;
use ostraka_replication::types::{Entry, EntryPayload, LogId, Proposal, Types};

const ENTRY_VOTES: u64 = 1_000;
/// What `engine` counts in bodies: 27.0 bytes a vote.
const BODY_BYTES: usize = 27_000;
/// Appends under way at once: one, as an idle log has it, and so many that they share barriers.
const UNDER_WAY: [u64; 2] = [1, 16];

fn body() -> Bytes {
    // Bytes that are no run of one value, which a disk might store shorter.
    let byte = |at: usize| (at.wrapping_mul(0x9e37_79b9) >> 16) as u8;
    (0..BODY_BYTES).map(byte).collect()
}

fn entry(index: u64, body: &Bytes) -> Entry {
    let proposal = Proposal {
        stamped_at: UnixMs(1_700_000_000_000),
        body: body.clone(),
    };
    Entry {
        log_id: LogId::new_term_index(1, index),
        payload: EntryPayload::Normal(proposal),
    }
}

fn parts(entry: &Entry) -> Vec<(PartKey, Vec<u8>)> {
    let record = Record::from_entry(entry).expect("the body is below the limit");
    let mut parts = Vec::new();
    let stored: Result<(), Infallible> = record.for_each_part(|key, part| {
        parts.push((key, part.to_vec()));
        Ok(())
    });
    let Ok(()) = stored;
    parts
}

fn assembled(parts: &[(PartKey, Vec<u8>)]) -> Entry {
    let mut assembler = Assembler::default();
    let mut record = None;
    for (key, part) in parts {
        record = assembler.feed(key, part).expect("it was just cut up");
    }
    let record = record.expect("the last part ends the entry");
    record.into_entry().expect("it was an entry")
}

fn record(criterion: &mut Criterion) {
    let entry = entry(1, &body());
    let cut = parts(&entry);
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(ENTRY_VOTES));
    group.bench_function("entry to parts", |bencher| {
        bencher.iter(|| parts(black_box(&entry)))
    });
    group.bench_function("parts to entry", |bencher| {
        bencher.iter(|| assembled(black_box(&cut)));
    });
    group.finish();
}

/// Appends so many entries, and waits until all are durable.
async fn append(store: &mut impl RaftLogStorage<Types>, next: &mut u64, body: &Bytes, entries: u64) {
    let mut flushes = Vec::new();
    for _ in 0..entries {
        let (done, flushed) = Types::oneshot();
        let appended = store.append([entry(*next, body)], IOFlushed::signal(done));
        appended.await.expect("nothing is in its way");
        flushes.push(flushed);
        *next += 1;
    }
    for flushed in flushes {
        let durable = flushed.await.expect("the store lives");
        durable.expect("the disk takes it");
    }
}

fn appends<S: RaftLogStorage<Types>>(criterion: &mut Criterion, name: &str, open: impl FnOnce() -> S) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let mut store = {
        // The one in memory has a task for its disk.
        let _entered = runtime.enter();
        open()
    };
    let (body, mut next) = (body(), 0);
    let mut group = criterion.benchmark_group(name);
    // Each is kept, in memory or on disk: few and for a short time.
    group
        .sample_size(10)
        .measurement_time(std::time::Duration::from_secs(1));
    for entries in UNDER_WAY {
        group.throughput(Throughput::Elements(entries * ENTRY_VOTES));
        group.bench_function(BenchmarkId::from_parameter(entries), |bencher| {
            bencher.iter(|| runtime.block_on(append(&mut store, &mut next, &body, entries)));
        });
    }
    group.finish();
}

fn memory(criterion: &mut Criterion) {
    appends(criterion, "append in memory", || MemoryDisk::new().open());
}

fn on_disk(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written");
    appends(criterion, "append on disk", || {
        SledLogStore::open(folder.path()).expect("an empty folder is a new log")
    });
}

criterion_group!(benches, record, memory, on_disk);
criterion_main!(benches);
