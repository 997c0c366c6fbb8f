//! What `chaos` writes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::loadtest::add;
use super::{
    ACK, AVAILABILITY, END_TO_END, EvidenceError, Facts, Rest, Share, VIOLATIONS, VOTES_DOUBLED, VOTES_LOST,
    Written, parsed,
};
use crate::statistics::Sample;
use crate::verdict::Verdict;

const PROGRAM: &str = "chaos";

/// How late the load may begin votes, p99: as `loadtest` holds itself to.
const LOAD_LATE_MS_P99_MAX: f64 = 5.0;

#[derive(Default, Deserialize)]
struct Findings {
    counts: BTreeMap<String, u64>,
    all: Vec<String>,
}

#[derive(Deserialize)]
struct Failover {
    votes_per_s: f64,
    figures: FailoverFigures,
}

#[derive(Deserialize)]
struct FailoverFigures {
    rounds: Vec<Round>,
    counted: u64,
    findings: Findings,
}

#[derive(Deserialize)]
struct Round {
    steady: Stretch,
}

#[derive(Deserialize)]
struct Stretch {
    votes: StretchVotes,
    load_late: Spread,
    ack: Spread,
    to_screen: Spread,
}

#[derive(Deserialize)]
struct StretchVotes {
    sent: u64,
    acked: u64,
}

#[derive(Deserialize)]
struct Spread {
    #[serde(flatten)]
    written: Written,
    p99_ms: Option<f64>,
    buckets_us: Vec<(u64, u64)>,
}

#[derive(Deserialize)]
struct Powercut {
    planted: Option<String>,
    figures: PowercutFigures,
}

#[derive(Deserialize)]
struct PowercutFigures {
    counted: u64,
    findings: Findings,
}

#[derive(Deserialize)]
struct Scale {
    figures: ScaleFigures,
}

#[derive(Deserialize)]
struct ScaleFigures {
    books: Option<Books>,
}

#[derive(Deserialize)]
struct Books {
    acked: u64,
    findings: Findings,
}

#[derive(Deserialize)]
struct Run {
    storm: Storm,
}

#[derive(Deserialize)]
struct Storm {
    strays: Strays,
    owed: Vec<String>,
    judgement: Judgement,
}

#[derive(Deserialize)]
struct Strays {
    lost: Vec<String>,
    doubled: Vec<String>,
}

#[derive(Deserialize)]
struct Judgement {
    found: BTreeMap<String, u64>,
    violations: Vec<Violation>,
    amounts: Amounts,
}

#[derive(Deserialize)]
struct Violation {
    sentence: String,
}

#[derive(Deserialize)]
struct Amounts {
    votes_counted: u64,
}

pub(super) fn facts(command: &str, said: Verdict, rest: &Rest) -> Result<Facts, EvidenceError> {
    let figures = &rest.figures;
    let mut facts = Facts::default();
    match command {
        "failover" => {
            let failover: Failover = parsed(PROGRAM, figures)?;
            facts.load_per_s = Some(failover.votes_per_s);
            found(&mut facts, &failover.figures.findings, failover.figures.counted);
            steady(&mut facts, &failover.figures.rounds)?;
        }
        "powercut" => {
            let powercut: Powercut = parsed(PROGRAM, figures)?;
            facts.planted = powercut.planted;
            found(&mut facts, &powercut.figures.findings, powercut.figures.counted);
        }
        "scale" => {
            let scale: Scale = parsed(PROGRAM, figures)?;
            let books = scale.figures.books;
            books
                .iter()
                .for_each(|books| found(&mut facts, &books.findings, books.acked));
        }
        "run" => {
            let run: Run = parsed(PROGRAM, figures)?;
            storm(&mut facts, &run.storm);
        }
        other => {
            return Err(super::malformed(
                PROGRAM,
                format!("the gate knows no command {other}"),
            ));
        }
    }
    // A service that did not keep what the campaign asks of it, though no vote is wrong.
    let said_nothing_bad = facts.counts.values().all(|count| count.found == 0);
    if said == Verdict::Fail && said_nothing_bad {
        add(&mut facts.counts, VIOLATIONS, (1, 0), &rest.sentence);
    }
    Ok(facts)
}

/// A word for each finding that is a vote gone or a vote too many; all others are violations.
fn found(facts: &mut Facts, findings: &Findings, votes: u64) {
    for measure in [VOTES_LOST, VOTES_DOUBLED, VIOLATIONS] {
        add(&mut facts.counts, measure, (0, votes), "");
    }
    for (word, count) in &findings.counts {
        let measure = match word.as_str() {
            "lost" => VOTES_LOST,
            "doubled" | "foreign" | "taken_after_all" => VOTES_DOUBLED,
            _ => VIOLATIONS,
        };
        let begin = format!("{word}:");
        let sentence = findings.all.iter().find(|sentence| sentence.starts_with(&begin));
        add(&mut facts.counts, measure, (*count, 0), sentence.unwrap_or(word));
    }
}

fn storm(facts: &mut Facts, storm: &Storm) {
    let votes = storm.judgement.amounts.votes_counted;
    let told = |measure, facts: &mut Facts, list: &[String]| {
        let first = list.first().map_or("", String::as_str);
        add(&mut facts.counts, measure, (list.len() as u64, votes), first);
    };
    told(VOTES_LOST, facts, &storm.strays.lost);
    told(VOTES_DOUBLED, facts, &storm.strays.doubled);
    told(VIOLATIONS, facts, &storm.owed);
    let first = storm.judgement.violations.first();
    let first = first.map_or("a checker found something", |violation| {
        violation.sentence.as_str()
    });
    for count in storm.judgement.found.values() {
        add(&mut facts.counts, VIOLATIONS, (*count, 0), first);
    }
}

/// Latencies before the faults, of rounds whose load was on time.
fn steady(facts: &mut Facts, rounds: &[Round]) -> Result<(), EvidenceError> {
    let is_on_time = |round: &&Round| {
        round
            .steady
            .load_late
            .p99_ms
            .is_some_and(|ms| ms <= LOAD_LATE_MS_P99_MAX)
    };
    let (mut ack, mut screens, mut share) = (Sample::default(), Sample::default(), Share::default());
    for round in rounds.iter().filter(is_on_time) {
        let Stretch {
            votes,
            ack: acks,
            to_screen,
            ..
        } = &round.steady;
        ack.add(&acks.written.sample(PROGRAM, &acks.buckets_us, votes.sent)?);
        // Several viewers saw the same vote, and what is late for one is late for all.
        screens.add(
            &to_screen
                .written
                .sample(PROGRAM, &to_screen.buckets_us, votes.acked)?,
        );
        share.good = share.good.saturating_add(votes.acked);
        share.total = share.total.saturating_add(votes.sent);
    }
    if share.total == 0 {
        facts.doubt = Some(format!(
            "in none of {} rounds was the load itself on time (p99 within {LOAD_LATE_MS_P99_MAX} ms)",
            rounds.len()
        ));
        return Ok(());
    }
    facts.latencies.insert(ACK.to_owned(), ack);
    facts.latencies.insert(END_TO_END.to_owned(), screens);
    facts.shares.insert(AVAILABILITY.to_owned(), share);
    Ok(())
}
