//! What is made of counts and times: summaries over rounds, latencies, CPU shares, and what they allow to be said.

use hdrhistogram::Histogram;
use serde::Serialize;

/// Three figures of a few rounds. Of two middle ones the lower is taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// None of nothing.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        Some(Self {
            min,
            median: sorted[(sorted.len() - 1) / 2],
            max,
        })
    }
}

/// Longest latency that is told apart: above it a request has timed out.
const LATENCY_MICROS_MAX: u64 = 60_000_000;

/// Latencies in microseconds, three digits exact.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).expect("the bounds are in order")
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct LatencyMs {
    pub(crate) count: u64,
    pub p50: f64,
    pub p99: f64,
    pub(crate) max: f64,
}

impl LatencyMs {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let ms = |micros: u64| micros as f64 / 1_000.0;
        Self {
            count: histogram.len(),
            p50: ms(histogram.value_at_quantile(0.5)),
            p99: ms(histogram.value_at_quantile(0.99)),
            max: ms(histogram.max()),
        }
    }
}

/// CPU time by wall time over the measured window, in cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct CpuCores {
    pub(crate) generator: f64,
    /// None where the server is not this run's own process.
    pub(crate) server: Option<f64>,
    /// Everything else on the machine; none where the server's part is not known.
    pub(crate) others: Option<f64>,
    pub(crate) machine: f64,
}

/// Share of the machine that others may take before a figure says more about them. The kernel's own threads, that
/// write the server's data, are among them.
const OTHERS_SHARE_MAX: f64 = 0.15;

/// A thread this busy has nothing left to give.
const FULL: f64 = 0.95;

/// What set the limit of a closed-loop run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// The generator had time left: the server, its disk or the number of connections set the pace.
    Server,
    /// Generator and server filled the machine between them: a figure of the two together on this machine.
    Machine,
    /// The generator could do no more, and the server had time left: no figure of the server.
    Generator,
}

impl CpuCores {
    /// Whether other processes took so much of the machine that it was not the server's to use.
    pub(crate) fn is_crowded(&self) -> bool {
        self.others
            .is_some_and(|others| others > OTHERS_SHARE_MAX * self.machine)
    }

    /// `generator_threads` is how many cores the generator can fill.
    pub(crate) fn limit(&self, generator_threads: usize) -> Limit {
        if self.generator < FULL * generator_threads as f64 {
            return Limit::Server;
        }
        match self.server {
            Some(server) if self.generator + server >= FULL * self.machine => Limit::Machine,
            _ => Limit::Generator,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_spread_is_of_what_was_measured() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(
            Spread::of(&[3.0, 1.0, 2.0]),
            Some(Spread {
                min: 1.0,
                median: 2.0,
                max: 3.0
            })
        );
        assert_eq!(Spread::of(&[4.0, 1.0]).map(|spread| spread.median), Some(1.0));
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let mut histogram = latencies();
        (1..=1_000).for_each(|ms| histogram.saturating_record(ms * 1_000));
        let summary = LatencyMs::of(&histogram);
        assert_eq!(summary.count, 1_000);
        for (found, expected) in [(summary.p50, 500.0), (summary.p99, 990.0), (summary.max, 1_000.0)] {
            assert!(
                (found / expected - 1.0).abs() < 0.001,
                "{found} is not {expected}"
            );
        }
    }

    #[test]
    fn a_full_generator_before_an_idle_server_measures_nothing() {
        let cpu = |generator, server| CpuCores {
            generator,
            server,
            others: None,
            machine: 2.0,
        };
        assert_eq!(cpu(0.6, Some(1.3)).limit(1), Limit::Server);
        assert_eq!(cpu(0.99, Some(0.98)).limit(1), Limit::Machine);
        assert_eq!(cpu(0.99, Some(0.3)).limit(1), Limit::Generator);
        assert_eq!(cpu(0.99, None).limit(1), Limit::Generator);
        assert_eq!(cpu(0.99, Some(0.3)).limit(2), Limit::Server);
    }

    #[test]
    fn a_crowded_machine_is_noticed() {
        let crowded = |others| {
            CpuCores {
                others,
                machine: 2.0,
                ..CpuCores::default()
            }
            .is_crowded()
        };
        assert!(crowded(Some(0.5)));
        assert!(!crowded(Some(0.2)) && !crowded(None));
    }

    proptest! {
        #[test]
        fn a_median_lies_between(values in proptest::collection::vec(0.0f64..1e9, 1..20)) {
            let spread = Spread::of(&values).unwrap();
            prop_assert!(spread.min <= spread.median && spread.median <= spread.max);
            prop_assert!(values.contains(&spread.median));
            let below = values.iter().filter(|value| **value < spread.median).count();
            prop_assert!(below * 2 <= values.len());
        }
    }
}
