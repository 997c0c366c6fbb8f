//! Whether two sets of samples differ by more than chance.

use super::{Sample, binomial_at_most};

/// Chance that a time of `now` is longer than one of `before` (a tie is half of one), and how likely so uneven a chance is where both
/// are alike: the two-sided rank test of H. B. Mann and D. R. Whitney ("On a test of whether one of two random variables is
/// stochastically larger than the other", Annals of Mathematical Statistics 18, 1947), with ties. None of nothing.
pub fn chance_of_longer(before: &Sample, now: &Sample) -> Option<(f64, f64)> {
    let (n, m) = (before.total() as f64, now.total() as f64);
    if n == 0.0 || m == 0.0 {
        return None;
    }
    let uppers = before.buckets_us.keys().chain(now.buckets_us.keys());
    let mut uppers: Vec<Option<u64>> = uppers.map(|upper| Some(*upper)).collect();
    uppers.sort_unstable();
    uppers.dedup();
    uppers.push(None);
    let (mut wins, mut ties, mut shorter_before) = (0.0, 0.0, 0.0);
    for upper in uppers {
        let count = |sample: &Sample| match upper {
            Some(upper) => sample.buckets_us.get(&upper).copied().unwrap_or_default() as f64,
            None => sample.never as f64,
        };
        let (of_before, of_now) = (count(before), count(now));
        wins += of_now * (shorter_before + of_before / 2.0);
        shorter_before += of_before;
        let tied = of_before + of_now;
        ties += tied * tied * tied - tied;
    }
    let all = n + m;
    let variance = n * m / 12.0 * ((all + 1.0) - ties / (all * (all - 1.0)));
    let worth = before.worth().min(now.worth()).sqrt();
    let z = if variance > 0.0 {
        (wins - n * m / 2.0) / variance.sqrt() * worth
    } else {
        0.0
    };
    Some((wins / (n * m), p_of(z)))
}

/// Two-sided probability of a standard normal deviate, by the error function's approximation 7.1.26 of Abramowitz and Stegun,
/// whose error is below 1.5e-7.
fn p_of(z: f64) -> f64 {
    let x = z.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = t
        * (0.254_829_592
            + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    (polynomial * (-x * x).exp()).clamp(0.0, 1.0)
}

/// How likely at least so many of the bad ones fall to the present side where bad ones are equally frequent on both sides: the
/// conditional test of two rates of rare events.
pub fn p_of_more_bad((bad_before, total_before): (u64, u64), (bad_now, total_now): (u64, u64)) -> f64 {
    let bad = bad_before + bad_now;
    let total = total_before + total_now;
    if bad == 0 || total == 0 {
        return 1.0;
    }
    let share = total_now as f64 / total as f64;
    1.0 - binomial_at_most(bad_now as i64 - 1, bad, share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Sample {
        let mut sample = Sample::default();
        for value in values {
            *sample.buckets_us.entry(value).or_default() += 1;
            sample.independent += 1;
        }
        sample
    }

    #[test]
    fn a_shift_is_seen_and_none_is_not() {
        let before = of((1..=200).map(|n| n * 10));
        let (chance, p) = chance_of_longer(&before, &of((1..=200).map(|n| n * 10 + 500))).unwrap();
        assert!(chance > 0.7 && p < 0.001, "{chance} {p}");
        let (chance, p) = chance_of_longer(&before, &before).unwrap();
        assert!((chance - 0.5).abs() < 1e-12 && p > 0.99, "{chance} {p}");
        assert_eq!(chance_of_longer(&before, &Sample::default()), None);
        assert_eq!(chance_of_longer(&of([5; 9]), &of([5; 9])).unwrap().0, 0.5);
    }

    #[test]
    fn a_few_samples_prove_no_shift() {
        let (_, p) = chance_of_longer(&of([10, 20]), &of([30, 40])).unwrap();
        assert!(p > 0.05, "{p}");
    }

    #[test]
    fn what_hangs_together_proves_less() {
        let (before, mut now) = (of(1..=100), of((1..=100).map(|n| n + 10)));
        let (_, alone) = chance_of_longer(&before, &now).unwrap();
        now.independent = 10;
        let (_, tied) = chance_of_longer(&before, &now).unwrap();
        assert!(tied > alone * 2.0, "{tied} {alone}");
    }

    #[test]
    fn more_bad_ones_are_told_from_chance() {
        assert!(p_of_more_bad((10, 100_000), (60, 100_000)) < 1e-6);
        assert!(p_of_more_bad((10, 100_000), (12, 100_000)) > 0.2);
        assert_eq!(p_of_more_bad((0, 10), (0, 10)), 1.0);
        // One of one: half of the time it falls on this side.
        assert!((p_of_more_bad((0, 50), (1, 50)) - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_other_way_round_is_the_rest(
            one in proptest::collection::vec(1_u64..50, 1..60),
            two in proptest::collection::vec(1_u64..50, 1..60),
        ) {
            let (there, p) = chance_of_longer(&of(one.clone()), &of(two.clone())).unwrap();
            let (back, q) = chance_of_longer(&of(two), &of(one)).unwrap();
            prop_assert!((there + back - 1.0).abs() < 1e-9 && (p - q).abs() < 1e-9);
            prop_assert!((0.0..=1.0).contains(&p));
        }
    }
}
