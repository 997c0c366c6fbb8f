//! One objective, from all evidence that may be used.

use serde::{Deserialize, Serialize};

use super::{Change, Waived};
use crate::evidence::{Evidence, Share};
use crate::objectives::{Kind, Objective};
use crate::statistics::{Band, Sample, share_bounds};
use crate::verdict::Verdict;

/// How it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// It was measured itself.
    Measured,
    /// Something that contains it was measured, and was short enough.
    Contained,
    /// Less was measured; what is asked for would be an extrapolation, which decides nothing.
    Extrapolated,
    None,
}

/// What one run says of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    pub file: String,
    pub verdict: Verdict,
    pub sentence: String,
}

/// Of bad ones that may be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub allowed: f64,
    pub spent: u64,
    /// Share of what is allowed; negative where more was spent.
    pub left: f64,
    /// How many times as fast as allowed it was spent.
    pub burn: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub name: String,
    pub title: String,
    pub description: String,
    pub promise: String,
    pub target: f64,
    pub limit_ms: Option<f64>,
    pub verdict: Verdict,
    pub basis: Basis,
    pub sentence: String,
    pub runs: Vec<RunVerdict>,
    /// Latencies of all runs together.
    pub sample: Option<Sample>,
    /// p50, p95, p99, with their bounds.
    pub percentiles: Vec<(f64, Band)>,
    /// Good ones of all runs together.
    pub share: Option<Share>,
    pub budget: Option<Budget>,
    pub waived: Option<Waived>,
    pub change: Option<Change>,
}

pub(super) fn decide_all(objectives: &[Objective], fit: &[&Evidence]) -> Vec<Decided> {
    objectives
        .iter()
        .map(|objective| decide(objective, objectives, fit))
        .collect()
}

fn decide(objective: &Objective, all: &[Objective], fit: &[&Evidence]) -> Decided {
    let mut decided = Decided {
        name: objective.name.clone(),
        title: objective.title.clone(),
        description: objective.description.clone(),
        promise: objective.promise.clone(),
        target: objective.target,
        limit_ms: match objective.kind {
            Kind::Latency { limit_us } => Some(limit_us as f64 / 1_000.0),
            _ => None,
        },
        verdict: Verdict::NoData,
        basis: Basis::None,
        sentence: format!("no usable evidence measures {}", objective.measure),
        runs: Vec::new(),
        sample: None,
        percentiles: Vec::new(),
        share: None,
        budget: None,
        waived: None,
        change: None,
    };
    match objective.kind {
        Kind::Latency { limit_us } => latency(&mut decided, objective, limit_us, fit),
        Kind::Ratio => ratio(&mut decided, objective, fit),
        Kind::Invariant { most } => invariant(&mut decided, objective, most, fit),
        Kind::Load { per_s } => load(&mut decided, all, per_s, fit),
    }
    decided
}

/// What a share of good ones amounts to beside its target.
fn judged(share: Share, worth: f64, target: f64) -> (Verdict, String) {
    let Share { good, total } = share;
    if total == 0 {
        return (Verdict::NoData, "nothing happened".to_owned());
    }
    let (low, high) = share_bounds(good as f64 * worth, total as f64 * worth);
    let verdict = match () {
        () if low >= target => Verdict::Pass,
        () if high < target => Verdict::Fail,
        () => Verdict::Inconclusive,
    };
    let is_few = if verdict == Verdict::Inconclusive {
        ": too few to say"
    } else {
        ""
    };
    let per_cent = |share: f64| share * 100.0;
    let sentence = format!(
        "{good} of {total} good, {:.3} % ({:.3} to {:.3}), {:.3} % asked for{is_few}",
        per_cent(good as f64 / total as f64),
        per_cent(low),
        per_cent(high),
        per_cent(target)
    );
    (verdict, sentence)
}

fn within(sample: &Sample, limit_us: u64) -> Share {
    Share {
        good: sample.within_us(limit_us),
        total: sample.total(),
    }
}

