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
