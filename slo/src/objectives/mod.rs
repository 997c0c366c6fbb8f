//! The objectives, read from OpenSLO and checked.

mod openslo;

use std::collections::BTreeSet;

use openslo::{Document, IndicatorSpec, Metric};

/// The file, as this program was built with it.
pub const BUILT_IN: &str = include_str!("../../objectives.yaml");

/// What decides an objective.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A share of at least the target is at most so long.
    Latency { limit_us: u64 },
    /// A share of at least the target is good.
    Ratio,
    /// Counted, and never more than this.
    Invariant { most: u64 },
    /// So many a second, inside the other objectives.
    Load { per_s: f64 },
}

/// What Prometheus is asked, with `{{window}}` for the range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indicator {
    GoodOfTotal {
        good: String,
        total: String,
    },
    /// The share that is bad.
    Bad(String),
    /// A number.
    Value(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    pub name: String,
    pub title: String,
    pub description: String,
    /// What is promised, for people.
    pub promise: String,
    /// What evidence calls what is measured.
    pub measure: String,
    pub kind: Kind,
    pub target: f64,
    pub within: Option<String>,
    pub is_waivable: bool,
    pub window_days: u32,
    pub indicator: Indicator,
}

impl Objective {
    /// Share of bad ones that may be.
    pub fn budget(&self) -> f64 {
        1.0 - self.target
    }
}

/// Why a text is no objectives.
#[derive(Debug, thiserror::Error)]
pub enum ObjectivesError {
    #[error("this is not OpenSLO as the gate reads it: {0}")]
    Malformed(String),
    #[error("the objective {name}: {sentence}")]
    Wrong { name: String, sentence: String },
    #[error("there is no objective in it")]
    None,
}

const ANNOTATIONS: [&str; 4] = [
    "ostraka.org/kind",
    "ostraka.org/measure",
    "ostraka.org/waivable",
    "ostraka.org/within",
];

/// Reads and checks objectives.
///
/// # Errors
/// With a sentence, where the text is not OpenSLO, says something that the gate does not know, or contradicts itself.
pub fn read(text: &str) -> Result<Vec<Objective>, ObjectivesError> {
    let documents: Vec<Document> =
        serde_saphyr::from_multiple(text).map_err(|error| ObjectivesError::Malformed(error.to_string()))?;
    let mut objectives = Vec::new();
    let mut services = BTreeSet::new();
    for document in documents {
        let name = document.metadata.name.clone();
        let wrong = |sentence: String| ObjectivesError::Wrong {
            name: name.clone(),
            sentence,
        };
        if document.api_version != "openslo/v1" {
            return Err(wrong(format!(
                "apiVersion is {}, not openslo/v1",
                document.api_version
            )));
        }
        match document.kind.as_str() {
            "Service" => {
                services.insert(name);
            }
            "SLO" => objectives.push(objective(document, &services).map_err(wrong)?),
            other => return Err(wrong(format!("kind {other} is neither Service nor SLO"))),
        }
    }
    check_together(&objectives)?;
    Ok(objectives)
}

/// The objectives that this program was built with.
///
/// # Panics
/// Never: a test reads them.
pub fn built_in() -> Vec<Objective> {
    read(BUILT_IN).expect("a test reads the objectives that are built in")
}

fn check_together(objectives: &[Objective]) -> Result<(), ObjectivesError> {
    if objectives.is_empty() {
        return Err(ObjectivesError::None);
    }
    let mut names = BTreeSet::new();
    for objective in objectives {
        let wrong = |sentence: String| ObjectivesError::Wrong {
            name: objective.name.clone(),
            sentence,
        };
        if !names.insert(&objective.name) {
            return Err(wrong("is there twice".to_owned()));
        }
        if let Some(within) = &objective.within {
            let is_there = objectives
                .iter()
                .any(|other| other.measure == *within && matches!(other.kind, Kind::Latency { .. }));
            if !is_there || *within == objective.measure {
                return Err(wrong(format!(
                    "lies within {within}, which no other latency measures"
                )));
            }
        }
    }
    Ok(())
}

