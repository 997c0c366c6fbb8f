//! What is read, and that every slip gets a sentence.

use super::*;
use proptest::prelude::*;

#[test]
fn the_contract_is_all_there() {
    let objectives = built_in();
    let of = |name: &str| {
        let found = objectives.iter().find(|objective| objective.name == name);
        let found = found.unwrap_or_else(|| panic!("{name} is missing"));
        (found.kind, found.target)
    };
    let ms = |ms: u64| Kind::Latency { limit_us: ms * 1_000 };
    assert_eq!(of("ingest-ack"), (ms(50), 0.99));
    assert_eq!(of("processing"), (ms(200), 0.99));
    assert_eq!(of("fan-out"), (ms(200), 0.99));
    assert_eq!(of("end-to-end-p95"), (ms(500), 0.95));
    assert_eq!(of("end-to-end-p99"), (ms(1_000), 0.99));
    assert_eq!(of("availability"), (Kind::Ratio, 0.999));
    assert_eq!(of("consumer-lag").0, Kind::Ratio);
    assert_eq!(of("load").0, Kind::Load { per_s: 250_000.0 });
    for never in ["votes-lost", "votes-doubled", "violations"] {
        assert_eq!(of(never).0, Kind::Invariant { most: 0 });
    }
    let unwaivable: Vec<_> = objectives
        .iter()
        .filter(|objective| !objective.is_waivable)
        .collect();
    assert_eq!(unwaivable.len(), 2);
}

#[test]
fn every_slip_gets_a_sentence() {
    let slips = [
        (
            "budgetingMethod: Occurrences",
            "budgetingMethod: Timeslices",
            "other than Occurrences",
        ),
        ("target: 0.99\n", "target: 1.5\n", "not between 0 and 1"),
        ("value: 50\n", "value: -1\n", "not negative"),
        ("value: 50\n", "valu: 50\n", "valu"),
        ("op: lte", "op: gte", "needs op lte"),
        ("name: processing\n", "name: ingest-ack\n", "twice"),
        ("name: ingest-ack\n", "name: Ingest Ack\n", "other letters"),
        ("kind: latency", "kind: slowness", "kind slowness"),
        ("within: end-to-end", "within: nowhere", "within nowhere"),
        ("waivable: \"false\"", "waivable: \"perhaps\"", "perhaps"),
        (
            "ostraka.org/measure: ack",
            "ostraka.org/mesure: ack",
            "nothing reads",
        ),
        ("service: ostraka", "service: other", "not described before"),
        ("duration: 28d", "duration: 4w", "4w"),
        ("type: Prometheus", "type: Datadog", "Datadog"),
        ("[{{window}}]", "5m", "without {{window}}"),
        ("kind: Service", "kind: Datasource", "neither Service nor SLO"),
        ("openslo/v1", "openslo/v2", "not openslo/v1"),
    ];
    for (right, wrong, sentence) in slips {
        assert!(BUILT_IN.contains(right), "{right}");
        let error = read(&BUILT_IN.replacen(right, wrong, 1)).map(|_| ());
        let said = error.expect_err(wrong).to_string();
        assert!(said.contains(sentence), "{wrong}: {said}");
    }
    assert!(read("").is_err() && read("apiVersion: [").is_err());
}

proptest! {
    #[test]
    fn whatever_is_cut_off_gets_no_panic(at in 0_usize..BUILT_IN.len()) {
        if BUILT_IN.is_char_boundary(at) {
            let _ = read(&BUILT_IN[..at]);
        }
    }
}
