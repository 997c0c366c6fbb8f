//! Every vote of a ledger, looked up in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ostraka_api::VoteStatus as ToldStatus;
use ostraka_core::ids::{ContestantIndex, EventId, SubmissionKey, VotePosition, VoterNumber};
use ostraka_sim_model::history::VoteStatus;
use ostraka_sim_model::oracle::{Oracle, Ruling};
use serde::Serialize;

use super::place_of;
use crate::limits::{FINDINGS_KEPT_MAX, FINDINGS_TOLD_MAX};
use crate::load::{Ballot, Fate};

/// Something that must never be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Acknowledged, and not in the log, or there without being counted.
    Lost,
    /// One voter's one vote stands in the log as two, or the totals hold more than was cast.
    Doubled,
    /// Counted, and nobody cast it.
    Foreign,
    /// Counted for somebody else than it was cast for.
    Misplaced,
    /// The id that the voter was given stands for another place in the log.
    OtherPlace,
    /// Told to be not taken, and counted nevertheless.
    TakenAfterAll,
    /// Told to be a duplicate or rejected, though its voter voted once in an open event.
    ToldOtherwise,
    /// Nobody can say what became of it, though the service was asked again.
    Unresolved,
    /// The logs of two nodes differ, or one lacks what it had applied.
    LogsDiffer,
    /// A node shows totals that are not those of the log.
    BoardDiffers,
    /// A node does not come back after a cut.
    NotReopened,
    /// `ostraka verify` or `ostraka export` refuses a stopped node's folder.
    AuditFailed,
    /// A node stopped by itself, or badly when it was told to.
    NodeStopped,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = serde_json::to_value(self).ok();
        f.write_str(name.as_ref().and_then(|name| name.as_str()).unwrap_or("?"))
    }
}

/// What was found: how often each, and all of it in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    pub counts: BTreeMap<Finding, u64>,
    /// Each with the vote that it is about.
    pub all: Vec<String>,
    /// So many more were found, and have no sentence.
    pub left_out: u64,
}

impl Findings {
    pub fn add(&mut self, finding: Finding, sentence: impl fmt::Display) {
        *self.counts.entry(finding).or_default() += 1;
        if self.all.len() < FINDINGS_KEPT_MAX {
            self.all.push(format!("{finding}: {sentence}"));
        } else {
            self.left_out += 1;
        }
    }

    pub fn take_in(&mut self, other: Findings) {
        for (finding, count) in other.counts {
            *self.counts.entry(finding).or_default() += count;
        }
        let room = FINDINGS_KEPT_MAX.saturating_sub(self.all.len());
        self.left_out += other.left_out + other.all.len().saturating_sub(room) as u64;
        self.all.extend(other.all.into_iter().take(room));
    }

    /// The first of them, for whoever reads lines, and how many there are besides.
    pub fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = self.all.iter().take(FINDINGS_TOLD_MAX).cloned().collect();
        let found: u64 = self.counts.values().sum();
        if found > told.len() as u64 {
            let shown = told.len();
            told.push(match self.left_out {
                0 => format!("{shown} of {found} findings are told here, the evidence holds all"),
                _ => format!(
                    "{shown} of {found} findings are told here, the evidence holds {}",
                    self.all.len()
                ),
            });
        }
        told
    }

    pub fn count(&self, finding: Finding) -> u64 {
        self.counts.get(&finding).copied().unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// The totals that one node shows, in the order of the contestants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    pub of: String,
    pub totals: Vec<u64>,
}

/// One voter in the log.
#[derive(Debug, Default)]
struct Recorded {
    counted: Option<(VotePosition, ContestantIndex)>,
    /// Submissions that stand in the log. A retry has the key of the first one.
    keys: BTreeSet<SubmissionKey>,
}

/// What the log holds of one event, voter by voter. The recount is the model's oracle, which shares no logic with the
/// service; how many submissions a voter has is told by their keys alone.
#[derive(Debug, Default)]
pub struct Truth {
    voters: BTreeMap<VoterNumber, Recorded>,
    totals: Vec<u64>,
}

