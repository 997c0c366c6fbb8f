//! `loadtest rate`: votes at a stated rate, and what their latencies amount to.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::evidence::{Buckets, Loop, Verdict};
use crate::open_loop::{self, Flow, OpenLoad, OpenReport};
use crate::session::{self, Ledger, SessionError, Subject};
use crate::statistics::{CpuCores, Limit};

/// Votes of one run. Each is ready before the first is sent, at about 450 bytes of memory.
const VOTES_MAX: u64 = 3_000_000;

/// How late the generator may notice that a vote is due, p99: a tenth of what an acknowledgement may take, and five times its
/// timer's step.
pub(crate) const NOTICED_MS_P99_MAX: f64 = 5.0;

/// Samples with which the 99th percentile of a service that is as good as its objective is seen with 95 % confidence:
/// 0.99^n < 0.05.
pub(crate) const P99_SAMPLES_MIN: u64 = 299;

/// What is asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Rate {
    #[serde(flatten)]
    pub(crate) flow: Flow,
    pub(crate) ack_p99_ms_max: Option<f64>,
}

/// How many votes there would be more than fit, where others were cast for so long before; none where all do.
pub(crate) fn too_many(flow: &Flow, before_s: u64) -> Option<String> {
    let votes = flow.votes_per_s * (before_s + flow.warmup_s + flow.window_s) as f64;
    (votes > VOTES_MAX as f64).then(|| {
        format!("{votes:.0} votes are too many for one run, which takes {VOTES_MAX}: ask for fewer seconds or votes a second")
    })
}

/// Of votes that were to begin within the window; ms from then on. A rank is none where so many were never acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Ranks {
    pub(crate) samples: u64,
    pub(crate) never: u64,
    pub(crate) p50: Option<f64>,
    pub(crate) p95: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) max: Option<f64>,
}

impl Ranks {
    /// `happened` of `samples`; the others never did, so they are longer than all that did.
    pub(crate) fn of(happened: &Histogram<u64>, samples: u64) -> Self {
        let never = samples - happened.len();
        let rank = |per_mille: u64| {
            let rank = (samples * per_mille).div_ceil(1_000).max(1);
            (rank <= happened.len())
                .then(|| happened.value_at_quantile(rank as f64 / happened.len() as f64) as f64 / 1_000.0)
        };
        Self {
            samples,
            never,
            p50: rank(500),
            p95: rank(950),
            p99: rank(990),
            p999: rank(999),
            max: rank(1_000),
        }
    }

    /// Whether the 99th percentile is longer, or none.
    pub(crate) fn is_over(&self, ms_max: f64) -> bool {
        self.p99.is_none_or(|ms| ms > ms_max)
    }

    pub(crate) fn text(&self) -> String {
        if self.samples == 0 {
            return "none".to_string();
        }
        let ranks = [self.p50, self.p95, self.p99, self.p999, self.max];
        let ms = |rank: Option<f64>| rank.map_or("never".to_string(), |ms| format!("{ms:.2}"));
        let [p50, p95, p99, p999, max] = ranks.map(ms);
        format!("p50 {p50} ms, p95 {p95} ms, p99 {p99} ms, p99.9 {p999} ms, max {max} ms")
    }
}

/// One run's figures, as they go into the evidence.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RateFigures {
    #[serde(rename = "loop")]
    pub(crate) the_loop: Loop,
    pub(crate) asked: Rate,
    pub(crate) acked_per_s: f64,
    pub(crate) ack_ms: Ranks,
    /// Of those that were acknowledged at all.
    pub(crate) ack_buckets_us: Buckets,
    /// Answers that were no acknowledgement, of the same votes.
    pub(crate) refused_ms: Ranks,
    /// How late the generator noticed that votes were due.
    pub(crate) noticed_ms: Ranks,
    /// Votes that were never answered, the unsent among them.
    pub(crate) unanswered: u64,
    /// Votes that no connection had room for in time.
    pub(crate) unsent: u64,
    pub(crate) not_counted: u64,
    pub(crate) refused: std::collections::BTreeMap<u16, u64>,
    pub(crate) broken: std::collections::BTreeMap<String, u64>,
    pub(crate) cpu_cores: CpuCores,
    pub(crate) limit: Limit,
    pub(crate) ledger: Ledger,
}

