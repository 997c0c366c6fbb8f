//! Chance, all of it from the plan's seed.

use ostraka_node::env::Entropy;
use ostraka_sim_model::ids::Seed;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// What a stream of chance is for: each has its own, so that a draw more in one changes nothing in the others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// One life of a node.
    Node {
        node: usize,
        life: u64,
    },
    Secrets,
    Network,
    Losses,
    Client(u64),
    Viewer(u64),
    Overload(u64),
}

impl Purpose {
    fn numbers(self) -> (u64, u64, u64) {
        match self {
            Purpose::Node { node, life } => (1, node as u64, life),
            Purpose::Secrets => (2, 0, 0),
            Purpose::Network => (3, 0, 0),
            Purpose::Losses => (4, 0, 0),
            Purpose::Client(client) => (5, client, 0),
            Purpose::Viewer(viewer) => (6, viewer, 0),
            Purpose::Overload(client) => (7, client, 0),
        }
    }
}

pub(crate) fn seed_of(seed: Seed, purpose: Purpose) -> u64 {
    let (kind, first, second) = purpose.numbers();
    let mut hasher = SipHasher13::new_with_keys(seed.0, kind);
    hasher.write_u64(first);
    hasher.write_u64(second);
    hasher.finish()
}

/// A seeded source in the place of the operating system's.
pub(crate) struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    pub(crate) fn new(seed: Seed, purpose: Purpose) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed_of(seed, purpose))))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
}
