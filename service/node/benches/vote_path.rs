//! What a vote costs in the node beside HTTP and the log: `cargo bench -p ostraka-node --bench vote_path`. The check of its token,
//! its id to text and back, and a tally to a crowd of subscribers, who all share one serialization.

#[path = "../../core/benches/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ostraka_core::{Batch, Command, EntryMeta, LogIndex, UnixMs, VotePosition, VoterNumber};
use ostraka_node::secrets::Secrets;
use ostraka_node::token::{Role, Tokens};
use ostraka_node::vote::VoteMachine;
use ostraka_node::vote::feed::{Cursor, FeedHub, Subscription, publish};
use ostraka_node::vote::metrics::VoteMetrics;
use ostraka_node::vote::vote_id::VoteIds;
use ostraka_replication::{Machine, SharedMachine};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;

use self::support::EVENT;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const VOTERS: u64 = 16_000_000;
const SUBSCRIBERS: [usize; 2] = [1, 1_000];

fn secrets() -> Secrets {
    Secrets::derive(&[7; 32], &["k1".to_owned()])
}

fn token(criterion: &mut Criterion) {
    let tokens = Tokens::new(&secrets());
    let text = tokens.sign(VoterNumber(123_456_789), Role::Voter, NOW, HOUR);
    let mut group = criterion.benchmark_group("token");
    group.bench_function("check", |bencher| {
        bencher.iter(|| tokens.verify(black_box(&text), NOW).expect("it was just signed"));
    });
    group.finish();
}

fn vote_id(criterion: &mut Criterion) {
    let ids = VoteIds::new(&secrets().vote_id_key);
    let position = VotePosition {
        index: LogIndex(1_234_567),
        offset: 890,
    };
    let text = ids.encode(EVENT, position);
    let mut group = criterion.benchmark_group("vote id");
    group.bench_function("to text", |bencher| {
        bencher.iter(|| ids.encode(black_box(EVENT), black_box(position)));
    });
    group.bench_function("from text", |bencher| {
        bencher.iter(|| ids.decode(black_box(text.as_str())).expect("it was just made"));
    });
    group.finish();
}

/// One event, and whoever watches it.
struct Crowd {
    machine: SharedMachine<VoteMachine>,
    watchers: Vec<(Subscription, Cursor)>,
    votes: u64,
}

impl Crowd {
    /// Its publisher runs on the runtime that this is called on.
    fn new(subscribers: usize) -> Self {
        let hub = FeedHub::new();
        let machine = Arc::new(RwLock::new(VoteMachine::new(Arc::clone(&hub))));
        let metrics = VoteMetrics::register(&mut Registry::default());
        tokio::spawn(publish(Arc::clone(&hub), Arc::clone(&machine), metrics));
        let mut crowd = Self {
            machine,
            watchers: Vec::new(),
            votes: 0,
        };
        crowd.apply(&support::created());
        let watcher = || (hub.subscribe(EVENT).expect("there is room"), Cursor::default());
        crowd.watchers = std::iter::repeat_with(watcher).take(subscribers).collect();
        crowd
    }

    fn apply(&self, batch: &Batch) {
        let mut machine = self.machine.write();
        let meta = EntryMeta {
            index: LogIndex(machine.last_applied().0 + 1),
            stamped_at: NOW,
        };
        machine.apply(meta, &batch.encode());
    }

    /// A vote comes, and each watcher is handed what is to be sent to him. All are handed the same bytes, not equal ones.
    async fn tally(&mut self) -> Bytes {
        let vote = support::vote(self.votes, support::scattered(self.votes, VOTERS));
        self.votes += 1;
        self.apply(&Batch {
            commands: vec![Command::CastVote(vote)],
        });
        self.handed().await
    }

    async fn handed(&mut self) -> Bytes {
        let mut first: Option<Bytes> = None;
        for (subscription, cursor) in &mut self.watchers {
            subscription.changed().await;
            let frame = subscription.newest().expect("it has changed");
            let block = cursor.next(&frame).expect("it is a newer one");
            let first = first.get_or_insert_with(|| block.clone());
            assert_eq!(
                block.as_ptr(),
                first.as_ptr(),
                "a tally is serialized once, however many watch"
            );
        }
        first.expect("somebody watches")
    }
}

fn feed(criterion: &mut Criterion) {
    // Its clock stands still and leaps when all wait, so that the rest between two tallies takes no time.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime starts");
    let mut group = criterion.benchmark_group("a tally to subscribers");
    for subscribers in SUBSCRIBERS {
        let _entered = runtime.enter();
        let mut crowd = Crowd::new(subscribers);
        // The snapshot, which each of them has first.
        runtime.block_on(crowd.handed());
        group.throughput(Throughput::Elements(subscribers as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter(|| runtime.block_on(crowd.tally()));
        });
    }
    group.finish();
}

criterion_group!(benches, token, vote_id, feed);
criterion_main!(benches);
