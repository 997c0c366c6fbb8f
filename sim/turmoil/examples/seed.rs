//! Runs one seed and says what came of it: `cargo run --release -p ostraka-sim-turmoil --example seed -- 7`.

use std::collections::BTreeMap;
use std::time::Instant;

use ostraka_sim_model::history::{Answer, Happening, Life};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::Plan;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let seed = arguments.next().and_then(|text| text.parse().ok());
    let Some(seed) = seed else {
        eprintln!("give a seed: a number");
        std::process::exit(2);
    };
    let whole = arguments.next().is_some_and(|flag| flag == "--history");
    let plan = Plan::of_seed(Seed(seed));
    let begun = Instant::now();
    let run = ostraka_sim_turmoil::run(&plan);
    let seconds = begun.elapsed().as_secs_f64();
    if whole {
        for record in &run.history.records {
            println!("{:>10} {:?}", record.at.0, record.what);
        }
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for record in &run.history.records {
        *counts.entry(name_of(&record.what)).or_default() += 1;
    }
    for (what, count) in counts {
        println!("{count:>8} {what}");
    }
    for record in &run.history.records {
        if let Happening::FaultEnded { fault, bites } = &record.what {
            let kind = &plan.faults[usize::from(fault.0)].kind;
            println!("{bites:>8} bites of {kind:?}");
        }
    }
    let sim_seconds = run.sim_ms as f64 / 1_000.0;
    println!(
        "seed {seed}: digest {:016x}, {} records, {} messages, {sim_seconds:.3} simulated seconds in {seconds:.3} s ({:.0} a second)",
        run.trace_digest,
        run.history.records.len(),
        run.messages,
        sim_seconds / seconds
    );
}

fn name_of(what: &Happening) -> String {
    let text = match what {
        Happening::Node { life, .. } => match life {
            Life::Failed(why) => format!("node: failed: {why}"),
            Life::Leads { .. } => "node: leads".to_owned(),
            other => format!("node: {other:?}"),
        },
        Happening::Answered { answer, .. } => match answer {
            Answer::Refused { status, code } => format!("answered: refused {status} {code}"),
            Answer::Vote { status, .. } => format!("answered: vote {status:?}"),
            Answer::Unknown { .. } => "answered: unknown".to_owned(),
            other => format!("answered: {}", first_word(other)),
        },
        Happening::Saw { sight, .. } => format!("saw: {}", first_word(sight)),
        other => first_word(other),
    };
    text.chars().take(140).collect()
}

fn first_word(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}
