//! What the probe writes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    ACK, AVAILABILITY, Check, Count, END_TO_END, EvidenceError, Facts, Rest, Share, VIOLATIONS, VOTES_LOST,
    Written, parsed,
};

const PROGRAM: &str = "synthetic";
/// What the checklist asks for.
const PROBES_PER_HOUR: f64 = 1_000.0;
/// Of an hour's probes, how many may be missing at its edges: the first waits for a login, the last for its answer.
const PROBES_SHARE_MIN: f64 = 0.99;
const HOUR_S: u64 = 3_600;
/// Percent of probes that may be late for reasons of the probe's own machine.
const LATE_PERCENT_MAX: f64 = 1.0;

#[derive(Deserialize)]
struct Figures {
    began_at_s: u64,
    ended_at_s: u64,
    all: All,
    places: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    name: String,
    probes: u64,
}

#[derive(Deserialize)]
struct All {
    probes: u64,
    outcomes: BTreeMap<String, u64>,
    ack: Stage,
    seen: Stage,
    late: u64,
    left_out: u64,
    findings: u64,
    sentences: Vec<String>,
}

#[derive(Deserialize)]
struct Stage {
    count: u64,
    histogram_micros: Vec<(u64, u64)>,
}

impl Stage {
    /// With those that never came.
    fn sample(&self, never: u64) -> Result<crate::statistics::Sample, EvidenceError> {
        let samples = self.count.saturating_add(never);
        Written { samples, never }.sample(PROGRAM, &self.histogram_micros, samples)
    }
}

pub(super) fn facts(command: &str, rest: &Rest) -> Result<Facts, EvidenceError> {
    let figures: Figures = parsed(PROGRAM, &rest.figures)?;
    let all = &figures.all;
    let count = |outcome: &str| all.outcomes.get(outcome).copied().unwrap_or(0);
    let (missing, wrong, unanswered) = (count("missing"), count("wrong"), count("unanswered"));
    let mut facts = Facts::default();
    let availability = Share {
        good: count("complete").min(all.probes),
        total: all.probes,
    };
    facts.shares.insert(AVAILABILITY.to_owned(), availability);
    facts
        .latencies
        .insert(ACK.to_owned(), all.ack.sample(unanswered)?);
    let seen = all.seen.sample(missing.saturating_add(unanswered))?;
    facts.latencies.insert(END_TO_END.to_owned(), seen);
    let first = all.sentences.first().cloned();
    for (measure, found) in [
        (VOTES_LOST, missing),
        (VIOLATIONS, wrong.saturating_add(all.findings)),
    ] {
        let first = first.clone().filter(|_| found > 0);
        let votes = all.probes;
        facts
            .counts
            .insert(measure.to_owned(), Count { found, votes, first });
    }
    if command == "run"
        && let Some(check) = steadiness(&figures)
    {
        facts.checks.insert("probe".to_owned(), check);
    }
    let held_up = all.late.saturating_add(all.left_out);
    let is_busy = 100.0 * held_up as f64 > LATE_PERCENT_MAX * all.probes.max(1) as f64;
    facts.doubt = is_busy.then(|| {
        format!(
            "{held_up} of {} probes were late for the probe's own machine",
            all.probes
        )
    });
    Ok(facts)
}

/// Whether each place was probed as often as is asked for; nothing of a run that is shorter than the hour in question.
fn steadiness(figures: &Figures) -> Option<Check> {
    let lasted_s = figures.ended_at_s.saturating_sub(figures.began_at_s);
    if lasted_s < HOUR_S {
        return None;
    }
    let an_hour = |place: &Place| place.probes as f64 * HOUR_S as f64 / lasted_s as f64;
    let seldom = figures
        .places
        .iter()
        .min_by(|one, other| one.probes.cmp(&other.probes))?;
    let sentence = format!(
        "from {} {:.0} probes an hour, in {:.1} hours; {PROBES_PER_HOUR:.0} are asked for",
        seldom.name,
        an_hour(seldom),
        lasted_s as f64 / HOUR_S as f64
    );
    Some(Check {
        holds: an_hour(seldom) >= PROBES_PER_HOUR * PROBES_SHARE_MIN,
        sentence,
    })
}
