//! `loadtest watch`'s arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{EvidenceArgs, finish, positive, wrong_arguments};
use crate::arrivals::Pace;
use crate::open_loop::Flow;
use crate::own_service::OwnService;
use crate::session::{self, SessionError, Subject};
use crate::watch::{self, Limits, Watch, WatchFigures};

#[derive(Args)]
pub(super) struct WatchArgs {
    /// The service's public port [default: a service of the run's own, whose memory is seen]
    #[arg(long, requires = "operator_password")]
    url: Option<String>,
    /// The secrets of the service at --url, to sign voters' tokens with
    #[arg(long, default_value = "data/secrets.json")]
    secrets_file: PathBuf,
    /// The operator's password of the service at --url
    #[arg(long, env = "OSTRAKA_OPERATOR_PASSWORD", hide_env_values = true)]
    operator_password: Option<String>,
    /// Where the data folder of the run's own service goes [default: beside the evidence]
    #[arg(long)]
    data: Option<PathBuf>,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    watchers: u64,
    /// Threads that read the streams
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    watcher_threads: u64,
    /// Votes a second
    #[arg(long, value_parser = positive)]
    votes_per_s: f64,
    /// How the moments lie at which votes begin
    #[arg(long, value_enum, default_value_t = Pace::Poisson)]
    pace: Pace,
    /// The same seed gives the same moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Votes a second that are traced, so that each watcher's first sight of them is timed
    #[arg(long, default_value_t = 50.0, value_parser = positive)]
    traced_per_s: f64,
    /// Seconds to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Seconds of votes and watchers before the measured ones
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    warmup_seconds: u64,
    /// Seconds of votes before the watchers come
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=600))]
    votes_before_seconds: u64,
    /// Connections that votes come on
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=16_000))]
    connections: u64,
    /// Votes under way on a connection at most
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    depth: u64,
    /// Threads that votes come from
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// FAIL where the 95th percentile from a vote's intended start to each watcher's sight of it is longer, ms
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    end_to_end_p95_ms_max: f64,
    /// FAIL where the 99th percentile is longer, ms
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    end_to_end_p99_ms_max: f64,
    /// FAIL where the 99th percentile from the first watcher's having a version to each watcher's is longer, ms
    #[arg(long, default_value_t = 200.0, value_parser = positive)]
    fan_out_p99_ms_max: f64,
    /// FAIL where the service's resident memory grows by more for each watcher, KiB
    #[arg(long, default_value_t = 16.0, value_parser = positive)]
    memory_a_watcher_kib_max: f64,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

impl WatchArgs {
    fn watch(&self) -> Watch {
        let count = |value: u64| usize::try_from(value).expect("clap has bounded it");
        Watch {
            watchers: count(self.watchers),
            watcher_threads: count(self.watcher_threads.min(self.watchers)),
            flow: Flow {
                votes_per_s: self.votes_per_s,
                pace: self.pace,
                seed: self.seed,
                connections: count(self.connections),
                depth: count(self.depth),
                threads: count(self.threads.min(self.connections)),
                warmup_s: self.warmup_seconds,
                window_s: self.seconds,
            },
            traced_per_s: self.traced_per_s,
            votes_before_s: self.votes_before_seconds,
            limits: Limits {
                end_to_end_p95_ms_max: self.end_to_end_p95_ms_max,
                end_to_end_p99_ms_max: self.end_to_end_p99_ms_max,
                fan_out_p99_ms_max: self.fan_out_p99_ms_max,
                memory_a_watcher_kib_max: self.memory_a_watcher_kib_max,
            },
        }
    }

    fn there(&self, url: &str, watch: &Watch) -> Result<WatchFigures, SessionError> {
        let subject = Subject {
            addr: session::addr_of(url)?,
            secrets_file: &self.secrets_file,
            operator_password: self.operator_password.as_deref().unwrap_or_default(),
            pid: None,
        };
        watch::run(&subject, watch)
    }
}

pub(super) fn run(args: &WatchArgs) -> ExitCode {
    let watch = args.watch();
    if let Some(sentence) = watch.impossible() {
        return wrong_arguments(&sentence);
    }
    let ran = match &args.url {
        Some(url) => args.there(url, &watch).map_err(|error| error.to_string()),
        None => {
            let folder = args.data.clone().unwrap_or_else(|| args.evidence.folder());
            OwnService::run(&folder, |subject| watch::run(subject, &watch))
        }
    };
    finish(
        "watch",
        &args.evidence,
        ran,
        WatchFigures::text,
        WatchFigures::verdict,
    )
}
