//! The viewers: some of each node, who go elsewhere when it is gone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ostraka_client::{CallOptions, Update};
use ostraka_core::ids::LogIndex;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::amounts::Sights;
use crate::limits::{FAILOVER_SHOWN_WAIT, FAILOVER_VIEWERS_PER_NODE};
use crate::load::Polls;
use crate::proc::wait_until;

type Shared = Arc<Mutex<Sights>>;

/// Viewers of one round. Dropping it sends them home.
pub(crate) struct Audience {
    screens: Vec<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

fn lock(screen: &Shared) -> MutexGuard<'_, Sights> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Audience {
    /// Each viewer knows all nodes and begins with its own. Times count from `begun`.
    pub(crate) fn begin(runtime: &Runtime, polls: &Polls, nodes: usize, begun: Instant) -> Self {
        let mut audience = Self {
            screens: Vec::new(),
            tasks: Vec::new(),
        };
        let stream = polls.stream();
        for place in 0..nodes * FAILOVER_VIEWERS_PER_NODE {
            let screen = Shared::default();
            audience.screens.push(screen.clone());
            let (client, stream) = (polls.client_from(place), stream.clone());
            audience.tasks.push(runtime.spawn(async move {
                let mut watch = client.watch(stream.event, None, CallOptions::bearer(&stream.token));
                while let Some(Ok(update)) = watch.next().await {
                    let version = match update {
                        Update::Snapshot(standings) | Update::Closed(standings) => standings.version,
                        Update::Tally(tally) => tally.version,
                        Update::Connected { .. } | Update::Heartbeat | Update::Disconnected { .. } => {
                            continue;
                        }
                    };
                    lock(&screen).see(LogIndex(version), begun.elapsed());
                }
            }));
        }
        audience
    }

    /// Waits until everybody was shown the vote at this index, or too long; what each was shown until then.
    pub(crate) fn end(self, last: LogIndex) -> Vec<Sights> {
        wait_until(FAILOVER_SHOWN_WAIT, || {
            let is_shown = |screen: &Shared| lock(screen).newest().is_some_and(|newest| newest >= last);
            self.screens.iter().all(is_shown)
        });
        self.screens.iter().map(|screen| lock(screen).clone()).collect()
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
