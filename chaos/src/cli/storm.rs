//! `chaos run`: storms, one after another, each with its evidence.

use std::path::{Path, PathBuf};

use chaos::campaign::{conclude, evidence_of};
use chaos::litter::Bag;
use chaos::report::{self, About};
use chaos::rig::Fs;
use chaos::storm::{self, Storm, StormPlan};
use chaos::{Trouble, Verdict, nemesis};
use clap::Args;
use loadtest::evidence;
use ostraka_sim_model::ids::Seed;

/// What is let loose. Without anything said: one composition.
#[derive(Args, Clone)]
pub(crate) struct Wanted {
    /// The first seed of compositions: several faults in a minute, drawn from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many compositions, of this seed and those after it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    count: u64,
    /// Instead: this fault alone. May be said several times.
    #[arg(long, conflicts_with = "count")]
    nemesis: Vec<String>,
    /// Instead: each fault alone, one after another.
    #[arg(long, conflicts_with_all = ["count", "nemesis"])]
    each: bool,
    /// Instead: a plan that a run has left, or that somebody wrote.
    #[arg(long, conflicts_with_all = ["count", "nemesis", "each"])]
    plan: Option<PathBuf>,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    #[arg(long, default_value = "xfs")]
    fs: Fs,
    /// Requests a second of the crowd, if not what the plan says.
    #[arg(long)]
    requests_per_s: Option<u32>,
    /// Another build of the service, for rolling-upgrade.
    #[arg(long)]
    upgrade_to: Option<PathBuf>,
    /// This machine is too noisy for figures: a cluster that is slower than its objectives is inconclusive, not broken.
    #[arg(long)]
    noisy: bool,
    /// Folder of the evidence.
    #[arg(long, default_value = "target/evidence")]
    evidence: PathBuf,
}

impl Wanted {
    fn plans(&self) -> Result<Vec<StormPlan>, Trouble> {
        let seed = Seed(self.seed);
        let single = |name: &String| {
            let kind = nemesis::asked_for(name)?;
            Ok(storm::single(kind, seed, self.nodes, self.fs))
        };
        let mut plans = if let Some(path) = &self.plan {
            vec![StormPlan::read(path)?]
        } else if self.each {
            if self.upgrade_to.is_none() {
                println!("rolling-upgrade is left out: it needs another build of the service, --upgrade-to");
            }
            storm::each(seed, self.nodes, self.fs, self.upgrade_to.is_some())
        } else if !self.nemesis.is_empty() {
            self.nemesis.iter().map(single).collect::<Result<_, _>>()?
        } else {
            let seeds = self.seed..self.seed.saturating_add(self.count);
            seeds
                .map(|seed| storm::composition(Seed(seed), self.nodes, self.fs))
                .collect()
        };
        for plan in &mut plans {
            plan.requests_per_s = self.requests_per_s.unwrap_or(plan.requests_per_s);
            plan.check()?;
            // What was asked for by name is refused before anything begins; one of many is not had, and the others are.
            if self.plan.is_some() || !self.nemesis.is_empty() {
                plan.check_possible(self.upgrade_to.as_deref())?;
            }
        }
        Ok(plans)
    }
}

/// Runs all that is wanted, whatever comes of each, and gives the worst verdict.
///
/// # Errors
/// Where the plans or the folder of the runs are of no use.
pub(crate) fn run(runs: &Path, binary: &Path, wanted: &Wanted) -> Result<Verdict, Trouble> {
    let plans = wanted.plans()?;
    Ok(each(plans, |plan| one(runs, binary, plan, wanted)))
}

/// The worst of all. A storm that could not be begun takes nothing back of what the others found.
fn each(plans: Vec<StormPlan>, one: impl Fn(StormPlan) -> Result<Verdict, Trouble>) -> Verdict {
    let mut verdicts = Vec::new();
    let all = plans.len();
    for (place, plan) in plans.into_iter().enumerate() {
        let names: Vec<&str> = plan.faults.iter().map(|fault| fault.nemesis.as_str()).collect();
        let title = format!("[{}/{all}] seed {}: {}", place + 1, plan.seed.0, names.join(", "));
        println!("{title}");
        verdicts.push(one(plan).unwrap_or_else(|trouble| {
            let verdict = trouble.verdict();
            println!("{verdict}: {trouble}");
            verdict
        }));
    }
    let count = |verdict| verdicts.iter().filter(|one| **one == verdict).count();
    println!(
        "{} of {all} held, {} broken, {} inconclusive",
        count(Verdict::Held),
        count(Verdict::Broken),
        count(Verdict::Inconclusive)
    );
    match (count(Verdict::Broken), count(Verdict::Inconclusive)) {
        (0, 0) => Verdict::Held,
        (0, _) => Verdict::Inconclusive,
        _ => Verdict::Broken,
    }
}

