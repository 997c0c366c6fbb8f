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

/// The live tallies of a replica, as the service renders them.
pub fn publish(
    hub: Arc<feed::FeedHub>,
    machine: SharedMachine<VoteMachine>,
    metrics: VoteMetrics,
) -> impl Future<Output = ()> + Send {
    feed::publish(hub, machine, metrics)
}
