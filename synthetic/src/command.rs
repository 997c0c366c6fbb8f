//! The command line.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use ostraka_client::api::ids::EventId;
use ostraka_client::{Connect, TlsConnect, TlsConnectError, TokioConnect};
use zeroize::Zeroizing;

use crate::evidence;
use crate::figures::{Objectives, Verdict};
use crate::limits::{
    ACK_P99_MS_MAX, COMPLETE_PERCENT_MIN, PATIENCE, PLACES_MAX, PROBES_PER_HOUR, PROBES_PER_HOUR_MAX,
    SECRET_BYTES_MAX, SEEN_P95_MS_MAX, SEEN_P99_MS_MAX,
};
use crate::place::Place;
use crate::run::Run;
use crate::session::{Canary, Credentials};

/// Of sysexits.h: the command was used incorrectly.
const EXIT_USAGE: u8 = 64;
/// A single probe wants no waiting; it has a moment within the first second all the same.
const ONCE_PER_HOUR: u32 = 3_600;
/// Characters of a place's name: it is part of an idempotency key and of metrics' labels.
const PLACE_CHARS_MAX: usize = 40;

/// Votes as a user would and watches for that vote on the stream, again and again.
///
/// Exit codes: 0 all is well, 1 something is missing, wrong, doubled or slow, 2 nothing can be said (too few probes, or this
/// machine was too busy), 3 no probe was sent, 64 wrong arguments. A probe votes in a canary event, which no public tally
/// shows. Password: OSTRAKA_PROBE_PASSWORD, or --password-file.
#[derive(Parser)]
#[command(name = "synthetic", version)]
struct Cli {
    /// Where to probe from one's own view: NAME=HOST:PORT[,HOST:PORT...][@EVENT]. With several addresses the place goes on
    /// with the next where one fails, as a client would. Without an event the probe makes a canary, for which it has to be an
    /// operator. May be given several times
    #[arg(long = "place", default_value = "here=127.0.0.1:8080")]
    places: Vec<PlaceArg>,
    /// Speak TLS, and trust the certificates that this machine trusts
    #[arg(long)]
    tls: bool,
    /// Speak TLS, and trust the certificates of this file, in PEM, alone
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Probes an hour from each place
    #[arg(long, default_value_t = PROBES_PER_HOUR, value_parser = clap::value_parser!(u32).range(1..=i64::from(PROBES_PER_HOUR_MAX)))]
    per_hour: u32,
    /// One probe from each place, then the verdict: for cron and smoke tests
    #[arg(long, conflicts_with = "for_s")]
    once: bool,
    /// Ends by itself after so many seconds; without it SIGINT or SIGTERM ends it
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    for_s: Option<u64>,
    /// How long a vote may take to be acknowledged and seen before it counts as lost, milliseconds
    #[arg(long, default_value_t = PATIENCE.as_millis() as u64, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    patience_ms: u64,
    /// Who probes
    #[arg(long, env = "OSTRAKA_PROBE_USERNAME", default_value = "operator")]
    username: String,
    /// Where the password stands, alone, in a file; `-` is standard input
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Serves /metrics for Prometheus here
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Objective: 99th percentile from sending to the durable acknowledgement, milliseconds
    #[arg(long, default_value_t = ACK_P99_MS_MAX)]
    ack_p99_ms_max: u64,
    /// Objective: 95th percentile from sending to the sight on the stream, milliseconds
    #[arg(long, default_value_t = SEEN_P95_MS_MAX)]
    seen_p95_ms_max: u64,
    /// Objective: 99th percentile from sending to the sight on the stream, milliseconds
    #[arg(long, default_value_t = SEEN_P99_MS_MAX)]
    seen_p99_ms_max: u64,
    /// Objective: percent of probes that are complete
    #[arg(long, default_value_t = COMPLETE_PERCENT_MIN, value_parser = percent)]
    complete_percent_min: f64,
    /// Folder of the JSON evidence, which is written anew each minute
    #[arg(long)]
    evidence: Option<PathBuf>,
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if (0.0..=100.0).contains(&value) {
        return Ok(value);
    }
    Err("is not between 0 and 100".to_owned())
}

/// A place as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PlaceArg {
    name: String,
    endpoints: Vec<String>,
    event: Option<EventId>,
}

impl FromStr for PlaceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text
            .split_once('=')
            .ok_or("is no NAME=HOST:PORT[,HOST:PORT...][@EVENT]")?;
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        if name.is_empty() || name.len() > PLACE_CHARS_MAX || !name.chars().all(is_plain) {
            return Err(format!(
                "has the name {name:?}; 1 to {PLACE_CHARS_MAX} letters, digits and dashes make one"
            ));
        }
        let (endpoints, event) = match rest.rsplit_once('@') {
            Some((endpoints, event)) => {
                let event = event
                    .parse()
                    .map_err(|_| format!("has the event {event:?}; they look like e17"))?;
                (endpoints, Some(event))
            }
            None => (rest, None),
        };
        let endpoints: Vec<String> = endpoints.split(',').map(str::to_owned).collect();
        let is_address = |endpoint: &String| {
            let port = endpoint.rsplit_once(':').filter(|(host, _)| !host.is_empty());
            port.is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0))
        };
        match endpoints.iter().find(|endpoint| !is_address(endpoint)) {
            Some(wrong) => Err(format!("has the address {wrong:?}; HOST:PORT is one")),
            None => Ok(Self {
                name: name.to_owned(),
                endpoints,
                event,
            }),
        }
    }
}

