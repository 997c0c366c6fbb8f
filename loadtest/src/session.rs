//! One load on one service, from an event of its own to the ledger: every acknowledged vote must stand on the
//! leaderboard, and none that was not cast.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ostraka_api::ids::EventId;
use ostraka_api::{CreateEventRequest, LoginRequest, LoginResponse};
use ostraka_client::{CallOptions, Client, ClientConfig, ClientError, TokioConnect};
use serde::Serialize;

use crate::evidence::{Loop, Verdict};
use crate::generator::{Counts, Load, LoadError, LoadReport};
use crate::issuer::{Issuer, IssuerError};
use crate::statistics::{CpuCores, LatencyMs, Limit};
use crate::wire::VoteTemplate;

/// A leaderboard is at most this far behind the last acknowledgement.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// A service that was just started elects itself within this.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("{0}: give it as http://HOST:PORT")]
    Url(String),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the service did not let the operator in: {0}")]
    Login(ClientError),
    #[error("the service did not create an event: {0}")]
    Event(ClientError),
    #[error("the service did not register an account: {0}")]
    Register(ClientError),
    #[error("the service did not show the leaderboard: {0}")]
    Leaderboard(ClientError),
    #[error("goose did not run: {0}")]
    Goose(String),
    #[error("the generator's own runtime does not start: {0}")]
    Runtime(std::io::Error),
}

/// How hard to push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Pressure {
    pub(crate) connections: usize,
    pub(crate) pipeline: usize,
    pub(crate) threads: usize,
    pub(crate) warmup_s: u64,
    pub(crate) window_s: u64,
}

/// What the service's books say beside the generator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Ledger {
    pub(crate) acked: u64,
    /// Sum of the leaderboard; none where the service did not show it any more.
    pub(crate) counted: Option<u64>,
    /// Votes whose answer never came or was an error of the server's: counted or not, both are right.
    pub(crate) in_doubt: u64,
}

impl Ledger {
    pub(crate) fn balances(&self) -> bool {
        let may_be = self.acked..=self.acked + self.in_doubt;
        self.counted.is_none_or(|counted| may_be.contains(&counted))
    }

    /// The sentence where they do not.
    pub(crate) fn unbalanced(&self) -> Option<String> {
        (!self.balances()).then(|| format!("the books do not balance: {self}"))
    }

    /// What stands before anything else that is to be said of a run; none where it may be judged.
    pub(crate) fn verdict(&self) -> Option<(Verdict, String)> {
        match self.unbalanced() {
            Some(sentence) => Some((Verdict::Fail, sentence)),
            None if self.acked == 0 => Some((Verdict::NoData, "no vote was acknowledged".to_string())),
            None if self.counted.is_none() => {
                let sentence = format!(
                    "the service did not show its leaderboard after the run: {} acknowledged votes are not compared with it",
                    self.acked
                );
                Some((Verdict::Inconclusive, sentence))
            }
            None => None,
        }
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acked,
            counted,
            in_doubt,
        } = self;
        write!(formatter, "{acked} votes acknowledged, ")?;
        match counted {
            Some(counted) => write!(formatter, "{counted} counted")?,
            None => write!(formatter, "nobody knows how many counted")?,
        }
        write!(formatter, ", {in_doubt} in doubt")
    }
}

/// One run's figures, as they go into the evidence.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    #[serde(rename = "loop")]
    pub(crate) the_loop: Loop,
    pub(crate) votes_per_s: f64,
    pub(crate) ack_latency_ms: LatencyMs,
    pub(crate) cpu_cores: CpuCores,
    pub(crate) limit: Limit,
    pub(crate) not_counted: u64,
    pub(crate) refused: std::collections::BTreeMap<u16, u64>,
    pub(crate) broken: std::collections::BTreeMap<String, u64>,
    /// None where nothing keeps books: the empty server.
    pub(crate) ledger: Option<Ledger>,
}

impl Figures {
    pub(crate) fn of(report: &LoadReport, threads: usize, ledger: Option<Ledger>) -> Self {
        let Counts {
            not_counted,
            refused,
            broken,
            ..
        } = &report.counts;
        Self {
            the_loop: Loop::Closed,
            votes_per_s: report.votes_per_s(),
            ack_latency_ms: LatencyMs::of(&report.latencies_micros),
            cpu_cores: report.cpu,
            limit: report.cpu.limit(threads),
            not_counted: *not_counted,
            refused: refused.clone(),
            broken: broken.clone(),
            ledger,
        }
    }

