//! What is read, and that nothing read panics.

use super::*;
use proptest::prelude::*;

fn head(program: &str, command: &str, verdict: &str, figures: &str) -> String {
    format!(
        r#"{{"format": 2, "program": "{program}", "command": "{command}", "at_s": 7, "commit": "abc",
            "verdict": "{verdict}", "sentence": "said", "figures": {figures}}}"#
    )
}

#[test]
fn a_run_that_measured_nothing_has_no_facts_and_is_no_fault() {
    let read = read("a.json", &head("loadtest", "rate", "NO-DATA", "null")).unwrap();
    assert_eq!((read.said, read.facts), (Verdict::NoData, Facts::default()));
}

#[test]
fn a_late_generator_puts_a_rate_in_doubt_and_keeps_its_books() {
    let figures = r#"{"loop": "open", "asked": {"votes_per_s": 9.5}, "ack_ms": {"samples": 3, "never": 1},
        "ack_buckets_us": [[10, 2]], "ledger": {"acked": 4, "counted": 2, "in_doubt": 0}}"#;
    let read = read("a.json", &head("loadtest", "rate", "INCONCLUSIVE", figures)).unwrap();
    assert_eq!(read.facts.doubt.as_deref(), Some("said"));
    assert_eq!(read.facts.counts[VOTES_LOST].found, 2);
    assert_eq!(read.facts.shares[AVAILABILITY], Share { good: 2, total: 3 });
}

#[test]
fn a_service_that_was_gone_has_no_books_and_a_fleet_on_paper_shows_nothing() {
    let figures = r#"{"loop": "open", "asked": {"votes_per_s": 9.5}, "ack_ms": {"samples": 3, "never": 1},
        "ack_buckets_us": [[10, 2]], "ledger": {"acked": 4, "counted": null, "in_doubt": 0}}"#;
    let gone = read("a.json", &head("loadtest", "rate", "INCONCLUSIVE", figures)).unwrap();
    assert!(gone.facts.counts.is_empty() && gone.facts.doubt.is_some());
    let figures = r#"{"basis": "extrapolated", "healthy": {"ack_ms": {"samples": 3, "p99": 1.5}}}"#;
    let fleet = read("a.json", &head("loadtest", "fleet", "PASS", figures)).unwrap();
    assert_eq!(fleet.facts, Facts::default());
}

#[test]
fn a_campaign_that_fails_without_a_wrong_vote_is_a_violation() {
    let figures = r#"{"planted": null, "figures": {"counted": 9, "findings": {"counts": {}, "all": []}}}"#;
    let read = read("a.json", &head("chaos", "powercut", "FAIL", figures)).unwrap();
    assert_eq!(read.facts.counts[VIOLATIONS].found, 1);
    assert_eq!(read.facts.counts[VIOLATIONS].first.as_deref(), Some("said"));
}

#[test]
fn votes_that_several_viewers_saw_count_once() {
    let spread = |samples: u64| {
        format!(r#"{{"samples": {samples}, "never": 0, "p99_ms": 1.0, "buckets_us": [[900, {samples}]]}}"#)
    };
    let round = format!(
        r#"{{"steady": {{"votes": {{"sent": 10, "acked": 10}}, "load_late": {}, "ack": {}, "to_screen": {}}}}}"#,
        spread(10),
        spread(10),
        spread(80)
    );
    let figures = format!(
        r#"{{"votes_per_s": 5, "figures": {{"rounds": [{round}], "counted": 10, "findings": {{"counts": {{}}, "all": []}}}}}}"#
    );
    let read = read("a.json", &head("chaos", "failover", "PASS", &figures)).unwrap();
    let seen = &read.facts.latencies[END_TO_END];
    assert_eq!((seen.total(), seen.independent), (80, 10));
    let late = figures.replacen("\"p99_ms\": 1.0", "\"p99_ms\": 50.0", 1);
    let read = super::read("a.json", &head("chaos", "failover", "PASS", &late)).unwrap();
    assert!(read.facts.doubt.is_some() && read.facts.latencies.is_empty());
}

/// An hour and a bit from one place, with an acknowledged vote that was not seen if so many are `missing`.
fn probes(missing: u64, late: u64, lasted_s: u64) -> Facts {
    let figures = format!(
        r#"{{"began_at_s": 100, "ended_at_s": {}, "places": [{{"name": "eu", "probes": 1000}}], "all": {{
            "probes": 1000, "outcomes": {{"complete": {}, "missing": {missing}}}, "late": {late}, "left_out": 0, "findings": 0,
            "sentences": ["probe 7 was not seen"],
            "ack": {{"count": 1000, "histogram_micros": [[900, 1000]]}},
            "seen": {{"count": {}, "histogram_micros": [[30000, {}]]}}}}}}"#,
        100 + lasted_s,
        1_000 - missing,
        1_000 - missing,
        1_000 - missing
    );
    read("a.json", &head("synthetic", "run", "PASS", &figures))
        .unwrap()
        .facts
}