impl RateFigures {
    fn of(asked: Rate, report: &OpenReport, ledger: Ledger) -> Self {
        let seen = &report.seen;
        Self {
            the_loop: Loop::Open,
            asked,
            acked_per_s: report.acked_per_s(),
            ack_ms: Ranks::of(&seen.acked_micros, seen.intended),
            ack_buckets_us: buckets(&seen.acked_micros),
            refused_ms: Ranks::of(&seen.refused_micros, seen.refused_micros.len()),
            noticed_ms: Ranks::of(&seen.noticed_micros, seen.intended),
            unanswered: seen.never(),
            unsent: seen.unsent,
            not_counted: report.counts.not_counted,
            refused: report.counts.refused.clone(),
            broken: report.counts.broken.clone(),
            cpu_cores: report.cpu,
            limit: report.cpu.limit(asked.flow.threads),
            ledger,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        format!(
            "{:.0} of {:.0} votes/s asked for were acknowledged, over {} s\n\
             acknowledged: {}; {} of {} never\n\
             otherwise answered, {}: {}\n\
             noticed by the generator: {}\n\
             all in all {}",
            self.acked_per_s,
            self.asked.flow.votes_per_s,
            self.asked.flow.window_s,
            self.ack_ms.text(),
            self.ack_ms.never,
            self.ack_ms.samples,
            self.refused_ms.samples,
            self.refused_ms.text(),
            self.noticed_ms.text(),
            self.ledger,
        )
    }

    /// Why the generator was not what it should have been; none if it was.
    fn doubt(&self) -> Option<String> {
        if self.noticed_ms.is_over(NOTICED_MS_P99_MAX) {
            return Some(format!(
                "the generator was late itself ({}), so latencies say more of it than of the service: give it more --threads or \
                 a machine of its own",
                self.noticed_ms.text()
            ));
        }
        (self.limit == Limit::Generator).then(|| {
            format!(
                "the generator was the bottleneck ({:.2} cores busy): give it more --threads or a machine of its own",
                self.cpu_cores.generator
            )
        })
    }

    /// The verdict, and the sentence that goes with it.
    pub(crate) fn verdict(&self) -> (Verdict, String) {
        if let Some(verdict) = self.ledger.verdict() {
            return verdict;
        }
        if let Some(doubt) = self.doubt() {
            return (Verdict::Inconclusive, doubt);
        }
        let Some(limit) = self.asked.ack_p99_ms_max else {
            return (Verdict::Pass, "every acknowledged vote is counted".to_string());
        };
        let Ranks { samples, p99, .. } = self.ack_ms;
        match p99 {
            _ if samples < P99_SAMPLES_MIN => {
                let sentence = format!("{samples} votes say nothing of a p99: it takes {P99_SAMPLES_MIN}");
                (Verdict::Inconclusive, sentence)
            }
            Some(ms) if ms <= limit => {
                let sentence =
                    format!("every acknowledged vote is counted; ack p99 {ms:.2} ms, at most {limit}");
                (Verdict::Pass, sentence)
            }
            Some(ms) => (Verdict::Fail, format!("ack p99 {ms:.2} ms, not {limit}")),
            None => {
                let sentence = format!(
                    "there is no ack p99: {} of {samples} votes were never acknowledged",
                    self.ack_ms.never
                );
                (Verdict::Fail, sentence)
            }
        }
    }
}

/// As evidence has them.
pub(crate) fn buckets(happened: &Histogram<u64>) -> Buckets {
    Buckets::of(
        happened
            .iter_recorded()
            .map(|step| (step.value_iterated_to(), step.count_since_last_iteration())),
    )
}

/// Creates an event, votes at that rate, and closes the books.
pub(crate) fn run(subject: &Subject<'_>, rate: Rate) -> Result<RateFigures, SessionError> {
    let (report, ledger) = session::run(subject, |issuer, template| {
        open_loop::run(OpenLoad::plain(subject, &template, &issuer, rate.flow))
    })?;
    Ok(RateFigures::of(rate, &report, ledger))
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
