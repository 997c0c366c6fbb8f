//! What somebody would take instead: Redis and PostgreSQL, each with the same promise for a vote (durable before it is answered, one
//! vote a user, counted), driven by the load generator that comes with it. They speak no HTTP and check no token, which is an
//! advantage that they are left.

mod postgres;
mod redis;
mod tool;

use std::path::Path;

use serde::Serialize;

use crate::session::Pressure;
use crate::statistics::Spread;

/// Why there is no figure of a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PeerError {
    #[error("skipped: {0} is not installed")]
    Missing(String),
    #[error("skipped: {0}")]
    Failed(String),
}

/// One round of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct PeerFigures {
    pub(crate) votes_per_s: f64,
    pub(crate) ack_ms_mean: f64,
    /// None where the peer's own generator does not tell.
    pub(crate) ack_ms_p99: Option<f64>,
    /// Votes that its generator saw answered, and votes that it holds. A few of the answered are duplicates: voters are
    /// drawn.
    pub(crate) answered: u64,
    pub(crate) counted: u64,
}

/// A peer, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Redis,
    Postgres,
}

pub(crate) const PEERS: [Peer; 2] = [Peer::Redis, Peer::Postgres];

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Redis => "Redis",
            Peer::Postgres => "PostgreSQL",
        }
    }

    fn round(self, pressure: Pressure, folder: &Path) -> Result<PeerFigures, PeerError> {
        let figures = match self {
            Peer::Redis => redis::round(pressure, folder)?,
            Peer::Postgres => postgres::round(pressure, folder)?,
        };
        // A tenth of a per mille is drawn twice at the most votes that a run has.
        let least = figures.answered - figures.answered / 1_000;
        if (least..=figures.answered).contains(&figures.counted) {
            return Ok(figures);
        }
        Err(PeerError::Failed(format!(
            "{} answered {} votes and holds {}: that is no measurement of votes",
            self.name(),
            figures.answered,
            figures.counted
        )))
    }
}

/// A peer over all rounds, beside the service.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PeerSide {
    pub(crate) name: &'static str,
    pub(crate) rounds: Vec<PeerFigures>,
    pub(crate) votes_per_s: Option<Spread>,
    /// The service's median by its median.
    pub(crate) ratio: Option<f64>,
    /// Why it was not measured.
    pub(crate) skipped: Option<String>,
}

/// What was measured of each peer so far. One that could not be measured once is not tried again.
#[derive(Default)]
pub(crate) struct Peers {
    rounds: [Vec<PeerFigures>; PEERS.len()],
    skipped: [Option<PeerError>; PEERS.len()],
}

impl Peers {
    /// One round of each, and a line about each.
    pub(crate) fn take_round(&mut self, pressure: Pressure, folder: &Path, progress: impl Fn(Peer, &str)) {
        for (place, peer) in PEERS.into_iter().enumerate() {
            if self.skipped[place].is_some() {
                continue;
            }
            match peer.round(pressure, folder) {
                Ok(figures) => {
                    progress(peer, &format!("{:>9.0} votes/s", figures.votes_per_s));
                    self.rounds[place].push(figures);
                }
                Err(error) => {
                    progress(peer, &error.to_string());
                    self.skipped[place] = Some(error);
                }
            }
        }
    }

    /// Beside a service of that median.
    pub(crate) fn beside(self, service_per_s: f64) -> Vec<PeerSide> {
        let each = PEERS.into_iter().zip(self.rounds).zip(self.skipped);
        each.map(|((peer, rounds), skipped)| {
            let rates: Vec<f64> = rounds.iter().map(|figures| figures.votes_per_s).collect();
            // A peer that failed later is not compared by the rounds that went well.
            let votes_per_s = Spread::of(&rates).filter(|_| skipped.is_none());
            PeerSide {
                name: peer.name(),
                rounds,
                votes_per_s,
                ratio: votes_per_s.map(|spread| service_per_s / spread.median),
                skipped: skipped.map(|error| error.to_string()),
            }
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(votes_per_s: f64) -> PeerFigures {
        PeerFigures {
            votes_per_s,
            ack_ms_mean: 1.0,
            ack_ms_p99: None,
            answered: 1,
            counted: 1,
        }
    }

    #[test]
    fn a_peer_is_compared_by_its_median_and_one_that_failed_is_not() {
        let peers = Peers {
            rounds: [
                vec![figures(90.0), figures(110.0), figures(100.0)],
                vec![figures(1.0)],
            ],
            skipped: [None, Some(PeerError::Missing("initdb".to_string()))],
        };
        let [redis, postgres] = peers.beside(300.0).try_into().unwrap();
        assert_eq!((redis.ratio, redis.skipped), (Some(3.0), None));
        assert_eq!(postgres.ratio, None);
        assert_eq!(
            postgres.skipped.as_deref(),
            Some("skipped: initdb is not installed")
        );
    }
}
