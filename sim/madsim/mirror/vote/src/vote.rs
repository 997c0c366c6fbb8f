//! The rooms of the vote service that need no HTTP.

#[path = "../../../../../service/node/src/vote/feed/mod.rs"]
pub mod feed;
#[path = "../../../../../service/node/src/vote/ingest/mod.rs"]
pub mod ingest;
#[path = "../../../../../service/node/src/vote/machine.rs"]
pub mod machine;
#[path = "../../../../../service/node/src/vote/metrics.rs"]
pub mod metrics;
#[path = "../../../../../service/node/src/vote/schedule.rs"]
mod schedule;

use std::future::Future;
use std::sync::Arc;

use ostraka_replication::SharedMachine;
use ostraka_replication::env::SharedClock;
use prometheus_client::registry::Registry;

use crate::log::Log;
use ingest::Ingest;
use machine::VoteMachine;
use metrics::VoteMetrics;

/// Scheduled openings and closings, as the service sees to them.
pub fn tick_when_due(
    log: Arc<dyn Log>,
    machine: SharedMachine<VoteMachine>,
    ingest: Ingest,
    clock: SharedClock,
) -> impl Future<Output = ()> + Send {
    schedule::tick_when_due(log, machine, ingest, clock)
}

/// The batcher over a log, with counters that nobody reads.
pub fn start_ingest(log: Arc<dyn Log>) -> Ingest {
    Ingest::start(log, VoteMetrics::register(&mut Registry::default()))
}

/// A machine whose feed nobody watches.
pub fn new_machine() -> VoteMachine {
    VoteMachine::new(feed::FeedHub::new())
}