    /// What makes these figures no measurement of a healthy server; empty if nothing does.
    pub(crate) fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.limit == Limit::Generator {
            doubts.push(format!(
                "the generator was the bottleneck ({:.2} cores busy): give it more --threads or a machine of its own",
                self.cpu_cores.generator
            ));
        }
        doubts.extend(self.crowd());
        if self.not_counted > 0 {
            doubts.push(format!(
                "{} votes were answered 200 but not counted",
                self.not_counted
            ));
        }
        let refused = self
            .refused
            .iter()
            .map(|(status, count)| format!("{count} votes were answered {status}"));
        doubts.extend(refused);
        doubts.extend(
            self.broken
                .iter()
                .map(|(why, count)| format!("on {count} connections: {why}")),
        );
        doubts
    }
}

impl Figures {
    /// Says so if other processes took too much of the machine.
    pub(crate) fn crowd(&self) -> Option<String> {
        let others = self.cpu_cores.others.filter(|_| self.cpu_cores.is_crowded())?;
        let machine = self.cpu_cores.machine;
        Some(format!(
            "other processes kept {others:.2} of {machine} cores busy: measure on a quiet machine"
        ))
    }
}

/// Where a service is and how to act on it.
pub(crate) struct Subject<'a> {
    pub(crate) addr: SocketAddr,
    pub(crate) secrets_file: &'a Path,
    pub(crate) operator_password: &'a str,
    pub(crate) pid: Option<u32>,
}

/// The address of `http://HOST:PORT`.
pub(crate) fn addr_of(url: &str) -> Result<SocketAddr, SessionError> {
    let authority = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
    let resolved = authority.and_then(|authority| authority.to_socket_addrs().ok()?.next());
    resolved.ok_or_else(|| SessionError::Url(format!("{url} is no address of a service")))
}

/// Creates an event, drives the load at it, and closes the books.
pub(crate) fn run<R: AsRef<Counts>>(
    subject: &Subject<'_>,
    drive: impl FnOnce(Issuer, VoteTemplate) -> Result<R, LoadError>,
) -> Result<(R, Ledger), SessionError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(SessionError::Runtime)?;
    let issuer = Issuer::from_file(subject.secrets_file, now_s())?;
    let client = client(subject.addr);
    let (token, event, contestant) = runtime.block_on(prepare(&client, subject.operator_password))?;
    let report = drive(issuer, template(subject.addr, &event.to_string(), &contestant))?;
    let counts = report.as_ref();
    let counted = runtime.block_on(settled(&client, &token, event, counts.acked));
    let ledger = Ledger {
        acked: counts.acked,
        // What was measured until then is kept, whatever became of the service.
        counted: counted.inspect_err(|error| eprintln!("{error}")).ok(),
        in_doubt: counts.in_doubt(),
    };
    Ok((report, ledger))
}

/// A client of that one address.
pub(crate) fn client(addr: SocketAddr) -> Client {
    let random = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
    let config = ClientConfig::new(Arc::new(random));
    Client::new(Arc::new(TokioConnect), vec![addr.to_string()], config)
}

/// As fast as the service takes them.
pub(crate) fn run_closed(
    subject: &Subject<'_>,
    pressure: Pressure,
) -> Result<(LoadReport, Ledger), SessionError> {
    run(subject, |issuer, template| {
        crate::generator::run(load(subject.addr, issuer, template, pressure, subject.pid))
    })
}

pub(crate) fn template(addr: SocketAddr, event: &str, contestant: &str) -> VoteTemplate {
    // Any moment will do: the votes are told apart by their voters.
    VoteTemplate::new(&addr.to_string(), event, contestant, "2026-01-01T00:00:00.000Z")
}

/// The load of that pressure on that address.
pub(crate) fn load(
    addr: SocketAddr,
    issuer: Issuer,
    template: VoteTemplate,
    pressure: Pressure,
    server_pid: Option<u32>,
) -> Load {
    Load {
        addr,
        template,
        issuer,
        voters: 1..u32::MAX,
        connections: pressure.connections,
        pipeline: pressure.pipeline,
        threads: pressure.threads,
        warmup: Duration::from_secs(pressure.warmup_s),
        window: Duration::from_secs(pressure.window_s),
        server_pid,
    }
}

