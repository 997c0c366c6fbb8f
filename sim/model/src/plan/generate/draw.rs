//! Chance, from a seed. Each consumer has its own stream, so that what one draws never changes what another does.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::ids::Seed;

/// One stream of chance. The generator is named by its algorithm, so that a seed means the same in years.
pub(super) struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// The stream of this seed for `purpose`.
    pub(super) fn of(seed: Seed, purpose: &str) -> Self {
        let mixed = purpose.bytes().fold(seed.0, |mixed, byte| {
            (mixed.rotate_left(8) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// From `min` to `max`, both included. Bounds in the wrong order count as swapped.
    pub(super) fn between(&mut self, min: u64, max: u64) -> u64 {
        self.0.random_range(min.min(max)..=max.max(min))
    }

    pub(super) fn signed(&mut self, size_max: u64) -> i64 {
        let size = self.between(0, size_max) as i64;
        if self.percent(50) { size } else { -size }
    }

    pub(super) fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u64 - 1) as usize]
    }

    /// One of `choices`, by weight.
    ///
    /// # Panics
    /// If there are none.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(u64, T)]) -> T {
        let total: u64 = choices.iter().map(|(weight, _)| weight).sum();
        let mut place = self.between(1, total);
        for (weight, choice) in choices {
            if place <= *weight {
                return *choice;
            }
            place -= weight;
        }
        unreachable!("the place is within the sum of the weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_for_ever() {
        let mut draw = Draw::of(Seed(7), "operations");
        let drawn: Vec<u64> = (0..6).map(|_| draw.between(0, 999)).collect();
        assert_eq!(drawn, [136, 876, 633, 369, 884, 438]);
    }

    #[test]
    fn streams_differ_by_purpose() {
        let draw = |purpose| Draw::of(Seed(7), purpose).between(0, u64::MAX);
        assert_ne!(draw("operations"), draw("faults"));
    }

    #[test]
    fn weights_count() {
        let mut draw = Draw::of(Seed(1), "weights");
        let often = (0..1_000)
            .filter(|_| draw.weighted(&[(9, true), (1, false)]))
            .count();
        assert!((850..950).contains(&often), "{often}");
    }
}
