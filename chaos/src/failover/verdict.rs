//! The objectives, round by round and over all of them, and what they amount to.

use std::collections::BTreeMap;
use std::time::Duration;

use super::amounts::{Spread, median};
use super::figures::{Figures, RoundFigures, Stretch, millis};
use super::plan::Expects;
use crate::Verdict;
use crate::limits::{
    ACK_MS_P99_MAX, END_TO_END_MS_P95_MAX, END_TO_END_MS_P99_MAX, FAILOVER_LOAD_LATE_MS_P99_MAX,
    FAILOVER_RESUME_MAX, FAILOVER_RESUME_MEDIAN_MAX, FAILOVER_WINDOW_S, STEADY_DONE_PER_MILLE_MIN,
};

/// One objective on one round.
struct Objective {
    name: &'static str,
    /// A load that was late itself, or that this machine cannot carry without a fault either, cannot tell.
    is_latency: bool,
    /// Stated for a whole minute: in a shorter window the fault has a greater share, so that it may hold there, but cannot be
    /// broken.
    is_of_a_minute: bool,
    /// What it was instead.
    broken: fn(&RoundFigures) -> Option<String>,
}

const RESUME: Objective = Objective {
    name: "writes resume",
    is_latency: false,
    is_of_a_minute: false,
    broken: |round| {
        let most = u64::try_from(FAILOVER_RESUME_MAX.as_millis()).unwrap_or(u64::MAX);
        (round.resume_ms > most.saturating_add(own_silence_ms(round)))
            .then(|| format!("after {} ms, not {most}", round.resume_ms))
    },
};

/// For how long a load that was late itself may have been silent by its own doing; one that was on time was not.
fn own_silence_ms(round: &RoundFigures) -> u64 {
    match round.load.too_late() {
        Some(_) => round.load.latest_ms,
        None => 0,
    }
}

const ERRORS: Objective = Objective {
    name: "no error besides 503",
    is_latency: false,
    is_of_a_minute: false,
    broken: |round| {
        let errors = round.errors_besides_503();
        let (answers, votes, unhinted) = (&round.answers, round.window.votes, round.load.unhinted_503s);
        (errors > 0).then(|| {
            format!("{errors}: answers by status {answers:?}, {unhinted} of 503 without Retry-After, votes {votes:?}")
        })
    },
};

const ACKED: Objective = Objective {
    name: "availability",
    is_latency: false,
    is_of_a_minute: false,
    broken: |round| {
        let acked = round.acked_per_mille();
        let least = STEADY_DONE_PER_MILLE_MIN;
        (acked < least as f64).then(|| format!("{acked:.2} ‰ of the votes acknowledged, not {least}"))
    },
};

const ACK_P99: Objective = Objective {
    name: "ack p99",
    is_latency: true,
    is_of_a_minute: false,
    broken: |round| above(&round.window.ack, |ack| ack.p99_ms, ACK_MS_P99_MAX),
};

const SCREEN_P95: Objective = Objective {
    name: "vote to screen p95",
    is_latency: true,
    is_of_a_minute: false,
    broken: |round| {
        above(
            &round.window.to_screen,
            |screen| screen.p95_ms,
            END_TO_END_MS_P95_MAX,
        )
    },
};

const SCREEN_P99: Objective = Objective {
    name: "vote to screen p99",
    is_latency: true,
    is_of_a_minute: false,
    broken: |round| {
        above(
            &round.window.to_screen,
            |screen| screen.p99_ms,
            END_TO_END_MS_P99_MAX,
        )
    },
};

/// Of the minute that holds a failover.
const MINUTE_P99: Objective = Objective {
    is_of_a_minute: true,
    ..SCREEN_P99
};

/// Where one is above its limit, or where so many never happened that there is no such value, or nothing happened at all.
fn above(spread: &Spread, rank: fn(&Spread) -> Option<f64>, most: f64) -> Option<String> {
    match rank(spread) {
        Some(ms) if ms <= most => None,
        Some(ms) => Some(format!("{ms:.1} ms, not {most}")),
        None => Some(format!("{} of {} never happened", spread.never, spread.samples)),
    }
}

fn objectives(expects: Expects) -> &'static [Objective] {
    match expects {
        Expects::Failover => &[RESUME, MINUTE_P99, ERRORS],
        Expects::Undisturbed => &[ACK_P99, SCREEN_P95, SCREEN_P99, ACKED],
    }
}

/// Why a round shows nothing at all, if so.
fn unharmed(round: &RoundFigures) -> Option<String> {
    if round.bites == 0 {
        return Some("the fault did not bite".to_owned());
    }
    (round.window.votes.sent == 0).then(|| "no vote was sent".to_owned())
}

/// Why a round in which a fault bit holds no objective, if so. What it breaks is broken all the same.
fn untested(round: &RoundFigures, expects: Expects) -> Option<String> {
    if let Some(sentence) = round.load.too_late() {
        return Some(sentence);
    }
    if round.window.votes.acked == 0 {
        return Some("no vote was acknowledged at all".to_owned());
    }
    let is_led_on = expects == Expects::Failover && round.another_leader_ms.is_none();
    is_led_on.then(|| "no other leader was seen, so nothing failed over".to_owned())
}

