//! How long to wait before trying again.

use std::time::Duration;

/// The pause before the next attempt after `failures` in a row (at least 1): doubles from `min` up to `max`, and
/// of that a random half is left out, so that clients who failed together do not come back together ("equal jitter",
/// M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
pub(crate) fn pause(failures: u32, (min, max): (Duration, Duration), random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    let whole = min.saturating_mul(1 << doublings).min(max);
    let half = whole / 2;
    // 16 bits of chance are plenty for a pause, and keep the product exact.
    whole - half.mul_f64((random % 65_536) as f64 / 65_536.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

    #[test]
    fn doubles_up_to_the_cap() {
        let millis: Vec<_> = (1..=9)
            .map(|failures| pause(failures, BOUNDS, 0).as_millis())
            .collect();
        assert_eq!(millis, [20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
        assert_eq!(pause(1, BOUNDS, 32_768), Duration::from_millis(15));
    }

    proptest! {
        #[test]
        fn lies_between_half_and_whole(failures: u32, random: u64) {
            let whole = pause(failures, BOUNDS, 0);
            let jittered = pause(failures, BOUNDS, random);
            prop_assert!(jittered <= whole && jittered >= whole / 2, "{jittered:?} of {whole:?}");
        }
    }
}
