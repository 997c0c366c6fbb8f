//! What samples allow to be said: bounds of shares and percentiles, and whether two sets of samples differ.

mod beta;
mod compare;
mod sample;

pub use compare::{chance_of_longer, p_of_more_bad};
pub use sample::{Band, Sample};

use beta::{beta_quantile, regularised_beta};

/// How often a bound may be on the wrong side of the truth: bounds are one-sided, of 95 %.
pub const ALPHA: f64 = 0.05;

/// Bounds of a share of which `good` of `total` were seen (C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits
/// illustrated in the case of the binomial", Biometrika 26, 1934). Both may be fractions: where samples hang together, they
/// count for fewer.
pub fn share_bounds(good: f64, total: f64) -> (f64, f64) {
    if total <= 0.0 {
        return (0.0, 1.0);
    }
    let bad = (total - good).max(0.0);
    let low = if good < 0.5 {
        0.0
    } else {
        beta_quantile(good, bad + 1.0, ALPHA)
    };
    let high = if bad < 0.5 {
        1.0
    } else {
        beta_quantile(good + 1.0, bad, 1.0 - ALPHA)
    };
    (low, high)
}

/// P(X <= k) of `n` trials with chance `p`.
fn binomial_at_most(k: i64, n: u64, p: f64) -> f64 {
    match u64::try_from(k) {
        Err(_) => 0.0,
        Ok(k) if k >= n => 1.0,
        Ok(k) => regularised_beta((n - k) as f64, k as f64 + 1.0, 1.0 - p),
    }
}

/// Ranks (from 1) between which the quantile lies: that the lower is above it, or the upper below, has a chance of at most
/// [`ALPHA`] each. None where no rank says so: there are too few samples.
pub fn rank_bounds(n: u64, quantile: f64) -> (Option<u64>, Option<u64>) {
    // The quantile is at least the value of rank r unless fewer than r samples lie below it.
    let low = last_rank(n, |rank| binomial_at_most(rank as i64 - 1, n, quantile) <= ALPHA);
    let too_low = last_rank(n, |rank| {
        binomial_at_most(rank as i64 - 1, n, quantile) < 1.0 - ALPHA
    });
    let high = too_low.unwrap_or(0) + 1;
    (low, (high <= n).then_some(high))
}

/// The last rank of 1..=n that holds, where all before one that holds do.
fn last_rank(n: u64, holds: impl Fn(u64) -> bool) -> Option<u64> {
    let (mut low, mut high) = (0, n + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low > 0).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_takes_299_good_samples_for_a_p99_and_59_for_a_p95() {
        let low = |n: f64| share_bounds(n, n).0;
        assert!(low(299.0) >= 0.99 && low(298.0) < 0.99);
        assert!(low(59.0) >= 0.95 && low(58.0) < 0.95);
        assert_eq!(rank_bounds(298, 0.99).1, None);
        assert_eq!(rank_bounds(299, 0.99).1, Some(299));
    }

    #[test]
    fn nothing_seen_says_nothing() {
        assert_eq!(share_bounds(0.0, 0.0), (0.0, 1.0));
        assert_eq!(rank_bounds(0, 0.99), (None, None));
    }

    #[test]
    fn bounds_stand_for_millions_of_samples_too() {
        let (low, high) = share_bounds(14_850_000.0, 15_000_000.0);
        assert!(
            0.9899 < low && low < 0.99 && 0.99 < high && high < 0.9901,
            "{low} {high}"
        );
    }

    proptest! {
        #[test]
        fn a_share_lies_within_its_bounds_and_more_samples_narrow_them(good in 0_u32..1_000, bad in 0_u32..1_000) {
            prop_assume!(good + bad > 0);
            let (good, total) = (f64::from(good), f64::from(good + bad));
            let (low, high) = share_bounds(good, total);
            prop_assert!((0.0..=1.0).contains(&low) && low <= good / total && good / total <= high && high <= 1.0);
            let (closer_low, closer_high) = share_bounds(good * 4.0, total * 4.0);
            prop_assert!(closer_low >= low - 1e-9 && closer_high <= high + 1e-9);
        }

        #[test]
        fn ranks_lie_on_both_sides(n in 1_u64..5_000, quantile in 0.5_f64..0.999) {
            let (low, high) = rank_bounds(n, quantile);
            let middle = n as f64 * quantile;
            prop_assert!(low.is_none_or(|low| low as f64 <= middle + 1.0));
            prop_assert!(high.is_none_or(|high| high as f64 >= middle && high <= n));
        }

        /// A percentile's upper bound is within a limit exactly where the share within it is large enough.
        #[test]
        fn the_two_ways_to_say_it_agree(good in 1_u64..2_000, bad in 0_u64..40) {
            let n = good + bad;
            let by_share = share_bounds(good as f64, n as f64).0 >= 0.99;
            let by_rank = rank_bounds(n, 0.99).1.is_some_and(|rank| rank <= good);
            prop_assert_eq!(by_share, by_rank);
        }
    }
}
