//! The open-loop generator: votes begin when a schedule says, however the service fares. A vote's latency counts from the moment
//! at which it was to begin, so a stall shows in every vote that came during it (coordinated omission is what a closed loop
//! suffers from: Gil Tene, "How NOT to Measure Latency").
//!
//! A vote that is due goes to the next connection with room; where none has any, it waits, and the wait is part of its
//! latency. How late the generator itself noticed that a vote was due is measured apart: it says whether the
//! generator kept up.

mod lane;
mod requests;
mod thread;
mod timeline;
mod traced;

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ostraka_api::ids::TraceId;
use serde::Serialize;

use self::requests::Requests;
pub(crate) use self::timeline::{SLOT, Timeline};
pub(crate) use self::traced::Traced;
use crate::arrivals::{Arrivals, Pace};
use crate::cpu;
use crate::generator::{Counts, LoadError, probe};
use crate::issuer::Issuer;
use crate::session::Subject;
use crate::statistics::{CpuCores, latencies};
use crate::wire::VoteTemplate;

/// How votes come, and on what.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Flow {
    pub(crate) votes_per_s: f64,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    /// Requests under way on one connection at most: 1 as a phone has it, more as a proxy has it.
    pub(crate) depth: usize,
    pub(crate) threads: usize,
    /// Votes before this are cast and counted, but not measured.
    pub(crate) warmup_s: u64,
    pub(crate) window_s: u64,
}

/// What to do.
pub(crate) struct OpenLoad {
    pub(crate) addr: SocketAddr,
    pub(crate) template: VoteTemplate,
    pub(crate) issuer: Issuer,
    /// The voters have numbers from here on.
    pub(crate) first_voter: u32,
    /// Which votes are parts of sampled traces; none where no stream is watched.
    pub(crate) traced: Option<Traced>,
    pub(crate) votes_per_s: f64,
    /// A time at which more come; none where they come evenly.
    pub(crate) surge: Option<Surge>,
    /// So many voters, whose refused votes are cast again before others' are, as people do who were told to come back. None: each
    /// vote has a voter of its own, and is cast once.
    pub(crate) voters: Option<u32>,
    pub(crate) pace: Pace,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    /// Requests under way on one connection at most: 1 as a phone has it, more as a proxy has it.
    pub(crate) depth: usize,
    pub(crate) threads: usize,
    /// Votes before this are cast and counted, but not measured.
    pub(crate) warmup: Duration,
    pub(crate) window: Duration,
    /// The server's process where it is this run's own, to see its CPU time.
    pub(crate) server_pid: Option<u32>,
}

impl OpenLoad {
    /// Votes of a voter each, that come evenly, and are not traced.
    pub(crate) fn plain(subject: &Subject<'_>, template: &VoteTemplate, issuer: &Issuer, flow: Flow) -> Self {
        let Flow {
            votes_per_s,
            pace,
            seed,
            connections,
            depth,
            threads,
            warmup_s,
            window_s,
        } = flow;
        Self {
            addr: subject.addr,
            template: template.clone(),
            issuer: issuer.clone(),
            first_voter: 1,
            traced: None,
            votes_per_s,
            surge: None,
            voters: None,
            pace,
            seed,
            connections,
            depth,
            threads,
            warmup: Duration::from_secs(warmup_s),
            window: Duration::from_secs(window_s),
            server_pid: subject.pid,
        }
    }
}

/// So many times as many votes.
#[derive(Clone, Debug)]
pub(crate) struct Surge {
    pub(crate) within: Range<Duration>,
    pub(crate) times: f64,
}

/// What came of it. Votes are counted from the first to the last, the rest is of votes that were to begin within the window.
#[derive(Debug)]
pub(crate) struct OpenReport {
    pub(crate) counts: Counts,
    pub(crate) window: Duration,
    pub(crate) seen: Seen,
    pub(crate) timeline: Timeline,
    /// Voters whose vote was sent at least once.
    pub(crate) sent_voters: u64,
    pub(crate) cpu: CpuCores,
}

