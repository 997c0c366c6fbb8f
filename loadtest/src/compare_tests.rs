//! What a comparison concludes from given rounds.

use std::collections::BTreeMap;

use super::*;
use crate::evidence::Loop;
use crate::statistics::CpuCores;

fn figures(votes_per_s: f64, generator: f64, ledger: Option<Ledger>) -> Figures {
    let cpu_cores = CpuCores {
        generator,
        server: Some(0.8),
        others: Some(0.1),
        machine: 2.0,
    };
    Figures {
        the_loop: Loop::Closed,
        votes_per_s,
        ack_latency_ms: LatencyMs::of(&latencies()),
        cpu_cores,
        limit: cpu_cores.limit(1),
        not_counted: 0,
        refused: BTreeMap::new(),
        broken: BTreeMap::new(),
        ledger,
    }
}

fn collected(rounds: Vec<Figures>) -> Collected {
    Collected {
        rounds,
        latencies_micros: None,
    }
}

fn comparison(services: Vec<Figures>, empties: Vec<Figures>) -> Comparison {
    let pressure = Pressure {
        connections: 64,
        pipeline: 1,
        threads: 1,
        warmup_s: 1,
        window_s: 5,
    };
    Comparison::of(pressure, collected(services), collected(empties))
}

fn balanced() -> Option<Ledger> {
    Some(Ledger {
        acked: 10,
        counted: Some(10),
        in_doubt: 0,
    })
}

#[test]
fn a_clean_run_passes_with_its_ratio() {
    let services = vec![figures(50.0, 0.5, balanced()), figures(60.0, 0.5, balanced())];
    let empties = vec![figures(100.0, 0.5, None), figures(200.0, 0.5, None)];
    let comparison = comparison(services, empties);
    assert_eq!(comparison.ratio, 0.5);
    assert_eq!(comparison.ratio_by_round.min, 0.3);
    let (verdict, sentence) = comparison.verdict();
    assert_eq!(verdict, Verdict::Pass, "{sentence}");
    assert!(sentence.contains("50 %"), "{sentence}");
    assert!(
        comparison.table().contains("ratio 0.500"),
        "{}",
        comparison.table()
    );
}

#[test]
fn books_that_do_not_balance_fail_whatever_else() {
    let lost = Some(Ledger {
        acked: 10,
        counted: Some(9),
        in_doubt: 0,
    });
    let comparison = comparison(vec![figures(50.0, 1.0, lost)], vec![figures(100.0, 0.5, None)]);
    assert_eq!(comparison.verdict().0, Verdict::Fail);
}

#[test]
fn a_held_back_service_is_inconclusive_and_a_held_back_empty_server_is_said() {
    let empty = || vec![figures(100.0, 1.0, None)];
    let held_back = comparison(vec![figures(50.0, 1.0, balanced())], empty());
    assert_eq!(held_back.verdict().0, Verdict::Inconclusive);
    let (verdict, sentence) = comparison(vec![figures(50.0, 0.5, balanced())], empty()).verdict();
    assert_eq!(verdict, Verdict::Pass);
    assert!(sentence.contains("the true ratio is lower"), "{sentence}");
}

#[test]
fn a_crowded_machine_makes_either_side_inconclusive() {
    let crowd = |mut figures: Figures| {
        figures.cpu_cores.others = Some(1.0);
        vec![figures]
    };
    let calm = || vec![figures(50.0, 0.5, balanced())];
    for crowded in [
        comparison(crowd(figures(50.0, 0.5, balanced())), calm()),
        comparison(calm(), crowd(figures(50.0, 0.5, None))),
    ] {
        let (verdict, sentence) = crowded.verdict();
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(sentence.contains("other processes"), "{sentence}");
    }
}

#[test]
fn refusals_make_a_run_inconclusive() {
    let mut refused = figures(50.0, 0.5, balanced());
    refused.refused.insert(503, 4);
    let (verdict, sentence) = comparison(vec![refused], vec![figures(100.0, 0.5, None)]).verdict();
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(sentence.contains("4 votes were answered 503"), "{sentence}");
}

#[test]
fn a_comparison_that_did_not_come_to_its_end_is_inconclusive_and_keeps_its_rounds() {
    let mut stopped = comparison(
        vec![figures(50.0, 0.5, balanced())],
        vec![figures(100.0, 0.5, None)],
    );
    stopped.stopped = Some("round 2 of 3 did not end: it is gone".to_string());
    let (verdict, sentence) = stopped.verdict();
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(sentence.contains("round 2 of 3"), "{sentence}");
    assert_eq!(stopped.service.rounds.len(), 1);
}
