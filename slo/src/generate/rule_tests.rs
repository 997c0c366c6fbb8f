//! Unit tests of the rules for `promtool test rules`: each alert fires where it should, does not where all is well, and ends.

use std::collections::BTreeMap;

use serde::Serialize;

use super::rules::{BURNS, Burn, alert_name, invariant_annotations, invariant_labels, round};
use super::yaml;
use crate::objectives::{Indicator, Kind, Objective};

#[derive(Serialize)]
struct File {
    rule_files: Vec<&'static str>,
    evaluation_interval: &'static str,
    tests: Vec<Test>,
}

#[derive(Serialize)]
struct Test {
    name: String,
    interval: &'static str,
    input_series: Vec<Series>,
    alert_rule_test: Vec<Expected>,
}

#[derive(Clone, Serialize)]
struct Series {
    series: String,
    values: String,
}

#[derive(Serialize)]
struct Expected {
    eval_time: &'static str,
    alertname: String,
    exp_alerts: Vec<Alert>,
}

#[derive(Serialize)]
struct Alert {
    exp_labels: BTreeMap<&'static str, String>,
    exp_annotations: BTreeMap<&'static str, String>,
}

/// The file of tests.
pub(super) fn file(objectives: &[Objective]) -> Result<String, String> {
    let tests = objectives.iter().flat_map(tests).collect();
    yaml(&File {
        rule_files: vec!["rules.yml"],
        evaluation_interval: "5m",
        tests,
    })
}

fn tests(objective: &Objective) -> Vec<Test> {
    match (&objective.indicator, objective.kind) {
        (Indicator::Value(query), Kind::Invariant { .. }) => invariant(objective, query),
        (Indicator::Value(_), _) => Vec::new(),
        (Indicator::Bad(_), _) => lag(objective),
        (Indicator::GoodOfTotal { good, total }, _) => burns(objective, good, total),
    }
}

/// Requests of a minute.
const REQUESTS: f64 = 10_000.0;

/// As bad as `share` for so many minutes, and well for an hour.
fn series(good: &str, total: &str, share: f64, minutes: u32) -> Vec<Series> {
    let bad = (REQUESTS * share).round();
    let counters = |bad_part: f64, good_part: f64| {
        let reached = bad_part * f64::from(minutes);
        format!("0+{bad_part}x{minutes} {}+{good_part}x60", reached + good_part)
    };
    let of = |series: &str, values: String| Series {
        series: series.to_owned(),
        values,
    };
    let all = counters(REQUESTS, REQUESTS);
    let good_ones = counters(REQUESTS - bad, REQUESTS);
    if good.contains("_bucket{") {
        return vec![of(&selector(good), good_ones), of(&selector(total), all)];
    }
    // By status: those that are good, and those that are not.
    let with = |status: &str| {
        let labels = selector(total).replace('}', &format!(",status=\"{status}\"}}"));
        labels.replace("{,", "{")
    };
    vec![of(&with("200"), good_ones), of(&with("503"), counters(bad, 0.0))]
}

/// What stands between `rate(` and the range.
fn selector(query: &str) -> String {
    let from = query.find("rate(").map_or(0, |at| at + "rate(".len());
    let to = query.find("[{{window}}]").unwrap_or(query.len());
    query[from..to].to_owned()
}

fn burns(objective: &Objective, good: &str, total: &str) -> Vec<Test> {
    let mut tests = vec![Test {
        name: format!("{}: nothing fires where all is well", objective.name),
        interval: "1m",
        input_series: series(good, total, 0.0, 100),
        alert_rule_test: BURNS
            .iter()
            .map(|burn| expected("1h30m", objective, burn, false))
            .collect(),
    }];
    for burn in &BURNS {
        // A fifth over its threshold, which is below that of the next faster one.
        let share = round((burn.threshold(objective) * 1.2).min(0.9));
        let is_faster = |other: &&Burn| other.threshold(objective) > share;
        let mut expectations = vec![expected("1h30m", objective, burn, true)];
        expectations.extend(
            BURNS
                .iter()
                .filter(is_faster)
                .map(|faster| expected("1h30m", objective, faster, false)),
        );
        if burn.short == "5m" {
            expectations.push(expected("2h", objective, burn, false));
        }
        tests.push(Test {
            name: format!("{}: {} fires at {share} bad", objective.name, burn.name),
            interval: "1m",
            input_series: series(good, total, share, 100),
            alert_rule_test: expectations,
        });
    }
    tests
}

fn expected(eval_time: &'static str, objective: &Objective, burn: &Burn, fires: bool) -> Expected {
    let alert = Alert {
        exp_labels: burn.labels(objective),
        exp_annotations: burn.annotations(objective),
    };
    Expected {
        eval_time,
        alertname: format!("{}{}", alert_name(objective), burn.name),
        exp_alerts: fires.then_some(alert).into_iter().collect(),
    }
}

fn lag(objective: &Objective) -> Vec<Test> {
    let of = |behind: u32| {
        let indices = [("committed", 5_000), ("applied", 5_000 - behind)];
        let of = indices.map(|(word, at)| Series {
            series: format!("ostraka_raft_{word}_index{{group=\"votes\",instance=\"n1\"}}"),
            values: format!("{at}x100"),
        });
        of.to_vec()
    };
    let test = |name: &str, behind, fires| Test {
        name: format!("{}: {name}", objective.name),
        interval: "1m",
        input_series: of(behind),
        alert_rule_test: vec![expected("1h30m", objective, &BURNS[0], fires)],
    };
    vec![
        test("nothing fires a little behind", 900, false),
        test("a node that lags fires", 2_000, true),
    ]
}

fn invariant(objective: &Objective, query: &str) -> Vec<Test> {
    let series = query
        .split(['(', '['])
        .find(|part| part.starts_with("ostraka_"))
        .unwrap_or_default();
    let test = |name: &str, values: &str, fires: bool| Test {
        name: format!("{}: {name}", objective.name),
        interval: "1m",
        input_series: vec![Series {
            series: series.to_owned(),
            values: values.to_owned(),
        }],
        alert_rule_test: vec![Expected {
            eval_time: "35m",
            alertname: alert_name(objective),
            exp_alerts: fires
                .then(|| Alert {
                    exp_labels: invariant_labels(objective),
                    exp_annotations: invariant_annotations(objective),
                })
                .into_iter()
                .collect(),
        }],
    };
    vec![
        test("none, no alert", "0x60", false),
        test("one is enough", "0x31 1x30", true),
    ]
}
