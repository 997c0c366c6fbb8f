//! Rate limits by key (a username, an address, a caller) in memory that does not grow with the keys.

use std::hash::Hasher;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use ostraka_core::UnixMs;
use ostraka_core::limits::RATE_CELLS;
use ostraka_replication::env::SharedClock;
use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

use crate::env::Entropy;

/// How often something may happen under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// This many at once.
    pub burst: NonZeroU32,
    /// Then one more after each of these, at least a millisecond.
    pub refill: Duration,
}

impl Rate {
    pub(crate) const fn new(burst: u32, refill_ms: u64) -> Rate {
        let burst = NonZeroU32::new(burst).expect("a rate allows something");
        assert!(refill_ms > 0, "a rate has a limit");
        Rate {
            burst,
            refill: Duration::from_millis(refill_ms),
        }
    }
}

/// Too often. Retryable after this many seconds, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    pub(crate) retry_after_s: u32,
}

/// A token bucket a key (GCRA, ITU-T I.371, as `governor` does it). Keys are hashed onto a fixed number of cells with
/// a secret key, so nobody can choose whom to share a cell with.
pub(crate) struct Limiter {
    inner: RateLimiter<Cell, Cells, SteadyClock, NoOpMiddleware<Duration>>,
    keyed: SipHasher13,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Cell(usize);

struct Cells(Box<[InMemoryState]>);

impl StateStore for Cells {
    type Key = Cell;

    fn measure_and_replace<T, F, E>(&self, cell: &Cell, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0[cell.0].measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

impl Limiter {
    pub(crate) fn new(rate: Rate, clock: SharedClock, entropy: &dyn Entropy) -> Limiter {
        let quota = Quota::with_period(rate.refill)
            .expect("a rate's refill is not zero")
            .allow_burst(rate.burst);
        let cells = Cells((0..RATE_CELLS).map(|_| InMemoryState::default()).collect());
        Limiter {
            inner: RateLimiter::new(quota, cells, SteadyClock::new(clock)),
            keyed: SipHasher13::new_with_keys(entropy.u64(), entropy.u64()),
        }
    }

    /// Counts one more under `key`, if that is allowed now.
    pub(crate) fn check(&self, key: &[u8]) -> Result<(), TooOften> {
        let mut hasher = self.keyed;
        hasher.write(key);
        let cell = Cell((hasher.finish() % RATE_CELLS as u64) as usize);
        self.inner.check_key(&cell).map_err(|until| {
            let wait = until.wait_time_from(governor::clock::Clock::now(self.inner.clock()));
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            TooOften {
                retry_after_s: u32::try_from(seconds).unwrap_or(u32::MAX),
            }
        })
    }

    /// By the client's address: one IPv4 address, or the /64 that one IPv6 subscriber has (RFC 6177).
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), TooOften> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.check(&address.octets()),
            IpAddr::V6(address) => self.check(&address.octets()[..8]),
        }
    }
}

/// The injected wall clock, made steady: when it is set back, time goes on from where it stood, or whoever was near
/// their limit would be locked out for as long as it was set back.
struct SteadyClock {
    wall: SharedClock,
    /// The wall's last reading, and the time that has passed since the start.
    seen: Mutex<(UnixMs, Duration)>,
}

impl SteadyClock {
    fn new(wall: SharedClock) -> SteadyClock {
        let now = wall.now();
        SteadyClock {
            wall,
            seen: Mutex::new((now, Duration::ZERO)),
        }
    }
}

impl governor::clock::Clock for SteadyClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        let mut seen = self.seen.lock();
        let wall = self.wall.now();
        let passed = wall.0.saturating_sub(seen.0.0);
        *seen = (wall, seen.1 + Duration::from_millis(passed));
        seen.1
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::identity::testing::{SeededEntropy, TestClock};

    fn limiter(burst: u32, refill_ms: u64) -> (Limiter, Arc<TestClock>) {
        let clock = Arc::new(TestClock::default());
        let limiter = Limiter::new(Rate::new(burst, refill_ms), clock.clone(), &SeededEntropy::new(1));
        (limiter, clock)
    }

    #[test]
    fn a_burst_then_one_at_a_time() {
        let (limiter, clock) = limiter(3, 2_500);
        for _ in 0..3 {
            assert_eq!(limiter.check(b"ann"), Ok(()));
        }
        assert_eq!(limiter.check(b"ann"), Err(TooOften { retry_after_s: 3 }));
        assert_eq!(limiter.check(b"bob"), Ok(()), "others are not held up");
        clock.advance_ms(2_400);
        assert_eq!(limiter.check(b"ann"), Err(TooOften { retry_after_s: 1 }));
        clock.advance_ms(100);
        assert_eq!(limiter.check(b"ann"), Ok(()));
        assert!(limiter.check(b"ann").is_err());
    }

    #[test]
    fn a_clock_set_back_locks_nobody_out() {
        let (limiter, clock) = limiter(1, 1_000);
        clock.advance_ms(3_600_000);
        assert_eq!(limiter.check(b"ann"), Ok(()));
        clock.set_back_ms(3_600_000);
        assert_eq!(limiter.check(b"ann"), Err(TooOften { retry_after_s: 1 }));
        clock.advance_ms(1_000);
        assert_eq!(limiter.check(b"ann"), Ok(()));
    }

    #[test]
    fn an_ipv6_subscriber_is_one_address() {
        let (limiter, _) = limiter(1, 1_000);
        let check = |text: &str| limiter.check_address(text.parse().unwrap()).is_ok();
        assert!(check("2001:db8:0:1::1"));
        assert!(!check("2001:db8:0:1:ffff::2"));
        assert!(check("2001:db8:0:2::1"));
        assert!(check("192.0.2.1"));
        assert!(
            !check("::ffff:192.0.2.1"),
            "an IPv4 address written as IPv6 is the same one"
        );
    }

    proptest! {
        /// However calls are spread over time, no more pass than the burst and what was refilled since the start.
        #[test]
        fn never_more_than_the_rate(waits_ms in proptest::collection::vec(0u64..3_000, 1..80)) {
            let (limiter, clock) = limiter(4, 1_000);
            let (mut passed, mut elapsed_ms) = (0, 0);
            for wait_ms in waits_ms {
                clock.advance_ms(wait_ms);
                elapsed_ms += wait_ms;
                passed += u64::from(limiter.check(b"ann").is_ok());
                prop_assert!(passed <= 4 + elapsed_ms / 1_000, "{passed} in {elapsed_ms} ms");
            }
        }
    }
}
