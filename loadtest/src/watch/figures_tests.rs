//! What figures amount to.

use super::*;
use crate::arrivals::Pace;
use crate::open_loop::Flow;

fn ms(values: impl IntoIterator<Item = u64>) -> Ranks {
    let mut histogram = latencies();
    values
        .into_iter()
        .for_each(|ms| histogram.saturating_record(ms * 1_000));
    whole(&histogram)
}

fn figures(change: impl FnOnce(&mut WatchFigures)) -> WatchFigures {
    let limits = Limits {
        end_to_end_p95_ms_max: 100.0,
        end_to_end_p99_ms_max: 200.0,
        fan_out_p99_ms_max: 200.0,
        memory_a_watcher_kib_max: 16.0,
    };
    let asked = Watch {
        watchers: 10_000,
        watcher_threads: 1,
        flow: Flow {
            votes_per_s: 1_000.0,
            pace: Pace::Poisson,
            seed: 1,
            connections: 64,
            depth: 1,
            threads: 1,
            warmup_s: 0,
            window_s: 10,
        },
        traced_per_s: 50.0,
        votes_before_s: 0,
        limits,
    };
    let mut figures = WatchFigures {
        asked,
        acked_per_s: 1_000.0,
        ack_ms: ms([2; 1_000]),
        end_to_end_ms: ms(1..=100),
        end_to_end_buckets_us: Buckets::default(),
        traced: 500,
        fan_out_ms: ms(1..=100),
        spread_ms: ms([90; 10]),
        versions: 200,
        versions_had_by_all: 200,
        skipped: 0,
        tallies_min: 200,
        tallies_max: 200,
        shown_min: Some(10_000),
        shown_max: Some(10_000),
        watched_to_the_end: 10_000,
        omitting: 0,
        faults: 0,
        fault_sentences: Vec::new(),
        lost: BTreeMap::new(),
        own_lag_ms: ms([1; 100]),
        tick_ms: ms([1; 100]),
        noticed_ms: ms([1; 100]),
        not_acked: 0,
        resident_kib: ResidentKib::default(),
        memory_a_watcher_kib: Some(12.0),
        memory_a_voted_watcher_kib: Some(15.0),
        cpu_cores: CpuCores::default(),
        limit: Limit::Server,
        ledger: Ledger {
            acked: 10_000,
            counted: Some(10_000),
            in_doubt: 0,
        },
    };
    change(&mut figures);
    figures
}

fn says(change: impl FnOnce(&mut WatchFigures), verdict: Verdict, sentence: &str) {
    let (is, said) = figures(change).verdict();
    assert_eq!(is, verdict, "{said}");
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn each_limit_is_looked_at() {
    says(|_| (), Verdict::Pass, "fan-out p99 99");
    says(|it| it.end_to_end_ms = ms([101; 100]), Verdict::Fail, "p95 101");
    says(
        |it| it.end_to_end_ms = ms([vec![50; 98], vec![201; 2]].concat()),
        Verdict::Fail,
        "end to end p99 201",
    );
    says(
        |it| it.fan_out_ms = ms([201; 100]),
        Verdict::Fail,
        "fan-out p99 201",
    );
    says(
        |it| it.memory_a_voted_watcher_kib = Some(16.1),
        Verdict::Fail,
        "memory a watcher 16.10 KiB",
    );
    let few = |it: &mut WatchFigures| {
        it.memory_a_voted_watcher_kib = Some(16.1);
        it.asked.watchers = 4_999;
    };
    says(few, Verdict::Pass, "end to end");
    says(
        |it| it.memory_a_voted_watcher_kib = None,
        Verdict::Pass,
        "end to end",
    );
}

#[test]
fn votes_that_watchers_never_saw_are_the_longest() {
    let unseen = |it: &mut WatchFigures| {
        let mut histogram = latencies();
        (0..90).for_each(|_| histogram.saturating_record(1_000));
        it.end_to_end_ms = Ranks::of(&histogram, 100);
    };
    says(unseen, Verdict::Fail, "p95 never");
    let omitted = |it: &mut WatchFigures| {
        unseen(it);
        it.omitting = 1;
    };
    says(omitted, Verdict::Inconclusive, "fewer --traced-per-s");
}

#[test]
fn a_stream_that_does_not_end_with_what_was_acknowledged_fails_whoever_was_late() {
    let late = |it: &mut WatchFigures| it.own_lag_ms = ms([20; 100]);
    says(
        |it| {
            late(it);
            it.shown_min = Some(9_999);
        },
        Verdict::Fail,
        "ended with 9999 to 10000",
    );
    says(|it| it.shown_max = Some(10_001), Verdict::Fail, "to 10001");
    says(|it| it.ledger.counted = Some(9_999), Verdict::Fail, "books");
    let lie = |it: &mut WatchFigures| it.fault_sentences = vec!["back".to_string()];
    says(lie, Verdict::Fail, "broke its promise");
}

#[test]
fn a_crowd_or_a_load_that_was_late_says_nothing_of_the_service() {
    says(
        |it| it.own_lag_ms = ms([20; 100]),
        Verdict::Inconclusive,
        "watchers were late",
    );
    says(
        |it| it.tick_ms = ms([20; 100]),
        Verdict::Inconclusive,
        "threads were late",
    );
    says(
        |it| it.tick_ms = ms([]),
        Verdict::Inconclusive,
        "threads were late",
    );
    says(
        |it| it.noticed_ms = ms([20; 100]),
        Verdict::Inconclusive,
        "generator was late",
    );
    says(
        |it| it.limit = Limit::Generator,
        Verdict::Inconclusive,
        "bottleneck",
    );
    says(|it| it.not_acked = 1, Verdict::Inconclusive, "not acknowledged");
    says(|it| it.traced = 298, Verdict::Inconclusive, "it takes 299");
    says(
        |it| it.watched_to_the_end = 9_999,
        Verdict::Inconclusive,
        "1 of 10000 watchers lost",
    );
    let none = |it: &mut WatchFigures| {
        (it.ledger.acked, it.ledger.counted) = (0, Some(0));
        (it.shown_min, it.shown_max) = (Some(0), Some(0));
    };
    says(none, Verdict::NoData, "no vote");
}
