//! The service and the empty server, in turn, under the same generator, on the same machine, in the same run: absolute
//! figures drift from machine to machine, the ratio holds. And what somebody would take instead, under generators of their own.

use std::path::Path;
use std::process::Command;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::evidence::{self, Verdict};
use crate::generator::{self, LoadError};
use crate::issuer::Issuer;
use crate::own_service::OwnService;
use crate::peers::{PeerSide, Peers};
use crate::processes::{ProcessError, Server, beside};
use crate::session::{self, Figures, Ledger, Pressure, SessionError};
use crate::statistics::{LatencyMs, Limit, Spread, latencies};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CompareError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the service did not show its leaderboard any more: {0}")]
    Gone(Ledger),
    #[error("a folder for the run cannot be made: {0}")]
    Folder(std::io::Error),
}

#[derive(Serialize)]
pub(crate) struct Comparison {
    pub(crate) pressure: Pressure,
    /// Of the service's binary.
    pub(crate) binary_sha256: Option<String>,
    pub(crate) service: Side,
    pub(crate) empty: Side,
    /// Median by median.
    pub(crate) ratio: f64,
    pub(crate) ratio_by_round: Spread,
    pub(crate) peers: Vec<PeerSide>,
    /// Why there are fewer rounds than were asked for.
    pub(crate) stopped: Option<String>,
}

/// One of the two, over all rounds.
#[derive(Serialize)]
pub(crate) struct Side {
    pub(crate) votes_per_s: Spread,
    pub(crate) ack_latency_ms: LatencyMs,
    pub(crate) rounds: Vec<Figures>,
}

/// Runs `rounds` of both, each on a fresh process and a fresh data folder under `folder`. Where one cannot go on, the whole
/// rounds before it are kept.
///
/// # Errors
/// Where there is no whole round.
pub(crate) fn run(pressure: Pressure, rounds: usize, folder: &Path) -> Result<Comparison, CompareError> {
    let mut all = Rounds::default();
    let mut stopped = None;
    for round in 1..=rounds {
        let named = format!("round {round} of {rounds}");
        match all.take(pressure, &named, &folder.join(round.to_string())) {
            Ok(()) => {}
            Err(error) if all.empties.rounds.is_empty() => return Err(error),
            Err(error) => {
                stopped = Some(format!("{named} did not end: {error}"));
                break;
            }
        }
    }
    let binary = beside("ostraka").map_err(CompareError::Folder)?;
    let binary_sha256 = evidence::sha256_of(&binary);
    let comparison = Comparison::of(pressure, all.services, all.empties);
    Ok(Comparison {
        binary_sha256,
        peers: all.peers.beside(comparison.service.votes_per_s.median),
        stopped,
        ..comparison
    })
}

#[derive(Default)]
struct Rounds {
    services: Collected,
    empties: Collected,
    peers: Peers,
}

impl Rounds {
    fn take(&mut self, pressure: Pressure, round: &str, folder: &Path) -> Result<(), CompareError> {
        std::fs::create_dir_all(folder).map_err(CompareError::Folder)?;
        let figures = self.services.take(service_round(pressure, folder)?);
        eprintln!("{round}: service {:>9.0} votes/s", figures.votes_per_s);
        let figures = self.empties.take(empty_round(pressure, folder)?);
        eprintln!("{round}: empty   {:>9.0} requests/s", figures.votes_per_s);
        self.peers.take_round(pressure, folder, |peer, said| {
            eprintln!("{round}: {} {said}", peer.name());
        });
        Ok(())
    }
}

#[derive(Default)]
struct Collected {
    rounds: Vec<Figures>,
    latencies_micros: Option<Histogram<u64>>,
}

impl Collected {
    fn take(&mut self, (figures, micros): (Figures, Histogram<u64>)) -> &Figures {
        let all = self.latencies_micros.get_or_insert_with(latencies);
        all.add(&micros).expect("all histograms have the same bounds");
        self.rounds.push(figures);
        self.rounds.last().expect("one was just put in")
    }

    fn into_side(self) -> Side {
        let rates: Vec<f64> = self.rounds.iter().map(|figures| figures.votes_per_s).collect();
        Side {
            votes_per_s: Spread::of(&rates).expect("a comparison has at least one round"),
            ack_latency_ms: LatencyMs::of(&self.latencies_micros.unwrap_or_else(latencies)),
            rounds: self.rounds,
        }
    }
}

impl Comparison {
    fn of(pressure: Pressure, services: Collected, empties: Collected) -> Self {
        let (service, empty) = (services.into_side(), empties.into_side());
        let ratios: Vec<f64> = service
            .rounds
            .iter()
            .zip(&empty.rounds)
            .map(|(service, empty)| service.votes_per_s / empty.votes_per_s)
            .collect();
        let ratio_by_round = Spread::of(&ratios).expect("a comparison has at least one round");
        let ratio = service.votes_per_s.median / empty.votes_per_s.median;
        Self {
            pressure,
            binary_sha256: None,
            service,
            empty,
            ratio,
            ratio_by_round,
            peers: Vec::new(),
            stopped: None,
        }
    }

