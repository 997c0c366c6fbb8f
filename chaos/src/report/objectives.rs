//! What is promised of a cluster that nothing disturbs (docs/architecture.md, "Goals"), and whether figures keep it.

use crate::limits::{END_TO_END_MS_P99_MAX, STEADY_DONE_PER_MILLE_MIN};

/// From a client's request until it knows that the vote is durable, p99, milliseconds.
pub(super) const ACK_MS_P99_MAX: f64 = 50.0;

/// From a vote to the screens, p95, milliseconds.
pub(super) const END_TO_END_MS_P95_MAX: f64 = 500.0;

/// So few samples say nothing of a percentile: with all of them inside it, it is met with 95 % confidence
/// (0.99 ^ 299 < 0.05, 0.95 ^ 59 < 0.05).
const SAMPLES_P99_MIN: u64 = 299;
const SAMPLES_P95_MIN: u64 = 59;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    Yes,
    No,
    /// There are fewer samples than it takes to say so.
    TooFew,
}

impl Met {
    /// With a sign, so that nobody needs to see colours.
    pub(super) fn words(self) -> &'static str {
        match self {
            Met::Yes => "✓ met",
            Met::No => "✗ missed",
            Met::TooFew => "? too few to say",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Met::Yes => "good",
            Met::No => "bad",
            Met::TooFew => "open",
        }
    }

    fn of(ms: f64, ms_max: f64, samples: u64, samples_min: u64) -> Self {
        if samples > 0 && ms > ms_max {
            return Met::No;
        }
        if samples < samples_min {
            return Met::TooFew;
        }
        Met::Yes
    }
}

/// `done`: an upper bound of the samples, for some of what was done were no votes.
pub(super) fn ack_p99(ms: f64, done: u64) -> Met {
    Met::of(ms, ACK_MS_P99_MAX, done, SAMPLES_P99_MIN)
}

pub(super) fn end_to_end_p95(ms: f64, seen: u64) -> Met {
    Met::of(ms, END_TO_END_MS_P95_MAX, seen, SAMPLES_P95_MIN)
}

pub(super) fn end_to_end_p99(ms: f64, seen: u64) -> Met {
    Met::of(ms, END_TO_END_MS_P99_MAX, seen, SAMPLES_P99_MIN)
}

pub(super) fn done(done: u64, requests: u64) -> Met {
    if requests == 0 {
        return Met::TooFew;
    }
    if u128::from(done) * 1_000 < u128::from(requests) * u128::from(STEADY_DONE_PER_MILLE_MIN) {
        return Met::No;
    }
    Met::Yes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_of_few_is_no_pass_and_of_few_slow_ones_a_miss() {
        assert_eq!(ack_p99(50.0, 299), Met::Yes);
        assert_eq!(ack_p99(50.1, 299), Met::No);
        assert_eq!(ack_p99(1.0, 298), Met::TooFew);
        assert_eq!(end_to_end_p95(500.0, 59), Met::Yes);
        assert_eq!(end_to_end_p95(501.0, 5), Met::No);
        assert_eq!(end_to_end_p99(1_000.1, 10_000), Met::No);
        assert_eq!(end_to_end_p99(0.0, 0), Met::TooFew);
        assert_eq!(done(0, 0), Met::TooFew);
        assert_eq!(done(998, 1_000), Met::No);
        assert_eq!(done(999, 1_000), Met::Yes);
    }
}
