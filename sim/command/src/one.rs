//! One run in this process. One is all that a process may have: a second would see other task numbers.

use std::path::{Path, PathBuf};

use ostraka_sim_campaign::{Judged, Program, Ran, judged, replayed};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;

/// Where runs leave their files.
pub(crate) const EVIDENCE: &str = "target/evidence";

pub(crate) fn program() -> Program {
    Program {
        name: "sim",
        command: "cargo run --release -p sim --",
        commit: env!("OSTRAKA_COMMIT"),
        evidence: PathBuf::from(EVIDENCE),
        passes: 1,
        arguments: Vec::new(),
        plant: None,
    }
}

pub(crate) fn run_seed(seed: u64, json: bool, keep: bool) -> Result<u8, String> {
    let plan = Plan::of_seed(Seed(seed));
    let file = Path::new(EVIDENCE).join(format!("sim-seed-{seed}.json"));
    let judged = run(&program(), plan, &file, json, keep)?;
    Ok(judged.summary.judgement.verdict.exit_code())
}

pub(crate) fn replay(file: &Path, json: bool, keep: bool) -> Result<u8, String> {
    replayed(&program(), file, |program, plan, file| {
        if let Some(plant) = &program.plant {
            return Err(format!(
                "the planted fault {plant:?} cannot be put in: this simulator has none"
            ));
        }
        let judged = run(program, plan, file, json, keep)?;
        let code = judged.summary.judgement.verdict.exit_code();
        Ok((Some(judged), code))
    })
}

fn run(program: &Program, plan: Plan, file: &Path, json: bool, keep: bool) -> Result<Judged, String> {
    let run = ostraka_sim_turmoil::run(&plan);
    let ran = Ran {
        history: run.history,
        trace_digest: run.trace_digest,
        sim_ms: run.sim_ms,
        messages: run.messages,
        left_out: Vec::new(),
    };
    judged(program, plan, ran, file, keep, json)
}
