//! What any other program writes: measures by their names in `objectives.yaml`, and checks by the checklist's. This is how
//! what Prometheus has stored comes to the gate, without a reader for each.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Check, Count, EvidenceError, Facts, Rest, Share, Written, malformed, parsed};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Figures {
    #[serde(default)]
    latencies: BTreeMap<String, Latency>,
    #[serde(default)]
    shares: BTreeMap<String, Share>,
    #[serde(default)]
    counts: BTreeMap<String, Found>,
    #[serde(default)]
    checks: BTreeMap<String, Check>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Loop {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct Latency {
    #[serde(rename = "loop")]
    the_loop: Loop,
    #[serde(flatten)]
    written: Written,
    /// As many as there are, where it is not said.
    independent: Option<u64>,
    buckets_us: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Found {
    found: u64,
    votes: u64,
    first: Option<String>,
}

pub(super) fn facts(program: &str, rest: &Rest) -> Result<Facts, EvidenceError> {
    let figures: Figures = parsed(program, &rest.figures)?;
    let mut facts = Facts {
        checks: figures.checks,
        ..Facts::default()
    };
    for (measure, latency) in figures.latencies {
        if matches!(latency.the_loop, Loop::Closed) {
            facts.closed.push(measure);
            continue;
        }
        let independent = latency.independent.unwrap_or(latency.written.samples);
        let sample = latency
            .written
            .sample(program, &latency.buckets_us, independent)?;
        facts.latencies.insert(measure, sample);
    }
    for (measure, share) in figures.shares {
        if share.good > share.total {
            return Err(malformed(
                program,
                format!("more of {measure} are good than there are"),
            ));
        }
        facts.shares.insert(measure, share);
    }
    for (measure, Found { found, votes, first }) in figures.counts {
        facts.counts.insert(measure, Count { found, votes, first });
    }
    Ok(facts)
}
