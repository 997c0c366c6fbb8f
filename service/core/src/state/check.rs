//! Invariants: a cheap check after every entry, and a full one for tests and the offline audit.

use std::collections::BTreeMap;

use super::event::{Event, Ledger};
use super::{CountedChunk, State};
use crate::ids::{EventId, LogIndex};
use crate::limits::{EVENTS_MAX, EXTRA_SUBMISSIONS_PER_VOTER_MAX, PROBE_KEYS_PER_EVENT_MAX};
use crate::outcome::VoteVerdict;
use crate::terms::EventStatus;

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
        if super::holdings::Holdings::of(self.events().map(|event| &event.info.spec)) != self.holdings {
            return Err(InvariantBroken::State("what owners hold is not their events"));
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
                    for (_, vote) in chunk.layers().flat_map(CountedChunk::rows) {
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
                    for (row, extra) in rows.layers().flatten() {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::command::{Batch, Command, NewContestant, NewEvent, VoteRecord};
    use crate::ids::{ContestantIndex, EntryMeta, RequestKey, SubmissionKey, UnixMs, VoterNumber};
    use crate::terms::{EventKind, ResultsPolicy};

    fn creation(request: u128, kind: EventKind) -> Command {
        let contestant = NewContestant {
            name: "one".to_owned(),
            description: String::new(),
            image_url: String::new(),
        };
        Command::CreateEvent(Box::new(NewEvent {
            request: RequestKey(request),
            owner: VoterNumber(1),
            name: "event".to_owned(),
            kind,
            results: ResultsPolicy::Live,
            opens_at: None,
            closes_at: Some(UnixMs(1_000)),
            contestants: vec![contestant],
        }))
    }

    fn cast(voter: u32, event: u32, key: u64) -> Command {
        Command::CastVote(VoteRecord {
            voter: VoterNumber(voter),
            event: EventId(event),
            contestant: ContestantIndex(0),
            key: SubmissionKey(key),
            client_timestamp: None,
            trace: None,
            trace_sampled: false,
        })
    }

    fn apply(state: &mut State, index: u64, commands: Vec<Command>) {
        let meta = EntryMeta {
            index: LogIndex(index),
            stamped_at: UnixMs(index),
        };
        state.apply(meta, &Batch { commands });
    }

    /// Event 1 is public with two votes and a duplicate, event 2 a canary with a probe.
    fn sound() -> State {
        let mut state = State::new();
        let creations = vec![creation(1, EventKind::Public), creation(2, EventKind::Canary)];
        apply(&mut state, 1, creations);
        apply(
            &mut state,
            2,
            vec![cast(1, 1, 1), cast(2, 1, 1), cast(2, 1, 2), cast(1, 2, 1)],
        );
        assert_eq!(state.check_invariants(), Ok(()));
        state
    }

    fn event_mut(state: &mut State, place: usize) -> &mut Event {
        Arc::make_mut(&mut state.events[place])
    }

    /// What the check must say, and what makes it.
    type Fault = (&'static str, fn(&mut State));

    #[test]
    fn every_planted_contradiction_is_found() {
        let faults: &[Fault] = &[
            ("do not add up", |state| event_mut(state, 0).tally.totals[0] += 1),
            ("distinct voters", |state| {
                let tally = &mut event_mut(state, 0).tally;
                (tally.totals[0], tally.counted) = (3, 3);
            }),
            ("duplicates", |state| event_mut(state, 0).tally.duplicates += 1),
            ("rejections", |state| event_mut(state, 0).tally.rejected += 1),
            ("one total for each", |state| {
                event_mut(state, 0).tally.totals.push(0)
            }),
            ("status contradicts", |state| {
                event_mut(state, 0).tally.closed_index = Some(LogIndex(2))
            }),
            ("opened outside", |state| {
                event_mut(state, 0).tally.opened_index = Some(LogIndex(9))
            }),
            ("version is outside", |state| {
                event_mut(state, 0).tally.version = LogIndex(9)
            }),
            ("could not take it", |state| {
                let tally = &mut event_mut(state, 0).tally;
                (tally.opened_index, tally.version) = (Some(LogIndex(3)), LogIndex(3));
                state.last_applied = LogIndex(3);
            }),
            ("never a duplicate", |state| {
                event_mut(state, 1).tally.duplicates = 1
            }),
            ("as counted than were counted", |state| {
                let tally = &mut event_mut(state, 1).tally;
                (tally.totals[0], tally.counted) = (0, 0);
            }),
            ("not its place", |state| state.events.swap(0, 1)),
            ("one to one", |state| Arc::make_mut(&mut state.requests).clear()),
            ("what the events wait for", |state| {
                state.schedule = Default::default()
            }),
            ("what owners hold", |state| state.holdings = Default::default()),
            ("is due and has not happened", |state| {
                state.effective_time = UnixMs(1_000)
            }),
        ];
        for (expected, plant) in faults {
            let mut state = sound();
            plant(&mut state);
            let found = state.check_invariants().map_err(|broken| broken.to_string());
            assert!(
                found.as_ref().is_err_and(|said| said.contains(expected)),
                "{expected}: {found:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "after entry 3: event e1: the totals do not add up to the counted votes")]
    fn a_replica_that_miscounted_stops() {
        let mut state = sound();
        event_mut(&mut state, 0).tally.totals[0] += 1;
        apply(&mut state, 3, vec![cast(9, 1, 1)]);
    }
}
