//! How many lines a second may be written about other people's mistakes.

use std::sync::atomic::{AtomicU64, Ordering};

use ostraka_core::limits::REFUSAL_LOG_LINES_PER_SECOND_MAX;
use ostraka_replication::env::SharedClock;

/// Counts lines per second of the injected clock.
pub(super) struct LogBudget {
    clock: SharedClock,
    /// The second in the upper 40 bits, the lines asked for in it in the lower 24.
    used: AtomicU64,
}

const LINES_BITS: u32 = 24;
const LINES_MASK: u64 = (1 << LINES_BITS) - 1;

impl LogBudget {
    pub(super) fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            used: AtomicU64::new(0),
        }
    }

    /// Runs `write` if there is a line left in this second.
    pub(super) fn spend(&self, write: impl FnOnce()) {
        let second = self.clock.now().0 / 1_000;
        let mut withheld = 0;
        let spent = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                let (of_second, lines) = (used >> LINES_BITS, used & LINES_MASK);
                if of_second != second {
                    withheld = lines.saturating_sub(u64::from(REFUSAL_LOG_LINES_PER_SECOND_MAX));
                    return Some(second << LINES_BITS | 1);
                }
                withheld = 0;
                Some(second << LINES_BITS | (lines + 1).min(LINES_MASK))
            });
        if withheld > 0 {
            tracing::info!(
                withheld,
                "refused requests were not all logged: there were too many a second"
            );
        }
        let used = spent.expect("the update always gives a value");
        let same_second = used >> LINES_BITS == second;
        if !same_second || used & LINES_MASK < u64::from(REFUSAL_LOG_LINES_PER_SECOND_MAX) {
            write();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ostraka_core::UnixMs;
    use ostraka_replication::Clock;

    use super::*;

    #[derive(Default)]
    struct ManualClock(AtomicU64);

    impl Clock for ManualClock {
        fn now(&self) -> UnixMs {
            UnixMs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn a_flood_writes_so_many_lines_a_second_and_no_more() {
        let clock = Arc::new(ManualClock::default());
        let budget = LogBudget::new(Arc::clone(&clock) as SharedClock);
        for second in 1..4 {
            clock.0.store(second * 1_000, Ordering::Relaxed);
            let mut lines = 0;
            (0..1_000).for_each(|_| budget.spend(|| lines += 1));
            assert_eq!(lines, REFUSAL_LOG_LINES_PER_SECOND_MAX);
        }
    }
}
