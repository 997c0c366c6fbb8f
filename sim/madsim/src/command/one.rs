//! One run in this process. One is all that a process may have: what is static would go over into a second.

use std::any::Any;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ostraka_sim_campaign::{EXIT_NOT_DETERMINISTIC, Judged, Program, Ran, complain, judged, replayed};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::verdict::Verdict;

use super::args::Manner;
use crate::simulation::{self, Plant, playable};

/// How madsim begins the sentence with which its check ends.
const CHECK_FAILED: &str = "non-determinism detected";
/// Besides its seed, for a process that makes one pass.
pub(crate) const UNCHECKED: &str = "--unchecked";

/// With a fault put in, if it is given one.
pub(crate) fn program(unchecked: bool, plant: Option<Plant>) -> Program {
    let plant = plant.and_then(|plant| plant.to_possible_value());
    Program {
        name: "madsim",
        command: "cargo run --release --manifest-path sim/madsim/Cargo.toml --",
        commit: env!("OSTRAKA_COMMIT"),
        evidence: PathBuf::from("target/evidence"),
        passes: if unchecked { 1 } else { 2 },
        arguments: unchecked.then(|| UNCHECKED.to_owned()).into_iter().collect(),
        plant: plant.map(|plant| plant.get_name().to_owned()),
    }
}

pub(crate) fn run_seed(seed: u64, manner: Manner) -> Result<u8, String> {
    let program = program(manner.unchecked, manner.plant);
    let file = program.evidence.join(format!("madsim-seed-{seed}.json"));
    Ok(run(&program, &Plan::of_seed(Seed(seed)), &file, manner)?.1)
}

pub(crate) fn replay(file: &Path, manner: Manner) -> Result<u8, String> {
    let program = program(manner.unchecked, manner.plant);
    replayed(&program, file, |program, plan, file| {
        // The file's own, where none was asked for.
        let plant = program.plant.as_deref();
        let plant = plant.map(|name| Plant::from_str(name, false)).transpose();
        let plant = plant.map_err(|error| format!("the planted fault cannot be put in: {error}"))?;
        run(program, &plan, file, Manner { plant, ..manner })
    })
}

/// Runs a plan, tells of it, and gives its exit code. No summary if the run broke off.
fn run(program: &Program, plan: &Plan, file: &Path, manner: Manner) -> Result<(Option<Judged>, u8), String> {
    let (plan, left_out) = playable(plan);
    let given = plan.clone();
    let ran = catch_unwind(move || match manner.unchecked {
        true => Ok(simulation::once(given, manner.plant)),
        false => simulation::check(given, manner.plant),
    });
    let run = match ran {
        Ok(Ok(run)) => run,
        Ok(Err(sentence)) => {
            complain(format_args!("seed {}: {sentence}", plan.seed.0));
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
    let judged = judged(program, plan, ran, file, manner.keep, manner.json)?;
    let code = judged.summary.judgement.verdict.exit_code();
    Ok((Some(judged), code))
}

/// A panic ends a run: madsim's own word that two passes differ, or a node that found its state impossible, which is a
/// broken promise until shown otherwise.
fn broken_off(seed: Seed, panic: &(dyn Any + Send)) -> u8 {
    let words = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without words");
    complain(format_args!("seed {}: the run broke off: {words}", seed.0));
    if words.starts_with(CHECK_FAILED) {
        EXIT_NOT_DETERMINISTIC
    } else {
        Verdict::SafetyBroken.exit_code()
    }
}
