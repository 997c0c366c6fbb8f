//! The command line.

mod fleet;
mod overload;
mod watch;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::arrivals::Pace;
use crate::evidence::{Evidence, Machine, Verdict};
use crate::journeys::{self, Journeys, Mix, Plan};
use crate::open_loop::Flow;
use crate::own_service::kept;
use crate::rate::{self, Rate, RateFigures};
use crate::session::{Figures, Pressure, SessionError, Subject};
use crate::{compare, empty_server, evidence, session};

/// Exit codes: 0 measured and the books balance, 1 they do not, 2 inconclusive, 3 no data, 64 wrong arguments.
#[derive(Parser)]
#[command(name = "loadtest", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Votes at a running service as fast as it takes them, each of a different voter, and checks its books after
    Votes(VotesArgs),
    /// Votes at a running service at a stated rate, whether it keeps up or not, and times each from when it was to begin
    Rate(RateArgs),
    /// People's journeys through a running service (voters, watchers, organizers, attackers), by goose: for realism, not for
    /// verdicts on latency
    Journeys(JourneysArgs),
    /// Has a crowd watch an event's stream while votes come at a stated rate, and times each watcher's first sight of them
    Watch(watch::WatchArgs),
    /// Offers a service of the run's own a multiple of what it can do, and sees how it bears that and comes back
    Overload(overload::OverloadArgs),
    /// Derives the fleet that carries a show of a given size from measured service times, by a simulation of queues: on paper
    Fleet(Box<fleet::FleetArgs>),
    /// Starts the service and an empty handler in turn and measures both in the same run
    Compare(CompareArgs),
    /// Serves the empty handler that `compare` measures
    EmptyServer {
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
    },
}

#[derive(Args)]
struct PressureArgs {
    /// Connections, each with one request (or --pipeline of them) under way
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=16_000))]
    connections: u64,
    /// Requests sent together on a connection
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    pipeline: u64,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// Seconds before the measured ones
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(0..=600))]
    warmup_seconds: u64,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

#[derive(Args)]
struct EvidenceArgs {
    /// Where the JSON file of the run goes [default: target/evidence]
    #[arg(long)]
    evidence: Option<PathBuf>,
}

impl PressureArgs {
    fn pressure(&self, window_s: u64) -> Pressure {
        let count = |value: u64| usize::try_from(value).expect("clap has bounded it");
        Pressure {
            connections: count(self.connections),
            pipeline: count(self.pipeline),
            threads: count(self.threads),
            warmup_s: self.warmup_seconds,
            window_s,
        }
    }
}

/// A service that runs.
#[derive(Args)]
struct ServiceArgs {
    /// The service's public port
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's secrets, to sign voters' tokens with
    #[arg(long, default_value = "data/secrets.json")]
    secrets_file: PathBuf,
    /// The operator's password, to create the event with
    #[arg(long, env = "OSTRAKA_OPERATOR_PASSWORD", hide_env_values = true)]
    operator_password: String,
}

impl ServiceArgs {
    fn subject(&self) -> Result<Subject<'_>, SessionError> {
        Ok(Subject {
            addr: session::addr_of(&self.url)?,
            secrets_file: &self.secrets_file,
            operator_password: &self.operator_password,
            pid: None,
        })
    }
}

#[derive(Args)]
struct VotesArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    #[command(flatten)]
    pressure: PressureArgs,
}

#[derive(Args)]
struct RateArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Votes a second
    #[arg(long, value_parser = positive)]
    votes_per_s: f64,
    /// How the moments lie at which votes begin
    #[arg(long, value_enum, default_value_t = Pace::Poisson)]
    pace: Pace,
    /// The same seed gives the same moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Seconds before the measured ones
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(0..=600))]
    warmup_seconds: u64,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=16_000))]
    connections: u64,
    /// Requests under way on a connection at most: 1 as a phone has it, more as a proxy has it
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=4_096))]
    depth: u64,
    /// Threads of the generator
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// FAIL where the 99th percentile of acknowledgements is longer, ms
    #[arg(long, value_parser = positive)]
    ack_p99_ms_max: Option<f64>,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

impl RateArgs {
    fn rate(&self) -> Rate {
        let count = |value: u64| usize::try_from(value).expect("clap has bounded it");
        Rate {
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
            ack_p99_ms_max: self.ack_p99_ms_max,
        }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_string())?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("it must be above 0".to_string())
    }
}