impl Truth {
    pub fn of(oracle: &Oracle, event: EventId) -> Self {
        let mut truth = Truth {
            totals: oracle
                .events
                .get(&event)
                .map(|event| event.totals.clone())
                .unwrap_or_default(),
            ..Truth::default()
        };
        for record in oracle.votes.iter().filter(|record| record.vote.event == event) {
            let voter = truth.voters.entry(record.vote.voter).or_default();
            voter.keys.insert(record.vote.key);
            if record.ruling == Ruling::First(VoteStatus::Processed) {
                voter.counted = Some((record.position, record.vote.contestant));
            }
        }
        truth
    }

    pub fn counted(&self) -> u64 {
        self.voters
            .values()
            .filter(|voter| voter.counted.is_some())
            .count() as u64
    }
}

/// Compares a ledger with the log and with the totals that nodes show. `ballots` must be all votes of the event: each vote
/// that the log counts beside them is foreign.
pub fn audit(ballots: &[Ballot], truth: &Truth, event: EventId, boards: &[Board]) -> Findings {
    let mut findings = Findings::default();
    let mut known = BTreeSet::new();
    for ballot in ballots {
        known.insert(ballot.voter);
        one(ballot, truth.voters.get(&ballot.voter), event, &mut findings);
    }
    for (voter, recorded) in &truth.voters {
        if recorded.keys.len() > 1 {
            let keys = recorded.keys.len();
            findings.add(
                Finding::Doubled,
                format!(
                    "voter {} voted once, and has {keys} submissions in the log",
                    voter.0
                ),
            );
        }
        if let Some((at, _)) = recorded.counted
            && !known.contains(voter)
        {
            findings.add(
                Finding::Foreign,
                format!(
                    "voter {} never voted, and has a counted vote at {}",
                    voter.0,
                    shown(at)
                ),
            );
        }
    }
    for board in boards {
        if board.totals != truth.totals {
            findings.add(
                Finding::BoardDiffers,
                format!(
                    "{} shows {:?}, the log amounts to {:?}",
                    board.of, board.totals, truth.totals
                ),
            );
        }
        let (shown, counted) = (board.totals.iter().sum::<u64>(), truth.counted());
        if shown > counted {
            findings.add(
                Finding::Doubled,
                format!("{} shows {shown} votes of {counted} voters", board.of),
            );
        }
    }
    findings
}

fn one(ballot: &Ballot, recorded: Option<&Recorded>, event: EventId, findings: &mut Findings) {
    let voter = ballot.voter.0;
    let counted = recorded.and_then(|recorded| recorded.counted);
    match &ballot.fate {
        Fate::Acked(told) if told.status != ToldStatus::Processed => findings.add(
            Finding::ToldOtherwise,
            format!(
                "voter {voter} voted once and was told {:?} of vote {}",
                told.status, told.id
            ),
        ),
        Fate::Acked(told) => match counted {
            None => findings.add(
                Finding::Lost,
                format!(
                    "voter {voter} was told that vote {} is counted, and it is not",
                    told.id
                ),
            ),
            Some((at, _)) if place_of(&told.id) != Some((event, at)) => findings.add(
                Finding::OtherPlace,
                format!(
                    "voter {voter} was given {}, and the vote stands at {}",
                    told.id,
                    shown(at)
                ),
            ),
            Some(_) => {}
        },
        Fate::Refused { .. } | Fate::NotTaken { .. } if counted.is_some() => findings.add(
            Finding::TakenAfterAll,
            format!(
                "voter {voter} was told that the vote is not taken ({:?}), and it is counted",
                ballot.fate
            ),
        ),
        Fate::Refused { .. } | Fate::NotTaken { .. } => {}
        Fate::Unknown { .. } | Fate::UnderWay => {
            findings.add(Finding::Unresolved, format!("voter {voter}: {:?}", ballot.fate))
        }
    }
    if let Some((_, contestant)) = counted
        && contestant != ballot.contestant
    {
        findings.add(
            Finding::Misplaced,
            format!(
                "voter {voter} voted for {} and counts for {}",
                ballot.contestant.0, contestant.0
            ),
        );
    }
}

fn shown(at: VotePosition) -> String {
    format!("entry {}, place {}", at.index.0, at.offset)
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