/// Of the votes that were to begin within the window.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) intended: u64,
    /// No connection had room for them until nobody would have waited any more.
    pub(crate) unsent: u64,
    /// From the moment at which they were to begin to the acknowledgement.
    pub(crate) acked_micros: Histogram<u64>,
    /// The same, of those that were answered otherwise.
    pub(crate) refused_micros: Histogram<u64>,
    /// From the moment at which they were to begin to when the generator saw that.
    pub(crate) noticed_micros: Histogram<u64>,
    /// No voter was left for them.
    pub(crate) without_voter: u64,
    /// Refusals for the moment (503) that did not say when to come back.
    pub(crate) without_retry_after: u64,
}

impl Seen {
    fn new() -> Self {
        Self {
            intended: 0,
            unsent: 0,
            acked_micros: latencies(),
            refused_micros: latencies(),
            noticed_micros: latencies(),
            without_voter: 0,
            without_retry_after: 0,
        }
    }

    fn add(&mut self, other: &Self) {
        self.intended += other.intended;
        self.unsent += other.unsent;
        self.without_voter += other.without_voter;
        self.without_retry_after += other.without_retry_after;
        let pairs = [
            (&mut self.acked_micros, &other.acked_micros),
            (&mut self.refused_micros, &other.refused_micros),
            (&mut self.noticed_micros, &other.noticed_micros),
        ];
        for (all, more) in pairs {
            all.add(more).expect("all histograms have the same bounds");
        }
    }

    /// Of the votes that were to begin, those that were never answered at all.
    pub(crate) fn never(&self) -> u64 {
        self.intended - self.acked_micros.len() - self.refused_micros.len()
    }
}

impl AsRef<Counts> for OpenReport {
    fn as_ref(&self) -> &Counts {
        &self.counts
    }
}

impl OpenReport {
    pub(crate) fn acked_per_s(&self) -> f64 {
        self.seen.acked_micros.len() as f64 / self.window.as_secs_f64()
    }
}

/// Renders all requests, then runs the load to its end on its own threads. Blocks.
pub(crate) fn run(load: OpenLoad) -> Result<OpenReport, LoadError> {
    Ready::of(load)?.go(Instant::now())
}

/// A load whose requests are rendered.
pub(crate) struct Ready {
    load: OpenLoad,
    shares: Vec<Share>,
    requests: Vec<Requests>,
}

impl Ready {
    pub(crate) fn of(load: OpenLoad) -> Result<Self, LoadError> {
        probe(load.addr)?;
        let shares = shares(&load);
        let requests = render(&load, &shares);
        Ok(Self {
            load,
            shares,
            requests,
        })
    }

    pub(crate) fn votes(&self) -> u32 {
        self.shares.iter().map(|share| share.starts.len() as u32).sum()
    }

    /// Traced votes that are to begin within the window.
    pub(crate) fn traced(&self) -> u64 {
        let measured = self.load.warmup..self.load.warmup + self.load.window;
        let is_traced = |share: &Share| {
            let traced = share.traces(self.load.traced);
            traced.filter(|(_, intended)| measured.contains(intended)).count() as u64
        };
        self.shares.iter().map(is_traced).sum()
    }

    /// Runs the load, whose beginning is `start`, to its end on its own threads. Blocks.
    pub(crate) fn go(self, start: Instant) -> Result<OpenReport, LoadError> {
        drive(&self.load, &self.shares, self.requests, start)
    }
}

fn drive(
    load: &OpenLoad,
    shares: &[Share],
    requests: Vec<Requests>,
    start: Instant,
) -> Result<OpenReport, LoadError> {
    let measured = load.warmup..load.warmup + load.window;
    std::thread::scope(|scope| {
        let begin = |(share, requests)| {
            let plan = thread::Plan {
                load,
                start,
                measured: measured.clone(),
                share,
            };
            scope.spawn(move || thread::run(plan, requests))
        };
        let working: Vec<_> = shares.iter().zip(requests).map(begin).collect();
        let until = |moment: Duration| {
            std::thread::sleep((start + moment).saturating_duration_since(Instant::now()));
        };
        until(measured.start);
        let before = cpu::Reading::take(load.server_pid);
        until(measured.end);
        let cpu = cpu::Reading::take(load.server_pid).since(&before);
        let mut report = OpenReport {
            counts: Counts::default(),
            window: load.window,
            seen: Seen::new(),
            timeline: Timeline::default(),
            sent_voters: 0,
            cpu,
        };
        for thread in working {
            let part = thread.join().expect("a thread of the generator does not panic");
            let part = part.map_err(LoadError::Runtime)?;
            report.counts.add(part.counts);
            report.seen.add(&part.seen);
            report.timeline.add(&part.timeline);
            report.sent_voters += part.sent_voters;
        }
        Ok(report)
    })
}

