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

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use self::requests::Requests;
use crate::arrivals::{Arrivals, Pace};
use crate::cpu;
use crate::generator::{Counts, LoadError, probe};
use crate::issuer::Issuer;
use crate::statistics::{CpuCores, latencies};
use crate::wire::VoteTemplate;

/// What to do.
pub(crate) struct OpenLoad {
    pub(crate) addr: SocketAddr,
    pub(crate) template: VoteTemplate,
    pub(crate) issuer: Issuer,
    pub(crate) votes_per_s: f64,
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

/// What came of it. Votes are counted from the first to the last, the rest is of votes that were to begin within the window.
#[derive(Debug)]
pub(crate) struct OpenReport {
    pub(crate) counts: Counts,
    pub(crate) window: Duration,
    pub(crate) seen: Seen,
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
}

impl Seen {
    fn new() -> Self {
        Self {
            intended: 0,
            unsent: 0,
            acked_micros: latencies(),
            refused_micros: latencies(),
            noticed_micros: latencies(),
        }
    }

    fn add(&mut self, other: &Self) {
        self.intended += other.intended;
        self.unsent += other.unsent;
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
    probe(load.addr)?;
    let shares = shares(&load);
    let requests = render(&load, &shares);
    let start = Instant::now();
    let measured = load.warmup..load.warmup + load.window;
    std::thread::scope(|scope| {
        let begin = |(share, requests)| {
            let plan = thread::Plan {
                load: &load,
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
            cpu,
        };
        for thread in working {
            let part = thread.join().expect("a thread of the generator does not panic");
            let (counts, seen) = part.map_err(LoadError::Runtime)?;
            report.counts.add(counts);
            report.seen.add(&seen);
        }
        Ok(report)
    })
}

/// One thread's part of the load.
struct Share {
    /// Since the beginning of the load.
    starts: Vec<Duration>,
    first_voter: u32,
    connections: usize,
}

fn shares(load: &OpenLoad) -> Vec<Share> {
    let whole = load.warmup + load.window;
    let mut first_voter = 1;
    (0..load.threads)
        .map(|thread| {
            let seed = load.seed.wrapping_add(thread as u64);
            let rate = load.votes_per_s / load.threads as f64;
            let starts: Vec<_> = Arrivals::new(rate, load.pace, seed)
                .take_while(|at| *at < whole)
                .collect();
            let share = Share {
                first_voter,
                connections: (thread..load.connections).step_by(load.threads).count(),
                starts,
            };
            first_voter +=
                u32::try_from(share.starts.len()).expect("a run has fewer votes than there are voters");
            share
        })
        .collect()
}

/// Signing a vote costs more than sending it: all is ready before the first one.
fn render(load: &OpenLoad, shares: &[Share]) -> Vec<Requests> {
    std::thread::scope(|scope| {
        let render = |share: &Share| {
            let voters = share.first_voter..share.first_voter + share.starts.len() as u32;
            scope.spawn(move || Requests::render(&load.template, &load.issuer, voters))
        };
        let rendering: Vec<_> = shares.iter().map(render).collect();
        let ready = rendering
            .into_iter()
            .map(|thread| thread.join().expect("rendering does not panic"));
        ready.collect()
    })
}

#[cfg(test)]
#[path = "../open_loop_tests.rs"]
mod tests;
