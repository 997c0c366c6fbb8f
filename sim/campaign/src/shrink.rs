//! Makes a failure small.

use std::path::Path;

use ostraka_sim_model::checkers::{Class, Violation};
use ostraka_sim_model::plan::Plan;

use crate::child::Lost;
use crate::reduce::reduce;
use crate::{EXIT_NOT_DETERMINISTIC, EXIT_UNUSABLE, Kept, Program, beside, complain, read, say, write};

/// What names a run that ended without a summary: the service's own assertion, or the simulator's.
const ASSERTION: &str = "assertion";
/// What names a run that does not come to an end.
const NO_END: &str = "no end";
/// What names a run of which two passes differ.
const NOT_DETERMINISTIC: &str = "not deterministic";

/// Removes faults, clients, viewers and operations from the file's plan while the same checker still is the
/// first to complain, of the same class. Leaves the
/// small plan beside the file and prints it.
pub fn shrink(program: &Program, file: &Path) -> Result<u8, String> {
    let (plan, program) = match read(file)? {
        Kept::Plan(plan) => (*plan, program.clone()),
        Kept::Failure(failure) => (failure.plan, program.as_by(&failure.made_by)),
    };
    let program = &program;
    let candidate_file = beside(file, "candidate.json");
    let shrunk = shrunk(program, &candidate_file, &plan);
    // A leftover harms nobody.
    let _ = std::fs::remove_file(&candidate_file);
    let Some((wanted, small, tried)) = shrunk? else {
        return Err(format!(
            "nothing to shrink: the plan of {} breaks nothing",
            file.display()
        ));
    };
    let small_file = beside(file, "small.json");
    write(&small_file, &small.to_json())?;
    say(format_args!(
        "{wanted} still breaks with {} (before: {}), {tried} plans tried",
        size(&small),
        size(&plan)
    ));
    say(small.to_json());
    say(format_args!("again: {}", program.again(&small_file)));
    Ok(0)
}

/// What breaks, the small plan, and how many were tried; `None` if nothing breaks.
fn shrunk(program: &Program, file: &Path, plan: &Plan) -> Result<Option<(String, Plan, u32)>, String> {
    let Some(wanted) = broken(program, file, plan)?.first().cloned() else {
        return Ok(None);
    };
    let mut trouble = None;
    let (small, tried) = reduce(plan, |candidate| match broken(program, file, candidate) {
        // First again, and not somewhere: a promise that is broken must not become a run that merely does not come to its end.
        Ok(found) => found.first() == Some(&wanted),
        Err(sentence) => {
            trouble.get_or_insert(sentence);
            false
        }
    });
    if let Some(sentence) = trouble {
        complain(format_args!(
            "some candidates could not be run; the first: {sentence}"
        ));
    }
    Ok(Some((wanted, small, tried)))
}

fn size(plan: &Plan) -> String {
    format!(
        "{} faults, {} operations, {} viewers",
        plan.faults.len(),
        plan.operations.len(),
        plan.viewers.len()
    )
}

/// What this plan breaks, the gravest first: class and checker of each violation, or what else is wrong with its run.
fn broken(program: &Program, file: &Path, plan: &Plan) -> Result<Vec<String>, String> {
    write(file, &plan.to_json())?;
    match program.of_plan(file) {
        Ok(summary) => {
            let mut violations: Vec<_> = summary.judgement.violations.iter().collect();
            // Stable: within a class the order of the checkers, which is that of the verdict.
            violations.sort_by_key(|violation| violation.class != Class::Safety);
            let named = |violation: &&Violation| {
                let class = if violation.class == Class::Safety {
                    "safety"
                } else {
                    "liveness"
                };
                format!("{class}, {}", violation.checker.name())
            };
            Ok(violations.iter().map(named).collect())
        }
        Err(Lost::DidNotEnd) => Ok(vec![NO_END.to_owned()]),
        Err(Lost::Ended(Some(code), _)) if code == i32::from(EXIT_NOT_DETERMINISTIC) => {
            Ok(vec![NOT_DETERMINISTIC.to_owned()])
        }
        // It has begun, or it would have said why not in an exit code of its own.
        Err(Lost::Ended(Some(code), _)) if code != i32::from(EXIT_UNUSABLE) => Ok(vec![ASSERTION.to_owned()]),
        Err(Lost::Ended(_, words)) => Err(words),
    }
}
