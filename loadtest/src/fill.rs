//! Many votes, as fast as the service takes them: to make a log of a size, not to measure.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use crate::generator::{self, Counts, LoadError};
use crate::issuer::{Issuer, IssuerError};
use crate::session::{Pressure, load, now_s, template};

/// Connections, and requests sent together on each: together they make the batches of a busy minute.
const CONNECTIONS: usize = 64;
const PIPELINE: usize = 4;

/// Why no votes were cast. Retryable, once the service is there and its secrets are.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FillError(#[from] Cause);

#[derive(Debug, thiserror::Error)]
enum Cause {
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Which votes, and where.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The service's public port.
    pub addr: SocketAddr,
    /// The service's secrets, to sign voters' tokens with.
    pub secrets_file: PathBuf,
    pub event: String,
    /// All of them are for this one.
    pub contestant: String,
    /// Each of these votes once.
    pub voters: Range<u32>,
    /// After this it is over, whoever has voted by then.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filled {
    /// Acknowledged as counted.
    pub acked: u64,
    /// Sent, and either not answered or answered with an error of the server's: counted or not, both are right.
    pub in_doubt: u64,
    /// Sentences on whatever went otherwise than with an acknowledgement.
    pub complaints: Vec<String>,
}

impl From<Counts> for Filled {
    fn from(counts: Counts) -> Self {
        let refused = counts
            .refused
            .iter()
            .map(|(status, count)| format!("{count} votes were answered {status}"));
        let broken = counts
            .broken
            .iter()
            .map(|(why, count)| format!("on {count} connections: {why}"));
        let not_counted = (counts.not_counted > 0)
            .then(|| format!("{} votes were answered 200 but not counted", counts.not_counted));
        Self {
            acked: counts.acked,
            in_doubt: counts.in_doubt(),
            complaints: refused.chain(broken).chain(not_counted).collect(),
        }
    }
}

impl Fill {
    /// Has each voter vote once. Blocks.
    ///
    /// # Errors
    /// Where the secrets cannot be read, or nobody listens there.
    pub fn run(self) -> Result<Filled, FillError> {
        let issuer = Issuer::from_file(&self.secrets_file, now_s()).map_err(Cause::from)?;
        let pressure = Pressure {
            connections: CONNECTIONS,
            pipeline: PIPELINE,
            threads: 1,
            warmup_s: 0,
            window_s: self.patience.as_secs(),
        };
        let template = template(self.addr, &self.event, &self.contestant);
        let all = load(self.addr, issuer, template, pressure, None);
        let ours = generator::Load {
            voters: self.voters,
            ..all
        };
        Ok(generator::cast(ours).map_err(Cause::from)?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_not_acknowledged_is_told() {
        let mut counts = Counts {
            acked: 7,
            unanswered: 2,
            ..Counts::default()
        };
        assert!(
            Filled::from(Counts {
                acked: 7,
                ..Counts::default()
            })
            .complaints
            .is_empty()
        );
        counts.refused.insert(503, 3);
        counts.refused.insert(401, 5);
        counts.broken.insert("cut".to_owned(), 1);
        let filled = Filled::from(counts);
        assert_eq!((filled.acked, filled.in_doubt), (7, 5));
        assert_eq!(filled.complaints.len(), 3);
    }
}