fn objective(document: Document, services: &BTreeSet<String>) -> Result<Objective, String> {
    let Document { metadata, spec, .. } = document;
    for annotation in metadata.annotations.keys() {
        if annotation.starts_with("ostraka.org/") && !ANNOTATIONS.contains(&annotation.as_str()) {
            return Err(format!("has the annotation {annotation}, which nothing reads"));
        }
    }
    let annotation = |name: &str| metadata.annotations.get(&format!("ostraka.org/{name}")).cloned();
    check_name(&metadata.name)?;
    let service = spec.service.ok_or("names no service")?;
    if !services.contains(&service) {
        return Err(format!(
            "is of the service {service}, which is not described before it"
        ));
    }
    if spec.budgeting_method.as_deref() != Some("Occurrences") {
        return Err("has a budgetingMethod other than Occurrences".to_owned());
    }
    let [window] = &spec.time_window[..] else {
        return Err("must have one timeWindow".to_owned());
    };
    let [target] = &spec.objectives[..] else {
        return Err("must have one objective: write another SLO for another target".to_owned());
    };
    if !(target.target > 0.0 && target.target < 1.0) {
        return Err(format!(
            "has the target {}, which is not between 0 and 1",
            target.target
        ));
    }
    let kind = annotation("kind").ok_or("has no annotation ostraka.org/kind")?;
    Ok(Objective {
        measure: annotation("measure").ok_or("has no annotation ostraka.org/measure")?,
        kind: kind_of(&kind, target)?,
        target: target.target,
        within: annotation("within"),
        is_waivable: match annotation("waivable").as_deref() {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => return Err(format!("is waivable {other}, neither true nor false")),
        },
        window_days: days(window)?,
        indicator: indicator(spec.indicator.ok_or("has no indicator")?.spec)?,
        promise: target.display_name.clone(),
        title: metadata.display_name.unwrap_or_else(|| metadata.name.clone()),
        name: metadata.name,
        description: spec.description,
    })
}

/// It becomes part of the names of rules.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = name.starts_with(|letter: char| letter.is_ascii_lowercase())
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    is_plain
        .then_some(())
        .ok_or_else(|| "has a name of other letters than a-z, 0-9 and -".to_owned())
}

fn days(window: &openslo::TimeWindow) -> Result<u32, String> {
    let days = window
        .duration
        .strip_suffix('d')
        .and_then(|days| days.parse().ok());
    days.filter(|days| window.is_rolling && (1..=365).contains(days))
        .ok_or_else(|| {
            format!(
                "has the timeWindow {}, which is no rolling one of 1d to 365d",
                window.duration
            )
        })
}

fn kind_of(kind: &str, target: &openslo::Target) -> Result<Kind, String> {
    let value = |op: &str| match (target.op.as_deref(), target.value) {
        (Some(is), Some(value)) if is == op && value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!(
            "is of kind {kind} and needs op {op} with a value that is not negative"
        )),
    };
    match kind {
        "latency" => {
            let micros = value("lte")? * 1_000.0;
            if !(1.0..=6e8).contains(&micros) {
                return Err("has a latency that is not between 1 µs and 10 minutes".to_owned());
            }
            Ok(Kind::Latency {
                limit_us: micros.round() as u64,
            })
        }
        "ratio" if target.op.is_none() && target.value.is_none() => Ok(Kind::Ratio),
        "ratio" => Err("is of kind ratio, whose target says all: it has no op and no value".to_owned()),
        "invariant" => Ok(Kind::Invariant {
            most: value("lte")? as u64,
        }),
        "load" => Ok(Kind::Load { per_s: value("gte")? }),
        other => Err(format!(
            "is of kind {other}: latency, ratio, invariant or load are known"
        )),
    }
}

fn indicator(spec: IndicatorSpec) -> Result<Indicator, String> {
    match (spec.ratio_metric, spec.threshold_metric) {
        (Some(ratio), None) => match (ratio.good, ratio.total, ratio.raw, ratio.raw_type.as_deref()) {
            (Some(good), Some(total), None, None) if ratio.counter => Ok(Indicator::GoodOfTotal {
                good: query(good)?,
                total: query(total)?,
            }),
            (None, None, Some(raw), Some("failure")) => Ok(Indicator::Bad(query(raw)?)),
            _ => Err(
                "has a ratioMetric that is neither good and total counters nor raw with rawType failure"
                    .to_owned(),
            ),
        },
        (None, Some(threshold)) => Ok(Indicator::Value(query(threshold)?)),
        _ => Err("needs either a ratioMetric or a thresholdMetric".to_owned()),
    }
}

fn query(metric: Metric) -> Result<String, String> {
    let source = metric.metric_source;
    if source.source != "Prometheus" {
        return Err(format!(
            "asks {}, and rules are made for Prometheus alone",
            source.source
        ));
    }
    if !source.spec.query.contains("{{window}}") {
        return Err("has a query without {{window}}".to_owned());
    }
    Ok(source.spec.query)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
