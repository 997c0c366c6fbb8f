//! What a vote costs in the core: `cargo bench -p ostraka-core --bench hot_paths`. Each figure is of one entry of 1,000 votes, so
//! nanoseconds a vote are microseconds here.

mod support;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ostraka_core::batcher::{BatchFill, BatcherStep, BatcherView, CommandBytes, next_step};
use ostraka_core::codec::{decode_outcomes, encode_outcomes};
use ostraka_core::{Batch, Command, EntryMeta, LogIndex, Outcome, State, TraceId, UnixMs, VoteRecord};

use self::support::EVENT;

const ENTRY_VOTES: u32 = 1_000;
/// Voters come back to the same state after so many: chunks have their size by then.
const VOTERS: u64 = 16_000_000;

struct World {
    state: State,
    index: u64,
    next: u64,
}

impl World {
    fn new() -> Self {
        let mut world = World {
            state: State::new(),
            index: 0,
            next: 0,
        };
        let created = world.apply(&support::created());
        assert_eq!(created, [Outcome::EventCreated(EVENT)]);
        world
    }

    fn apply(&mut self, batch: &Batch) -> Vec<Outcome> {
        self.index += 1;
        let meta = EntryMeta {
            index: LogIndex(self.index),
            stamped_at: UnixMs(self.index),
        };
        self.state.apply(meta, batch).outcomes
    }

    /// An entry of voters who are no neighbours.
    fn entry(&mut self) -> Batch {
        let vote = |number: u64| {
            Command::CastVote(VoteRecord {
                trace: Some(TraceId([7; 16])),
                ..support::vote(number, support::scattered(number, VOTERS))
            })
        };
        let numbers = self.next..self.next + u64::from(ENTRY_VOTES);
        self.next = numbers.end;
        Batch {
            commands: numbers.map(vote).collect(),
        }
    }
}

fn codec(criterion: &mut Criterion) {
    let mut world = World::new();
    let batch = world.entry();
    let bytes = batch.encode();
    let outcomes = world.apply(&batch);
    let told = encode_outcomes(&outcomes);
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(u64::from(ENTRY_VOTES)));
    group.bench_function("encode a batch", |bencher| {
        bencher.iter(|| black_box(&batch).encode())
    });
    group.bench_function("decode a batch", |bencher| {
        bencher.iter(|| Batch::decode(black_box(&bytes)).expect("it was just encoded"));
    });
    group.bench_function("encode outcomes", |bencher| {
        bencher.iter(|| encode_outcomes(black_box(&outcomes)));
    });
    group.bench_function("decode outcomes", |bencher| {
        bencher.iter(|| decode_outcomes(black_box(&told)).expect("it was just encoded"));
    });
    group.finish();
}

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    group.throughput(Throughput::Elements(u64::from(ENTRY_VOTES)));
    // The two share a world, which is why the input is made apart from it.
    let world = std::cell::RefCell::new(World::new());
    group.bench_function("votes", |bencher| {
        bencher.iter_batched(
            || world.borrow_mut().entry(),
            |batch| world.borrow_mut().apply(&batch),
            BatchSize::SmallInput,
        );
    });
    let mut world = World::new();
    let batch = world.entry();
    world.apply(&batch);
    group.bench_function("the same votes again", |bencher| {
        bencher.iter(|| world.apply(black_box(&batch)))
    });
    group.finish();
}

/// Has 1,000 votes taken one by one, as a queue that never drains has it.
fn batcher(criterion: &mut Criterion) {
    let batch = World::new().entry();
    let sizes: Vec<CommandBytes> = batch
        .commands
        .iter()
        .map(|command| CommandBytes::of(command).expect("a vote is small"))
        .collect();
    let mut group = criterion.benchmark_group("batcher");
    group.throughput(Throughput::Elements(u64::from(ENTRY_VOTES)));
    group.bench_function("steps of full batches", |bencher| {
        bencher.iter(|| {
            let (mut fill, mut closed) = (BatchFill::default(), 0_u32);
            for size in &sizes {
                let view = |fill| BatcherView {
                    fill,
                    queued_next: Some(*size),
                    oldest_age_micros: 10,
                    batches_in_flight: 1,
                };
                if next_step(black_box(view(fill))) == BatcherStep::Close {
                    fill = BatchFill::default();
                    closed += 1;
                }
                fill.add(*size);
            }
            closed
        });
    });
    group.finish();
}

criterion_group!(benches, codec, apply, batcher);
criterion_main!(benches);
