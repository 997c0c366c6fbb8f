//! Stand-ins for what the environment hands in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ostraka_core::{EntryMeta, LogIndex, UnixMs};
use ostraka_replication::env::{BoxFuture, Offload};
use ostraka_replication::runtime::watch;
use ostraka_replication::{Clock, Machine, SharedMachine, SubmitError, Submitted};
use parking_lot::{Mutex, RwLock};

use super::{
    IdentityMachine, IdentityParts, IdentityService, IdentitySettings, MemoryAccounts, PasswordCost,
    PasswordSettings,
};
use crate::env::Entropy;
use crate::log::Log;
use crate::secrets::Secrets;
use crate::token::Tokens;

/// A clock that moves when it is told to. Starts in November 2023.
pub(crate) struct TestClock(AtomicU64);

impl Default for TestClock {
    fn default() -> Self {
        TestClock(AtomicU64::new(1_700_000_000_000))
    }
}

impl TestClock {
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }

    pub(crate) fn set_back_ms(&self, ms: u64) {
        self.0.fetch_sub(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixMs {
        UnixMs(self.0.load(Ordering::Relaxed))
    }
}

/// The same bytes for the same seed (SplitMix64, Steele et al. 2014).
pub(crate) struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> SeededEntropy {
        SeededEntropy(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// What happens to the next submissions, one fault each.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Not in the log.
    Refused(SubmitError),
    /// In the log, but the answer is lost.
    AnswerLost,
}

/// A log of one node that applies what it commits to `leader` at once and to `replica` when that one is waited for: a
/// replica that lags.
pub(crate) struct TestLog {
    leader: Mutex<IdentityMachine>,
    replica: SharedMachine<IdentityMachine>,
    entries: Mutex<Vec<Bytes>>,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    pub(crate) leads: AtomicBool,
    /// Whether reads find a quorum.
    pub(crate) quorum: AtomicBool,
    clock: Arc<TestClock>,
    stamps: Mutex<Vec<UnixMs>>,
}

impl TestLog {
    pub(crate) fn new(replica: SharedMachine<IdentityMachine>, clock: Arc<TestClock>) -> TestLog {
        TestLog {
            leader: Mutex::new(IdentityMachine::new(MemoryAccounts::default())),
            replica,
            entries: Mutex::default(),
            faults: Mutex::default(),
            leads: AtomicBool::new(true),
            quorum: AtomicBool::new(true),
            clock,
            stamps: Mutex::default(),
        }
    }

    fn meta(&self, index: LogIndex) -> EntryMeta {
        EntryMeta {
            index,
            stamped_at: self.stamps.lock()[index.0 as usize - 1],
        }
    }

    /// How many entries there are.
    pub(crate) fn committed(&self) -> LogIndex {
        LogIndex(self.entries.lock().len() as u64)
    }

    pub(crate) fn bring_replica_to(&self, index: LogIndex) {
        let mut replica = self.replica.write();
        while replica.last_applied() < index {
            let next = LogIndex(replica.last_applied().0 + 1);
            let body = self.entries.lock()[next.0 as usize - 1].clone();
            replica.apply(self.meta(next), &body);
        }
    }

    fn commit(&self, body: Bytes) -> Result<Submitted, SubmitError> {
        let fault = self.faults.lock().pop_front();
        if let Some(Fault::Refused(error)) = fault {
            return Err(error);
        }
        self.entries.lock().push(body.clone());
        self.stamps.lock().push(self.clock.now());
        let index = self.committed();
        let reply = self.leader.lock().apply(self.meta(index), &body);
        match fault {
            Some(_) => Err(SubmitError::Unknown),
            None => Ok(Submitted { index, reply }),
        }
    }
}

impl Log for TestLog {
    fn submit(&self, body: Bytes, _within: Duration) -> BoxFuture<'_, Result<Submitted, SubmitError>> {
        Box::pin(async move { self.commit(body) })
    }

    fn read_index(&self, _within: Duration) -> BoxFuture<'_, Result<LogIndex, SubmitError>> {
        let quorum = self.quorum.load(Ordering::Relaxed);
        Box::pin(async move {
            if quorum {
                Ok(self.committed())
            } else {
                Err(SubmitError::NoLeader)
            }
        })
    }

    fn wait_applied(&self, index: LogIndex, _within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            self.bring_replica_to(index);
            true
        })
    }

    fn applied_index(&self) -> LogIndex {
        self.replica.read().last_applied()
    }

    fn is_leader(&self) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    fn is_expelled(&self) -> bool {
        false
    }

    fn cut_off(&self) -> watch::Receiver<bool> {
        watch::channel(false).1
    }
}

/// A service over a [`TestLog`], with the least password cost and no threads.
pub(crate) struct Bench {
    pub(crate) service: Arc<IdentityService>,
    pub(crate) log: Arc<TestLog>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) machine: SharedMachine<IdentityMachine>,
}

pub(crate) fn bench(change: impl FnOnce(&mut IdentitySettings)) -> Bench {
    let machine = Arc::new(RwLock::new(IdentityMachine::new(MemoryAccounts::default())));
    let clock = Arc::new(TestClock::default());
    let log = Arc::new(TestLog::new(Arc::clone(&machine), Arc::clone(&clock)));
    let tokens = Arc::new(Tokens::new(&Secrets::derive(&[7; 32], &["k1".to_owned()])));
    let passwords = PasswordSettings {
        cost: PasswordCost::LEAST,
        offload: Offload::Inline,
        at_once: 1,
        queue_max: 4,
    };
    let mut settings = IdentitySettings {
        passwords,
        ..IdentitySettings::default()
    };
    change(&mut settings);
    let service = IdentityService::new(IdentityParts {
        machine: Arc::clone(&machine),
        log: Arc::clone(&log) as Arc<dyn Log>,
        tokens: Arc::clone(&tokens),
        secrets: Secrets::derive(&[7; 32], &["k1".to_owned()]),
        clock: Arc::clone(&clock) as _,
        entropy: Arc::new(SeededEntropy::new(1)),
        settings,
    });
    Bench {
        service: Arc::new(service),
        log,
        clock,
        tokens,
        machine,
    }
}

/// Another node of the same cluster, whose replica has seen nothing yet.
pub(crate) fn second_node(bench: &Bench) -> IdentityService {
    IdentityService::new(IdentityParts {
        machine: Arc::new(RwLock::new(IdentityMachine::new(MemoryAccounts::default()))),
        log: Arc::clone(&bench.log) as Arc<dyn Log>,
        tokens: Arc::clone(&bench.tokens),
        secrets: Secrets::derive(&[7; 32], &["k1".to_owned()]),
        clock: Arc::clone(&bench.clock) as _,
        entropy: Arc::new(SeededEntropy::new(2)),
        settings: *bench.service.settings(),
    })
}

/// Another node of the same cluster with the same replica, whose hashes cost something else.
pub(crate) fn dearer(bench: &Bench, cost: PasswordCost) -> IdentityService {
    let mut settings = *bench.service.settings();
    settings.passwords.cost = cost;
    IdentityService::new(IdentityParts {
        machine: Arc::clone(&bench.machine),
        log: Arc::clone(&bench.log) as Arc<dyn Log>,
        tokens: Arc::clone(&bench.tokens),
        secrets: Secrets::derive(&[7; 32], &["k1".to_owned()]),
        clock: Arc::clone(&bench.clock) as _,
        entropy: Arc::new(SeededEntropy::new(3)),
        settings,
    })
}
