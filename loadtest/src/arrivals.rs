//! When votes are to begin.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use serde::Serialize;

/// How the moments lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Equally far from each other.
    Constant,
    /// As independent voters come: exponentially distributed gaps with the same mean.
    Poisson,
}

/// The intended starts, from the load's beginning on, without an end. The same seed gives the same moments.
pub struct Arrivals {
    gap_mean_s: f64,
    pace: Pace,
    chance: Xoshiro256PlusPlus,
    next_s: f64,
}

impl Arrivals {
    /// # Panics
    /// If `votes_per_s` is not above 0.
    pub fn new(votes_per_s: f64, pace: Pace, seed: u64) -> Self {
        assert!(votes_per_s > 0.0, "a load without votes never arrives");
        Self {
            gap_mean_s: votes_per_s.recip(),
            pace,
            chance: Xoshiro256PlusPlus::seed_from_u64(seed),
            next_s: 0.0,
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let at = Duration::from_secs_f64(self.next_s);
        let gaps = match self.pace {
            Pace::Constant => 1.0,
            // The inverse of the exponential distribution; 1 - x is never 0.
            Pace::Poisson => -(1.0 - self.chance.random::<f64>()).ln(),
        };
        self.next_s += self.gap_mean_s * gaps;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(pace: Pace, seed: u64) -> Vec<Duration> {
        Arrivals::new(1_000.0, pace, seed).take(10_001).collect()
    }

    #[test]
    fn a_constant_pace_is_even_and_a_poisson_one_has_its_mean_and_its_spread() {
        let even = starts(Pace::Constant, 1);
        assert_eq!(even[0], Duration::ZERO);
        assert!(even[10_000].abs_diff(Duration::from_secs(10)) < Duration::from_millis(1));
        let chance = starts(Pace::Poisson, 1);
        assert!(chance[10_000].abs_diff(Duration::from_secs(10)) < Duration::from_millis(400));
        // Of an exponential distribution, 1 - 1/e of the gaps are shorter than the mean.
        let short = chance
            .windows(2)
            .filter(|pair| pair[1] - pair[0] < Duration::from_millis(1))
            .count();
        assert!((6_100..6_550).contains(&short), "{short}");
    }

    #[test]
    fn the_same_seed_gives_the_same_moments_and_another_others() {
        assert_eq!(starts(Pace::Poisson, 7), starts(Pace::Poisson, 7));
        assert_ne!(starts(Pace::Poisson, 7), starts(Pace::Poisson, 8));
    }
}
