//! What a run amounts to: counts, latencies, a verdict and why.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::books::{Finished, Outcome};
use crate::limits::{
    FINDINGS_TOLD_MAX, LATE_MS_MAX, LATE_PERCENT_MAX, SAMPLES_FOR_P95_MIN, SAMPLES_FOR_P99_MIN,
};

/// Longest latency that is told apart, microseconds: patience ends long before.
const LATENCY_MICROS_MAX: u64 = 600_000_000;

/// The number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub(crate) enum Verdict {
    Pass = 0,
    Fail = 1,
    Inconclusive = 2,
    NoData = 3,
}

/// What is owed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Objectives {
    pub(crate) ack_p99_ms_max: u64,
    pub(crate) seen_p95_ms_max: u64,
    pub(crate) seen_p99_ms_max: u64,
    pub(crate) complete_percent_min: f64,
}

/// Latencies of one stage, from the moment of sending.
#[derive(Clone, Debug)]
struct Stage(Histogram<u64>);

#[derive(Clone, Debug, Serialize)]
pub(crate) struct StageFigures {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
    /// Upper edge in microseconds, and how many: all there is to compute any percentile and its bounds.
    pub(crate) histogram_micros: Vec<(u64, u64)>,
}

impl Stage {
    fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LATENCY_MICROS_MAX, 3).expect("the bounds are in order"))
    }

    fn add(&mut self, micros: u64) {
        self.0.saturating_record(micros.max(1));
    }

    fn quantile_ms(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }

    fn figures(&self) -> StageFigures {
        let recorded = self.0.iter_recorded();
        StageFigures {
            count: self.0.len(),
            p50_ms: self.quantile_ms(0.5),
            p95_ms: self.quantile_ms(0.95),
            p99_ms: self.quantile_ms(0.99),
            max_ms: self.0.max() as f64 / 1_000.0,
            histogram_micros: recorded
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        }
    }
}

/// Of one place or of all.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    outcomes: BTreeMap<&'static str, u64>,
    acked: Stage,
    seen: Stage,
    /// Begun late by this machine.
    late: u64,
    /// Never begun, because this machine slept.
    left_out: u64,
    status_unanswered: u64,
    findings: u64,
    told: Vec<String>,
}

/// As evidence has it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) probes: u64,
    pub(crate) outcomes: BTreeMap<&'static str, u64>,
    /// From sending to the durable acknowledgement.
    pub(crate) ack: StageFigures,
    /// From sending to the vote's own trace on the stream.
    pub(crate) seen: StageFigures,
    pub(crate) late: u64,
    pub(crate) left_out: u64,
    pub(crate) status_unanswered: u64,
    /// Totals that cannot be true.
    pub(crate) findings: u64,
    /// The first of them, and of the probes that are not complete.
    pub(crate) sentences: Vec<String>,
}