/// Why its latencies say more of the load or the machine than of the fault, if so.
fn untold(round: &RoundFigures, expects: Expects) -> Option<String> {
    if let Some(sentence) = round.load.missing() {
        return Some(sentence);
    }
    let before = RoundFigures {
        window: round.steady.clone(),
        ..round.clone()
    };
    for objective in objectives(expects)
        .iter()
        .filter(|objective| objective.is_latency)
    {
        if let Some(sentence) = (objective.broken)(&before) {
            return Some(format!(
                "before the fault already: {}: {sentence}",
                objective.name
            ));
        }
    }
    let late = |stretch: &Stretch| {
        above(
            &stretch.load_late,
            |late| late.p99_ms,
            FAILOVER_LOAD_LATE_MS_P99_MAX,
        )
    };
    match expects {
        Expects::Undisturbed => {
            late(&round.window).map(|sentence| format!("the load was late itself, p99 {sentence}"))
        }
        Expects::Failover => None,
    }
}

/// What was asked for.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) expects: Expects,
    pub(super) rounds: u32,
    pub(super) window: Duration,
    /// A word for what was done.
    pub(super) what: &'a str,
}

/// What the rounds amount to, objective by objective.
#[derive(Default)]
struct Weighed {
    /// How many rounds held it.
    held: BTreeMap<&'static str, u64>,
    /// How many did not, and the first of these in words.
    broken: BTreeMap<&'static str, (u64, String)>,
    doubts: Vec<String>,
    /// Of the rounds that tested something.
    resumes: Vec<Duration>,
}

fn weigh(rounds: &[RoundFigures], asked: Asked<'_>) -> Weighed {
    let mut weighed = Weighed::default();
    for objective in objectives(asked.expects) {
        weighed.held.insert(objective.name, 0);
    }
    let is_minute = asked.window.as_secs() >= FAILOVER_WINDOW_S;
    for (number, round) in (1..).zip(rounds) {
        let mut doubt = |sentence: &str| weighed.doubts.push(format!("round {number}: {sentence}"));
        if let Some(sentence) = unharmed(round) {
            doubt(&sentence);
            continue;
        }
        let untested = untested(round, asked.expects);
        if untested.is_none() || (RESUME.broken)(round).is_some() {
            weighed.resumes.push(Duration::from_millis(round.resume_ms));
        }
        let untold = untested.clone().or_else(|| untold(round, asked.expects));
        untold.iter().for_each(|sentence| doubt(sentence));
        for objective in objectives(asked.expects) {
            let name = objective.name;
            if objective.is_latency && untold.is_some() {
                continue;
            }
            match (objective.broken)(round) {
                None if untested.is_some() => {}
                None => *weighed.held.entry(name).or_default() += 1,
                Some(sentence) if objective.is_of_a_minute && !is_minute => {
                    let seconds = asked.window.as_secs();
                    doubt(&format!(
                        "{name}: {sentence}, over {seconds} s; what it is over {FAILOVER_WINDOW_S} s this does not tell"
                    ));
                }
                Some(sentence) => {
                    let first = || (0, format!("first in round {number}: {sentence}"));
                    weighed.broken.entry(name).or_insert_with(first).0 += 1;
                }
            }
        }
    }
    weighed
}

/// What rounds and recounts amount to, in a sentence; how many rounds held each objective goes into the figures.
pub(super) fn decide(figures: &mut Figures, asked: Asked<'_>) -> (Verdict, String) {
    let Weighed {
        held: rounds_that_held,
        broken,
        mut doubts,
        resumes,
    } = weigh(&figures.rounds, asked);
    figures.rounds_that_held = rounds_that_held;
    figures.resume_ms_worst = resumes.iter().max().copied().map(millis);
    figures.resume_ms_median = median(resumes).map(millis);
    doubts.append(&mut figures.doubts);
    let rounds = figures.rounds.len();
    if rounds < asked.rounds as usize {
        doubts.push(format!("only {rounds} of {} rounds were made", asked.rounds));
    }
    figures.doubts = doubts;
    let mut sentences: Vec<_> = figures
        .findings
        .counts
        .iter()
        .map(|(what, count)| format!("{count} {what}"))
        .collect();
    sentences.extend(
        broken
            .iter()
            .map(|(name, (times, first))| format!("{name}: not in {times} of {rounds} rounds, {first}")),
    );
    sentences.extend(median_above(figures, asked.expects));
    if !sentences.is_empty() {
        return (
            Verdict::Broken,
            format!("{}: {}", asked.what, sentences.join("; ")),
        );
    }
    match figures.doubts.first() {
        Some(doubt) => (Verdict::Inconclusive, format!("{}: {doubt}", asked.what)),
        None => (Verdict::Held, held(figures, asked)),
    }
}

fn median_above(figures: &Figures, expects: Expects) -> Option<String> {
    let most = u64::try_from(FAILOVER_RESUME_MEDIAN_MAX.as_millis()).unwrap_or(u64::MAX);
    let median = figures.resume_ms_median.filter(|median| *median > most)?;
    (expects == Expects::Failover)
        .then(|| format!("writes resume after {median} ms in the median, not {most}"))
}

fn held(figures: &Figures, asked: Asked<'_>) -> String {
    let rounds = figures.rounds.len();
    let names: Vec<_> = objectives(asked.expects).iter().map(|one| one.name).collect();
    let resume = match (figures.resume_ms_median, figures.resume_ms_worst) {
        (Some(median), Some(worst)) => format!("{median} ms in the median, {worst} at worst"),
        _ => "no time".to_owned(),
    };
    let counted = figures.counted;
    format!(
        "{}: {} held in {rounds} of {rounds} rounds; no vote acknowledged for {resume}; {counted} votes recounted: 0 lost, 0 doubled",
        asked.what,
        names.join(", ")
    )
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
