//! One run in this process. One is all that a process may have: what is static would go over into a second.

use std::any::Any;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ostraka_sim_campaign::{EXIT_NOT_DETERMINISTIC, Program, Ran, Summary, judged, replayed};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::verdict::Verdict;

use super::args::Manner;
use crate::simulation::{self, Plant, playable};

/// How madsim begins the sentence with which its check ends.
const CHECK_FAILED: &str = "non-determinism detected";
/// Besides its seed, for a process that makes one pass.
pub(crate) const UNCHECKED: &str = "--unchecked";

pub(crate) fn program(unchecked: bool) -> Program {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root: PathBuf = root.canonicalize().unwrap_or(root);
    Program {
        name: "madsim",
        command: "cargo run --release --manifest-path sim/madsim/Cargo.toml --",
        evidence: root.join("target/evidence"),
        passes: if unchecked { 1 } else { 2 },
        arguments: unchecked.then(|| UNCHECKED.to_owned()).into_iter().collect(),
    }
}

/// With a fault put in, for each process of it.
pub(crate) fn program_with(unchecked: bool, plant: Option<Plant>) -> Program {
    let mut program = program(unchecked);
    if let Some(plant) = plant.and_then(|plant| plant.to_possible_value()) {
        program
            .arguments
            .extend(["--plant".to_owned(), plant.get_name().to_owned()]);
    }
    program
}

pub(crate) fn run_seed(seed: u64, manner: Manner) -> Result<u8, String> {
    let evidence = program(manner.unchecked).evidence;
    let file = evidence.join(format!("madsim-seed-{seed}.json"));
    Ok(run(&Plan::of_seed(Seed(seed)), &file, manner)?.1)
}

pub(crate) fn replay(file: &Path, manner: Manner) -> Result<u8, String> {
    replayed(&program(manner.unchecked), file, |plan, file| {
        run(&plan, file, manner)
    })
}

/// Runs a plan, tells of it, and gives its exit code. No summary if the run broke off.
fn run(plan: &Plan, file: &Path, manner: Manner) -> Result<(Option<Summary>, u8), String> {
    let (plan, left_out) = playable(plan);
    let given = plan.clone();
    let ran = catch_unwind(move || match manner.unchecked {
        true => Ok(simulation::once(given, manner.plant)),
        false => simulation::check(given, manner.plant),
    });
    let run = match ran {
        Ok(Ok(run)) => run,
        Ok(Err(sentence)) => {
            eprintln!("seed {}: {sentence}", plan.seed.0);
            return Ok((None, EXIT_NOT_DETERMINISTIC));
        }
        Err(panic) => return Ok((None, broken_off(plan.seed, &*panic))),
    };
    let ran = Ran {
        history: run.history,
        trace_digest: run.trace_digest,
        sim_ms: run.sim_ms,
        messages: run.messages,
        left_out,
    };
    let program = program(manner.unchecked);
    let summary = judged(&program, plan, ran, file, manner.keep, manner.json)?;
    let code = summary.judgement.verdict.exit_code();
    Ok((Some(summary), code))
}

/// A panic ends a run: madsim's own word that two passes differ, or a node that found its state impossible, which is a
/// broken promise until shown otherwise.
fn broken_off(seed: Seed, panic: &(dyn Any + Send)) -> u8 {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    eprintln!("seed {}: the run broke off: {words}", seed.0);
    if words.starts_with(CHECK_FAILED) {
        EXIT_NOT_DETERMINISTIC
    } else {
        Verdict::SafetyBroken.exit_code()
    }
}
