//! Samples of a time, as buckets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rank_bounds;

/// Times in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Upper end of a bucket → how many fell into it.
    pub buckets_us: BTreeMap<u64, u64>,
    /// What never happened: longer than everything that did.
    pub never: u64,
    /// How many samples these are worth: fewer than there are where several tell of one vote.
    pub independent: u64,
}

/// A percentile with its bounds, in milliseconds. None: it fell on what never happened, or there are too few samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Band {
    pub low_ms: Option<f64>,
    pub ms: Option<f64>,
    pub high_ms: Option<f64>,
}

impl Sample {
    pub fn happened(&self) -> u64 {
        self.buckets_us.values().sum()
    }

    pub fn total(&self) -> u64 {
        self.happened() + self.never
    }

    /// How many were at most so long.
    pub fn within_us(&self, limit_us: u64) -> u64 {
        self.buckets_us.range(..=limit_us).map(|(_, count)| count).sum()
    }

    pub fn add(&mut self, other: &Sample) {
        for (upper, count) in &other.buckets_us {
            *self.buckets_us.entry(*upper).or_default() += count;
        }
        self.never += other.never;
        self.independent += other.independent;
    }

    /// Share of a sample that one observation is worth, at most 1.
    pub fn worth(&self) -> f64 {
        match self.total() {
            0 => 0.0,
            total => (self.independent as f64 / total as f64).min(1.0),
        }
    }

    /// The value of a rank, from 1.
    fn at_us(&self, rank: u64) -> Option<u64> {
        let mut seen = 0;
        self.buckets_us.iter().find_map(|(upper, count)| {
            seen += count;
            (seen >= rank).then_some(*upper)
        })
    }

    /// A percentile, with bounds by order statistics.
    pub fn band(&self, quantile: f64) -> Band {
        let (total, worth) = (self.total(), self.worth());
        let ms = |rank: Option<u64>| {
            rank.and_then(|rank| self.at_us(rank))
                .map(|us| us as f64 / 1_000.0)
        };
        let (low, high) = rank_bounds((total as f64 * worth) as u64, quantile);
        // From ranks of so many independent samples to ranks of all.
        let stretched = |rank: u64| ((rank as f64 / worth).ceil() as u64).clamp(1, total);
        let middle = ((total as f64 * quantile).ceil() as u64).clamp(1, total.max(1));
        Band {
            low_ms: ms(low.map(stretched)),
            ms: ms((total > 0).then_some(middle)),
            high_ms: ms(high.map(stretched)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(values: &[u64], never: u64) -> Sample {
        let mut sample = Sample {
            never,
            independent: values.len() as u64 + never,
            ..Sample::default()
        };
        for value in values {
            *sample.buckets_us.entry(*value).or_default() += 1;
        }
        sample
    }

    #[test]
    fn what_never_happened_is_longer_than_all_that_did() {
        let some = sample(&[1_000; 990], 10);
        assert_eq!(some.band(0.99).ms, Some(1.0));
        assert_eq!(some.band(0.99).high_ms, None);
        assert_eq!(sample(&[1_000; 989], 11).band(0.99).ms, None);
        assert_eq!(Sample::default().band(0.99).ms, None);
    }

    #[test]
    fn samples_that_hang_together_have_wider_bounds() {
        let mut values: Vec<u64> = (1..=1_000).map(|ms| ms * 1_000).collect();
        let alone = sample(&values, 0).band(0.9);
        values.sort_unstable();
        let mut tied = sample(&values, 0);
        tied.independent = 100;
        let tied = tied.band(0.9);
        assert!(
            tied.low_ms < alone.low_ms && tied.high_ms > alone.high_ms,
            "{tied:?} {alone:?}"
        );
    }

    proptest! {
        #[test]
        fn a_percentile_lies_within_its_bounds(
            values in proptest::collection::vec(1_u64..1_000_000, 1..400),
            never in 0_u64..5,
            quantile in 0.5_f64..0.999,
        ) {
            let band = sample(&values, never).band(quantile);
            if let (Some(low), Some(ms)) = (band.low_ms, band.ms) {
                prop_assert!(low <= ms);
            }
            if let (Some(ms), Some(high)) = (band.ms, band.high_ms) {
                prop_assert!(ms <= high);
            }
        }

        #[test]
        fn adding_is_counting_both(one in proptest::collection::vec(1_u64..99, 0..50), two in proptest::collection::vec(1_u64..99, 0..50), limit in 1_u64..99) {
            let mut both = sample(&one, 1);
            both.add(&sample(&two, 2));
            let within = one.iter().chain(&two).filter(|value| **value <= limit).count() as u64;
            prop_assert_eq!(both.within_us(limit), within);
            prop_assert_eq!(both.total(), (one.len() + two.len()) as u64 + 3);
        }
    }
}
