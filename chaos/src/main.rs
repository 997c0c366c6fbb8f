//! The command line of the chaos harness.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chaos::litter::{Bag, Cleaned};
use chaos::nemesis::{self, Kind};
use chaos::rig::{Fs, Rig, RigOptions};
use chaos::sample::Sample;
use chaos::{Trouble, check, litter};
use clap::{Parser, Subcommand};

/// Where runs have their folders.
const RUNS: &str = "target/chaos";

/// Real processes under real faults. Exit codes: 0 held, 1 did not, 2 could not be tested.
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
        /// What the nodes' data folders lie on: xfs, ext4 or host.
        #[arg(long, default_value = "xfs")]
        fs: Fs,
    },
}

/// What a command came to.
enum Verdict {
    Held,
    Broken,
    Inconclusive,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Held => ExitCode::SUCCESS,
            Verdict::Broken => ExitCode::from(1),
            Verdict::Inconclusive => ExitCode::from(2),
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Command::Check => check_machine(&arguments),
        Command::Clean => clean(&arguments.runs),
        Command::Nemesis { name: None, .. } => {
            nemesis::ALL.iter().for_each(|kind| println!("{}", kind.name));
            Ok(Verdict::Held)
        }
        Command::Nemesis { name: Some(name), fs } => try_nemesis(&arguments, name, *fs),
    };
    match done {
        Ok(verdict) => verdict.into(),
        Err(trouble) => {
            println!("INCONCLUSIVE: {trouble}");
            Verdict::Inconclusive.into()
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
        println!("nothing was left");
    }
    Ok(verdict)
}

fn options(arguments: &Arguments, kind: &Kind, fs: Fs) -> RigOptions {
    let mut options = RigOptions::new(3, fs, binary(arguments));
    if kind.needs.clocks {
        options = options.with_clocks();
    }
    if kind.needs.snapshots {
        options = options.with_flags(&["--snapshot-every-entries", "10"]);
    }
    options
}

fn try_nemesis(arguments: &Arguments, name: &str, fs: Fs) -> Result<Verdict, Trouble> {
    let Some(kind) = nemesis::named(name) else {
        println!("INCONCLUSIVE: there is no nemesis {name}; `chaos nemesis` lists them");
        return Ok(Verdict::Inconclusive);
    };
    let bag = Bag::open(&arguments.runs)?;
    bag.empty_on_signals()?;
    println!("run {} in {}", bag.run(), bag.folder().display());
    let rig = Rig::new(options(arguments, kind, fs), bag)?;
    let sample = Sample::begin(&rig)?;
    let trickle = sample.trickle(&rig);
    std::thread::sleep(chaos::limits::SAMPLE_WARM_UP);
    let mut nemesis = kind.make(sample.stream());
    println!("{name} begins: {}", nemesis.begin(&rig, kind.target)?);
    std::thread::sleep(kind.lasts);
    let felt = nemesis.end(&rig)?;
    println!("{name} bit: {felt}");
    let answered = trickle.finish();
    println!(
        "votes meanwhile: {} answered, {} not",
        answered.answered, answered.not
    );
    if let Some(error) = answered.last_error {
        println!("  the last of these: {error}");
    }
    let verdict = match rig
        .all_up()
        .map_err(|trouble| trouble.to_string())
        .and_then(|()| sample.answers_again(&rig))
    {
        Ok(took) if felt.bit() => {
            println!(
                "the cluster answers again through every node ({} ms)",
                took.as_millis()
            );
            Verdict::Held
        }
        Ok(_) => {
            println!("INCONCLUSIVE: {name} did not bite, so nothing was tested");
            Verdict::Inconclusive
        }
        Err(sentence) => {
            println!("BROKEN: the cluster does not answer again: {sentence}");
            Verdict::Broken
        }
    };
    Ok(verdict)
}