fn latency(decided: &mut Decided, objective: &Objective, limit_us: u64, fit: &[&Evidence]) {
    let mut whole = Sample::default();
    for evidence in fit {
        if evidence.facts.closed.contains(&objective.measure) {
            let sentence =
                "refused: a closed loop asks a stalled service less, so its latencies bound nothing";
            push(decided, evidence, Verdict::NoData, sentence.to_owned());
        }
        if evidence.facts.latencies.contains_key(&objective.measure) && set_aside(decided, evidence) {
            continue;
        }
        if let Some(sample) = evidence.facts.latencies.get(&objective.measure) {
            let (verdict, sentence) = judged(within(sample, limit_us), sample.worth(), objective.target);
            push(decided, evidence, verdict, sentence);
            whole.add(sample);
        }
    }
    conclude(decided, Basis::Measured);
    let is_unknown = decided.verdict == Verdict::NoData;
    if let (true, Some(container)) = (is_unknown, &objective.within) {
        contained(decided, objective, (container, limit_us), fit);
    }
    if whole.total() > 0 {
        decided.percentiles = [0.5, 0.95, 0.99]
            .map(|quantile| (quantile, whole.band(quantile)))
            .to_vec();
        spend(decided, objective, within(&whole, limit_us));
        decided.sample = Some(whole);
    }
}

/// A stage is no longer than what contains it: what is within the stage's limit as a whole, the stage was within too.
fn contained(
    decided: &mut Decided,
    objective: &Objective,
    (container, limit_us): (&str, u64),
    fit: &[&Evidence],
) {
    let mut best: Option<(Verdict, RunVerdict)> = None;
    for evidence in fit.iter().filter(|evidence| evidence.facts.doubt.is_none()) {
        let Some(sample) = evidence.facts.latencies.get(container) else {
            continue;
        };
        let (verdict, sentence) = judged(within(sample, limit_us), sample.worth(), objective.target);
        let run = RunVerdict {
            file: evidence.file.clone(),
            verdict: verdict.min(Verdict::Inconclusive),
            sentence: format!("{container}, which contains it: {sentence}"),
        };
        if best.as_ref().is_none_or(|(before, _)| verdict < *before) {
            best = Some((verdict, run));
        }
    }
    let Some((verdict, run)) = best else { return };
    if verdict == Verdict::Pass {
        decided.verdict = Verdict::Pass;
        decided.basis = Basis::Contained;
        decided.sentence = format!("not measured by itself; {} ({})", run.sentence, run.file);
    } else {
        decided.sentence = format!(
            "not measured by itself, and {container}, which contains it, is not short enough to say: {}",
            run.sentence
        );
    }
    decided.runs.push(run);
}

fn ratio(decided: &mut Decided, objective: &Objective, fit: &[&Evidence]) {
    let mut whole = Share::default();
    for evidence in fit {
        let Some(share) = evidence.facts.shares.get(&objective.measure) else {
            continue;
        };
        if set_aside(decided, evidence) {
            continue;
        }
        let (verdict, sentence) = judged(*share, 1.0, objective.target);
        push(decided, evidence, verdict, sentence);
        whole.good += share.good;
        whole.total += share.total;
    }
    conclude(decided, Basis::Measured);
    if whole.total > 0 {
        spend(decided, objective, whole);
    }
}

/// A run that is in doubt says nothing of latencies and shares, and is listed.
fn set_aside(decided: &mut Decided, evidence: &Evidence) -> bool {
    if let Some(doubt) = &evidence.facts.doubt {
        push(decided, evidence, Verdict::Inconclusive, doubt.clone());
    }
    evidence.facts.doubt.is_some()
}

