//! When probes are due. Steady, so that an hour has as many as was asked for, and jittered, so that no probe keeps meeting the
//! same moment of whatever else happens every few seconds.

use std::fmt;

use crate::limits::JITTER_PERCENT;

/// Microseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    #[must_use]
    pub fn plus(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ms", self.0 / 1_000)
    }
}

/// The place of a probe in its schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

/// One probe in each interval, at a moment drawn from its first half.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    interval_micros: u64,
    seed: u64,
}

impl Schedule {
    /// # Panics
    /// If `per_hour` is 0.
    pub fn new(per_hour: u32, seed: u64) -> Self {
        assert!(per_hour > 0, "the command line asks for one an hour at least");
        Self {
            interval_micros: 3_600_000_000 / u64::from(per_hour),
            seed,
        }
    }

    pub fn interval_micros(&self) -> u64 {
        self.interval_micros
    }

    pub fn due(&self, slot: Slot) -> Micros {
        let room = self.interval_micros * JITTER_PERCENT / 100;
        let jitter = mixed(self.seed ^ slot.0) % (room + 1);
        Micros(slot.0 * self.interval_micros + jitter)
    }

    /// The next slot after `done` that is still to come or less than an interval late, and how many had to be left out: this
    /// machine slept, or was too busy to look.
    pub fn next(&self, done: Option<Slot>, now: Micros) -> (Slot, u64) {
        let wanted = done.map_or(0, |slot| slot.0 + 1);
        let earliest = (now.0 / self.interval_micros).saturating_sub(1);
        let next = if self.due(Slot(wanted)).plus(self.interval_micros) < now {
            wanted.max(earliest + 1)
        } else {
            wanted
        };
        (Slot(next), next - wanted)
    }
}

/// The finaliser of SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
fn mixed(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_hour_has_as_many_as_was_asked_for(per_hour in 1_u32..=180_000, seed: u64) {
            let schedule = Schedule::new(per_hour, seed);
            let within = |slot: u64| schedule.due(Slot(slot)).0 < 3_600_000_000;
            prop_assert!(within(u64::from(per_hour) - 1));
            // Where an hour cannot be divided, the rest makes room for less than one more in a thousand.
            prop_assert!(!within(u64::from(per_hour) + u64::from(per_hour) / 1_000 + 1));
        }

        #[test]
        fn probes_come_in_order_and_apart(per_hour in 1_u32..=180_000, seed: u64, slot in 0_u64..1_000_000) {
            let schedule = Schedule::new(per_hour, seed);
            let apart = schedule.due(Slot(slot + 1)).since(schedule.due(Slot(slot)));
            prop_assert!(apart >= schedule.interval_micros() / 2);
            prop_assert!(apart <= schedule.interval_micros() * 3 / 2 + 1);
        }

        #[test]
        fn none_is_left_out_in_time_and_all_that_are_late_are_counted(
            per_hour in 1_u32..=180_000, seed: u64, done in 0_u64..10_000, now in 0_u64..40_000_000_000,
        ) {
            let schedule = Schedule::new(per_hour, seed);
            let (next, left_out) = schedule.next(Some(Slot(done)), Micros(now));
            prop_assert_eq!(next.0, done + 1 + left_out);
            let late = |slot: u64| schedule.due(Slot(slot)).plus(schedule.interval_micros()) < Micros(now);
            prop_assert_eq!(left_out > 0, late(done + 1));
            // What comes next is at most two intervals late, so that nobody runs after the clock for ever.
            prop_assert!(schedule.due(next).plus(2 * schedule.interval_micros()) >= Micros(now));
        }
    }

    #[test]
    fn the_moments_are_not_in_step() {
        let schedule = Schedule::new(1_000, 7);
        let offsets: std::collections::BTreeSet<u64> = (0..100)
            .map(|slot| schedule.due(Slot(slot)).0 % schedule.interval_micros() / 100_000)
            .collect();
        assert!(offsets.len() > 10, "{offsets:?}");
    }
}