pub(crate) fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// Logs the operator in, once the service is ready for it.
pub(crate) async fn let_in(client: &Client, password: &str) -> Result<LoginResponse, SessionError> {
    let login = LoginRequest {
        username: "operator".to_string(),
        password: password.to_string(),
    };
    let started = Instant::now();
    loop {
        match client.login(&login, CallOptions::default()).await {
            Ok(operator) => return Ok(operator),
            // A service that has just started answers 503, and 401 until it has made the account.
            Err(error) if started.elapsed() > READY_TIMEOUT || !may_pass(&error) => {
                return Err(SessionError::Login(error));
            }
            Err(_) => tokio::time::sleep(SETTLE_PAUSE).await,
        }
    }
}

async fn prepare(client: &Client, password: &str) -> Result<(String, EventId, String), SessionError> {
    let operator = let_in(client, password).await?;
    let contestants = ["Ada", "Bo"].map(|name| ostraka_api::ContestantDraft {
        contestant_name: name.to_string(),
        contestant_description: String::new(),
        contestant_image_url: String::new(),
    });
    let event = CreateEventRequest {
        user_id: operator.user_id,
        event_name: "Load".to_string(),
        contestants: contestants.to_vec(),
        opens_at: None,
        closes_at: None,
        results: None,
        canary: false,
    };
    let created = client
        .create_event(&event, None, CallOptions::bearer(&operator.token))
        .await;
    let created = created.map_err(SessionError::Event)?;
    let contestant = created
        .contestants
        .first()
        .map(|first| first.contestant_id.to_string());
    Ok((operator.token, created.event_id, contestant.unwrap_or_default()))
}

fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Problem { problem, .. } => problem.status == 503,
        _ => false,
    }
}

/// The leaderboard's sum, once it has reached `acked` or stays below it for good.
pub(crate) async fn settled(
    client: &Client,
    token: &str,
    event: EventId,
    acked: u64,
) -> Result<u64, SessionError> {
    let started = Instant::now();
    loop {
        let board = client.leaderboard(event, CallOptions::bearer(token)).await;
        let board = board.map_err(SessionError::Leaderboard)?;
        let counted = board
            .contestants
            .iter()
            .filter_map(|entry| entry.total_votes)
            .sum();
        if counted >= acked || started.elapsed() > SETTLE_TIMEOUT {
            return Ok(counted);
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_balance_only_within_doubt() {
        let balances = |acked, counted, in_doubt| {
            Ledger {
                acked,
                counted: Some(counted),
                in_doubt,
            }
            .balances()
        };
        assert!(balances(10, 10, 0) && balances(10, 12, 2));
        assert!(!balances(10, 9, 0), "a lost vote");
        assert!(
            !balances(10, 9, 5),
            "doubt does not excuse a lost acknowledged vote"
        );
        assert!(
            !balances(10, 11, 0) && !balances(10, 13, 2),
            "a vote from nowhere"
        );
    }

    #[test]
    fn books_that_are_wrong_or_empty_are_the_verdict() {
        let verdict = |acked, counted: Option<u64>| {
            let in_doubt = 0;
            let ledger = Ledger {
                acked,
                counted,
                in_doubt,
            };
            ledger.verdict()
        };
        let sentence = "the books do not balance: 0 votes acknowledged, 1 counted, 0 in doubt";
        assert_eq!(verdict(0, Some(1)), Some((Verdict::Fail, sentence.to_string())));
        assert_eq!(
            verdict(0, Some(0)).map(|(verdict, _)| verdict),
            Some(Verdict::NoData)
        );
        assert_eq!(verdict(1, Some(1)), None);
        let (gone, sentence) = verdict(7, None).unwrap();
        assert_eq!(gone, Verdict::Inconclusive);
        assert!(
            sentence.contains("7 acknowledged votes are not compared"),
            "{sentence}"
        );
    }

    #[test]
    fn only_an_address_is_an_address() {
        assert_eq!(
            addr_of("http://127.0.0.1:8080/").unwrap(),
            "127.0.0.1:8080".parse().unwrap()
        );
        for wrong in [
            "127.0.0.1:8080",
            "https://127.0.0.1:1",
            "http://127.0.0.1",
            "http://nowhere.invalid:1",
        ] {
            let error = addr_of(wrong).unwrap_err().to_string();
            assert!(error.contains("http://HOST:PORT"), "{error}");
        }
    }
}
