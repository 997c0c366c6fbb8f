//! Everything that touches time, chance, network or disk, handed in from outside.

use std::sync::Arc;

use ostraka_core::UnixMs;
use ostraka_replication::Clock;
use ostraka_replication::env::{SharedClock, SharedNet};

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

#[derive(Clone)]
pub struct Env {
    pub net: SharedNet,
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
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
        rand::rngs::SysRng.try_fill_bytes(bytes).expect("the operating system has random bytes");
    }
}