impl PlaceArg {
    fn place(self) -> Place {
        let canary = match self.event {
            Some(event) => Canary::Given(event),
            None => Canary::Own {
                place: self.name.clone(),
            },
        };
        Place {
            name: self.name,
            endpoints: self.endpoints,
            canary,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("there is no password: set OSTRAKA_PROBE_PASSWORD or give --password-file")]
    NoPassword,
    #[error("the password file {} cannot be read: {source}", .path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the password file {} holds more than {SECRET_BYTES_MAX} bytes, or nothing", .path.display())]
    NoSecret { path: PathBuf },
    #[error("two places are called {0}: each has a canary of its own, found by its name")]
    TwoPlaces(String),
    #[error(transparent)]
    Tls(#[from] TlsConnectError),
    #[error("{0} places are too many: {PLACES_MAX} at most")]
    TooManyPlaces(usize),
    #[error("{address} cannot be listened on: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
}

/// The program. Its exit code is the verdict's.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("synthetic: no runtime can be started: {error}");
            return ExitCode::from(Verdict::NoData as u8);
        }
    };
    runtime.block_on(async {
        let run = match prepare(cli).await {
            Ok(run) => run,
            Err(error) => {
                eprintln!("synthetic: {error}");
                return ExitCode::from(EXIT_USAGE);
            }
        };
        match run.go().await {
            Ok((verdict, sentence)) => {
                let name = serde_json::to_value(verdict).expect("a verdict has a name");
                println!("{}: {sentence}", name.as_str().unwrap_or_default());
                ExitCode::from(verdict as u8)
            }
            Err(error) => {
                eprintln!("synthetic: {error}");
                ExitCode::from(Verdict::NoData as u8)
            }
        }
    })
}

async fn prepare(cli: Cli) -> Result<Run, Unusable> {
    if cli.places.len() > PLACES_MAX {
        return Err(Unusable::TooManyPlaces(cli.places.len()));
    }
    let mut names = std::collections::BTreeSet::new();
    for place in &cli.places {
        if !names.insert(&place.name) {
            return Err(Unusable::TwoPlaces(place.name.clone()));
        }
    }
    let password = match &cli.password_file {
        Some(path) => read_secret(path)?,
        None => std::env::var("OSTRAKA_PROBE_PASSWORD")
            .map(Zeroizing::new)
            .map_err(|_| Unusable::NoPassword)?,
    };
    let connect: Arc<dyn Connect> = if cli.tls || cli.tls_ca.is_some() {
        Arc::new(TlsConnect::new(cli.tls_ca.as_deref())?)
    } else {
        Arc::new(TokioConnect)
    };
    let listener = match cli.listen {
        Some(address) => Some(
            tokio::net::TcpListener::bind(address)
                .await
                .map_err(|source| Unusable::Listen { address, source })?,
        ),
        None => None,
    };
    Ok(Run {
        places: cli.places.into_iter().map(PlaceArg::place).collect(),
        connect,
        credentials: Credentials {
            username: cli.username,
            password: Arc::new(password),
        },
        per_hour: if cli.once { ONCE_PER_HOUR } else { cli.per_hour },
        patience: Duration::from_millis(cli.patience_ms),
        once: cli.once,
        lasts: cli.for_s.map(Duration::from_secs),
        objectives: Objectives {
            ack_p99_ms_max: cli.ack_p99_ms_max,
            seen_p95_ms_max: cli.seen_p95_ms_max,
            seen_p99_ms_max: cli.seen_p99_ms_max,
            complete_percent_min: cli.complete_percent_min,
        },
        folder: cli.evidence.unwrap_or_else(evidence::default_folder),
        listener,
    })
}

/// The first line of a file.
fn read_secret(path: &Path) -> Result<Zeroizing<String>, Unusable> {
    let unreadable = |source| Unusable::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let from: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).map_err(unreadable)?)
    };
    let mut text = Zeroizing::new(String::new());
    from.take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let secret = text.lines().next().unwrap_or_default();
    if secret.is_empty() || text.len() as u64 > SECRET_BYTES_MAX {
        return Err(Unusable::NoSecret {
            path: path.to_path_buf(),
        });
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_name_and_addresses_and_perhaps_an_event() {
        let place: PlaceArg = "eu-1=a.example:8080,[::1]:9@e17".parse().unwrap();
        assert_eq!(place.name, "eu-1");
        assert_eq!(place.endpoints, ["a.example:8080", "[::1]:9"]);
        assert_eq!(place.event.map(|event| event.to_string()).as_deref(), Some("e17"));
        for (wrong, part) in [
            ("a.example:8080", "is no NAME"),
            ("=a:1", "has the name"),
            ("a b=a:1", "has the name"),
            ("a=b", "has the address"),
            ("a=b:0", "has the address"),
            ("a=b:1,", "has the address"),
            ("a=http://b:1/x", "has the address"),
            ("a=b:1@17", "has the event"),
        ] {
            let refused = PlaceArg::from_str(wrong).unwrap_err();
            assert!(refused.contains(part), "{wrong}: {refused}");
        }
    }

    #[test]
    fn a_password_is_the_files_first_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_secret(&path).map(|secret| secret.to_string())
        };
        assert_eq!(read("correct horse\n").unwrap(), "correct horse");
        assert!(matches!(read(""), Err(Unusable::NoSecret { .. })));
        assert!(matches!(read(&"x".repeat(5_000)), Err(Unusable::NoSecret { .. })));
        let nowhere = read_secret(Path::new("/nowhere/password"));
        assert!(matches!(nowhere, Err(Unusable::Unreadable { .. })));
    }
}