/// One thread's part of the load.
struct Share {
    /// Since the beginning of the load.
    starts: Vec<Duration>,
    voters: Range<u32>,
    /// The number of its first traced vote.
    first_trace: u32,
    connections: usize,
}

impl Share {
    /// Numbers of the votes that are traced, and when they are to begin.
    fn traces(&self, traced: Option<Traced>) -> impl Iterator<Item = (usize, Duration)> {
        let step = traced.map_or(usize::MAX, |traced| traced.one_in);
        let picked = self.starts.iter().copied().enumerate().step_by(step);
        picked.take(if traced.is_some() { usize::MAX } else { 0 })
    }

    /// The trace of the vote of that number; none where it has none.
    fn trace(&self, number: usize, traced: Option<Traced>) -> Option<TraceId> {
        let traced = traced.filter(|traced| number.is_multiple_of(traced.one_in))?;
        let nth = self.first_trace + (number / traced.one_in) as u32;
        Some(traced.id(nth, self.starts[number]))
    }
}

fn shares(load: &OpenLoad) -> Vec<Share> {
    let (mut first_voter, mut first_trace) = (load.first_voter, 0);
    (0..load.threads)
        .map(|thread| {
            let seed = load.seed.wrapping_add(thread as u64);
            let rate = load.votes_per_s / load.threads as f64;
            let starts = starts(rate, load, seed);
            let voters = match load.voters {
                Some(voters) => (thread as u32..voters).step_by(load.threads).count(),
                None => starts.len(),
            };
            let voters = u32::try_from(voters).expect("a run has fewer votes than there are voters");
            let share = Share {
                voters: first_voter..first_voter + voters,
                first_trace,
                connections: (thread..load.connections).step_by(load.threads).count(),
                starts,
            };
            first_voter += voters;
            first_trace += share.traces(load.traced).count() as u32;
            share
        })
        .collect()
}

/// When votes begin, from the load's beginning to its end.
fn starts(votes_per_s: f64, load: &OpenLoad, seed: u64) -> Vec<Duration> {
    let whole = load.warmup + load.window;
    let Surge { within, times } = load.surge.clone().unwrap_or(Surge {
        within: whole..whole,
        times: 1.0,
    });
    let stretch = |from: Duration, until: Duration, times: f64, nth: u64| {
        let length = until.saturating_sub(from);
        Arrivals::new(votes_per_s * times, load.pace, seed.wrapping_add(nth << 32))
            .take_while(move |at| *at < length)
            .map(move |at| from + at)
    };
    let before = stretch(Duration::ZERO, within.start.min(whole), 1.0, 0);
    let during = stretch(within.start, within.end.min(whole), times, 1);
    let after = stretch(within.end, whole, 1.0, 2);
    before.chain(during).chain(after).collect()
}

/// Signing a vote costs more than sending it: all is ready before the first one.
fn render(load: &OpenLoad, shares: &[Share]) -> Vec<Requests> {
    let render = |share: &Share| {
        let trace_of = |number| share.trace(number, load.traced);
        Requests::render(&load.template, &load.issuer, share.voters.clone(), trace_of)
    };
    let render = &render;
    std::thread::scope(|scope| {
        let rendering: Vec<_> = shares
            .iter()
            .map(|share| scope.spawn(move || render(share)))
            .collect();
        let ready = rendering
            .into_iter()
            .map(|thread| thread.join().expect("rendering does not panic"));
        ready.collect()
    })
}

#[cfg(test)]
#[path = "../open_loop_tests.rs"]
mod tests;
