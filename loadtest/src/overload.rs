//! `loadtest overload`: what becomes of a service that is asked for more than it can do. First its maximum is found, by a closed
//! loop; then half of it is offered, then a multiple of it, then half of it again, by the open loop. Who is refused tries
//! again, as he was told to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::arrivals::Pace;
use crate::evidence::Verdict;
use crate::generator::{self, Counts, LoadError};
use crate::issuer::Issuer;
use crate::memory::resident_kib;
use crate::open_loop::{self, Flow, OpenLoad, OpenReport, Surge};
use crate::rate::{NOTICED_MS_P99_MAX, Ranks};
use crate::session::{self, Ledger, Pressure, SessionError, Subject};
use crate::statistics::{CpuCores, Limit};
use crate::wire::VoteTemplate;

/// Of the maximum, before the overload and after it.
const CALM_SHARE: f64 = 0.5;
/// Voters of one run. Each has a request ready before the first is sent, at about 450 bytes of memory.
const VOTERS_MAX: u32 = 12_000_000;
/// Voters beyond those whom the maximum would take: rates drift.
const VOTERS_RESERVE: f64 = 1.25;
/// The overload's voters have higher numbers than those who vote to find the maximum.
const FIRST_VOTER: u32 = 1_000_000_000;
/// Of what is offered, acknowledged or not: below it what was not refused was held back by the generator.
const REACHED_SHARE_MIN: f64 = 0.95;
const MEMORY_LOOK: Duration = Duration::from_millis(250);
/// Resident memory that a counted vote may need: its place in the dedupe, and what the log's cache keeps of it.
const MEMORY_A_VOTE_BYTES: f64 = 32.0;
/// What is no growth yet: an allocator's scatter.
const MEMORY_SCATTER: f64 = 0.10;

/// What is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Limits {
    /// Of the maximum.
    pub(crate) goodput_min: f64,
    pub(crate) refused_p99_ms_max: f64,
    pub(crate) recovery_s_max: f64,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Overload {
    pub(crate) times: f64,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
    pub(crate) threads: usize,
    /// How the maximum is found: connections, and requests together on each.
    pub(crate) probe_connections: usize,
    pub(crate) probe_pipeline: usize,
    pub(crate) probe_s: u64,
    pub(crate) before_s: u64,
    pub(crate) overload_s: u64,
    pub(crate) after_s: u64,
    pub(crate) limits: Limits,
}

impl Overload {
    fn within(&self) -> Range<Duration> {
        let start = Duration::from_secs(self.before_s);
        start..start + Duration::from_secs(self.overload_s)
    }

    /// Voters that such a maximum takes.
    fn voters(&self, max_per_s: f64) -> Result<u32, LoadError> {
        let calm = (self.before_s + self.after_s) as f64 * CALM_SHARE;
        let counted = max_per_s * (calm + self.overload_s as f64) * VOTERS_RESERVE;
        let voters = counted + (self.connections * self.depth) as f64;
        if voters > f64::from(VOTERS_MAX) {
            return Err(LoadError::TooMany(format!(
                "at {max_per_s:.0} votes/s the overload takes {voters:.0} voters, and one run has {VOTERS_MAX}: ask for fewer --seconds"
            )));
        }
        Ok(voters as u32)
    }
}

/// One look at the service's memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct MemorySample {
    pub(crate) at_s: f64,
    pub(crate) resident_kib: u64,
}

struct Report {
    counts: Counts,
    max: (f64, Limit),
    open: OpenReport,
    memory: Vec<MemorySample>,
}

