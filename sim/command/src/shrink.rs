//! Makes a failure small.

use std::collections::BTreeSet;
use std::path::Path;

use ostraka_sim_campaign::{Kept, beside, read, say, write};
use ostraka_sim_model::checkers::Checker;
use ostraka_sim_model::plan::Plan;

use crate::one::program;
use crate::reduce;

pub(crate) fn shrink(file: &Path) -> Result<u8, String> {
    let plan = match read(file)? {
        Kept::Plan(plan) => *plan,
        Kept::Failure(failure) => failure.plan,
    };
    let candidate_file = beside(file, "candidate.json");
    let wanted = broken(&candidate_file, &plan)?;
    let Some(wanted) = wanted.first().copied() else {
        return Err(format!(
            "nothing to shrink: the plan of {} breaks nothing",
            file.display()
        ));
    };
    let mut trouble = None;
    let (small, tried) = reduce::reduce(&plan, |candidate| {
        if candidate.validate().is_err() {
            return false;
        }
        match broken(&candidate_file, candidate) {
            Ok(checkers) => checkers.contains(&wanted),
            Err(sentence) => {
                trouble.get_or_insert(sentence);
                false
            }
        }
    });
    // A leftover harms nobody.
    let _ = std::fs::remove_file(&candidate_file);
    if let Some(sentence) = trouble {
        eprintln!("some candidates could not be run; the first: {sentence}");
    }
    let small_file = beside(file, "small.json");
    write(&small_file, &small.to_json())?;
    let size = |plan: &Plan| {
        format!(
            "{} faults, {} operations, {} viewers",
            plan.faults.len(),
            plan.operations.len(),
            plan.viewers.len()
        )
    };
    say(format_args!(
        "{} still breaks with {} (before: {}), {tried} plans tried",
        wanted.name(),
        size(&small),
        size(&plan)
    ));
    say(small.to_json());
    say(format_args!(
        "again: cargo run --release -p sim -- replay {}",
        small_file.display()
    ));
    Ok(0)
}

/// The checkers that this plan breaks.
fn broken(file: &Path, plan: &Plan) -> Result<Vec<Checker>, String> {
    write(file, &plan.to_json())?;
    let summary = program().of_plan(file).map_err(|(_, words)| words)?;
    let checkers: BTreeSet<Checker> = summary
        .judgement
        .violations
        .iter()
        .map(|violation| violation.checker)
        .collect();
    Ok(checkers.into_iter().collect())
}
