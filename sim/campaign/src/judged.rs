//! A run, judged and told of.

use std::path::{Path, PathBuf};

use ostraka_sim_model::case::Case;
use ostraka_sim_model::evidence::Failure;
use ostraka_sim_model::history::History;
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::{Judgement, Verdict};

use crate::{EXIT_NOT_DETERMINISTIC, Kept, Program, Summary, complain, read, say, write};

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

/// A run, judged.
pub struct Judged {
    pub summary: Summary,
    pub history: History,
}

/// Judges a run and tells of it. The run's file is written to `file` if anything is wrong, or if it is to be kept.
///
/// # Errors
/// If nothing is wrong and the file cannot be written. What is wrong is told all the same.
pub fn judged(
    program: &Program,
    plan: Plan,
    ran: Ran,
    file: &Path,
    keep: bool,
    json: bool,
) -> Result<Judged, String> {
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
    let mut history = ran.history;
    let mut kept = Ok(());
    if keep || summary.judgement.verdict != Verdict::Held {
        let digest = summary.digest.clone();
        let judgement = summary.judgement.clone();
        let failure = Failure::new(program.maker(), digest, plan, judgement, history);
        kept = write(file, &failure.to_json());
        history = failure.history;
        match &kept {
            Ok(()) => summary.file = Some(file.display().to_string()),
            Err(sentence) => complain(sentence),
        }
    }
    if json {
        let line = serde_json::to_string(&summary).expect("a summary is made of what JSON can write");
        say(&line);
    } else {
        summary.print(program);
    }
    if summary.judgement.verdict == Verdict::Held {
        kept?;
    }
    Ok(Judged { summary, history })
}

/// Runs a file's plan again, with the fault that was put in when it was made. `run` writes what it keeps to the file that it
/// is given, and has told of the run; the code that it gives is the program's, unless the same program has now made
/// another run of the plan.
pub fn replayed(
    program: &Program,
    file: &Path,
    run: impl FnOnce(&Program, Plan, &Path) -> Result<(Option<Judged>, u8), String>,
) -> Result<u8, String> {
    let name = |seed: Seed| name_beside(&program.evidence, program.name, seed, file);
    match read(file)? {
        Kept::Plan(plan) => {
            let name = name(plan.seed);
            Ok(run(program, *plan, &name)?.1)
        }
        Kept::Failure(failure) => {
            let program = program.as_by(&failure.made_by);
            let (judged, code) = run(&program, failure.plan.clone(), &name(failure.seed))?;
            Ok(judged.map_or(code, |judged| compared(&program, &failure, &judged, code)))
        }
    }
}

/// Where a replay leaves its run: never on the file that it replays.
fn name_beside(evidence: &Path, program: &str, seed: Seed, replayed: &Path) -> PathBuf {
    let is_it = |name: &PathBuf| match (name.canonicalize(), replayed.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => name == replayed,
    };
    let first = evidence.join(format!("{program}-replay-{}.json", seed.0));
    if is_it(&first) {
        return evidence.join(format!("{program}-replay-{}-again.json", seed.0));
    }
    first
}

/// Tells in what a run differs from the file that it was made from, and gives the exit code.
fn compared(program: &Program, failure: &Failure, judged: &Judged, code: u8) -> u8 {
    let (before, now) = (&failure.digest, &judged.summary.digest);
    let (made_by, own) = (&failure.made_by, program.maker());
    if made_by.simulator != own.simulator {
        complain(format_args!(
            "the file is of the simulator {}, whose run of this plan was another one",
            made_by.simulator
        ));
    } else if before == now {
        if failure.history != judged.history {
            let (in_file, in_run) = (failure.history.records.len(), judged.history.records.len());
            complain(format_args!(
                "the run is the file's, and the history in the file is not the run's: it was changed or cut since it was \
                 written ({in_file} records, {in_run} in the run)"
            ));
        }
    } else if made_by.plant != own.plant {
        // Said already: it could not be the same run.
    } else if made_by.program == own.program {
        complain(format_args!(
            "the same plan under the same program gave another run: {before} before, {now} now"
        ));
        return EXIT_NOT_DETERMINISTIC;
    } else {
        complain(format_args!(
            "another program made the file (of commit {}; this one is of {}); its run was another one",
            made_by.commit, own.commit
        ));
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::folder;

    #[test]
    fn a_replay_is_never_left_on_the_file_that_it_replays() {
        let folder = folder("beside");
        let name = |file: &Path| name_beside(&folder, "sim", Seed(7), file);
        let first = folder.join("sim-replay-7.json");
        assert_eq!(name(&folder.join("sim-seed-7.json")), first);
        std::fs::write(&first, "{}").unwrap();
        let again = folder.join("sim-replay-7-again.json");
        assert_eq!(name(&first), again);
        assert_eq!(name(&folder.join(".").join("sim-replay-7.json")), again);
        assert_eq!(name(&again), first);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