impl AsRef<Counts> for Report {
    fn as_ref(&self) -> &Counts {
        &self.counts
    }
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct OverloadFigures {
    pub(crate) asked: Overload,
    pub(crate) max_per_s: f64,
    /// What set the maximum.
    pub(crate) max_limit: Limit,
    pub(crate) offered_per_s: f64,
    pub(crate) goodput_per_s: f64,
    pub(crate) acked_ms: Ranks,
    pub(crate) refused_ms: Ranks,
    pub(crate) refused: BTreeMap<u16, u64>,
    pub(crate) without_retry_after: u64,
    /// Never answered, the unsent among them.
    pub(crate) never: u64,
    pub(crate) recovery_s: f64,
    pub(crate) memory: Vec<MemorySample>,
    /// In the overload's second quarter and its last, at most.
    pub(crate) memory_early_kib: Option<u64>,
    pub(crate) memory_late_kib: Option<u64>,
    /// Votes counted between the middles of those.
    pub(crate) counted_between: u64,
    pub(crate) noticed_ms: Ranks,
    pub(crate) without_voter: u64,
    pub(crate) cpu_cores: CpuCores,
    pub(crate) limit: Limit,
    pub(crate) ledger: Ledger,
}

/// Creates an event, finds the maximum, overloads, and closes the books.
pub(crate) fn run(subject: &Subject<'_>, overload: &Overload) -> Result<OverloadFigures, SessionError> {
    let (report, ledger) = session::run(subject, |issuer, template| {
        drive(subject, overload, &issuer, &template)
    })?;
    Ok(OverloadFigures::of(*overload, report, ledger))
}

fn drive(
    subject: &Subject<'_>,
    overload: &Overload,
    issuer: &Issuer,
    template: &VoteTemplate,
) -> Result<Report, LoadError> {
    let pressure = Pressure {
        connections: overload.probe_connections,
        pipeline: overload.probe_pipeline,
        threads: overload.threads,
        warmup_s: 1,
        window_s: overload.probe_s,
    };
    let mut probe = session::load(
        subject.addr,
        issuer.clone(),
        template.clone(),
        pressure,
        subject.pid,
    );
    probe.voters.end = FIRST_VOTER;
    let probed = generator::run(probe)?;
    let max = (probed.votes_per_s(), probed.cpu.limit(overload.threads));
    eprintln!("maximum: {:.0} votes/s", max.0);
    let flow = Flow {
        votes_per_s: max.0 * CALM_SHARE,
        pace: overload.pace,
        seed: overload.seed,
        connections: overload.connections,
        depth: overload.depth,
        threads: overload.threads,
        warmup_s: overload.before_s,
        window_s: overload.overload_s + overload.after_s,
    };
    let load = OpenLoad {
        first_voter: FIRST_VOTER,
        surge: Some(Surge {
            within: overload.within(),
            times: overload.times / CALM_SHARE,
        }),
        voters: Some(overload.voters(max.0)?),
        ..OpenLoad::plain(subject, template, issuer, flow)
    };
    let ready = open_loop::Ready::of(load)?;
    let start = Instant::now();
    let (open, memory) = sampled(subject.pid, start, || ready.go(start));
    let open = open?;
    let mut counts = probed.counts;
    let probe_doubt = counts.in_doubt();
    counts.acked += open.counts.acked;
    counts.not_counted += open.counts.not_counted;
    // Who was refused was asked again, so what counts is who was sent at all and not acknowledged in the end.
    counts.refused.clear();
    counts.unanswered = probe_doubt + open.sent_voters - open.counts.acked - open.counts.not_counted;
    Ok(Report {
        counts,
        max,
        open,
        memory,
    })
}

/// Does `work` while the memory of a process is looked at.
fn sampled<T>(pid: Option<u32>, start: Instant, work: impl FnOnce() -> T) -> (T, Vec<MemorySample>) {
    let samples = Mutex::new(Vec::new());
    let (done, is_done) = mpsc::channel::<()>();
    let worked = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Moved here, so that only this thread has it.
            let is_done = is_done;
            while let Some(resident_kib) = resident_kib(pid) {
                let at_s = start.elapsed().as_secs_f64();
                let sample = MemorySample { at_s, resident_kib };
                samples
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(sample);
                if is_done.recv_timeout(MEMORY_LOOK) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
        });
        let worked = work();
        drop(done);
        worked
    });
    (
        worked,
        samples.into_inner().unwrap_or_else(PoisonError::into_inner),
    )
}

