//! The arithmetic: gaps, ranks, and when each viewer saw each vote.

use std::time::Duration;

use loadtest::evidence::Buckets;
use ostraka_core::ids::LogIndex;
use serde::Serialize;

/// A time without an acknowledged vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub began: Duration,
    pub lasted: Duration,
}

/// The longest time between two acknowledgements within `from..to`, whose ends count as one each: what was silent before `to`
/// and is silent still has not resumed.
pub fn longest_gap(mut acks: Vec<Duration>, from: Duration, to: Duration) -> Gap {
    acks.retain(|at| (from..to).contains(at));
    acks.extend([from, to]);
    acks.sort_unstable();
    let gaps = acks.windows(2).map(|pair| Gap {
        began: pair[0],
        lasted: pair[1] - pair[0],
    });
    // The first of those that are equally long.
    gaps.reduce(
        |longest, gap| {
            if gap.lasted > longest.lasted { gap } else { longest }
        },
    )
    .expect("two ends have a gap between them")
}

/// How long things took. What never happened took longer than everything that did, so that leaving it out makes no figure better;
/// a rank that falls on it has no number.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    pub samples: u64,
    /// Of these, those that never happened.
    pub never: u64,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub max_ms: Option<f64>,
    /// Of those that happened.
    pub buckets_us: Buckets,
}

impl Spread {
    pub fn of(mut took: Vec<Duration>, never: u64) -> Self {
        took.sort_unstable();
        let samples = took.len() as u64 + never;
        // The smallest value that so many per cent of all do not exceed.
        let rank = |per_cent: u64| {
            let rank = (samples * per_cent).div_ceil(100).max(1);
            let place = usize::try_from(rank - 1).ok()?;
            took.get(place).map(|time| time.as_secs_f64() * 1_000.0)
        };
        Self {
            samples,
            never,
            p50_ms: rank(50),
            p95_ms: rank(95),
            p99_ms: rank(99),
            max_ms: rank(100),
            buckets_us: Buckets::of(took.iter().map(|time| (micros_up(*time), 1))),
        }
    }
}

/// Whole microseconds, rounded up: what is over a limit stays over it.
fn micros_up(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// What one viewer was shown, and when: versions rise, as times do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sights(Vec<(LogIndex, Duration)>);

impl Sights {
    /// A version that is not newer than what was shown already shows nothing new.
    pub(super) fn see(&mut self, version: LogIndex, at: Duration) {
        if self.newest().is_none_or(|newest| newest < version) {
            self.0.push((version, at));
        }
    }

    pub(super) fn newest(&self) -> Option<LogIndex> {
        self.0.last().map(|(version, _)| *version)
    }

    /// When a vote at this index was first shown.
    pub(super) fn of(&self, vote: LogIndex) -> Option<Duration> {
        let place = self.0.partition_point(|(version, _)| *version < vote);
        self.0.get(place).map(|(_, at)| *at)
    }
}

/// From the intended start of each of these votes to each of the screens: one sample a pair.
pub(super) fn to_screens(votes: &[(Duration, LogIndex)], screens: &[Sights]) -> Spread {
    let mut never = 0;
    let mut took = Vec::with_capacity(votes.len() * screens.len());
    for (intended, index) in votes {
        for screen in screens {
            match screen.of(*index) {
                Some(shown) => took.push(shown.saturating_sub(*intended)),
                None => never += 1,
            }
        }
    }
    Spread::of(took, never)
}

/// The middle of them, the later one of two; none of none.
pub(crate) fn median(mut of: Vec<Duration>) -> Option<Duration> {
    of.sort_unstable();
    of.get(of.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_can_recount_a_spread() {
        let spread = Spread::of(vec![ms(50), Duration::from_nanos(50_000_001), ms(7)], 2);
        let value = serde_json::to_value(&spread).expect("a spread is made of numbers");
        let expected = serde_json::json!([[7_000, 1], [50_000, 1], [51_000, 1]]);
        assert_eq!((&value["buckets_us"], &value["never"]), (&expected, &2.into()));
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn gap(acks: &[u64], from: u64, to: u64) -> (u64, u64) {
        let acks = acks.iter().map(|at| ms(*at)).collect();
        let gap = longest_gap(acks, ms(from), ms(to));
        (gap.began.as_millis() as u64, gap.lasted.as_millis() as u64)
    }

    #[test]
    fn the_longest_gap_is_found_wherever_it_lies() {
        // Not in order, as answers are not.
        assert_eq!(gap(&[130, 110, 900, 120, 950], 100, 1_000), (130, 770));
        assert_eq!(gap(&[600, 650], 100, 1_000), (100, 500), "from the fault on");
        assert_eq!(gap(&[110, 300], 100, 1_000), (300, 700), "and not resumed");
        assert_eq!(gap(&[], 100, 1_000), (100, 900), "no vote at all");
        assert_eq!(
            gap(&[50, 700, 1_500], 100, 1_000),
            (100, 600),
            "what lies outside does not count"
        );
        assert_eq!(
            gap(&[400, 700], 100, 1_000),
            (100, 300),
            "the first of equal ones"
        );
    }

    #[test]
    fn ranks_are_values_that_were_seen() {
        let spread = Spread::of((1..=200).rev().map(ms).collect(), 0);
        assert_eq!(
            (spread.p50_ms, spread.p95_ms, spread.p99_ms, spread.max_ms),
            (Some(100.0), Some(190.0), Some(198.0), Some(200.0))
        );
        let one = Spread::of(vec![ms(7)], 0);
        assert_eq!((one.p50_ms, one.p99_ms), (Some(7.0), Some(7.0)));
        assert_eq!(Spread::of(Vec::new(), 0), Spread::default());
    }

    #[test]
    fn what_never_happened_is_slower_than_everything() {
        let spread = Spread::of((1..=98).map(ms).collect(), 2);
        assert_eq!((spread.samples, spread.never), (100, 2));
        assert_eq!(
            (spread.p95_ms, spread.p99_ms, spread.max_ms),
            (Some(95.0), None, None)
        );
    }

    #[test]
    fn each_pair_of_vote_and_viewer_is_a_sample() {
        let mut quick = Sights::default();
        let mut slow = Sights::default();
        for (version, at) in [(10, 100), (20, 200), (30, 900)] {
            quick.see(LogIndex(version), ms(at));
        }
        // Cut, and back at a node that is behind: it is shown again what it knew.
        for (version, at) in [(10, 110), (25, 800), (15, 850), (25, 860)] {
            slow.see(LogIndex(version), ms(at));
        }
        assert_eq!(slow.newest(), Some(LogIndex(25)));
        assert_eq!(slow.of(LogIndex(20)), Some(ms(800)));
        assert_eq!(slow.of(LogIndex(26)), None);
        let votes = [
            (ms(90), LogIndex(10)),
            (ms(150), LogIndex(11)),
            (ms(300), LogIndex(26)),
        ];
        let spread = to_screens(&votes, &[quick, slow]);
        // 10, 20; 50, 650; 600, never.
        assert_eq!((spread.samples, spread.never), (6, 1));
        assert_eq!((spread.p50_ms, spread.max_ms), (Some(50.0), None));
    }

    #[test]
    fn a_median_is_one_of_them() {
        assert_eq!(median(vec![ms(3), ms(1), ms(2)]), Some(ms(2)));
        assert_eq!(median(vec![ms(4), ms(1)]), Some(ms(4)));
        assert_eq!(median(Vec::new()), None);
    }
}