#[derive(Args)]
struct JourneysArgs {
    #[command(flatten)]
    service: ServiceArgs,
    /// Users at once
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=i64::from(journeys::USERS_MAX)))]
    users: u32,
    /// Seconds in which the users come, evenly
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    ramp_seconds: u32,
    /// Seconds for which all of them are there
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Another shape, "USERS,SECONDS;…": by the end of each step there are so many users. A spike is "20,5;20,10;100,1;100,5;20,1;20,10"
    #[arg(long, conflicts_with_all = ["users", "ramp_seconds", "seconds"])]
    plan: Option<Plan>,
    /// Shares of the roles; who is not named does not come. One address may create 100 events a minute, which ten organizers do
    #[arg(long, default_value_t = Mix::default())]
    mix: Mix,
    /// Accounts to register beforehand, for voters to log in with
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    accounts: u64,
    /// One voter in so many logs in, while there are accounts; the others come with a token. One address may log in 50 times a second
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    login_one_in: u64,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

impl JourneysArgs {
    fn journeys(&self) -> Journeys {
        let ramp = || Plan::ramp(self.users, self.ramp_seconds, self.seconds);
        let report = format!(
            "loadtest-journeys-{}-{}.html",
            session::now_s(),
            std::process::id()
        );
        Journeys {
            plan: self.plan.clone().unwrap_or_else(ramp),
            mix: self.mix,
            accounts: usize::try_from(self.accounts).expect("clap has bounded it"),
            login_one_in: self.login_one_in,
            report: self.evidence.folder().join(report),
        }
    }
}

#[derive(Args)]
struct CompareArgs {
    /// Seconds to measure each of the two in each round
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Where the data folders go: the disk that is measured [default: beside the evidence]
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    pressure: PressureArgs,
}

const WRONG_ARGUMENTS: u8 = 64;

/// Reads the arguments of this process and does what they say.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to standard output.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(WRONG_ARGUMENTS)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match cli.command {
        Command::Votes(args) => votes(&args),
        Command::Rate(args) => rate(&args),
        Command::Journeys(args) => walk(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Overload(args) => overload::run(&args),
        Command::Fleet(args) => fleet::run(&args),
        Command::Compare(args) => compare(&args),
        Command::EmptyServer { listen } => match empty_server::run(&listen) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => no_data(&error),
        },
    }
}

fn votes(args: &VotesArgs) -> ExitCode {
    let pressure = args.pressure.pressure(args.seconds);
    let evidence = &args.pressure.evidence;
    let ran = args
        .service
        .subject()
        .and_then(|subject| session::run_closed(&subject, pressure));
    let (report, ledger) = match ran {
        Ok(ran) => ran,
        Err(error) => return nothing("votes", evidence, error.to_string()),
    };
    let figures = Figures::of(&report, pressure.threads, Some(ledger));
    println!(
        "{:.0} votes/s over {} s on {} connections; ack latency p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms\n\
         {ledger}\n\
         closed loop: a figure of throughput; while the service stalls, so does the generator, so trust no percentile of it",
        figures.votes_per_s,
        pressure.window_s,
        pressure.connections,
        figures.ack_latency_ms.p50,
        figures.ack_latency_ms.p99,
        figures.ack_latency_ms.max
    );
    let concluded = ledger
        .verdict()
        .unwrap_or_else(|| match figures.doubts().first() {
            Some(doubt) => (Verdict::Inconclusive, doubt.clone()),
            None => (Verdict::Pass, "every acknowledged vote is counted".to_string()),
        });
    conclude("votes", evidence, concluded, figures)
}

fn rate(args: &RateArgs) -> ExitCode {
    let rate = args.rate();
    if let Some(sentence) = rate::too_many(&rate.flow, 0) {
        return wrong_arguments(&sentence);
    }
    let ran = args
        .service
        .subject()
        .and_then(|subject| rate::run(&subject, rate));
    let ran = ran.map_err(|error| error.to_string());
    finish(
        "rate",
        &args.evidence,
        ran,
        RateFigures::text,
        RateFigures::verdict,
    )
}

