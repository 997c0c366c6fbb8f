//! One run in this process. One is all that a process may have: what is static would go over into a second.

use std::any::Any;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use ostraka_sim_model::case::Case;
use ostraka_sim_model::evidence::Failure;
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::{Judgement, Verdict};

use super::EXIT_NOT_DETERMINISTIC;
use super::args::Manner;
use super::summary::Summary;
use crate::simulation::{self, Run, playable};

/// How madsim begins the sentence with which its check ends.
const CHECK_FAILED: &str = "non-determinism detected";

/// Where runs leave their files, wherever they are started.
pub(crate) fn evidence(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().unwrap_or(root);
    root.join("target/evidence").join(name)
}

pub(crate) fn run_seed(seed: u64, manner: Manner) -> Result<u8, String> {
    let file = evidence(&format!("madsim-seed-{seed}.json"));
    Ok(run(&Plan::of_seed(Seed(seed)), &file, manner)?.1)
}

pub(crate) fn replay(file: &Path, manner: Manner) -> Result<u8, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let whole: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no file of this program's: {error}", file.display()))?;
    let (plan, before) = if whole.get("history").is_some() {
        let failure = Failure::from_json(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        (failure.plan, Some((failure.digest, failure.commit)))
    } else {
        let plan = Plan::from_json(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        (plan, None)
    };
    let name = evidence(&format!("madsim-replay-{}.json", plan.seed.0));
    let (summary, code) = run(&plan, &name, manner)?;
    let Some((summary, (before, commit))) = summary.zip(before) else {
        return Ok(code);
    };
    let now = summary.digest;
    if before != now && commit == this_commit() {
        eprintln!("the same plan under the same program gave another run: {before} before, {now} now");
        return Ok(EXIT_NOT_DETERMINISTIC);
    }
    if before != now {
        eprintln!("another program made the file (commit {commit}); its run was another one");
    }
    Ok(code)
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
    let summary = judged(plan, run, left_out, file, manner.keep)?;
    if manner.json {
        let line = serde_json::to_string(&summary).expect("a summary is made of what JSON can write");
        println!("{line}");
    } else {
        summary.print();
    }
    let code = summary.judgement.verdict.exit_code();
    Ok((Some(summary), code))
}

fn judged(plan: Plan, run: Run, left_out: Vec<String>, file: &Path, keep: bool) -> Result<Summary, String> {
    let (judgement, coverage) = {
        let case = Case::new(&plan, &run.history);
        let judgement = Judgement::of(&case);
        let coverage = Coverage::of(&case, &judgement);
        (judgement, coverage)
    };
    let mut summary = Summary {
        seed: plan.seed,
        digest: format!("{:016x}", run.trace_digest),
        sim_ms: run.sim_ms,
        messages: run.messages,
        coverage,
        left_out,
        file: None,
        judgement,
    };
    if keep || summary.judgement.verdict != Verdict::Held {
        let digest = summary.digest.clone();
        let judgement = summary.judgement.clone();
        let failure = Failure::new(this_commit(), digest, plan, judgement, run.history);
        write(file, &failure.to_json())?;
        summary.file = Some(file.display().to_string());
    }
    Ok(summary)
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

pub(crate) fn write(file: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, text).map_err(failed)
}

/// The commit of the tree that this is run in, `unknown` outside of one.
fn this_commit() -> String {
    let asked = std::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .output();
    asked
        .ok()
        .filter(|answer| answer.status.success())
        .and_then(|answer| String::from_utf8(answer.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
