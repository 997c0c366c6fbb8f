//! A log in this process for the tests of this service: one replica, applied at once, with faults on request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ostraka_core::{EntryMeta, LogIndex, UnixMs};
use ostraka_replication::env::{BoxFuture, BoxIo};
use ostraka_replication::runtime::watch;
use ostraka_replication::{Clock, Listener, Machine, Net, SharedMachine, SubmitError, Submitted};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::feed::FeedHub;
use super::machine::VoteMachine;
use crate::env::{Entropy, Env};
use crate::log::Log;

pub(crate) struct LocalLog {
    pub(crate) machine: SharedMachine<VoteMachine>,
    pub(crate) clock: Arc<ManualClock>,
    /// Submissions wait while this is set.
    pub(crate) stuck: AtomicBool,
    pub(crate) unstuck: Notify,
    pub(crate) fail_with: Mutex<Option<SubmitError>>,
    /// What a quorum would say; 0 for "as far as is applied here".
    pub(crate) quorum_index: AtomicU64,
    pub(crate) no_quorum: AtomicBool,
    pub(crate) expelled: AtomicBool,
    pub(crate) cut_off: watch::Sender<bool>,
    pub(crate) submissions: AtomicUsize,
    applied: Notify,
}

impl LocalLog {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            machine: Arc::new(RwLock::new(VoteMachine::new(FeedHub::new()))),
            clock: Arc::default(),
            stuck: AtomicBool::new(false),
            unstuck: Notify::new(),
            fail_with: Mutex::new(None),
            quorum_index: AtomicU64::new(0),
            no_quorum: AtomicBool::new(false),
            expelled: AtomicBool::new(false),
            cut_off: watch::channel(false).0,
            submissions: AtomicUsize::new(0),
            applied: Notify::new(),
        })
    }

    /// Applies `body` as the next entry.
    pub(crate) fn apply(&self, body: &[u8]) -> Submitted {
        let mut machine = self.machine.write();
        let index = LogIndex(machine.last_applied().0 + 1);
        let reply = machine.apply(
            EntryMeta {
                index,
                stamped_at: self.clock.now(),
            },
            body,
        );
        drop(machine);
        self.applied.notify_waiters();
        Submitted { index, reply }
    }

    pub(crate) fn unstick(&self) {
        self.stuck.store(false, Ordering::SeqCst);
        self.unstuck.notify_waiters();
    }
}

impl Log for LocalLog {
    fn submit(&self, body: Bytes, _: Duration) -> BoxFuture<'_, Result<Submitted, SubmitError>> {
        Box::pin(async move {
            self.submissions.fetch_add(1, Ordering::SeqCst);
            loop {
                let unstuck = self.unstuck.notified();
                if !self.stuck.load(Ordering::SeqCst) {
                    break;
                }
                unstuck.await;
            }
            match self.fail_with.lock().clone() {
                Some(error) => Err(error),
                None => Ok(self.apply(&body)),
            }
        })
    }

    fn read_index(&self, within: Duration) -> BoxFuture<'_, Result<LogIndex, SubmitError>> {
        Box::pin(async move {
            if self.no_quorum.load(Ordering::SeqCst) {
                tokio::time::sleep(within).await;
                return Err(SubmitError::NoLeader);
            }
            Ok(LogIndex(
                self.quorum_index
                    .load(Ordering::SeqCst)
                    .max(self.applied_index().0),
            ))
        })
    }

    fn wait_applied(&self, index: LogIndex, within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            let reached = async {
                loop {
                    let applied = self.applied.notified();
                    if self.applied_index() >= index {
                        return;
                    }
                    applied.await;
                }
            };
            tokio::time::timeout(within, reached).await.is_ok()
        })
    }

    fn applied_index(&self) -> LogIndex {
        self.machine.read().last_applied()
    }

    fn is_leader(&self) -> bool {
        true
    }

    fn is_expelled(&self) -> bool {
        self.expelled.load(Ordering::SeqCst)
    }

    fn cut_off(&self) -> watch::Receiver<bool> {
        self.cut_off.subscribe()
    }
}

/// A clock that stands still until it is set.
pub(crate) struct ManualClock(pub(crate) AtomicU64);

impl Default for ManualClock {
    fn default() -> Self {
        Self(AtomicU64::new(1_700_000_000_000))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::SeqCst))
    }
}

/// Counts up: distinct, and the same in every run.
#[derive(Default)]
pub(crate) struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = count[at % count.len()];
        }
    }
}

struct NoNet;

impl Net for NoNet {
    fn bind<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<BoxIo>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

/// An environment without a network, with the log's clock.
pub(crate) fn env(log: &LocalLog) -> Env {
    Env::new(
        Arc::new(NoNet),
        Arc::clone(&log.clock) as Arc<dyn Clock>,
        Arc::new(CountingEntropy::default()),
    )
}
