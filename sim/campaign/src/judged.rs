//! A run, judged and told of.

use std::path::{Path, PathBuf};

use ostraka_sim_model::case::Case;
use ostraka_sim_model::evidence::Failure;
use ostraka_sim_model::history::History;
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;
use ostraka_sim_model::sometimes::Coverage;
use ostraka_sim_model::verdict::{Judgement, Verdict, judge};

use crate::summary::tell_reasons;
use crate::{EXIT_NOT_DETERMINISTIC, EXIT_UNUSABLE, Kept, Program, Summary, complain, read, say, write};

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
            return changed(code);
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

/// The run is what it always was, so nothing is not deterministic; the file is what cannot be used. What is wrong with the run
/// itself is the graver news.
fn changed(code: u8) -> u8 {
    if code == 0 { EXIT_UNUSABLE } else { code }
}

/// The judgement of a file's history as these checkers see it today, which is told where it is not the file's.
pub fn judged_anew(failure: &Failure, file: &Path) -> Judgement {
    let judgement = judge(&failure.plan, &failure.history);
    let (before, now) = (failure.judgement.verdict, judgement.verdict);
    if before != now {
        complain(format_args!(
            "{} says {}, and its history is {}: it was changed since it was written, or judged by other checkers",
            file.display(),
            before.name(),
            now.name()
        ));
    }
    judgement
}

/// Judges the history in a file, without running its plan again. The code is that of the verdict; that of a file that cannot be
/// used if the file says another one and nothing is wrong now.
///
/// # Errors
/// If the file cannot be read or has no history.
pub fn judged_file(file: &Path) -> Result<u8, String> {
    let Kept::Failure(failure) = read(file)? else {
        return Err(format!(
            "{} is a plan, and has no history to judge",
            file.display()
        ));
    };
    let judgement = judged_anew(&failure, file);
    say(format_args!(
        "seed {}: {}",
        failure.seed.0,
        judgement.verdict.name()
    ));
    tell_reasons(&judgement);
    let code = judgement.verdict.exit_code();
    Ok(if judgement.verdict == failure.judgement.verdict {
        code
    } else {
        changed(code)
    })
}

#[cfg(test)]
mod tests {
    use ostraka_sim_model::history::{Happening, Record};
    use ostraka_sim_model::ids::SimMicros;

    use super::*;
    use crate::files::tests::folder;
    use crate::program::tests::program;

    fn run_of_nothing() -> Failure {
        let plan = Plan::of_seed(Seed(7));
        let history = History::default();
        let judgement = judge(&plan, &history);
        let maker = program(std::env::temp_dir()).maker();
        Failure::new(maker, "0".to_owned(), plan, judgement, history)
    }

    #[test]
    fn a_history_in_a_file_is_judged_again_and_not_believed() {
        let folder = folder("anew");
        let file = folder.join("run.json");
        let mut failure = run_of_nothing();
        let now = failure.judgement.verdict;
        assert_ne!(now, Verdict::Held, "an empty history proves nothing");
        write(&file, &failure.to_json()).unwrap();
        assert_eq!(judged_file(&file), Ok(now.exit_code()));
        // Whatever the file says of itself.
        failure.judgement.verdict = Verdict::Held;
        failure.judgement.violations.clear();
        write(&file, &failure.to_json()).unwrap();
        assert_eq!(judged_file(&file), Ok(now.exit_code()));
        assert_eq!(judged_anew(&failure, &file).verdict, now);
        write(&file, &failure.plan.to_json()).unwrap();
        assert!(
            judged_file(&file)
                .unwrap_err()
                .ends_with("is a plan, and has no history to judge")
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_whose_history_was_changed_cannot_be_used() {
        let program = program(std::env::temp_dir());
        let failure = run_of_nothing();
        let summary = Summary {
            seed: failure.seed,
            judgement: failure.judgement.clone(),
            digest: failure.digest.clone(),
            sim_ms: 0,
            messages: 0,
            coverage: Coverage::default(),
            left_out: Vec::new(),
            file: None,
        };
        let history = failure.history.clone();
        let run = Judged { summary, history };
        assert_eq!(compared(&program, &failure, &run, 0), 0);
        let mut changed = failure;
        changed.history.records.push(Record {
            at: SimMicros(1),
            what: Happening::StormOver,
        });
        assert_eq!(compared(&program, &changed, &run, 0), EXIT_UNUSABLE);
        // What is wrong with the run itself is graver.
        let broken = Verdict::SafetyBroken.exit_code();
        assert_eq!(compared(&program, &changed, &run, broken), broken);
    }

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