#[test]
fn an_hour_of_probes_answers_the_checklist_and_bounds_the_stages() {
    let facts = probes(0, 0, 3_600);
    assert!(facts.checks["probe"].holds, "{:?}", facts.checks);
    assert_eq!(
        (facts.latencies[ACK].total(), facts.latencies[END_TO_END].never),
        (1_000, 0)
    );
    assert_eq!(
        facts.shares[AVAILABILITY],
        Share {
            good: 1_000,
            total: 1_000
        }
    );
    assert_eq!(facts.counts[VOTES_LOST].found, 0);
    assert!(facts.doubt.is_none());
    assert!(
        !probes(0, 0, 4_000).checks["probe"].holds,
        "900 an hour are not 1,000"
    );
    assert!(
        probes(0, 0, 3_599).checks.is_empty(),
        "less than an hour says nothing of an hour"
    );
}

#[test]
fn a_probe_that_was_not_seen_is_a_lost_vote_and_one_of_a_busy_machine_bounds_nothing() {
    let facts = probes(1, 0, 3_600);
    assert_eq!(facts.counts[VOTES_LOST].found, 1);
    assert_eq!(
        facts.counts[VOTES_LOST].first.as_deref(),
        Some("probe 7 was not seen")
    );
    assert_eq!(facts.latencies[END_TO_END].never, 1);
    assert!(probes(0, 11, 3_600).doubt.is_some());
}

#[test]
fn watchers_of_the_same_votes_count_once() {
    let figures = r#"{"asked": {"votes_per_s": 9.5}, "end_to_end_ms": {"samples": 80, "never": 0}, "traced": 10,
        "end_to_end_buckets_us": [[900, 80]], "faults": 1, "fault_sentences": ["a total went back"],
        "ledger": {"acked": 4, "counted": 4, "in_doubt": 0}}"#;
    let facts = read("a.json", &head("loadtest", "watch", "FAIL", figures))
        .unwrap()
        .facts;
    let seen = &facts.latencies[END_TO_END];
    assert_eq!((seen.total(), seen.independent), (80, 10));
    assert_eq!(facts.counts[VIOLATIONS].found, 1);
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in ".*") {
        let _ = read("a.json", &text);
    }

    #[test]
    fn no_figures_make_a_panic(program in "loadtest|chaos|sim|synthetic", command in "rate|votes|run|failover|explore", numbers in proptest::collection::vec(any::<u64>(), 6)) {
        let [a, b, c, d, e, f] = numbers[..] else { unreachable!("six were asked for") };
        let figures = format!(
            r#"{{"loop": "open", "asked": {{"votes_per_s": {a}}}, "ack_ms": {{"samples": {b}, "never": {c}}},
                "ack_buckets_us": [[{d}, {e}], [{d}, {f}]], "ledger": {{"acked": {a}, "counted": {b}, "in_doubt": {c}}}}}"#
        );
        let _ = read("a.json", &head(&program, &command, "PASS", &figures));
    }
}
