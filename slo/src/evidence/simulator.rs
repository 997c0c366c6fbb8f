//! What `sim explore` and `sim-madsim explore` write.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::loadtest::add;
use super::{Evidence, EvidenceError, Facts, Head, VIOLATIONS, VOTES_DOUBLED, VOTES_LOST, malformed, parsed};
use crate::verdict::Verdict;

#[derive(Deserialize)]
struct Whole {
    made_by: Maker,
    seeds: u64,
    not_deterministic: Vec<u64>,
    did_not_end: Vec<u64>,
    crashed: Vec<(u64, String)>,
    failures: Vec<(u64, String)>,
    compared: BTreeMap<String, u64>,
    coverage: Coverage,
    amounts: Amounts,
}

#[derive(Deserialize)]
struct Maker {
    commit: String,
    plant: Option<String>,
}

#[derive(Deserialize)]
struct Coverage {
    verdicts: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Amounts {
    votes_counted: u64,
}

/// Share of seeds that may prove nothing, one in so many.
const VACUOUS_ONE_IN: u64 = 20;

pub(super) fn read(file: &str, head: Head, whole: &Value) -> Result<Evidence, EvidenceError> {
    if head.command != "explore" {
        let sentence = format!("the gate knows no command {}", head.command);
        return Err(malformed(&head.program, sentence));
    }
    let whole: Whole = parsed(&head.program, whole)?;
    let facts = facts(&whole);
    let of = |word: &str| whole.coverage.verdicts.get(word).copied().unwrap_or_default();
    let bad: u64 = facts.counts.values().map(|count| count.found).sum();
    let (held, vacuous) = (of("held"), of("vacuous"));
    let said = match bad {
        _ if whole.seeds == 0 => Verdict::NoData,
        1.. => Verdict::Fail,
        0 if held == 0 || vacuous.saturating_mul(VACUOUS_ONE_IN) > whole.seeds => Verdict::Inconclusive,
        0 => Verdict::Pass,
    };
    let sentence = format!(
        "{} seeds: {held} held, {vacuous} prove nothing, {bad} findings",
        whole.seeds
    );
    Ok(Evidence {
        file: file.to_owned(),
        program: head.program,
        command: head.command,
        at_s: head.at_s,
        commit: Some(whole.made_by.commit).filter(|commit| commit != "unknown"),
        said,
        sentence,
        facts,
    })
}

fn facts(whole: &Whole) -> Facts {
    let mut facts = Facts {
        planted: whole.made_by.plant.clone(),
        ..Facts::default()
    };
    let counts = &mut facts.counts;
    for measure in [VOTES_LOST, VOTES_DOUBLED, VIOLATIONS] {
        add(counts, measure, (0, whole.amounts.votes_counted), "");
    }
    // A failure is told by the first thing that is wrong, which begins with the checker's name. Seeds that prove nothing stand in
    // the same list, and have no checker's name.
    let mut told = 0;
    for (seed, why) in &whole.failures {
        let sentence = format!("seed {seed}: {why}");
        if why.starts_with("durability:") {
            add(counts, VOTES_LOST, (1, 0), &sentence);
            told += 1;
        } else if why.starts_with("conservation:") {
            add(counts, VOTES_DOUBLED, (1, 0), &sentence);
            told += 1;
        }
    }
    let broken = ["safety-broken", "liveness-broken"].map(|word| whole.coverage.verdicts.get(word));
    let broken: u64 = broken.into_iter().flatten().sum();
    let is_of_a_checker = |why: &str| {
        why.split_once(':')
            .is_some_and(|(name, _)| whole.compared.contains_key(name))
    };
    let first = whole.failures.iter().find(|(_, why)| is_of_a_checker(why));
    let first = first.map_or("a seed did not hold".to_owned(), |(seed, why)| {
        format!("seed {seed}: {why}")
    });
    add(counts, VIOLATIONS, (broken.saturating_sub(told), 0), &first);
    for (seed, words) in &whole.crashed {
        add(
            counts,
            VIOLATIONS,
            (1, 0),
            &format!("seed {seed} ended without a summary: {words}"),
        );
    }
    for seed in &whole.did_not_end {
        add(counts, VIOLATIONS, (1, 0), &format!("seed {seed} did not end"));
    }
    for seed in &whole.not_deterministic {
        add(
            counts,
            VIOLATIONS,
            (1, 0),
            &format!("seed {seed} is not deterministic"),
        );
    }
    facts
}