fn walk(args: &JourneysArgs) -> ExitCode {
    let journeys = args.journeys();
    if let Some(sentence) = journeys.plan.too_few_for(&journeys.mix) {
        return wrong_arguments(&sentence);
    }
    let folder = args.evidence.folder();
    if let Err(error) = std::fs::create_dir_all(&folder) {
        return no_data(&format!("{} cannot be written: {error}", folder.display()));
    }
    let subject = args.service.subject();
    match subject.and_then(|subject| journeys::run(&subject, &journeys)) {
        Ok(figures) => {
            println!("{}\nreport: {}", figures.text(), journeys.report.display());
            conclude("journeys", &args.evidence, figures.verdict(), figures)
        }
        Err(error) => nothing("journeys", &args.evidence, error.to_string()),
    }
}

fn compare(args: &CompareArgs) -> ExitCode {
    let pressure = args.pressure.pressure(args.seconds);
    let folder = args
        .data
        .clone()
        .unwrap_or_else(|| args.pressure.evidence.folder());
    let rounds = usize::try_from(args.rounds).expect("clap has bounded it");
    let made = std::fs::create_dir_all(&folder).and_then(|()| {
        // Whoever else runs one of the servers may look for his folder in it; the folders themselves are private.
        let all_may_enter = std::fs::Permissions::from_mode(0o755);
        tempfile::Builder::new()
            .prefix("compare-")
            .permissions(all_may_enter)
            .tempdir_in(&folder)
    });
    let scratch = match made {
        Ok(scratch) => scratch,
        Err(error) => return no_data(&format!("{} cannot be written: {error}", folder.display())),
    };
    match compare::run(pressure, rounds, scratch.path()) {
        Ok(comparison) => {
            print!("{}", comparison.table());
            if comparison.stopped.is_some() {
                println!("what the servers said: {}", scratch.keep().display());
            }
            let concluded = comparison.verdict();
            conclude("compare", &args.pressure.evidence, concluded, comparison)
        }
        Err(error) => {
            // What the servers said is the only evidence there is.
            nothing("compare", &args.pressure.evidence, kept(&error, scratch))
        }
    }
}

impl EvidenceArgs {
    fn folder(&self) -> PathBuf {
        self.evidence.clone().unwrap_or_else(evidence::default_folder)
    }
}

fn wrong_arguments(sentence: &str) -> ExitCode {
    eprintln!("error: {sentence}");
    ExitCode::from(WRONG_ARGUMENTS)
}

fn no_data(error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("NO-DATA: {error}");
    ExitCode::from(Verdict::NoData as u8)
}

/// A run in which nothing was measured, for that reason.
fn nothing(command: &str, args: &EvidenceArgs, sentence: String) -> ExitCode {
    conclude(command, args, (Verdict::NoData, sentence), ())
}

/// The end of a run: what it found, for people, and its verdict.
fn finish<T: Serialize>(
    command: &str,
    args: &EvidenceArgs,
    ran: Result<T, String>,
    text: fn(&T) -> String,
    verdict: fn(&T) -> (Verdict, String),
) -> ExitCode {
    match ran {
        Ok(figures) => {
            println!("{}", text(&figures));
            conclude(command, args, verdict(&figures), figures)
        }
        Err(sentence) => nothing(command, args, sentence),
    }
}

/// Says the verdict, writes the evidence, and gives the exit code.
fn conclude(
    command: &str,
    args: &EvidenceArgs,
    (verdict, sentence): (Verdict, String),
    figures: impl Serialize,
) -> ExitCode {
    let evidence = Evidence {
        format: evidence::EVIDENCE_FORMAT,
        program: "loadtest",
        command,
        at_s: session::now_s(),
        commit: evidence::commit(),
        machine: Machine::this(),
        verdict,
        sentence: &sentence,
        figures,
    };
    let word = serde_json::to_value(verdict).ok();
    println!(
        "{}: {sentence}",
        word.as_ref().and_then(|word| word.as_str()).unwrap_or("?")
    );
    match evidence::write(&args.folder(), &evidence) {
        Ok(path) => println!("evidence: {}", path.display()),
        Err(error) => {
            // What was measured is not to be lost with it.
            if let Ok(text) = serde_json::to_string_pretty(&evidence) {
                println!("{text}");
            }
            return no_data(&format!("the evidence cannot be written: {error}"));
        }
    }
    ExitCode::from(verdict as u8)
}
