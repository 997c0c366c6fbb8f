//! The figures of one round, of all rounds, and how the votes of a window are turned into them.

use std::collections::BTreeMap;
use std::time::Duration;

use ostraka_core::ids::LogIndex;
use serde::Serialize;

use super::amounts::{Sights, Spread, to_screens};
use super::costs::Costs;
use crate::books::{Findings, place_of};
use crate::load::{Ballot, Fate, Sent, Tallied};
use crate::reckon::Reckoned;

/// What became of the votes that were to begin within a stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Votes {
    pub sent: u64,
    pub acked: u64,
    /// For good, by the service.
    pub refused: u64,
    /// Patience was over, and the service had said each time that it did not take the vote, or nobody was reached.
    pub not_taken: u64,
    /// Patience was over, and nobody knows.
    pub unknown: u64,
    /// Acknowledged, but not at the first try.
    pub retried: u64,
}

/// Latencies from the intended start, and outcomes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Stretch {
    pub votes: Votes,
    /// How late the load itself began them.
    pub load_late: Spread,
    pub ack: Spread,
    /// One sample for each pair of an acknowledged vote and a viewer.
    pub to_screen: Spread,
}

/// A vote that has its outcome, as far as figures need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) intended: Duration,
    late: Duration,
    pub(crate) answered: Option<Duration>,
    pub(crate) index: Option<LogIndex>,
    fate: Word,
    retried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Acked,
    Refused,
    NotTaken,
    Unknown,
}

impl Seen {
    pub(crate) fn of(ballot: &Ballot) -> Self {
        let (fate, index) = match &ballot.fate {
            Fate::Acked(told) => (Word::Acked, place_of(&told.id).map(|(_, place)| place.index)),
            Fate::Refused { .. } => (Word::Refused, None),
            Fate::NotTaken { .. } => (Word::NotTaken, None),
            Fate::Unknown { .. } | Fate::UnderWay => (Word::Unknown, None),
        };
        Self {
            intended: ballot.intended,
            late: ballot.late,
            answered: ballot.answered.filter(|_| fate == Word::Acked),
            index,
            fate,
            retried: ballot.attempts > 1,
        }
    }
}

impl Stretch {
    /// Of the votes that were to begin within `from..to`.
    pub(crate) fn of(all: &[Seen], screens: &[Sights], (from, to): (Duration, Duration)) -> Self {
        let votes: Vec<&Seen> = all
            .iter()
            .filter(|vote| (from..to).contains(&vote.intended))
            .collect();
        let count = |fate| votes.iter().filter(|vote| vote.fate == fate).count() as u64;
        let counted = Votes {
            sent: votes.len() as u64,
            acked: count(Word::Acked),
            refused: count(Word::Refused),
            not_taken: count(Word::NotTaken),
            unknown: count(Word::Unknown),
            retried: votes
                .iter()
                .filter(|vote| vote.retried && vote.fate == Word::Acked)
                .count() as u64,
        };
        let acks: Vec<_> = votes
            .iter()
            .filter_map(|vote| Some(vote.answered?.saturating_sub(vote.intended)))
            .collect();
        let never = counted.sent - acks.len() as u64;
        let shown: Vec<_> = votes
            .iter()
            .filter_map(|vote| Some((vote.intended, vote.index?)))
            .collect();
        Self {
            votes: counted,
            load_late: Spread::of(votes.iter().map(|vote| vote.late).collect(), 0),
            ack: Spread::of(acks, never),
            to_screen: to_screens(&shown, screens),
        }
    }
}

/// One round.
#[derive(Clone, Debug, Serialize)]
pub struct RoundFigures {
    /// From the load's beginning to the fault, ms.
    pub fault_at_ms: u64,
    /// What the fault did, in its own words, and how often.
    pub felt: String,
    pub bites: u64,
    /// The longest time without an acknowledged vote from the fault on, ms: when writes resume.
    pub resume_ms: u64,
    /// From the fault to the beginning of that time, ms.
    pub silent_from_ms: u64,
    /// From the fault until a leader of a later term was named, ms. Nodes are asked every 50 ms.
    pub another_leader_ms: Option<u64>,
    /// The window before the fault.
    pub steady: Stretch,
    /// The whole window, the fault's time in it.
    pub window: Stretch,
    /// What the nodes answered since the window's beginning, by status; a killed node's last answers are not in it.
    pub answers: BTreeMap<u16, u64>,
    /// What the load was meant to send within the window, and what it did not.
    pub load: Sent,
    /// Before the fault.
    pub costs: Costs,
}

impl RoundFigures {
    /// What clients saw besides 503 with the time to come again: other answers that say "not done" or worse, 503 without that
    /// time, and votes that had no outcome in all their patience, or were never taken.
    pub fn errors_besides_503(&self) -> u64 {
        let errors = self
            .answers
            .iter()
            .filter(|(status, _)| **status >= 400 && **status != 503);
        let votes = self.window.votes;
        let untold = self.load.unhinted_503s + votes.refused + votes.unknown + votes.not_taken;
        errors.map(|(_, count)| count).sum::<u64>() + untold
    }

    /// Of the votes of the window, so many of a thousand were acknowledged.
    pub fn acked_per_mille(&self) -> f64 {
        let votes = self.window.votes;
        votes.acked as f64 * 1_000.0 / votes.sent.max(1) as f64
    }
}

/// Of all rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    pub rounds: Vec<RoundFigures>,
    pub clusters: u64,
    /// Of the rounds that tested something.
    pub resume_ms_median: Option<u64>,
    pub resume_ms_worst: Option<u64>,
    /// How many of the rounds held each objective, by its name.
    pub rounds_that_held: BTreeMap<&'static str, u64>,
    /// From here on over the whole measurement, between rounds too.
    pub votes: Tallied,
    pub counted: u64,
    pub asked_again: u64,
    pub log_entries: u64,
    pub folders_verified: u64,
    pub findings: Findings,
    /// Why less was measured than was asked for.
    pub doubts: Vec<String>,
}

impl Figures {
    pub(super) fn round(&mut self, round: RoundFigures) {
        self.rounds.push(round);
    }

    pub(super) fn reckoned(&mut self, reckoned: Reckoned) {
        for (word, count) in reckoned.tallied {
            *self.votes.entry(word).or_default() += count;
        }
        self.counted += reckoned.counted;
        self.asked_again += reckoned.asked_again;
        self.log_entries += reckoned.entries;
        self.folders_verified += reckoned.folders_verified;
        self.findings.take_in(reckoned.findings);
        if reckoned.sent.ledger_full {
            self.doubts.extend(reckoned.sent.missing());
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "figures_tests.rs"]
pub(super) mod tests;
