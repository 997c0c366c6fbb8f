//! The books of one place: which probes are under way, what the stream has shown, and what cannot be true.
//!
//! A place has a canary event to itself. So what its totals may be follows from what was sent here: at least what was
//! acknowledged and shown, at most that and what is in doubt.

use std::collections::BTreeMap;
use std::fmt;

use ostraka_client::api::VoteStatus;
use ostraka_client::api::ids::{ContestantId, TraceId};
use ostraka_client::api::trace::format_trace_id;

use crate::schedule::Micros;

/// What the stream shows at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Absolute.
    pub totals: Vec<(ContestantId, u64)>,
    /// Traces of votes that these totals are the first to include.
    pub traces: Vec<TraceId>,
    /// Not all traces stand in it: it is a snapshot, or a tally after some that were skipped.
    pub traces_missing: bool,
}

/// What a submission came to, all its attempts together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Acknowledged as durable, with this status.
    Acknowledged(VoteStatus),
    /// Certainly not taken.
    Refused(String),
    /// It may have been taken.
    Unknown(String),
}

/// What asking for the vote's status brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    Is(VoteStatus),
    /// The service knows no such vote, and has acknowledged it.
    Gone,
    /// No answer: says nothing of the vote.
    Unanswered,
}

/// What became of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged, seen on the stream, processed.
    Complete,
    /// Acknowledged, and not seen in time, or not known when it was asked for.
    Missing,
    /// It may have been taken; nobody said so in time.
    Unanswered(String),
    /// Certainly not taken.
    Refused(String),
    /// Acknowledged with a status that a probe cannot have.
    Wrong(VoteStatus),
}

impl Outcome {
    pub const NAMES: [&'static str; 5] = ["complete", "missing", "unanswered", "refused", "wrong"];

    pub fn name(&self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Missing => "missing",
            Self::Unanswered(_) => "unanswered",
            Self::Refused(_) => "refused",
            Self::Wrong(_) => "wrong",
        }
    }
}

/// A probe whose books are closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub trace: TraceId,
    pub outcome: Outcome,
    /// When it was due, and when it was sent.
    pub due_at: Micros,
    pub sent_at: Micros,
    pub acked_at: Option<Micros>,
    pub seen_at: Option<Micros>,
    pub status_unanswered: bool,
}

/// Something that the totals can never show, whatever was lost on the way to here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A total is smaller than it was: votes were lost.
    WentBack {
        contestant: ContestantId,
        from: u64,
        to: u64,
    },
    /// More votes than were sent: some count twice, or somebody else votes in this canary.
    TooMany {
        contestant: ContestantId,
        most: u64,
        shown: u64,
    },
    /// The stream names a vote as counted, and the total has not grown by it.
    NotInTotal {
        trace: TraceId,
        contestant: ContestantId,
        shown: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WentBack { contestant, from, to } => {
                write!(
                    f,
                    "the total of {contestant} went back from {from} to {to}: votes were lost"
                )
            }
            Self::TooMany {
                contestant,
                most,
                shown,
            } => write!(
                f,
                "the total of {contestant} is {shown}, and {most} votes at most were sent: some count twice, or somebody else votes here"
            ),
            Self::NotInTotal {
                trace,
                contestant,
                shown,
            } => write!(
                f,
                "the stream shows vote {} as counted, and the total of {contestant} stays {shown}",
                format_trace_id(*trace)
            ),
        }
    }
}

#[derive(Clone, Debug)]
struct Flight {
    contestant: ContestantId,
    due_at: Micros,
    sent_at: Micros,
    answer: Option<(Micros, Answer)>,
    seen_at: Option<Micros>,
    checked: Option<Checked>,
}

impl Flight {
    fn is_acked(&self) -> bool {
        matches!(self.answer, Some((_, Answer::Acknowledged(_))))
    }
}

/// What is known of one contestant's total.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// What must be there of probes that are over, with what was there at the first sight.
    sure: u64,
    /// Probes that are over and may have been taken.
    in_doubt: u64,
    /// `None` before the first sight.
    shown: Option<u64>,
    /// When votes were last shown without their traces.
    unnamed_at: Option<Micros>,
}

