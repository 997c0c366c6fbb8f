//! Chance, all of it from the plan's seed.

use std::hash::Hasher;

use ostraka_sim_model::ids::Seed;
use siphasher::sip::SipHasher13;

/// What a stream of chance is for: each has its own, so that a draw more in one changes nothing in the others.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// One life of a node.
    Node {
        node: usize,
        life: u64,
    },
    Network,
    /// The order in which tasks are polled.
    Scheduling,
}

impl Purpose {
    fn numbers(self) -> (u64, u64, u64) {
        match self {
            Purpose::Node { node, life } => (1, node as u64, life),
            Purpose::Network => (2, 0, 0),
            Purpose::Scheduling => (3, 0, 0),
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