    /// The verdict, and the sentence that goes with it.
    pub(crate) fn verdict(&self) -> (Verdict, String) {
        let mut ledgers = self.service.rounds.iter().filter_map(|figures| figures.ledger);
        if let Some(sentence) = ledgers.find_map(|ledger| ledger.unbalanced()) {
            return (Verdict::Fail, sentence);
        }
        if let Some(sentence) = &self.stopped {
            return (Verdict::Inconclusive, sentence.clone());
        }
        let mut doubts: Vec<String> = self.service.rounds.iter().flat_map(Figures::doubts).collect();
        doubts.extend(self.empty.rounds.iter().filter_map(Figures::crowd));
        if let Some(first) = doubts.first() {
            return (
                Verdict::Inconclusive,
                format!("{} doubts about the rounds, the first: {first}", doubts.len()),
            );
        }
        let empty_by_generator = self
            .empty
            .rounds
            .iter()
            .any(|figures| figures.limit == Limit::Generator);
        let at_most = if empty_by_generator {
            "; the generator held the empty server back, so the true ratio is lower"
        } else {
            ""
        };
        let sentence = format!(
            "every acknowledged vote is counted; the service takes {:.0} votes/s, {:.0} % of the empty handler's {:.0}{at_most}",
            self.service.votes_per_s.median,
            self.ratio * 100.0,
            self.empty.votes_per_s.median
        );
        (Verdict::Pass, sentence)
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        let row = |name: &str, side: &Side| {
            let Spread { min, median, max } = side.votes_per_s;
            let cores = |pick: fn(&Figures) -> Option<f64>| {
                let values: Vec<f64> = side.rounds.iter().filter_map(pick).collect();
                Spread::of(&values).map_or("?".to_string(), |spread| format!("{:.2}", spread.median))
            };
            format!(
                "{name:<15} {min:>9.0} {median:>9.0} {max:>9.0} {:>9.2} {:>9.2} {:>9.2} {:>9} {:>9} {:>9}\n",
                side.ack_latency_ms.p50,
                side.ack_latency_ms.p99,
                side.ack_latency_ms.max,
                cores(|figures| figures.cpu_cores.server),
                cores(|figures| Some(figures.cpu_cores.generator)),
                cores(|figures| figures.cpu_cores.others),
            )
        };
        let head = format!(
            "{:<15} {:>29} {:>29} {:>29}\n{:<15} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
            "",
            "votes/s",
            "ack latency, ms",
            "cores busy",
            "",
            "min",
            "median",
            "max",
            "p50",
            "p99",
            "max",
            "server",
            "generator",
            "others"
        );
        let Spread { min, median, max } = self.ratio_by_round;
        let ratio = format!(
            "ratio {:.3} of the medians; by round {min:.3} {median:.3} {max:.3}\n",
            self.ratio
        );
        let peers = self.peers.iter().map(peer_row).collect();
        [
            head,
            row("ostraka serve", &self.service),
            row("empty handler", &self.empty),
            ratio,
            peers,
        ]
        .concat()
    }
}

/// Its rate, and the service's by it.
fn peer_row(side: &PeerSide) -> String {
    let name = side.name;
    match (side.votes_per_s, side.ratio) {
        (Some(Spread { min, median, max }), Some(ratio)) => {
            format!(
                "{name:<15} {min:>9.0} {median:>9.0} {max:>9.0}   the service takes {ratio:.2} times as many\n"
            )
        }
        _ => format!(
            "{name:<15} {}\n",
            side.skipped.as_deref().unwrap_or("not measured")
        ),
    }
}

fn service_round(pressure: Pressure, folder: &Path) -> Result<(Figures, Histogram<u64>), CompareError> {
    let service = OwnService::start(folder)?;
    let subject = service.subject();
    let (report, ledger) = session::run_closed(&subject, pressure)?;
    if ledger.counted.is_none() {
        return Err(CompareError::Gone(ledger));
    }
    service.kill();
    Ok((
        Figures::of(&report, pressure.threads, Some(ledger)),
        report.latencies_micros,
    ))
}

fn empty_round(pressure: Pressure, folder: &Path) -> Result<(Figures, Histogram<u64>), CompareError> {
    let mut command = Command::new(beside("loadtest").map_err(CompareError::Folder)?);
    command.args(["empty-server", "--listen", "127.0.0.1:0"]);
    let server = Server::start("the empty server", command, &folder.join("empty.log"))?;
    let issuer = Issuer::new(&[7; 32], "k1", session::now_s());
    let template = session::template(server.addr, "e1", "e1-c0");
    let load = session::load(server.addr, issuer, template, pressure, Some(server.pid()));
    let report = generator::run(load)?;
    server.kill();
    Ok((
        Figures::of(&report, pressure.threads, None),
        report.latencies_micros,
    ))
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
