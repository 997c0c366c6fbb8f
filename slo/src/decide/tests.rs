//! Properties of the decision, over any evidence.

use super::*;
use crate::evidence::{ACK, Count, Facts, Share, VOTES_LOST};
use crate::objectives::built_in;
use crate::statistics::Sample;
use proptest::prelude::*;

const COMMIT: &str = "0700ae9e65d3";

fn evidence(number: usize, facts: Facts) -> Evidence {
    Evidence {
        file: format!("{number}.json"),
        program: "loadtest".to_owned(),
        command: "rate".to_owned(),
        at_s: 1_000,
        commit: Some(COMMIT.to_owned()),
        said: Verdict::Pass,
        sentence: String::new(),
        facts,
    }
}

fn decided(evidence: Vec<Evidence>) -> Report {
    let folder = Folder {
        evidence,
        unreadable: Vec::new(),
    };
    decide(&Question {
        objectives: &built_in(),
        folder: &folder,
        commit: COMMIT,
        now_s: 2_000,
        age_s_max: 3_600,
        waivers: &[],
        baseline: None,
    })
}

fn ack(report: &Report) -> &Decided {
    report
        .objectives
        .iter()
        .find(|decided| decided.name == "ingest-ack")
        .unwrap()
}

fn sample(good: u64, bad: u64, never: u64) -> Sample {
    Sample {
        buckets_us: [(9_000, good), (90_000, bad)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect(),
        never,
        independent: good + bad + never,
    }
}

fn facts() -> impl Strategy<Value = Facts> {
    (
        0_u64..3_000,
        0_u64..60,
        0_u64..5,
        0_u64..2,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(good, bad, never, lost, is_closed, is_doubted)| {
            let mut facts = Facts {
                load_per_s: Some(100.0),
                doubt: is_doubted.then(|| "late".to_owned()),
                ..Facts::default()
            };
            if is_closed {
                facts.closed.push(ACK.to_owned());
            } else {
                facts.latencies.insert(ACK.to_owned(), sample(good, bad, never));
                let share = Share {
                    good: good + bad,
                    total: good + bad + never,
                };
                facts.shares.insert("availability".to_owned(), share);
            }
            let count = Count {
                found: lost,
                votes: good + 1,
                first: None,
            };
            facts.counts.insert(VOTES_LOST.to_owned(), count);
            facts
        })
}

fn all() -> impl Strategy<Value = Vec<Evidence>> {
    proptest::collection::vec(facts(), 0..5).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(number, facts)| evidence(number, facts))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn one_lost_vote_fails_whatever_the_rest_says(all in all()) {
        let is_lost = all.iter().any(|evidence| evidence.facts.counts[VOTES_LOST].found > 0);
        let report = decided(all);
        let lost = report.objectives.iter().find(|decided| decided.name == "votes-lost").unwrap();
        prop_assert_eq!(is_lost, lost.verdict == Verdict::Fail);
        prop_assert!(!is_lost || report.verdict == Verdict::Fail);
    }

    #[test]
    fn the_order_of_the_files_decides_nothing(all in all()) {
        let verdicts = |report: &Report| -> Vec<Verdict> {
            report.objectives.iter().map(|decided| decided.verdict).chain([report.verdict]).collect()
        };
        let mut other = all.clone();
        other.reverse();
        prop_assert_eq!(verdicts(&decided(all)), verdicts(&decided(other)));
    }

    #[test]
    fn what_is_refused_changes_nothing(all in all(), facts in facts(), how in 0_u8..4) {
        let mut refused = evidence(99, facts);
        match how {
            0 => refused.commit = None,
            1 => refused.commit = Some("1234567".to_owned()),
            2 => refused.at_s = 100_000,
            _ => refused.facts.planted = Some("a fault".to_owned()),
        }
        let without = decided(all.clone());
        let with = decided([all, vec![refused]].concat());
        prop_assert_eq!(with.objectives, without.objectives);
        prop_assert_eq!(with.refused.len(), 1);
    }

    #[test]
    fn slower_answers_never_help(good in 0_u64..3_000, bad in 0_u64..60, more in 1_u64..50) {
        let of = |good, bad| {
            let facts = Facts { latencies: [(ACK.to_owned(), sample(good, bad, 0))].into(), ..Facts::default() };
            ack(&decided(vec![evidence(0, facts)])).verdict
        };
        let rank = |verdict| match verdict {
            Verdict::Pass => 2,
            Verdict::Inconclusive => 1,
            Verdict::NoData | Verdict::Fail => 0,
        };
        let more = more.min(good);
        prop_assume!(good + bad > 0);
        prop_assert!(rank(of(good - more, bad + more)) <= rank(of(good, bad)));
    }

    #[test]
    fn a_pass_is_never_of_evidence_that_may_not_decide(all in all()) {
        let is_deciding = |evidence: &Evidence| {
            evidence.facts.doubt.is_none() && evidence.facts.latencies.get(ACK).is_some_and(|sample| sample.total() >= 299)
        };
        let could_pass = all.iter().any(is_deciding);
        let report = decided(all);
        prop_assert!(could_pass || ack(&report).verdict != Verdict::Pass);
    }

    #[test]
    fn a_report_is_a_baseline_as_it_is(all in all()) {
        let report = decided(all);
        let text = serde_json::to_string(&report).unwrap();
        let read: Report = serde_json::from_str(&text).unwrap();
        // All but the last digit of fractions.
        prop_assert_eq!((read.verdict, read.checklist), (report.verdict, report.checklist));
        for (one, other) in read.objectives.iter().zip(&report.objectives) {
            prop_assert_eq!(&one.sample, &other.sample);
            prop_assert_eq!((&one.share, one.verdict, &one.runs), (&other.share, other.verdict, &other.runs));
        }
    }
}

#[test]
fn a_budget_that_is_spent_twice_burns_twice() {
    let facts = Facts {
        latencies: [(ACK.to_owned(), sample(980, 20, 0))].into(),
        ..Facts::default()
    };
    let report = decided(vec![evidence(0, facts)]);
    let budget = ack(&report).budget.unwrap();
    assert!(
        (budget.burn - 2.0).abs() < 1e-9 && (budget.left + 1.0).abs() < 1e-9,
        "{budget:?}"
    );
}

#[test]
fn what_contains_a_stage_proves_a_pass_and_never_a_failure() {
    let of = |us: u64| {
        let sample = Sample {
            buckets_us: [(us, 1_000)].into(),
            never: 0,
            independent: 1_000,
        };
        let facts = Facts {
            latencies: [("end-to-end".to_owned(), sample)].into(),
            ..Facts::default()
        };
        let report = decided(vec![evidence(0, facts)]);
        let found = report
            .objectives
            .into_iter()
            .find(|decided| decided.name == "fan-out")
            .unwrap();
        (found.verdict, found.basis)
    };
    assert_eq!(of(150_000), (Verdict::Pass, Basis::Contained));
    assert_eq!(of(450_000), (Verdict::NoData, Basis::None));
}