impl Figures {
    pub(crate) fn new() -> Self {
        Self {
            outcomes: Outcome::NAMES.into_iter().map(|name| (name, 0)).collect(),
            acked: Stage::new(),
            seen: Stage::new(),
            late: 0,
            left_out: 0,
            status_unanswered: 0,
            findings: 0,
            told: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, probe: &Finished) {
        *self.outcomes.entry(probe.outcome.name()).or_default() += 1;
        let is_late = probe.sent_at.since(probe.due_at) > LATE_MS_MAX * 1_000;
        self.late += u64::from(is_late);
        let is_complete = probe.outcome == Outcome::Complete;
        self.status_unanswered += u64::from(is_complete && probe.status_unanswered);
        // A late one has waited for this machine, and so would its latencies have.
        if is_late {
            return;
        }
        if let Some(acked_at) = probe.acked_at {
            self.acked.add(acked_at.since(probe.sent_at));
        }
        if let Some(seen_at) = probe.seen_at {
            self.seen.add(seen_at.since(probe.sent_at));
        }
    }

    pub(crate) fn leave_out(&mut self, probes: u64) {
        self.left_out += probes;
    }

    pub(crate) fn find(&mut self) {
        self.findings += 1;
    }

    pub(crate) fn tell(&mut self, sentence: String) {
        if self.told.len() < FINDINGS_TOLD_MAX {
            self.told.push(sentence);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, count) in &other.outcomes {
            *self.outcomes.entry(name).or_default() += count;
        }
        self.acked.0 += &other.acked.0;
        self.seen.0 += &other.seen.0;
        self.late += other.late;
        self.left_out += other.left_out;
        self.status_unanswered += other.status_unanswered;
        self.findings += other.findings;
        other.told.iter().for_each(|sentence| self.tell(sentence.clone()));
    }

    pub(crate) fn count(&self, outcome: &str) -> u64 {
        self.outcomes.get(outcome).copied().unwrap_or(0)
    }

    pub(crate) fn probes(&self) -> u64 {
        self.outcomes.values().sum()
    }

    pub(crate) fn told(&self) -> Told {
        Told {
            probes: self.probes(),
            outcomes: self.outcomes.clone(),
            ack: self.acked.figures(),
            seen: self.seen.figures(),
            late: self.late,
            left_out: self.left_out,
            status_unanswered: self.status_unanswered,
            findings: self.findings,
            sentences: self.told.clone(),
        }
    }

    /// One line for a person.
    pub(crate) fn line(&self) -> String {
        format!(
            "{} of {} complete; ack p50 {:.1} p99 {:.1} ms; seen p50 {:.1} p95 {:.1} p99 {:.1} ms; {} late, {} left out",
            self.count("complete"),
            self.probes(),
            self.acked.quantile_ms(0.5),
            self.acked.quantile_ms(0.99),
            self.seen.quantile_ms(0.5),
            self.seen.quantile_ms(0.95),
            self.seen.quantile_ms(0.99),
            self.late,
            self.left_out
        )
    }

    /// What breaks a promise however few the probes are; then what this machine may have done; then the objectives.
    pub(crate) fn decide(&self, owed: &Objectives, is_single: bool) -> (Verdict, String) {
        let probes = self.probes();
        let (missing, wrong) = (self.count("missing"), self.count("wrong"));
        if self.findings + missing + wrong > 0 {
            let sentence = format!(
                "{} totals that cannot be true, {missing} acknowledged votes not seen, {wrong} with a wrong status",
                self.findings
            );
            return (Verdict::Fail, sentence);
        }
        if probes == 0 {
            return (Verdict::NoData, "no probe was sent".to_owned());
        }
        let complete = self.count("complete");
        let complete_percent = percent(complete, probes);
        if complete_percent < owed.complete_percent_min {
            let sentence = format!(
                "{complete} of {probes} probes are complete, {complete_percent:.2} %; owed are {} %",
                owed.complete_percent_min
            );
            return (Verdict::Fail, sentence);
        }
        let held_up = self.late + self.left_out;
        if percent(held_up, probes + self.left_out) > LATE_PERCENT_MAX {
            let sentence = format!("{held_up} probes began late or not at all: this machine was too busy");
            return (Verdict::Inconclusive, sentence);
        }
        self.decide_latency(owed, is_single)
    }

    fn decide_latency(&self, owed: &Objectives, is_single: bool) -> (Verdict, String) {
        let limits = [
            (
                &self.acked,
                "acknowledgement",
                0.99,
                owed.ack_p99_ms_max,
                SAMPLES_FOR_P99_MIN,
            ),
            (
                &self.seen,
                "sight",
                0.95,
                owed.seen_p95_ms_max,
                SAMPLES_FOR_P95_MIN,
            ),
            (
                &self.seen,
                "sight",
                0.99,
                owed.seen_p99_ms_max,
                SAMPLES_FOR_P99_MIN,
            ),
        ];
        let is_over = |(stage, _, quantile, limit, _): &(&Stage, &str, f64, u64, u64)| {
            stage.quantile_ms(*quantile) > *limit as f64
        };
        if let Some(over) = limits.iter().find(|limit| is_over(limit)) {
            let (stage, name, quantile, limit, _) = over;
            let sentence = format!(
                "p{:.0} of {name} is {:.1} ms; owed are {limit} ms",
                quantile * 100.0,
                stage.quantile_ms(*quantile)
            );
            return (Verdict::Fail, sentence);
        }
        let short = limits.iter().find(|(stage, .., least)| stage.0.len() < *least);
        match short.filter(|_| !is_single) {
            Some((stage, name, quantile, _, least)) => (
                Verdict::Inconclusive,
                format!(
                    "nothing is wrong; {} samples bound no p{:.0} of {name}, {least} would",
                    stage.0.len(),
                    quantile * 100.0
                ),
            ),
            None => (
                Verdict::Pass,
                "all that was looked at is as it should be".to_owned(),
            ),
        }
    }
}

fn percent(part: u64, of: u64) -> f64 {
    if of == 0 {
        return 0.0;
    }
    100.0 * part as f64 / of as f64
}

#[cfg(test)]
mod tests {
    use ostraka_client::api::VoteStatus;
    use ostraka_client::api::ids::TraceId;

    use super::*;
    use crate::schedule::Micros;