#[derive(Clone, Debug, Default)]
pub struct Books {
    accounts: BTreeMap<ContestantId, Account>,
    flights: BTreeMap<TraceId, Flight>,
}

impl Books {
    pub fn sent(&mut self, trace: TraceId, contestant: ContestantId, due_at: Micros, now: Micros) {
        let flight = Flight {
            contestant,
            due_at,
            sent_at: now,
            answer: None,
            seen_at: None,
            checked: None,
        };
        let before = self.flights.insert(trace, flight);
        assert!(before.is_none(), "a trace is drawn from 128 bits, and once");
    }

    pub fn answered(&mut self, trace: TraceId, answer: Answer, now: Micros) {
        if let Some(flight) = self.flights.get_mut(&trace) {
            flight.answer = Some((now, answer));
            let contestant = flight.contestant;
            self.see_unnamed(contestant);
        }
    }

    pub fn checked(&mut self, trace: TraceId, checked: Checked) {
        if let Some(flight) = self.flights.get_mut(&trace) {
            flight.checked = Some(checked);
        }
    }

    /// Takes in what the stream shows, and returns what is wrong with it.
    pub fn saw(&mut self, sight: &Sight, now: Micros) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (contestant, shown) in &sight.totals {
            let named = self.named(sight, *contestant);
            let Some(before) = self.accounts.get(contestant).and_then(|account| account.shown) else {
                self.open(*contestant, *shown);
                self.see(&named, now);
                continue;
            };
            findings.extend(self.judge(*contestant, before, *shown));
            if let Some(trace) = named
                .last()
                .filter(|_| shown.saturating_sub(before) < named.len() as u64)
            {
                findings.push(Finding::NotInTotal {
                    trace: *trace,
                    contestant: *contestant,
                    shown: *shown,
                });
            }
            self.see(&named, now);
            if sight.traces_missing {
                self.accounts.entry(*contestant).or_default().unnamed_at = Some(now);
            }
            self.see_unnamed(*contestant);
        }
        findings
    }

    /// The first sight of a total. What was sent before is in there or is not: both are possible.
    fn open(&mut self, contestant: ContestantId, shown: u64) {
        let under_way = self.flights_of(contestant).count() as u64;
        let account = self.accounts.entry(contestant).or_default();
        account.sure = shown.saturating_sub(under_way);
        account.in_doubt += shown - account.sure;
        account.shown = Some(shown);
    }

    /// Own votes for `contestant` that the sight names and that were not seen before.
    fn named(&self, sight: &Sight, contestant: ContestantId) -> Vec<TraceId> {
        let of_contestant = |trace: &&TraceId| {
            let flight = self.flights.get(*trace);
            flight.is_some_and(|flight| flight.contestant == contestant && flight.seen_at.is_none())
        };
        sight.traces.iter().filter(of_contestant).copied().collect()
    }

    /// Holds a total against the books, and takes it for the new truth: a fault is told once.
    fn judge(&mut self, contestant: ContestantId, before: u64, shown: u64) -> Option<Finding> {
        let under_way = self.flights_of(contestant).count() as u64;
        let account = self.accounts.entry(contestant).or_default();
        account.shown = Some(shown);
        let most = account.sure + account.in_doubt + under_way;
        if shown < before {
            account.sure = shown.saturating_sub(under_way);
            return Some(Finding::WentBack {
                contestant,
                from: before,
                to: shown,
            });
        }
        if shown > most {
            account.sure += shown - most;
            return Some(Finding::TooMany {
                contestant,
                most,
                shown,
            });
        }
        None
    }

    fn see(&mut self, traces: &[TraceId], now: Micros) {
        for trace in traces {
            if let Some(flight) = self.flights.get_mut(trace) {
                flight.seen_at.get_or_insert(now);
            }
        }
    }

    /// After a cut the stream tells totals and not whose votes are in them. Where they have room for all that are
    /// acknowledged, these have been seen: that such a vote is gone all the same, and one in doubt is there in its place, the
    /// question about its status finds out.
    fn see_unnamed(&mut self, contestant: ContestantId) {
        let Some((account, unnamed_at)) = self
            .accounts
            .get(&contestant)
            .and_then(|account| Some((*account, account.unnamed_at?)))
        else {
            return;
        };
        let seen = self
            .flights_of(contestant)
            .filter(|(_, flight)| flight.seen_at.is_some());
        let named = account.sure + seen.count() as u64;
        let unseen =
            |flight: &Flight| flight.is_acked() && flight.seen_at.is_none() && flight.sent_at <= unnamed_at;
        let unseen = self.flights_of(contestant).filter(|(_, flight)| unseen(flight));
        let unseen: Vec<TraceId> = unseen.map(|(trace, _)| *trace).collect();
        if account.shown.unwrap_or(0) >= named + unseen.len() as u64 {
            self.see(&unseen, unnamed_at);
        }
    }

    fn flights_of(&self, contestant: ContestantId) -> impl Iterator<Item = (&TraceId, &Flight)> {
        self.flights
            .iter()
            .filter(move |(_, flight)| flight.contestant == contestant)
    }

    /// Acknowledged and seen, and nobody has asked for their status yet.
    pub fn to_check(&self) -> Vec<TraceId> {
        let wanted =
            |flight: &Flight| flight.is_acked() && flight.seen_at.is_some() && flight.checked.is_none();
        let wanted = self.flights.iter().filter(|(_, flight)| wanted(flight));
        wanted.map(|(trace, _)| *trace).collect()
    }

    /// Takes out the probes that are over: they have all they need, or were refused, or were sent before `patience` ago.
    pub fn close(&mut self, now: Micros, patience_micros: u64) -> Vec<Finished> {
        let over = |flight: &Flight| match &flight.answer {
            Some((_, Answer::Refused(_))) => true,
            Some((_, Answer::Acknowledged(_))) if flight.checked.is_some() && flight.seen_at.is_some() => {
                true
            }
            _ => now.since(flight.sent_at) >= patience_micros,
        };
        let over: Vec<TraceId> = self
            .flights
            .iter()
            .filter(|(_, flight)| over(flight))
            .map(|(trace, _)| *trace)
            .collect();
        over.into_iter()
            .filter_map(|trace| Some(self.finish(trace, self.flights.get(&trace)?.clone())))
            .collect()
    }

    fn finish(&mut self, trace: TraceId, flight: Flight) -> Finished {
        self.flights.remove(&trace);
        let account = self.accounts.entry(flight.contestant).or_default();
        let was_taken = flight.is_acked() || flight.seen_at.is_some();
        match &flight.answer {
            // Before the first sight it is in what will be seen first.
            _ if was_taken => account.sure += u64::from(account.shown.is_some()),
            Some((_, Answer::Refused(_))) => {}
            _ => account.in_doubt += 1,
        }
        let acked_at = flight
            .is_acked()
            .then(|| flight.answer.as_ref().map(|(at, _)| *at))
            .flatten();
        let outcome = match (flight.answer, flight.seen_at, &flight.checked) {
            (Some((_, Answer::Acknowledged(status))), ..) if status_is_wrong(status) => {
                Outcome::Wrong(status)
            }
            (_, _, Some(Checked::Is(status))) if *status != VoteStatus::Processed => Outcome::Wrong(*status),
            (_, _, Some(Checked::Gone)) => Outcome::Missing,
            (Some((_, Answer::Acknowledged(_))), Some(_), _) => Outcome::Complete,
            (Some((_, Answer::Acknowledged(_))), None, _) => Outcome::Missing,
            (Some((_, Answer::Refused(why))), ..) => Outcome::Refused(why),
            (Some((_, Answer::Unknown(why))), ..) => Outcome::Unanswered(why),
            (None, ..) => Outcome::Unanswered("no answer in time".to_owned()),
        };
        Finished {
            trace,
            outcome,
            due_at: flight.due_at,
            sent_at: flight.sent_at,
            acked_at,
            seen_at: flight.seen_at,
            status_unanswered: !matches!(flight.checked, Some(Checked::Is(_))),
        }
    }

    pub fn are_closed(&self) -> bool {
        self.flights.is_empty()
    }
}

/// A probe's own vote in an open canary is nothing else than taken.
fn status_is_wrong(status: VoteStatus) -> bool {
    !matches!(status, VoteStatus::Acked | VoteStatus::Processed)
}

#[cfg(test)]
#[path = "books_tests.rs"]
mod tests;