fn one(runs: &Path, binary: &Path, plan: StormPlan, wanted: &Wanted) -> Result<Verdict, Trouble> {
    let storm = Storm {
        plan,
        binary: binary.to_path_buf(),
        upgrade_to: wanted.upgrade_to.clone(),
        noisy: wanted.noisy,
    };
    let bag = Bag::open(runs)?;
    bag.empty_on_signals()?;
    let ran = storm::run(&storm, bag.clone(), &|line| println!("  {line}"));
    let emptied = bag.empty();
    let ran = match ran {
        Ok(ran) => ran,
        Err(trouble) => return Ok(conclude(trouble.verdict(), &trouble.to_string(), [emptied])),
    };
    tell(&ran.evidence);
    let left = leave(&wanted.evidence, binary, &ran).map(|page| println!("  {}", page.display()));
    let verdict = ran.evidence.verdict;
    let sentence = ran.evidence.reasons.first().map_or("all held", String::as_str);
    Ok(conclude(verdict, sentence, [left, emptied]))
}

fn tell(evidence: &storm::Evidence) {
    for span in &evidence.faults {
        let ms = |value: Option<u64>| value.map_or("-".to_owned(), |ms| ms.to_string());
        println!(
            "  {}: first failure after {} ms, another leader after {} ms, at most {} ms without an acknowledged vote, all ready {} ms after it",
            span.nemesis,
            ms(span.detected_ms),
            ms(span.failed_over_ms),
            span.silence_ms,
            ms(span.recovered_ms)
        );
    }
    for name in ["before", "during", "after"] {
        let Some(window) = evidence.windows.get(name) else {
            continue;
        };
        println!(
            "  {name}: {} requests, {} done, {} shed, {} refused, {} unknown; ack p50 {:.1} p99 {:.1} ms; vote to screen p95 {:.1} p99 {:.1} ms",
            window.requests,
            window.done,
            window.shed,
            window.refused,
            window.unknown,
            window.ack_ms_p50,
            window.ack_ms_p99,
            window.end_to_end_ms_p95,
            window.end_to_end_ms_p99
        );
    }
    let amounts = &evidence.judgement.amounts;
    println!(
        "  {} votes counted of {} recorded; {} facts compared",
        amounts.votes_counted,
        amounts.votes_recorded,
        evidence.judgement.compared.values().sum::<u64>()
    );
    for reason in &evidence.reasons {
        println!("  {reason}");
    }
}

/// Writes the evidence, its page and its plan, and beside them what a run that did not hold is to be understood with: its
/// crowd and its history. Returns the page's path.
fn leave(folder: &Path, binary: &Path, ran: &storm::Ran) -> Result<PathBuf, Trouble> {
    let verdict = ran.evidence.verdict;
    #[derive(serde::Serialize)]
    struct Figures<'a> {
        binary_sha256: Option<String>,
        storm: &'a storm::Evidence,
    }
    let sentence = ran.evidence.reasons.first().map_or("all held", String::as_str);
    let figures = Figures {
        binary_sha256: evidence::sha256_of(binary),
        storm: &ran.evidence,
    };
    let whole = evidence_of("run", (verdict, sentence), figures);
    let path = evidence::write(folder, &whole).map_err(Trouble::with_file(folder))?;
    let plan_path = path.with_extension("plan.json");
    let machine = &whole.machine;
    let about = About {
        at_s: Some(whole.at_s),
        commit: whole.commit.clone(),
        machine: Some(format!(
            "{} cores, {}",
            machine.cores,
            machine.cpu.as_deref().unwrap_or("of an unknown kind")
        )),
        binary_sha256: whole.figures.binary_sha256.clone(),
        plan_file: Some(plan_path.display().to_string()),
    };
    let page_path = path.with_extension("html");
    std::fs::write(&page_path, report::page(&ran.evidence, &about))
        .map_err(Trouble::with_file(&page_path))?;
    let beside = |name: &str, text: Result<String, serde_json::Error>| {
        let path = path.with_extension(name);
        let text = text.map_err(|error| Trouble::failed(error.to_string()))?;
        std::fs::write(&path, text).map_err(Trouble::with_file(&path))
    };
    beside("plan.json", serde_json::to_string_pretty(&ran.evidence.plan))?;
    if verdict != Verdict::Held {
        beside("crowd.json", serde_json::to_string(&ran.crowd))?;
        beside("history.json", serde_json::to_string(&ran.history))?;
    }
    Ok(page_path)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_one_storm_found_stays_found_when_the_next_cannot_be_begun() {
        let plans = || {
            (1..=3)
                .map(|seed| storm::composition(Seed(seed), 3, Fs::Host))
                .collect()
        };
        let after = |outcomes: [Result<Verdict, Trouble>; 3]| {
            let outcomes = RefCell::new(outcomes.into_iter());
            let verdict = each(plans(), |_| outcomes.borrow_mut().next().expect("three plans"));
            assert!(
                outcomes.borrow_mut().next().is_none(),
                "the others are run all the same"
            );
            verdict
        };
        let no_folder = || Err(Trouble::failed("no space left"));
        let (held, broken) = (|| Ok(Verdict::Held), || Ok(Verdict::Broken));
        assert_eq!(after([broken(), no_folder(), held()]), Verdict::Broken);
        assert_eq!(after([held(), no_folder(), held()]), Verdict::Inconclusive);
        assert_eq!(after([held(), held(), held()]), Verdict::Held);
    }
}