/// Every run counts here, in doubt or not: a vote that is lost is lost.
fn invariant(decided: &mut Decided, objective: &Objective, most: u64, fit: &[&Evidence]) {
    let (mut found, mut votes) = (0_u64, 0_u64);
    for evidence in fit {
        let Some(count) = evidence.facts.counts.get(&objective.measure) else {
            continue;
        };
        found = found.saturating_add(count.found);
        votes = votes.saturating_add(count.votes);
        let (verdict, sentence) = match (count.found, count.votes) {
            (found, _) if found > most => {
                let first = count.first.as_deref().unwrap_or("without a sentence");
                (Verdict::Fail, format!("{found}, the first: {first}"))
            }
            (_, 0) => (Verdict::Inconclusive, "no vote was looked at".to_owned()),
            (_, votes) => (Verdict::Pass, format!("none in {votes} votes")),
        };
        push(decided, evidence, verdict, sentence);
    }
    conclude(decided, Basis::Measured);
    if found > most {
        decided.verdict = Verdict::Fail;
    }
    if votes > 0 {
        decided.sentence = match found {
            // The rule of three: 0.95 quantile of what may be where nothing was seen.
            0 => format!(
                "none in {votes} votes: with 95 % confidence fewer than one in {}",
                (votes / 3).max(1)
            ),
            found => format!("{found} in {votes} votes; {}", decided.sentence),
        };
    }
}

/// Runs at the load, inside ingest and availability.
fn load(decided: &mut Decided, all: &[Objective], per_s: f64, fit: &[&Evidence]) {
    let mut most: Option<(f64, &str)> = None;
    for evidence in fit {
        let Some(rate) = evidence.facts.load_per_s else {
            continue;
        };
        let mut verdict = Verdict::Pass;
        let mut sentences = Vec::new();
        let alone = [*evidence];
        let measures: Vec<&Objective> = all
            .iter()
            .filter(|objective| match objective.kind {
                Kind::Latency { .. } => evidence.facts.latencies.contains_key(&objective.measure),
                Kind::Ratio => evidence.facts.shares.contains_key(&objective.measure),
                _ => false,
            })
            .collect();
        for objective in &measures {
            let of_run = decide(objective, all, &alone);
            verdict = verdict.max(of_run.verdict);
            sentences.push(format!("{} {}", objective.name, of_run.verdict));
        }
        if measures.is_empty() {
            verdict = Verdict::Inconclusive;
            sentences.push(
                evidence
                    .facts
                    .doubt
                    .clone()
                    .unwrap_or_else(|| "nothing was timed".to_owned()),
            );
        }
        if rate >= per_s {
            push(
                decided,
                evidence,
                verdict,
                format!("{rate:.0}/s: {}", sentences.join(", ")),
            );
        } else if verdict == Verdict::Pass && most.is_none_or(|(before, _)| rate > before) {
            most = Some((rate, &evidence.file));
        }
    }
    conclude(decided, Basis::Measured);
    if decided.verdict != Verdict::NoData {
        return;
    }
    decided.sentence = match most {
        Some((rate, file)) => {
            decided.basis = Basis::Extrapolated;
            format!(
                "{per_s:.0}/s was not measured. Measured inside the objectives: {rate:.0}/s ({file}); the rest would be an \
                 extrapolation by {:.0} times, which decides nothing",
                per_s / rate
            )
        }
        None => format!("{per_s:.0}/s was not measured, and no lower rate inside the objectives either"),
    };
}

fn push(decided: &mut Decided, evidence: &Evidence, verdict: Verdict, sentence: String) {
    decided.runs.push(RunVerdict {
        file: evidence.file.clone(),
        verdict,
        sentence,
    });
}

/// One run that fails, fails it; otherwise one that passes, passes it: a short run takes nothing from a long one.
fn conclude(decided: &mut Decided, basis: Basis) {
    let order = [
        Verdict::Fail,
        Verdict::Pass,
        Verdict::Inconclusive,
        Verdict::NoData,
    ];
    let first = order
        .iter()
        .find_map(|verdict| decided.runs.iter().find(|run| run.verdict == *verdict));
    if let Some(run) = first {
        decided.verdict = run.verdict;
        decided.sentence = format!("{} ({})", run.sentence, run.file);
        if run.verdict != Verdict::NoData {
            decided.basis = basis;
        }
    }
}

fn spend(decided: &mut Decided, objective: &Objective, share: Share) {
    let allowed = share.total as f64 * objective.budget();
    let spent = share.total.saturating_sub(share.good);
    decided.share = Some(share);
    decided.budget = Some(Budget {
        allowed,
        spent,
        left: 1.0 - spent as f64 / allowed,
        burn: spent as f64 / allowed,
    });
}
