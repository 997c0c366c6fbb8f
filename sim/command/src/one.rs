//! One run in this process. One is all that a process may have: a second would see other task numbers.

use std::path::{Path, PathBuf};

use ostraka_sim_campaign::{Program, Ran, Summary, judged, replayed};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;

/// Where runs leave their files.
pub(crate) const EVIDENCE: &str = "target/evidence";

pub(crate) fn program() -> Program {
    Program {
        name: "sim",
        command: "cargo run --release -p sim --",
        evidence: PathBuf::from(EVIDENCE),
        passes: 1,
        arguments: Vec::new(),
    }
}

pub(crate) fn run_seed(seed: u64, json: bool, keep: bool) -> Result<u8, String> {
    let plan = Plan::of_seed(Seed(seed));
    let file = Path::new(EVIDENCE).join(format!("sim-seed-{seed}.json"));
    let summary = run(plan, &file, json, keep)?;
    Ok(summary.judgement.verdict.exit_code())
}

pub(crate) fn replay(file: &Path, json: bool, keep: bool) -> Result<u8, String> {
    replayed(&program(), file, |plan, file| {
        let summary = run(plan, file, json, keep)?;
        let code = summary.judgement.verdict.exit_code();
        Ok((Some(summary), code))
    })
}

fn run(plan: Plan, file: &Path, json: bool, keep: bool) -> Result<Summary, String> {
    let run = ostraka_sim_turmoil::run(&plan);
    let ran = Ran {
        history: run.history,
        trace_digest: run.trace_digest,
        sim_ms: run.sim_ms,
        messages: run.messages,
        left_out: Vec::new(),
    };
    judged(&program(), plan, ran, file, keep, json)
}
