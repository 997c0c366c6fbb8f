//! Everything that touches time, chance, network or disk, handed in from outside.

use std::sync::Arc;

use ostraka_core::UnixMs;
// What an environment is made of, under one roof for those who make one.
pub use ostraka_replication::env::{BoxFuture, BoxIo, Listener, Net, Offload, SharedClock, SharedNet};
pub use ostraka_replication::log_store::memory::{Crash, Journal, Kept, MemoryDisk};
pub use ostraka_replication::snapshot_store::SnapshotStore;
pub use ostraka_replication::{Clock, ClusterKeeper, GroupName, GroupStatus, NodeNumber};

use crate::config::LogFormat;
use crate::identity::PasswordCost;
use crate::secrets::Secrets;

/// A source of random bytes. The operating system's in production, a seeded one in a simulator.
pub trait Entropy: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);

    fn u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn u128(&self) -> u128 {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        u128::from_le_bytes(bytes)
    }
}

pub type SharedEntropy = Arc<dyn Entropy>;

/// Where a node keeps what must survive it.
#[derive(Clone)]
pub enum Storage {
    /// In the data folder of the configuration.
    Disk,
    /// In memory that outlives the node: a simulator's disks.
    Memory(Box<MemoryStorage>),
}

/// A simulated machine's disks, and the secrets that would stand on them.
#[derive(Clone)]
pub struct MemoryStorage {
    pub secrets: Secrets,
    pub identity_log: MemoryDisk,
    pub identity_snapshots: SnapshotStore,
    pub vote_log: MemoryDisk,
    pub vote_snapshots: SnapshotStore,
    pub cluster: Arc<ClusterKeeper>,
}

/// Takes a sentence for the person who started the node.
pub type Console = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
pub struct Env {
    pub net: SharedNet,
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
    pub storage: Storage,
    pub offload: Offload,
    /// What checking a password costs the machine.
    pub password_cost: PasswordCost,
    pub console: Console,
}

impl Env {
    /// The real disk, blocking work on threads, sentences to standard output.
    pub fn new(net: SharedNet, clock: SharedClock, entropy: SharedEntropy) -> Self {
        let console = crate::telemetry::console(LogFormat::Pretty);
        Self {
            net,
            clock,
            entropy,
            storage: Storage::Disk,
            offload: Offload::Threads,
            password_cost: PasswordCost::OWASP,
            console,
        }
    }
}

/// The machine's wall clock. Only the binary uses it.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMs {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixMs(since_epoch.map_or(0, |elapsed| elapsed.as_millis() as u64))
    }
}

/// The operating system's random bytes. Only the binary uses it.
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        use rand::rand_core::TryRng;
        rand::rngs::SysRng
            .try_fill_bytes(bytes)
            .expect("the operating system has random bytes");
    }
}
