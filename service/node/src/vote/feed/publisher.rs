//! The publisher: renders what changed, and hands it to all subscribers.

use std::sync::Arc;

use ostraka_replication::SharedMachine;
use tokio::time::Instant;

use super::{FeedHub, Frame};
use crate::vote::machine::VoteMachine;
use crate::vote::metrics::VoteMetrics;

/// Publishes until it is aborted: renders each changed event once, for all its subscribers.
pub async fn publish(hub: Arc<FeedHub>, machine: SharedMachine<VoteMachine>, metrics: VoteMetrics) {
    loop {
        let look_again = publish_due(&hub, &machine, &metrics);
        match look_again {
            None => hub.wait_for_change().await,
            // Another event may change sooner than this one's rest is over.
            Some(at) => {
                let _ = tokio::time::timeout_at(at, hub.wait_for_change()).await;
            }
        }
    }
}

/// Renders what is due. Returns when something changed that must rest a while longer.
pub(super) fn publish_due(
    hub: &FeedHub,
    machine: &SharedMachine<VoteMachine>,
    metrics: &VoteMetrics,
) -> Option<Instant> {
    let (frames, look_again) = {
        let machine = machine.read();
        // tokio's clock, which a simulator controls.
        let (due, look_again) = hub.take_due(Instant::now());
        let render = |due: super::Due| {
            let event = machine.state().event(due.event)?;
            Some((
                due.event,
                Arc::new(Frame::of(event, due.previous.as_deref(), due.traces)),
            ))
        };
        (due.into_iter().filter_map(render).collect::<Vec<_>>(), look_again)
    };
    for (event, frame) in frames {
        metrics.tallies.inc();
        hub.put(event, frame);
    }
    look_again
}
