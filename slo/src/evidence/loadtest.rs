//! What `loadtest` writes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    ACK, AVAILABILITY, Count, END_TO_END, EvidenceError, Facts, Rest, Share, VIOLATIONS, VOTES_DOUBLED,
    VOTES_LOST, Written, parsed,
};
use crate::verdict::Verdict;

const PROGRAM: &str = "loadtest";

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Loop {
    Open,
    Closed,
}

#[derive(Deserialize)]
struct Ledger {
    acked: u64,
    /// None where the service was gone before it showed them.
    counted: Option<u64>,
    in_doubt: u64,
}

#[derive(Deserialize)]
struct Rate {
    #[serde(rename = "loop")]
    the_loop: Loop,
    asked: Asked,
    ack_ms: Written,
    ack_buckets_us: Vec<(u64, u64)>,
    ledger: Ledger,
}

#[derive(Deserialize)]
struct Asked {
    votes_per_s: f64,
}

#[derive(Deserialize)]
struct Watch {
    asked: Asked,
    end_to_end_ms: Written,
    end_to_end_buckets_us: Vec<(u64, u64)>,
    /// Votes that the samples are of, each seen by every watcher.
    traced: u64,
    faults: u64,
    fault_sentences: Vec<String>,
    ledger: Ledger,
}

#[derive(Deserialize)]
struct Overload {
    ledger: Ledger,
}

#[derive(Deserialize)]
struct Votes {
    ledger: Option<Ledger>,
}

#[derive(Deserialize)]
struct Compare {
    service: Side,
}

#[derive(Deserialize)]
struct Side {
    rounds: Vec<Votes>,
}

#[derive(Deserialize)]
struct Journeys {
    ledger: Option<Ledger>,
    faults: u64,
    #[serde(default)]
    fault_sentences: Vec<String>,
    acked: u64,
}

pub(super) fn facts(command: &str, said: Verdict, rest: &Rest) -> Result<Facts, EvidenceError> {
    let figures = &rest.figures;
    let mut facts = Facts::default();
    match command {
        "rate" => {
            let rate: Rate = parsed(PROGRAM, figures)?;
            facts.load_per_s = Some(rate.asked.votes_per_s);
            books(&mut facts, &rate.ledger);
            let sample = rate
                .ack_ms
                .sample(PROGRAM, &rate.ack_buckets_us, rate.ack_ms.samples)?;
            match rate.the_loop {
                Loop::Open => {
                    let good = sample.happened();
                    let total = sample.total();
                    facts
                        .shares
                        .insert(AVAILABILITY.to_owned(), Share { good, total });
                    facts.latencies.insert(ACK.to_owned(), sample);
                }
                Loop::Closed => facts.closed.push(ACK.to_owned()),
            }
            // The generator was late itself, or the bottleneck.
            facts.doubt = (said == Verdict::Inconclusive).then(|| rest.sentence.clone());
        }
        "watch" => watched(&mut facts, said, rest)?,
        // More than the service can do was asked of it: its latencies are no objective's, its books are.
        "overload" => {
            let overload: Overload = parsed(PROGRAM, figures)?;
            books(&mut facts, &overload.ledger);
        }
        "votes" => {
            let votes: Votes = parsed(PROGRAM, figures)?;
            facts.closed.push(ACK.to_owned());
            votes.ledger.iter().for_each(|ledger| books(&mut facts, ledger));
        }
        "compare" => {
            let compare: Compare = parsed(PROGRAM, figures)?;
            facts.closed.push(ACK.to_owned());
            let ledgers = compare
                .service
                .rounds
                .iter()
                .filter_map(|round| round.ledger.as_ref());
            ledgers.for_each(|ledger| books(&mut facts, ledger));
        }
        "journeys" => {
            let journeys: Journeys = parsed(PROGRAM, figures)?;
            facts.closed.push(END_TO_END.to_owned());
            journeys
                .ledger
                .iter()
                .for_each(|ledger| books(&mut facts, ledger));
            let count = Count {
                found: journeys.faults,
                votes: journeys.acked,
                first: journeys.fault_sentences.first().cloned(),
            };
            facts.counts.insert(VIOLATIONS.to_owned(), count);
        }
        // Sums and a simulation: nothing of it happened.
        "fleet" => {}
        other => {
            return Err(super::malformed(
                PROGRAM,
                format!("the gate knows no command {other}"),
            ));
        }
    }
    Ok(facts)
}

/// Watchers under load.
fn watched(facts: &mut Facts, said: Verdict, rest: &Rest) -> Result<(), EvidenceError> {
    let watch: Watch = parsed(PROGRAM, &rest.figures)?;
    facts.load_per_s = Some(watch.asked.votes_per_s);
    books(facts, &watch.ledger);
    let seen = &watch.end_to_end_ms;
    let sample = seen.sample(PROGRAM, &watch.end_to_end_buckets_us, watch.traced)?;
    facts.latencies.insert(END_TO_END.to_owned(), sample);
    let count = Count {
        found: watch.faults,
        votes: watch.ledger.acked,
        first: watch.fault_sentences.first().cloned(),
    };
    facts.counts.insert(VIOLATIONS.to_owned(), count);
    facts.doubt = (said == Verdict::Inconclusive).then(|| rest.sentence.clone());
    Ok(())
}

fn books(facts: &mut Facts, ledger: &Ledger) {
    let Ledger {
        acked,
        counted: Some(counted),
        in_doubt,
    } = *ledger
    else {
        return;
    };
    let sentence = format!("{acked} votes acknowledged, {counted} counted, {in_doubt} in doubt");
    let lost = acked.saturating_sub(counted);
    let doubled = counted.saturating_sub(acked.saturating_add(in_doubt));
    add(&mut facts.counts, VOTES_LOST, (lost, acked), &sentence);
    add(&mut facts.counts, VOTES_DOUBLED, (doubled, acked), &sentence);
}

/// Adds to what a run has found of a kind.
pub(super) fn add(
    counts: &mut BTreeMap<String, Count>,
    measure: &str,
    (found, votes): (u64, u64),
    sentence: &str,
) {
    let count = counts.entry(measure.to_owned()).or_default();
    count.found = count.found.saturating_add(found);
    count.votes = count.votes.saturating_add(votes);
    if found > 0 && count.first.is_none() {
        count.first = Some(sentence.to_owned());
    }
}
