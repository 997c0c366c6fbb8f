//! How much is being asked for, by network prefix: a count that forgets, in memory that does not grow with the prefixes.

use std::hash::Hasher;
use std::net::IpAddr;

use ostraka_core::UnixMs;
use ostraka_core::limits::RATE_CELLS;
use ostraka_replication::env::SharedClock;
use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

use crate::env::Entropy;

/// The part of an address that neighbours share, as bytes that no two prefixes have in common: an IPv4 /24, the least that is
/// routed and given out by itself, or an IPv6 /48, the most that one site gets (RFC 6177). Wide, for pressure only slows; what
/// refuses goes by the address ([`crate::rate::Limiter::check_address`]).
pub(crate) fn network_prefix(address: IpAddr) -> [u8; 7] {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            [4, a, b, c, 0, 0, 0]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, ..] = address.octets();
            [6, a, b, c, d, e, f]
        }
    }
}

/// How many may come before it counts as pressure, and how soon one is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calm {
    pub free: u32,
    pub forget_ms: u64,
}

/// A leaky bucket a prefix, and one for all.
pub(crate) struct Pressure {
    clock: SharedClock,
    keyed: SipHasher13,
    by_prefix: Buckets,
    by_all: Buckets,
}

struct Buckets {
    calm: Calm,
    cells: Mutex<Box<[Bucket]>>,
}

/// What was counted and not forgotten yet, in milliseconds that it takes to forget it, as of a moment.
#[derive(Clone, Copy, Default)]
struct Bucket {
    level_ms: u64,
    seen: UnixMs,
}

impl Pressure {
    pub(crate) fn new(per_prefix: Calm, all: Calm, clock: SharedClock, entropy: &dyn Entropy) -> Pressure {
        Pressure {
            clock,
            keyed: SipHasher13::new_with_keys(entropy.u64(), entropy.u64()),
            by_prefix: Buckets::new(per_prefix, RATE_CELLS),
            by_all: Buckets::new(all, 1),
        }
    }

    /// Counts one more from `address`. How often its prefix's count, and everyone's, has doubled above what is free.
    pub(crate) fn count(&self, address: IpAddr) -> u32 {
        let mut hasher = self.keyed;
        hasher.write(&network_prefix(address));
        let cell = (hasher.finish() % RATE_CELLS as u64) as usize;
        let now = self.clock.now();
        self.by_prefix.count(cell, now) + self.by_all.count(0, now)
    }
}

impl Buckets {
    fn new(calm: Calm, cells: usize) -> Buckets {
        Buckets {
            calm,
            cells: Mutex::new(vec![Bucket::default(); cells].into_boxed_slice()),
        }
    }

    fn count(&self, cell: usize, now: UnixMs) -> u32 {
        let bucket = &mut self.cells.lock()[cell];
        bucket.count(self.calm, now)
    }
}

impl Bucket {
    /// A clock that is set back forgets nothing, and goes on from there.
    fn count(&mut self, calm: Calm, now: UnixMs) -> u32 {
        let passed_ms = now.0.saturating_sub(self.seen.0);
        self.level_ms = self
            .level_ms
            .saturating_sub(passed_ms)
            .saturating_add(calm.forget_ms);
        self.seen = now;
        let times_free = self.level_ms / calm.forget_ms.max(1) / u64::from(calm.free.max(1));
        u64::BITS - times_free.leading_zeros()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::identity::testing::{SeededEntropy, TestClock};

    const CALM: Calm = Calm {
        free: 4,
        forget_ms: 1_000,
    };

    fn pressure(all_free: u32) -> (Pressure, Arc<TestClock>) {
        let clock = Arc::new(TestClock::default());
        let all = Calm {
            free: all_free,
            ..CALM
        };
        (
            Pressure::new(CALM, all, clock.clone(), &SeededEntropy::new(1)),
            clock,
        )
    }

    #[test]
    fn each_doubling_is_a_step_and_time_takes_it_back() {
        let (pressure, clock) = pressure(1_000);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let steps: Vec<u32> = (0..17).map(|_| pressure.count(address)).collect();
        assert_eq!(steps, [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3]);
        assert_eq!(
            pressure.count("198.51.100.1".parse().unwrap()),
            0,
            "others are calm"
        );
        clock.advance_ms(14_000);
        assert_eq!(pressure.count(address), 1);
        clock.advance_ms(3_600_000);
        assert_eq!(pressure.count(address), 0);
    }

    #[test]
    fn neighbours_share_and_all_together_press_too() {
        let (pressure, _) = pressure(8);
        let from = |text: &str| pressure.count(text.parse().unwrap());
        for host in 0..3 {
            assert_eq!(from(&format!("192.0.2.{host}")), 0);
        }
        assert_eq!(from("::ffff:192.0.2.9"), 1, "the same /24, however it is written");
        for host in 0..3 {
            assert_eq!(from(&format!("2001:db8:1:{host}::1")), 0);
        }
        assert_eq!(from("2001:db8:1:ffff::1"), 2, "its /48 and everyone");
        assert_eq!(from("2001:db8:2::1"), 1, "everyone");
    }

    proptest! {
        /// No one who asks as slowly as is forgotten is ever pressed, whatever his past.
        #[test]
        fn pressure_ends(burst in 0usize..200, set_back_ms in 0u64..10_000) {
            let (pressure, clock) = pressure(100_000);
            let address: IpAddr = "192.0.2.1".parse().unwrap();
            for _ in 0..burst {
                pressure.count(address);
            }
            clock.set_back_ms(set_back_ms);
            pressure.count(address);
            clock.advance_ms((burst as u64 + 1) * 1_000);
            prop_assert_eq!(pressure.count(address), 0);
        }
    }
}
