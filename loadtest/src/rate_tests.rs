//! What figures amount to.

use super::*;
use crate::arrivals::Pace;
use crate::statistics::latencies;

fn micros(values: impl IntoIterator<Item = u64>) -> Histogram<u64> {
    let mut histogram = latencies();
    values
        .into_iter()
        .for_each(|value| histogram.saturating_record(value));
    histogram
}

fn figures(change: impl FnOnce(&mut RateFigures)) -> RateFigures {
    let all = micros((1..=1_000).map(|n| n * 10));
    let mut figures = RateFigures {
        the_loop: Loop::Open,
        asked: Rate {
            flow: Flow {
                votes_per_s: 100.0,
                pace: Pace::Poisson,
                seed: 1,
                connections: 4,
                depth: 1,
                threads: 1,
                warmup_s: 0,
                window_s: 10,
            },
            ack_p99_ms_max: Some(50.0),
        },
        acked_per_s: 100.0,
        ack_ms: Ranks::of(&all, 1_000),
        ack_buckets_us: buckets(&all),
        refused_ms: Ranks::of(&micros([]), 0),
        noticed_ms: Ranks::of(&micros([500; 1_000]), 1_000),
        unanswered: 0,
        unsent: 0,
        not_counted: 0,
        refused: std::collections::BTreeMap::new(),
        broken: std::collections::BTreeMap::new(),
        cpu_cores: CpuCores::default(),
        limit: Limit::Server,
        ledger: Ledger {
            acked: 1_000,
            counted: Some(1_000),
            in_doubt: 0,
        },
    };
    change(&mut figures);
    figures
}

fn says(change: impl FnOnce(&mut RateFigures), verdict: Verdict, sentence: &str) {
    let (is, said) = figures(change).verdict();
    assert_eq!(is, verdict, "{said}");
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn a_gate_can_recount_the_acknowledgements() {
    let value = serde_json::to_value(figures(|_| ())).unwrap();
    assert_eq!(value["loop"], "open");
    let pairs: Vec<(u64, u64)> = serde_json::from_value(value["ack_buckets_us"].clone()).unwrap();
    assert_eq!(pairs.iter().map(|(_, count)| count).sum::<u64>(), 1_000);
    assert!(pairs.iter().all(|(upper, _)| *upper <= 11_000), "{pairs:?}");
    assert!(pairs.is_sorted());
}

#[test]
fn a_rank_counts_what_never_happened_as_the_longest() {
    let of = |never: u64| Ranks::of(&micros((1..=990).map(|ms| ms * 1_000)), 990 + never);
    let near = |rank: Option<f64>, ms: f64| assert!((rank.unwrap() / ms - 1.0).abs() < 0.001, "{rank:?}");
    near(of(0).p50, 495.0);
    near(of(0).max, 990.0);
    near(of(10).p99, 990.0);
    assert_eq!((of(10).p999, of(10).max, of(10).never), (None, None, 10));
    assert_eq!(of(11).p99, None);
    assert_eq!(Ranks::of(&micros([]), 0).p50, None);
    assert_eq!(Ranks::of(&micros([]), 0).text(), "none");
    assert!(of(11).text().contains("p99 never"));
}

#[test]
fn a_service_that_is_quick_enough_passes_and_one_that_is_not_fails() {
    says(|_| (), Verdict::Pass, "ack p99 9.9");
    says(|it| it.asked.ack_p99_ms_max = Some(9.0), Verdict::Fail, "not 9");
    says(|it| it.asked.ack_p99_ms_max = None, Verdict::Pass, "is counted");
    let never = |it: &mut RateFigures| it.ack_ms = Ranks::of(&micros([10; 980]), 1_000);
    says(never, Verdict::Fail, "20 of 1000 votes were never");
}

#[test]
fn wrong_books_fail_before_anything_else() {
    says(|it| it.ledger.counted = Some(999), Verdict::Fail, "books");
    says(
        |it| {
            it.ledger.counted = Some(1_001);
            it.limit = Limit::Generator;
        },
        Verdict::Fail,
        "books",
    );
}

#[test]
fn a_generator_that_did_not_keep_up_says_nothing_of_the_service() {
    let late = |it: &mut RateFigures| it.noticed_ms = Ranks::of(&micros([6_000; 1_000]), 1_000);
    says(late, Verdict::Inconclusive, "late itself");
    says(
        |it| it.limit = Limit::Generator,
        Verdict::Inconclusive,
        "bottleneck",
    );
    let few = |it: &mut RateFigures| it.ack_ms = Ranks::of(&micros([10; 298]), 298);
    says(few, Verdict::Inconclusive, "it takes 299");
    let none = |it: &mut RateFigures| {
        it.ledger.acked = 0;
        it.ledger.counted = Some(0);
    };
    says(none, Verdict::NoData, "no vote");
}

#[test]
fn a_run_that_does_not_fit_is_refused() {
    let asked = figures(|_| ()).asked.flow;
    let of = |votes_per_s, before_s| {
        let flow = Flow { votes_per_s, ..asked };
        too_many(&flow, before_s)
    };
    assert_eq!(of(300_000.0, 0), None);
    assert!(of(300_001.0, 0).unwrap().contains("ask for fewer"));
    assert!(of(300_000.0, 1).is_some());
}
