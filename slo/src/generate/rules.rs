//! Prometheus rules: how bad each objective is over several windows, and alerts where its budget burns too fast.

use std::collections::BTreeMap;

use serde::Serialize;

use super::yaml;
use crate::objectives::{Indicator, Kind, Objective};

/// Over which rules record.
const WINDOWS: [&str; 5] = ["5m", "30m", "1h", "6h", "3d"];

/// A pair of windows that alerts together: the long one shows that it matters, the short one that it still goes on. It fires where, at
/// this pace, so large a share of the whole budget is gone by the end of the long window. (Google's SRE workbook, chapter "Alerting on
/// SLOs", has these shares.)
pub(super) struct Burn {
    pub(super) name: &'static str,
    pub(super) long: &'static str,
    pub(super) short: &'static str,
    long_h: f64,
    budget_share: f64,
    pub(super) severity: &'static str,
}

pub(super) const BURNS: [Burn; 3] = [
    Burn {
        name: "BurnsFast",
        long: "1h",
        short: "5m",
        long_h: 1.0,
        budget_share: 0.02,
        severity: "page",
    },
    Burn {
        name: "Burns",
        long: "6h",
        short: "30m",
        long_h: 6.0,
        budget_share: 0.05,
        severity: "page",
    },
    Burn {
        name: "BurnsSlowly",
        long: "3d",
        short: "6h",
        long_h: 72.0,
        budget_share: 0.1,
        severity: "ticket",
    },
];

/// However large a budget is, an alert fires at the latest when so many are bad.
const BAD_SHARE_MAX: f64 = 0.5;

impl Burn {
    /// The share of bad ones above which it fires.
    pub(super) fn threshold(&self, objective: &Objective) -> f64 {
        let window_h = f64::from(objective.window_days) * 24.0;
        // Below 1 the budget would not even be spent.
        let multiple = (self.budget_share * window_h / self.long_h).max(1.0);
        (multiple * objective.budget()).min(BAD_SHARE_MAX)
    }

    pub(super) fn labels(&self, objective: &Objective) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("objective", objective.name.clone()),
            ("severity", self.severity.to_owned()),
        ])
    }

    pub(super) fn annotations(&self, objective: &Objective) -> BTreeMap<&'static str, String> {
        let per_cent = round(self.threshold(objective) * 100.0);
        let summary = format!(
            "{}: more than {per_cent} % are bad, over {} and still",
            objective.title, self.long
        );
        let description = format!(
            "{} Promised: {}, for {} %.",
            objective.description,
            objective.promise,
            round(objective.target * 100.0)
        );
        BTreeMap::from([
            ("description", description),
            ("runbook", runbook(&objective.name)),
            ("summary", summary),
        ])
    }
}

#[derive(Serialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Serialize)]
struct Group {
    name: String,
    interval: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Rule {
    Recording {
        record: String,
        expr: String,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<&'static str, String>,
    },
    Alert {
        alert: String,
        expr: String,
        #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
        lasts: Option<&'static str>,
        labels: BTreeMap<&'static str, String>,
        annotations: BTreeMap<&'static str, String>,
    },
}

/// The page of what an alert is about, in this repository.
fn runbook(about: &str) -> String {
    format!("docs/runbooks/alerts/{about}.md")
}

/// The file of rules.
pub(super) fn file(objectives: &[Objective]) -> Result<String, String> {
    let mut groups = vec![common()];
    groups.extend(objectives.iter().map(group));
    yaml(&File { groups })
}

/// `ingest-ack` as `OstrakaIngestAck`.
pub(super) fn alert_name(objective: &Objective) -> String {
    let words = objective.name.split('-').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    });
    format!("Ostraka{}", words.collect::<String>())
}

pub(super) fn invariant_labels(objective: &Objective) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("objective", objective.name.clone()),
        ("severity", "page".to_owned()),
    ])
}

pub(super) fn invariant_annotations(objective: &Objective) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("description", objective.description.clone()),
        ("runbook", runbook(&objective.name)),
        (
            "summary",
            format!("{}: found, and there must be none", objective.title),
        ),
    ])
}

