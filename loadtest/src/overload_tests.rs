//! What figures amount to.

use super::*;
use crate::statistics::latencies;

fn ms(values: impl IntoIterator<Item = u64>) -> Ranks {
    let mut histogram = latencies();
    values
        .into_iter()
        .for_each(|ms| histogram.saturating_record(ms * 1_000));
    Ranks::of(&histogram, histogram.len())
}

fn asked() -> Overload {
    Overload {
        times: 3.0,
        pace: Pace::Poisson,
        seed: 1,
        connections: 1_024,
        depth: 128,
        threads: 1,
        probe_connections: 64,
        probe_pipeline: 16,
        probe_s: 5,
        before_s: 2,
        overload_s: 60,
        after_s: 10,
        limits: Limits {
            goodput_min: 0.9,
            refused_p99_ms_max: 1_000.0,
            recovery_s_max: 2.0,
        },
    }
}

fn says(change: impl FnOnce(&mut OverloadFigures), verdict: Verdict, sentence: &str) {
    let mut figures = OverloadFigures {
        asked: asked(),
        max_per_s: 10_000.0,
        max_limit: Limit::Machine,
        offered_per_s: 30_000.0,
        goodput_per_s: 9_500.0,
        acked_ms: ms([900; 100]),
        refused_ms: ms([20; 100]),
        refused: BTreeMap::from([(503, 1_200_000)]),
        without_retry_after: 0,
        never: 0,
        recovery_s: 0.9,
        memory: Vec::new(),
        memory_early_kib: Some(100_000),
        memory_late_kib: Some(115_000),
        counted_between: 400_000,
        noticed_ms: ms([1; 100]),
        without_voter: 0,
        cpu_cores: CpuCores::default(),
        limit: Limit::Machine,
        ledger: Ledger {
            acked: 600_000,
            counted: Some(600_000),
            in_doubt: 0,
        },
    };
    change(&mut figures);
    let (is, said) = figures.verdict();
    assert_eq!(is, verdict, "{said}");
    assert!(said.contains(sentence), "{said}");
}

#[test]
fn a_service_that_keeps_its_goodput_and_comes_back_passes() {
    says(|_| (), Verdict::Pass, "goodput 0.95");
    says(|it| it.memory_early_kib = None, Verdict::Pass, "goodput");
}

#[test]
fn each_planted_fault_fails() {
    says(|it| it.goodput_per_s = 8_900.0, Verdict::Fail, "goodput 0.89");
    says(
        |it| _ = it.refused.insert(500, 1),
        Verdict::Fail,
        "1 votes were refused otherwise",
    );
    says(
        |it| it.without_retry_after = 3,
        Verdict::Fail,
        "3 refusals have no Retry-After",
    );
    says(|it| it.never = 2, Verdict::Fail, "2 votes were never answered");
    says(
        |it| it.refused_ms = ms([1_100; 10]),
        Verdict::Fail,
        "refused p99 1100",
    );
    says(
        |it| it.memory_late_kib = Some(140_000),
        Verdict::Fail,
        "memory grew",
    );
    says(|it| it.recovery_s = 2.1, Verdict::Fail, "recovered after 2.1 s");
    says(|it| it.ledger.counted = Some(599_999), Verdict::Fail, "books");
}

#[test]
fn an_overload_that_was_not_offered_says_nothing() {
    says(
        |it| it.noticed_ms = ms([6; 10]),
        Verdict::Inconclusive,
        "could not offer",
    );
    says(
        |it| it.limit = Limit::Generator,
        Verdict::Inconclusive,
        "could not offer",
    );
    says(
        |it| it.max_limit = Limit::Generator,
        Verdict::Inconclusive,
        "maximum is the generator's",
    );
    says(
        |it| it.without_voter = 5,
        Verdict::Inconclusive,
        "no voter was left",
    );
    let none = |it: &mut OverloadFigures| (it.ledger.acked, it.ledger.counted) = (0, Some(0));
    says(none, Verdict::NoData, "no vote");
}

#[test]
fn a_run_that_does_not_fit_is_refused_before_it_begins() {
    assert_eq!(asked().voters(10_000.0).unwrap(), 956_072);
    let error = asked().voters(200_000.0).unwrap_err().to_string();
    assert!(error.contains("fewer --seconds"), "{error}");
}

#[test]
fn memory_is_looked_at_while_the_work_lasts() {
    let work = || std::thread::sleep(Duration::from_millis(300));
    let ((), samples) = sampled(Some(std::process::id()), Instant::now(), work);
    assert!(
        samples.len() >= 2 && samples[0].resident_kib > 1_000,
        "{samples:?}"
    );
    assert!(sampled(None, Instant::now(), work).1.is_empty());
}
