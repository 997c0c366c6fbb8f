//! Scheduled openings and closings while nobody votes: the leader proposes a tick when one is due.

use std::sync::Arc;
use std::time::Duration;

use ostraka_core::Command;
use ostraka_core::limits::SCHEDULE_LOOK_MS;
use ostraka_replication::SharedMachine;
use ostraka_replication::env::SharedClock;

use super::ingest::Ingest;
use super::machine::VoteMachine;
use crate::log::Log;

/// Looks at the clock until it is aborted.
pub(super) async fn tick_when_due(
    log: Arc<dyn Log>,
    machine: SharedMachine<VoteMachine>,
    ingest: Ingest,
    clock: SharedClock,
) {
    loop {
        tokio::time::sleep(Duration::from_millis(SCHEDULE_LOOK_MS)).await;
        if !log.is_leader() {
            continue;
        }
        let due = machine
            .read()
            .state()
            .next_due()
            .is_some_and(|due| due <= clock.now());
        if due && let Err(error) = ingest.submit(Command::Tick).await {
            // The next look tries again.
            tracing::warn!(%error, "a scheduled opening or closing is due and could not be recorded yet");
        }
    }
}