/// What others are made of, and the alert without which all others are blind.
fn common() -> Group {
    let silent = Rule::Alert {
        alert: "OstrakaNotScraped".to_owned(),
        expr: "up{job=\"ostraka\"} == 0".to_owned(),
        lasts: Some("2m"),
        labels: BTreeMap::from([("severity", "ticket".to_owned())]),
        annotations: BTreeMap::from([
            ("runbook", runbook("not-scraped")),
            ("summary", "A node tells Prometheus nothing".to_owned()),
        ]),
    };
    let lag = recording(
        "ostraka:consumer_lag_entries:max",
        "max(ostraka_raft_committed_index - ostraka_raft_applied_index)",
    );
    Group {
        name: "ostraka-common".to_owned(),
        interval: "15s",
        rules: vec![lag, silent],
    }
}

fn recording(record: &str, expr: &str) -> Rule {
    Rule::Recording {
        record: record.to_owned(),
        expr: expr.to_owned(),
        labels: BTreeMap::new(),
    }
}

fn group(objective: &Objective) -> Group {
    let mut rules = Vec::new();
    match (&objective.indicator, objective.kind) {
        (Indicator::Value(query), Kind::Invariant { most }) => rules.push(Rule::Alert {
            alert: alert_name(objective),
            expr: format!("{} > {most}", query.replace("{{window}}", "5m")),
            lasts: None,
            labels: invariant_labels(objective),
            annotations: invariant_annotations(objective),
        }),
        // A load is what the world asks for: less of it is no fault of the service.
        (Indicator::Value(query), _) => {
            let record = format!("ostraka:{}:5m", objective.name.replace('-', "_"));
            rules.push(recording(&record, &query.replace("{{window}}", "5m")));
        }
        (Indicator::GoodOfTotal { good, total }, _) => {
            burn_rules(&mut rules, objective, &format!("1 - (({good}) / ({total}))"));
        }
        (Indicator::Bad(query), _) => burn_rules(&mut rules, objective, query),
    }
    Group {
        name: format!("ostraka-{}", objective.name),
        interval: "15s",
        rules,
    }
}

fn burn_rules(rules: &mut Vec<Rule>, objective: &Objective, bad: &str) {
    for window in WINDOWS {
        rules.push(Rule::Recording {
            record: format!("ostraka:slo_bad:ratio_{window}"),
            expr: bad.replace("{{window}}", window),
            labels: BTreeMap::from([("objective", objective.name.clone())]),
        });
    }
    for burn in &BURNS {
        let threshold = round(burn.threshold(objective));
        let is_over = |window| {
            format!(
                "ostraka:slo_bad:ratio_{window}{{objective=\"{}\"}} > {threshold}",
                objective.name
            )
        };
        rules.push(Rule::Alert {
            alert: format!("{}{}", alert_name(objective), burn.name),
            expr: format!("{} and {}", is_over(burn.long), is_over(burn.short)),
            lasts: None,
            labels: burn.labels(objective),
            annotations: burn.annotations(objective),
        });
    }
}

/// Without the dust of binary fractions.
pub(super) fn round(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objectives::built_in;

    #[test]
    fn thresholds_fit_each_budget() {
        for objective in built_in() {
            let thresholds = BURNS.each_ref().map(|burn| burn.threshold(&objective));
            assert!(
                thresholds.is_sorted_by(|one, other| one >= other),
                "{thresholds:?}"
            );
            assert!(
                thresholds.iter().all(|share| *share <= BAD_SHARE_MAX),
                "{thresholds:?}"
            );
        }
        let of = |name: &str| {
            let all = built_in();
            let found = all.iter().find(|objective| objective.name == name);
            round(BURNS[0].threshold(found.unwrap()))
        };
        // 13.44 times the budget; and for the widest budget as much as still can happen.
        assert_eq!(of("ingest-ack"), 0.1344);
        assert_eq!(of("availability"), 0.01344);
        assert_eq!(of("end-to-end-p95"), 0.5);
    }
}
