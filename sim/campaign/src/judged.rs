//! A run, judged and told of.

use std::path::Path;

use ostraka_sim_model::case::Case;
use ostraka_sim_model::evidence::Failure;
use ostraka_sim_model::history::History;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::{Judgement, Verdict};

use crate::files::maker;
use crate::{EXIT_NOT_DETERMINISTIC, Kept, Program, Summary, read, say, write};

/// What a simulator made of a plan.
pub struct Ran {
    pub history: History,
    /// Of every message and of the whole history.
    pub trace_digest: u64,
    pub sim_ms: u64,
    pub messages: u64,
    /// What of the plan this simulator cannot do, and has left out.
    pub left_out: Vec<String>,
}

/// Judges a run and tells of it. The run's file is written to `file` if anything is wrong, or if it is to be kept.
pub fn judged(
    program: &Program,
    plan: Plan,
    ran: Ran,
    file: &Path,
    keep: bool,
    json: bool,
) -> Result<Summary, String> {
    let (judgement, coverage) = {
        let case = Case::new(&plan, &ran.history);
        let judgement = Judgement::of(&case);
        let coverage = Coverage::of(&case, &judgement);
        (judgement, coverage)
    };
    let mut summary = Summary {
        seed: plan.seed,
        digest: format!("{:016x}", ran.trace_digest),
        sim_ms: ran.sim_ms,
        messages: ran.messages,
        coverage,
        left_out: ran.left_out,
        file: None,
        judgement,
    };
    if keep || summary.judgement.verdict != Verdict::Held {
        let digest = summary.digest.clone();
        let judgement = summary.judgement.clone();
        let failure = Failure::new(maker(program.name), digest, plan, judgement, ran.history);
        write(file, &failure.to_json())?;
        summary.file = Some(file.display().to_string());
    }
    if json {
        let line = serde_json::to_string(&summary).expect("a summary is made of what JSON can write");
        say(&line);
    } else {
        summary.print(program);
    }
    Ok(summary)
}

/// Runs a file's plan again. `run` writes what it keeps to the file that it is given, and has told of the run; the code
/// that it gives is the program's, unless the same program has now made another run of the plan.
pub fn replayed(
    program: &Program,
    file: &Path,
    run: impl FnOnce(Plan, &Path) -> Result<(Option<Summary>, u8), String>,
) -> Result<u8, String> {
    let (plan, before) = match read(file)? {
        Kept::Plan(plan) => (*plan, None),
        Kept::Failure(failure) => (failure.plan, Some((failure.digest, failure.made_by))),
    };
    let name = program
        .evidence
        .join(format!("{}-replay-{}.json", program.name, plan.seed.0));
    let (summary, code) = run(plan, &name)?;
    let Some((summary, (before, made_by))) = summary.zip(before) else {
        return Ok(code);
    };
    let (now, own) = (summary.digest, maker(program.name));
    if made_by.simulator != own.simulator {
        eprintln!(
            "the file is of the simulator {}, whose run of this plan was another one",
            made_by.simulator
        );
    } else if before != now && made_by.program == own.program {
        eprintln!("the same plan under the same program gave another run: {before} before, {now} now");
        return Ok(EXIT_NOT_DETERMINISTIC);
    } else if before != now {
        eprintln!(
            "another program made the file (commit {}); its run was another one",
            made_by.commit
        );
    }
    Ok(code)
}
