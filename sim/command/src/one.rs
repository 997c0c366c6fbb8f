//! One run in this process. One is all that a process may have: a second would see other task numbers.

use std::fs;
use std::path::{Path, PathBuf};

use ostraka_sim_model::case::Case;
use ostraka_sim_model::evidence::Failure;
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::{Judgement, Verdict};

use crate::EXIT_NOT_DETERMINISTIC;
use crate::summary::Summary;

/// Where runs leave their files.
pub(crate) const EVIDENCE: &str = "target/evidence";

pub(crate) fn run_seed(seed: u64, json: bool, keep: bool) -> Result<u8, String> {
    let plan = Plan::of_seed(Seed(seed));
    let name = Path::new(EVIDENCE).join(format!("sim-seed-{seed}.json"));
    let summary = run(plan, &name, keep)?;
    tell(&summary, json);
    Ok(summary.judgement.verdict.exit_code())
}

pub(crate) fn replay(file: &Path, json: bool) -> Result<u8, String> {
    let (plan, before) = match read(file)? {
        Kept::Plan(plan) => (*plan, None),
        Kept::Failure(failure) => (failure.plan, Some((failure.digest, failure.commit))),
    };
    let name = Path::new(EVIDENCE).join(format!("sim-replay-{}.json", plan.seed.0));
    let summary = run(plan, &name, false)?;
    let digest = &summary.digest;
    tell(&summary, json);
    match before {
        Some((before, commit)) if before != *digest && commit == this_commit() => {
            eprintln!("the same plan under the same program gave another run: {before} before, {digest} now");
            Ok(EXIT_NOT_DETERMINISTIC)
        }
        Some((before, commit)) if before != *digest => {
            eprintln!("another program made the file (commit {commit}); its run was another one");
            Ok(summary.judgement.verdict.exit_code())
        }
        _ => Ok(summary.judgement.verdict.exit_code()),
    }
}

fn tell(summary: &Summary, json: bool) {
    if json {
        println!(
            "{}",
            serde_json::to_string(summary).expect("a summary is made of what JSON can write")
        );
    } else {
        summary.print();
    }
}

fn run(plan: Plan, file: &Path, keep: bool) -> Result<Summary, String> {
    let run = ostraka_sim_turmoil::run(&plan);
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
        file: None,
        judgement,
    };
    if keep || summary.judgement.verdict != Verdict::Held {
        let failure = Failure::new(
            this_commit(),
            summary.digest.clone(),
            plan,
            summary.judgement.clone(),
            run.history,
        );
        write(file, &failure.to_json())?;
        summary.file = Some(file.display().to_string());
    }
    Ok(summary)
}

/// A file of this program's: a plan, or a run with its history.
pub(crate) enum Kept {
    Plan(Box<Plan>),
    Failure(Box<Failure>),
}

pub(crate) fn read(file: &Path) -> Result<Kept, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let whole: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no file of this program's: {error}", file.display()))?;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    if whole.get("history").is_some() {
        let failure = Failure::from_json(&text).map_err(|error| named(&error))?;
        return Ok(Kept::Failure(Box::new(failure)));
    }
    Plan::from_json(&text)
        .map(|plan| Kept::Plan(Box::new(plan)))
        .map_err(|error| named(&error))
}

pub(crate) fn write(file: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, text).map_err(failed)
}

/// `file` with another end.
pub(crate) fn beside(file: &Path, end: &str) -> PathBuf {
    file.with_extension(end)
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
