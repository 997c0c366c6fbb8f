//! Invariants: a cheap check after every entry, and a full one for tests and the offline audit.

use std::collections::BTreeMap;

use super::event::{Event, Ledger};
use super::{EventStatus, State};
use crate::ids::{EventId, LogIndex};
use crate::limits::{EVENTS_MAX, EXTRA_SUBMISSIONS_PER_VOTER_MAX, PROBE_KEYS_PER_EVENT_MAX};
use crate::outcome::VoteVerdict;

/// Terminal: the state contradicts itself. A replica that finds this stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvariantBroken {
    #[error("event {event}: {what}")]
    Event { event: EventId, what: &'static str },
    #[error("{0}")]
    State(&'static str),
}

/// One statement about an event that must hold.
type Statement = (bool, &'static str);

impl State {
    /// Checks everything that must always hold, reading the whole state: about a nanosecond or two a voter.
    ///
    /// # Errors
    /// The first contradiction found.
    pub fn check_invariants(&self) -> Result<(), InvariantBroken> {
        if self.events.len() > EVENTS_MAX {
            return Err(InvariantBroken::State("there are more events than the limit"));
        }
        let mut requests = BTreeMap::new();
        for (place, event) in self.events.iter().enumerate() {
            let broken = |what| InvariantBroken::Event {
                event: event.id(),
                what,
            };
            if event.id().0 as usize != place + 1 {
                return Err(broken("its number is not its place"));
            }
            event.check_counts()?;
            event.check_history(self.last_applied).map_err(broken)?;
            event.check_ledger(self.last_applied).map_err(broken)?;
            requests.insert(event.request(), event.id());
        }
        if requests.len() != self.events.len() || requests != *self.requests {
            return Err(InvariantBroken::State("requests and events are not one to one"));
        }
        let mut schedule = super::schedule::Schedule::default();
        for event in self.events() {
            schedule.add(event);
        }
        if schedule != self.schedule {
            return Err(InvariantBroken::State(
                "the schedule is not what the events wait for",
            ));
        }
        if self.next_due().is_some_and(|at| at <= self.effective_time) {
            return Err(InvariantBroken::State("something is due and has not happened"));
        }
        Ok(())
    }
}

impl Event {
    /// counted = sum of totals = distinct voters. Cheap: it adds up the totals, and no more.
    pub(crate) fn check_counts(&self) -> Result<(), InvariantBroken> {
        let broken = |what| {
            Err(InvariantBroken::Event {
                event: self.id(),
                what,
            })
        };
        if self.totals().iter().sum::<u64>() != self.counted() {
            return broken("the totals do not add up to the counted votes");
        }
        match &self.ledger {
            Ledger::Public { counted, .. } if counted.len() != self.counted() => {
                broken("the distinct voters are not as many as the counted votes")
            }
            Ledger::Public { .. } | Ledger::Canary(_) => Ok(()),
        }
    }

    fn check_history(&self, last_applied: LogIndex) -> Result<(), &'static str> {
        let created = self.created_index();
        let (opened, closed) = (self.opened_index(), self.closed_index());
        let statuses = match self.status() {
            EventStatus::Scheduled => opened.is_none() && closed.is_none() && self.opens_at().is_some(),
            EventStatus::Open => opened.is_some() && closed.is_none(),
            EventStatus::Closed => closed.is_some(),
        };
        let known = created..=last_applied;
        all_hold(&[
            (
                self.info.spec.is_within_limits(),
                "its texts or contestants are outside the limits",
            ),
            (
                self.totals().len() == self.contestants().len(),
                "it has not one total for each contestant",
            ),
            (
                created.0 > 0 && created <= last_applied,
                "it was created by an entry that is not in the log",
            ),
            (statuses, "its status contradicts its opening and closing"),
            (
                opened.is_none_or(|at| known.contains(&at)),
                "it was opened outside its time",
            ),
            (
                closed.is_none_or(|at| known.contains(&at)),
                "it was closed outside its time",
            ),
            (
                opened.is_none() || closed.is_none_or(|at| Some(at) >= opened),
                "it was closed before it was opened",
            ),
            (known.contains(&self.version()), "its version is outside its time"),
            (
                self.version() >= self.status_index(),
                "its version is older than its status",
            ),
            (
                self.counted() == 0 || opened.is_some(),
                "it has counted votes and never opened",
            ),
        ])
    }

    fn check_ledger(&self, last_applied: LogIndex) -> Result<(), &'static str> {
        let known = self.created_index()..=last_applied;
        match &self.ledger {
            Ledger::Public { counted, extras } => {
                let mut voters = 0;
                let mut in_time = true;
                for (_, chunk) in counted.chunks() {
                    for (_, vote) in chunk.rows() {
                        voters += 1;
                        let index = vote.position().index;
                        in_time &= self.opened_index().is_some_and(|opened| index >= opened)
                            && self.closed_index().is_none_or(|closed| index <= closed)
                            && index <= self.version();
                    }
                }
                let (mut duplicates, mut rejected) = (0, 0);
                let mut bounded = true;
                for (_, rows) in extras.chunks() {
                    let mut of_voter = BTreeMap::<u16, usize>::new();
                    for (row, extra) in rows {
                        *of_voter.entry(super::place_of(*row)).or_default() += 1;
                        in_time &= known.contains(&extra.position().index);
                        duplicates += u64::from(extra.verdict() == VoteVerdict::Duplicate);
                        rejected += u64::from(matches!(extra.verdict(), VoteVerdict::Rejected(_)));
                        bounded &= extra.verdict() != VoteVerdict::Processed;
                    }
                    bounded &= of_voter
                        .values()
                        .all(|count| *count <= EXTRA_SUBMISSIONS_PER_VOTER_MAX);
                }
                all_hold(&[
                    (
                        voters == self.counted(),
                        "the stored votes are not as many as the counted votes",
                    ),
                    (in_time, "a vote stands where the event could not take it"),
                    (bounded, "a voter's extra submissions are too many or counted"),
                    (
                        duplicates == self.duplicates(),
                        "the stored duplicates are not as many as said",
                    ),
                    (
                        rejected == self.rejected(),
                        "the stored rejections are not as many as said",
                    ),
                ])
            }
            Ledger::Canary(probes) => {
                let in_time = probes
                    .iter()
                    .all(|(_, probe)| known.contains(&probe.position().index));
                let counted = probes
                    .iter()
                    .filter(|(_, probe)| probe.verdict() == VoteVerdict::Processed)
                    .count();
                all_hold(&[
                    (in_time, "a probe stands where the event could not take it"),
                    (
                        probes.len() <= PROBE_KEYS_PER_EVENT_MAX,
                        "more probes are remembered than the limit",
                    ),
                    (
                        counted as u64 <= self.counted(),
                        "more probes are remembered as counted than were counted",
                    ),
                    (self.duplicates() == 0, "a probe is never a duplicate"),
                ])
            }
        }
    }
}

fn all_hold(statements: &[Statement]) -> Result<(), &'static str> {
    match statements.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(what),
        None => Ok(()),
    }
}
