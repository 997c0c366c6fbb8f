//! The command line of the chaos harness.

mod cli;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use chaos::litter::{Bag, Cleaned};
use chaos::rig::Fs;
use chaos::trial::Trial;
use chaos::{Trouble, Verdict, check, litter, nemesis};
use clap::{Args, Parser, Subcommand};

/// Where runs have their folders.
const RUNS: &str = "target/chaos";

/// As `sysexits.h` has it. Not 2: what nobody could have tested is no excuse for what nobody asked for rightly.
const EXIT_USAGE: u8 = 64;

/// Real processes under real faults. Exit codes: 0 held, 1 did not, 2 could not be tested, 64 asked for what makes no
/// sense.
#[derive(Parser)]
#[command(name = "chaos", version)]
struct Arguments {
    /// Folder of the runs.
    #[arg(long, global = true, default_value = RUNS)]
    runs: PathBuf,
    /// The service's program; the one that was built beside this one where there is one.
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try each thing that this machine must be able to do, one line each.
    Check,
    /// Remove what harnesses that are gone have left.
    Clean,
    /// Try one fault on three nodes; without a name, list them.
    Nemesis {
        name: Option<String>,
        #[command(flatten)]
        chosen: Chosen,
    },
    /// Storms: faults on a cluster under a crowd, judged vote by vote.
    Run(cli::storm::Wanted),
    /// Cut the power again and again under load: no acknowledged vote may be lost, none doubled, every node comes back.
    Powercut(cli::powercut::Wanted),
    /// Measure what a fault costs under load: when writes resume, and every vote's way to the screens.
    Failover(cli::failover::Wanted),
    /// Restart a node with millions of votes, and have an empty one catch up, under load.
    Scale(cli::scale::Wanted),
}

/// What one fault is tried on.
#[derive(Args, Clone, Copy)]
struct Chosen {
    /// What the nodes' data folders lie on: xfs, ext4 or host.
    #[arg(long, default_value = "xfs")]
    fs: Fs,
    /// How many nodes.
    #[arg(long, default_value_t = 3)]
    nodes: u8,
    /// How long it is left on, seconds; each has a time of its own.
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => {
            // Nobody is left to tell that it cannot be printed.
            let _ = told.print();
            return ExitCode::from(if told.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let done = match &arguments.command {
        Command::Check => check_machine(&arguments),
        Command::Clean => clean(&arguments.runs),
        Command::Nemesis { name: None, .. } => {
            nemesis::ALL.iter().for_each(|kind| println!("{}", kind.name));
            Ok(Verdict::Held)
        }
        Command::Nemesis {
            name: Some(name),
            chosen,
        } => try_nemesis(&arguments, name, *chosen),
        Command::Run(wanted) => cli::storm::run(&arguments.runs, &binary(&arguments), wanted),
        Command::Failover(wanted) => cli::failover::run(&arguments.runs, binary(&arguments), wanted),
        Command::Scale(wanted) => cli::scale::run(&arguments.runs, binary(&arguments), wanted),
        Command::Powercut(wanted) => cli::powercut::run(&arguments.runs, binary(&arguments), wanted),
    };
    litter::leave_to_signals();
    match done {
        Ok(verdict) => verdict.into(),
        Err(Trouble::Usage(sentence)) => {
            eprintln!("{sentence}");
            ExitCode::from(EXIT_USAGE)
        }
        Err(trouble) => {
            let verdict = trouble.verdict();
            println!("{verdict}: {trouble}");
            verdict.into()
        }
    }
}

/// The one that was built beside this program, else any that was built.
fn binary(arguments: &Arguments) -> PathBuf {
    let release = PathBuf::from("target/release/ostraka");
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| Some(program.parent()?.join("ostraka")));
    let built = || {
        let candidates = beside
            .into_iter()
            .chain([release.clone(), "target/debug/ostraka".into()]);
        candidates
            .into_iter()
            .find(|path| path.is_file())
            .unwrap_or(release)
    };
    let path = arguments.binary.clone().unwrap_or_else(built);
    std::path::absolute(&path).unwrap_or(path)
}

fn check_machine(arguments: &Arguments) -> Result<Verdict, Trouble> {
    let bag = Bag::open(&arguments.runs)?;
    bag.empty_on_signals()?;
    let binary = binary(arguments);
    let mut verdict = Verdict::Held;
    for capability in check::ALL {
        match capability.attempt(&bag, &binary) {
            Ok(seen) => println!("ok {}: {seen}", capability.name),
            Err(trouble) => {
                println!(
                    "INCONCLUSIVE {}, so neither is {}: {trouble}",
                    capability.name, capability.serves
                );
                verdict = Verdict::Inconclusive;
            }
        }
    }
    bag.empty()?;
    Ok(verdict)
}

fn clean(runs: &Path) -> Result<Verdict, Trouble> {
    let mut verdict = Verdict::Held;
    let all = litter::clean(runs)?;
    for cleaned in &all {
        match cleaned {
            Cleaned::Removed {
                run,
                things,
                complaints,
            } => {
                println!(
                    "{run}: {things} things were left, {} could not be removed",
                    complaints.len()
                );
                for complaint in complaints {
                    println!("  {complaint}");
                    verdict = Verdict::Inconclusive;
                }
            }
            Cleaned::InUse { run } => println!("{run}: in use"),
        }
    }
    if all.is_empty() {
        println!("{}", litter::nothing_left(runs));
    }
    Ok(verdict)
}

fn try_nemesis(arguments: &Arguments, name: &str, chosen: Chosen) -> Result<Verdict, Trouble> {
    let kind = nemesis::asked_for(name)?;
    let trial = Trial {
        kind,
        nodes: chosen.nodes,
        fs: chosen.fs,
        lasts: chosen.seconds.map(Duration::from_secs),
        binary: binary(arguments),
    };
    trial.run(&arguments.runs)
}