impl OverloadFigures {
    fn of(asked: Overload, report: Report, ledger: Ledger) -> Self {
        let Report {
            max, open, memory, ..
        } = report;
        let within = asked.within();
        let seconds = asked.overload_s as f64;
        let part = |share: f64| within.start + Duration::from_secs_f64(seconds * share);
        let most = |from: f64, until: f64| {
            let range = part(from).as_secs_f64()..part(until).as_secs_f64();
            let samples = memory.iter().filter(|sample| range.contains(&sample.at_s));
            samples.map(|sample| sample.resident_kib).max()
        };
        let slots = open.timeline.slots.iter().enumerate();
        let offered = slots
            .filter(|(number, _)| within.contains(&(open_loop::SLOT * *number as u32)))
            .map(|(_, slot)| slot.begun)
            .sum::<u64>();
        let seen = &open.seen;
        Self {
            asked,
            max_per_s: max.0,
            max_limit: max.1,
            offered_per_s: offered as f64 / seconds,
            goodput_per_s: open.timeline.acked_between(within.start, within.end) as f64 / seconds,
            acked_ms: Ranks::of(&seen.acked_micros, seen.acked_micros.len()),
            refused_ms: Ranks::of(&seen.refused_micros, seen.refused_micros.len()),
            refused: open.counts.refused.clone(),
            without_retry_after: seen.without_retry_after,
            never: seen.never() - seen.without_voter,
            recovery_s: open.timeline.recovery(within.end).as_secs_f64(),
            memory_early_kib: most(0.25, 0.5),
            memory_late_kib: most(0.75, 1.0),
            counted_between: open.timeline.acked_between(part(0.25), within.end),
            memory,
            noticed_ms: Ranks::of(&seen.noticed_micros, seen.intended),
            without_voter: seen.without_voter,
            cpu_cores: open.cpu,
            limit: open.cpu.limit(asked.threads),
            ledger,
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let refused: Vec<_> = self
            .refused
            .iter()
            .map(|(status, count)| format!("{count} times {status}"))
            .collect();
        let kib = |kib: Option<u64>| kib.map_or("?".to_string(), |kib| format!("{} MiB", kib / 1_024));
        format!(
            "maximum {:.0} votes/s; {:.0} offered for {} s, {:.0} acknowledged a second, {:.2} of the maximum\n\
             acknowledged: {}\n\
             refused, {}: {}\n\
             never answered: {}; noticed by the generator: {}\n\
             recovered {:.1} s after the overload; memory {} in its second quarter, {} in its last\n\
             all in all {}",
            self.max_per_s,
            self.offered_per_s,
            self.asked.overload_s,
            self.goodput_per_s,
            self.goodput_per_s / self.max_per_s,
            self.acked_ms.text(),
            if refused.is_empty() {
                "nobody".to_string()
            } else {
                refused.join(", ")
            },
            self.refused_ms.text(),
            self.never,
            self.noticed_ms.text(),
            self.recovery_s,
            kib(self.memory_early_kib),
            kib(self.memory_late_kib),
            self.ledger,
        )
    }

    /// Why no overload was offered; none if it was.
    fn doubt(&self) -> Option<String> {
        if self.max_limit == Limit::Generator {
            return Some(
                "the maximum is the generator's, not the service's: give it more --threads".to_string(),
            );
        }
        if self.noticed_ms.is_over(NOTICED_MS_P99_MAX) || self.limit == Limit::Generator {
            return Some(format!(
                "the generator could not offer so much (it was late: {}): give it more --threads or a machine of its own",
                self.noticed_ms.text()
            ));
        }
        if self.refused.is_empty() && self.goodput_per_s < REACHED_SHARE_MIN * self.offered_per_s {
            return Some(
                "nobody was refused, and not all were acknowledged: votes waited for room on a connection, so the service was not \
                 offered so much: give it more --connections"
                    .to_string(),
            );
        }
        (self.without_voter > 0).then(|| {
            format!(
                "for {} votes no voter was left: the maximum was found too low",
                self.without_voter
            )
        })
    }

    fn is_memory_flat(&self) -> Option<bool> {
        let (early, late) = (self.memory_early_kib? as f64, self.memory_late_kib? as f64);
        let votes = self.counted_between as f64 * MEMORY_A_VOTE_BYTES / 1_024.0;
        Some(late <= early * (1.0 + MEMORY_SCATTER) + votes)
    }

    /// What did not hold, each in a sentence.
    fn missed(&self) -> Vec<String> {
        let limits = self.asked.limits;
        let mut missed = Vec::new();
        let share = self.goodput_per_s / self.max_per_s;
        if share < limits.goodput_min {
            missed.push(format!(
                "goodput {share:.2} of the maximum, not {}",
                limits.goodput_min
            ));
        }
        let otherwise: u64 = self
            .refused
            .iter()
            .filter(|(status, _)| **status != 503)
            .map(|(_, count)| count)
            .sum();
        if otherwise > 0 {
            missed.push(format!("{otherwise} votes were refused otherwise than with 503"));
        }
        if self.without_retry_after > 0 {
            missed.push(format!(
                "{} refusals have no Retry-After",
                self.without_retry_after
            ));
        }
        if self.never > 0 {
            missed.push(format!("{} votes were never answered", self.never));
        }
        if let Some(ms) = self.refused_ms.p99.filter(|ms| *ms > limits.refused_p99_ms_max) {
            missed.push(format!(
                "refused p99 {ms:.2} ms, not {}",
                limits.refused_p99_ms_max
            ));
        }
        if self.is_memory_flat() == Some(false) {
            missed.push("memory grew all the time".to_string());
        }
        if self.recovery_s > limits.recovery_s_max {
            missed.push(format!(
                "recovered after {:.1} s, not {}",
                self.recovery_s, limits.recovery_s_max
            ));
        }
        missed
    }

    /// The verdict, and the sentence that goes with it.
    pub(crate) fn verdict(&self) -> (Verdict, String) {
        if let Some(verdict) = self.ledger.verdict() {
            return verdict;
        }
        if let Some(doubt) = self.doubt() {
            return (Verdict::Inconclusive, doubt);
        }
        let missed = self.missed();
        if !missed.is_empty() {
            return (Verdict::Fail, missed.join("; "));
        }
        let sentence = format!(
            "goodput {:.2} of the maximum, refused p99 {}, recovered after {:.1} s, and every acknowledged vote is counted",
            self.goodput_per_s / self.max_per_s,
            self.refused_ms
                .p99
                .map_or("none".to_string(), |ms| format!("{ms:.2} ms")),
            self.recovery_s
        );
        (Verdict::Pass, sentence)
    }
}

#[cfg(test)]
#[path = "overload_tests.rs"]
mod tests;