    const OWED: Objectives = Objectives {
        ack_p99_ms_max: 50,
        seen_p95_ms_max: 500,
        seen_p99_ms_max: 1_000,
        complete_percent_min: 99.9,
    };

    fn probe(outcome: Outcome, late_ms: u64, ack_ms: u64, seen_ms: u64) -> Finished {
        let sent_at = Micros(1_000_000 + late_ms * 1_000);
        let is_complete = outcome == Outcome::Complete;
        Finished {
            trace: TraceId([1; 16]),
            outcome,
            due_at: Micros(1_000_000),
            sent_at,
            acked_at: is_complete.then(|| sent_at.plus(ack_ms * 1_000)),
            seen_at: is_complete.then(|| sent_at.plus(seen_ms * 1_000)),
            status_unanswered: false,
        }
    }

    fn of(probes: impl IntoIterator<Item = (usize, Finished)>) -> Figures {
        let mut figures = Figures::new();
        for (times, probe) in probes {
            (0..times).for_each(|_| figures.add(&probe));
        }
        figures
    }

    fn good(times: usize) -> (usize, Finished) {
        (times, probe(Outcome::Complete, 0, 5, 30))
    }

    #[track_caller]
    fn is(figures: &Figures, verdict: Verdict, part: &str) {
        let (decided, sentence) = figures.decide(&OWED, false);
        assert_eq!(decided, verdict, "{sentence}");
        assert!(sentence.contains(part), "{sentence}");
    }

    #[test]
    fn an_hour_without_a_fault_passes() {
        is(&of([good(1_000)]), Verdict::Pass, "as it should be");
    }

    #[test]
    fn one_missing_or_wrong_vote_fails_whatever_the_rest_says() {
        is(
            &of([good(5_000), (1, probe(Outcome::Missing, 0, 0, 0))]),
            Verdict::Fail,
            "1 acknowledged",
        );
        let wrong = probe(Outcome::Wrong(VoteStatus::Duplicate), 0, 0, 0);
        is(
            &of([good(5_000), (1, wrong)]),
            Verdict::Fail,
            "1 with a wrong status",
        );
        let mut figures = of([good(5_000)]);
        figures.find();
        is(&figures, Verdict::Fail, "1 totals");
    }

    #[test]
    fn one_of_a_thousand_may_be_unanswered_and_two_may_not() {
        let unanswered = |times| (times, probe(Outcome::Unanswered(String::new()), 0, 0, 0));
        is(&of([good(999), unanswered(1)]), Verdict::Pass, "");
        is(&of([good(998), unanswered(2)]), Verdict::Fail, "998 of 1000");
    }

    #[test]
    fn few_samples_bound_no_percentile_and_one_probe_alone_is_asked_for_no_more() {
        is(&of([good(298)]), Verdict::Inconclusive, "298 samples");
        is(&of([good(299)]), Verdict::Pass, "");
        assert_eq!(of([good(1)]).decide(&OWED, true).0, Verdict::Pass);
        assert_eq!(Figures::new().decide(&OWED, true).0, Verdict::NoData);
    }

    #[test]
    fn slow_is_not_good_enough() {
        is(
            &of([good(980), (20, probe(Outcome::Complete, 0, 51, 60))]),
            Verdict::Fail,
            "acknowledgement",
        );
        is(
            &of([good(940), (60, probe(Outcome::Complete, 0, 5, 501))]),
            Verdict::Fail,
            "p95 of sight",
        );
        is(
            &of([good(980), (20, probe(Outcome::Complete, 0, 5, 1_002))]),
            Verdict::Fail,
            "p99 of sight",
        );
    }

    #[test]
    fn a_machine_that_was_busy_proves_nothing() {
        is(
            &of([good(980), (20, probe(Outcome::Complete, 60, 5, 30))]),
            Verdict::Inconclusive,
            "too busy",
        );
        let mut figures = of([good(1_000)]);
        figures.leave_out(11);
        is(&figures, Verdict::Inconclusive, "too busy");
        assert_eq!(figures.told().left_out, 11);
    }

    #[test]
    fn all_places_together_are_their_sum() {
        let mut all = of([good(10)]);
        all.merge(&of([
            good(5),
            (1, probe(Outcome::Refused(String::new()), 0, 0, 0)),
        ]));
        let told = all.told();
        assert_eq!(
            (told.probes, told.outcomes["complete"], told.outcomes["refused"]),
            (16, 15, 1)
        );
        assert_eq!(
            told.seen
                .histogram_micros
                .iter()
                .map(|(_, count)| count)
                .sum::<u64>(),
            15
        );
    }
}
