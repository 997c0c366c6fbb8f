//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::evidence::{Evidence, Machine, Verdict};
use crate::session::{Figures, Pressure, Subject};
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

#[derive(Args)]
struct VotesArgs {
    /// The service's public port
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The service's secrets, to sign voters' tokens with
    #[arg(long, default_value = "data/secrets.json")]
    secrets_file: PathBuf,
    /// The operator's password, to create the event with
    #[arg(long, env = "OSTRAKA_OPERATOR_PASSWORD", hide_env_values = true)]
    operator_password: String,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    #[command(flatten)]
    pressure: PressureArgs,
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
        Command::Compare(args) => compare(&args),
        Command::EmptyServer { listen } => match empty_server::run(&listen) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => no_data(&error),
        },
    }
}

fn votes(args: &VotesArgs) -> ExitCode {
    let pressure = args.pressure.pressure(args.seconds);
    let ran = session::addr_of(&args.url).and_then(|addr| {
        let subject = Subject {
            addr,
            secrets_file: &args.secrets_file,
            operator_password: &args.operator_password,
            pid: None,
        };
        session::run(&subject, pressure)
    });
    let (report, ledger) = match ran {
        Ok(ran) => ran,
        Err(error) => return conclude("votes", &args.pressure, (Verdict::NoData, error.to_string()), ()),
    };
    let figures = Figures::of(&report, pressure.threads, Some(ledger));
    println!(
        "{:.0} votes/s over {} s on {} connections; ack latency p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms\n\
         {} votes acknowledged, {} counted, {} in doubt\n\
         closed loop: a figure of throughput; while the service stalls, so does the generator, so trust no percentile of it",
        figures.votes_per_s,
        pressure.window_s,
        pressure.connections,
        figures.ack_latency_ms.p50,
        figures.ack_latency_ms.p99,
        figures.ack_latency_ms.max,
        ledger.acked,
        ledger.counted,
        ledger.in_doubt
    );
    let concluded = match figures.doubts().first() {
        _ if !ledger.balances() => (Verdict::Fail, "the books do not balance".to_string()),
        _ if ledger.acked == 0 => (Verdict::NoData, "no vote was acknowledged".to_string()),
        Some(doubt) => (Verdict::Inconclusive, doubt.clone()),
        None => (Verdict::Pass, "every acknowledged vote is counted".to_string()),
    };
    conclude("votes", &args.pressure, concluded, figures)
}

fn compare(args: &CompareArgs) -> ExitCode {
    let pressure = args.pressure.pressure(args.seconds);
    let folder = args
        .data
        .clone()
        .unwrap_or_else(|| evidence_folder(&args.pressure));
    let rounds = usize::try_from(args.rounds).expect("clap has bounded it");
    let made = std::fs::create_dir_all(&folder)
        .and_then(|()| tempfile::Builder::new().prefix("compare-").tempdir_in(&folder));
    let scratch = match made {
        Ok(scratch) => scratch,
        Err(error) => return no_data(&format!("{} cannot be written: {error}", folder.display())),
    };
    match compare::run(pressure, rounds, scratch.path()) {
        Ok(comparison) => {
            print!("{}", comparison.table());
            let concluded = comparison.verdict();
            conclude("compare", &args.pressure, concluded, comparison)
        }
        Err(error) => {
            // What the servers said is kept: it is the only evidence there is.
            let kept = scratch.keep();
            let sentence = format!("{error} (kept: {})", kept.display());
            conclude("compare", &args.pressure, (Verdict::NoData, sentence), ())
        }
    }
}

fn evidence_folder(args: &PressureArgs) -> PathBuf {
    args.evidence.clone().unwrap_or_else(evidence::default_folder)
}

fn no_data(error: &impl std::fmt::Display) -> ExitCode {
    eprintln!("NO-DATA: {error}");
    ExitCode::from(Verdict::NoData as u8)
}

/// Says the verdict, writes the evidence, and gives the exit code.
fn conclude(
    command: &str,
    args: &PressureArgs,
    (verdict, sentence): (Verdict, String),
    figures: impl Serialize,
) -> ExitCode {
    let evidence = Evidence {
        format: 1,
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
    match evidence::write(&evidence_folder(args), "loadtest", &evidence) {
        Ok(path) => println!("evidence: {}", path.display()),
        Err(error) => return no_data(&format!("the evidence cannot be written: {error}")),
    }
    ExitCode::from(verdict as u8)
}
