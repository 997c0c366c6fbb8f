//! `apply`: one entry of the log becomes part of the state.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Event, Standing};
use super::schedule::Turn;
use super::{State, place_of_event};
use crate::command::{Batch, Command, NewEvent, VoteRecord};
use crate::ids::{EntryMeta, EventId, LogIndex, TraceId, VotePosition, VoterNumber};
use crate::limits::{BATCH_VOTES_MAX, TRACES_PER_DELTA_MAX};
use crate::outcome::{Applied, ChangedEvent, EventRefusal, Outcome, VoteOutcome, VoteVerdict};
use crate::terms::EventStatus;

/// What one entry has changed so far.
struct Changes {
    index: LogIndex,
    events: BTreeMap<EventId, ChangedEvent>,
}

impl Changes {
    fn touch(&mut self, event: EventId) -> &mut ChangedEvent {
        let untouched = || ChangedEvent {
            event,
            traces: Vec::new(),
            traces_omitted: 0,
        };
        self.events.entry(event).or_insert_with(untouched)
    }

    fn counted(&mut self, event: EventId, sampled_trace: Option<TraceId>) {
        let changed = self.touch(event);
        match sampled_trace {
            Some(trace) if changed.traces.len() < TRACES_PER_DELTA_MAX => changed.traces.push(trace),
            Some(_) => changed.traces_omitted += 1,
            None => (),
        }
    }
}

impl State {
    /// Applies one entry. Deterministic: equal states and equal entries give equal states and outcomes.
    ///
    /// The entry's time is its stamp, or the newest stamp before it if that is later. Every opening and closing that
    /// is due by then happens first, at this entry's index; then the commands, in order, each giving one outcome.
    ///
    /// # Panics
    /// If an invariant of the state is broken (a replica that finds its own state impossible stops), if `meta.index`
    /// is not above the last applied index, or if the batch has more commands than `Batch::decode` lets through.
    /// Client input never panics.
    pub fn apply(&mut self, meta: EntryMeta, batch: &Batch) -> Applied {
        assert!(
            batch.commands.len() <= BATCH_VOTES_MAX,
            "a decoded batch is within the limit"
        );
        self.advance(meta.index);
        self.effective_time = self.effective_time.max(meta.stamped_at);
        let mut changes = Changes {
            index: meta.index,
            events: BTreeMap::new(),
        };
        self.carry_out_what_is_due(&mut changes);
        let numbered = batch.commands.iter().enumerate();
        let outcomes = numbered
            .map(|(offset, command)| self.carry_out(command, offset as u16, &mut changes))
            .collect();
        for event in changes.events.keys() {
            let event = self.event(*event).expect("a changed event exists");
            if let Err(broken) = event.check_counts() {
                panic!("after entry {}: {broken}", meta.index);
            }
        }
        Applied {
            outcomes,
            changed: changes.events.into_values().collect(),
        }
    }

    /// An entry without commands (a leader's blank entry, a change of membership) has passed.
    ///
    /// # Panics
    /// If `index` is not above the last applied index.
    pub fn skip(&mut self, index: LogIndex) {
        self.advance(index);
    }

    fn advance(&mut self, index: LogIndex) {
        assert!(
            index > self.last_applied,
            "entry {index} comes after entry {}",
            self.last_applied
        );
        self.last_applied = index;
    }

    fn carry_out_what_is_due(&mut self, changes: &mut Changes) {
        while let Some((_, event, turn)) = self
            .schedule
            .next()
            .filter(|(at, _, _)| *at <= self.effective_time)
        {
            match turn {
                Turn::Open => self.change_status(event, Event::open, changes),
                Turn::Close => self.change_status(event, Event::close, changes),
            }
        }
    }

    fn carry_out(&mut self, command: &Command, offset: u16, changes: &mut Changes) -> Outcome {
        match command {
            Command::CreateEvent(event) => self.create_event(event, changes),
            Command::OpenEvent {
                event,
                by,
                by_operator,
            } => self.open_event(*event, *by, *by_operator, changes),
            Command::CloseEvent {
                event,
                by,
                by_operator,
            } => self.close_event(*event, *by, *by_operator, changes),
            Command::CastVote(vote) => Outcome::Vote(self.cast_vote(vote, offset, changes)),
            Command::Tick => Outcome::Ticked,
        }
    }

    /// Changes an existing event's status, keeping the schedule in step.
    fn change_status(&mut self, id: EventId, change: fn(&mut Event, LogIndex), changes: &mut Changes) {
        let place = place_of_event(id).expect("the event exists");
        let event = Arc::make_mut(&mut self.events[place]);
        self.schedule.remove(event);
        change(event, changes.index);
        self.schedule.add(event);
        changes.touch(id);
    }

    fn create_event(&mut self, spec: &NewEvent, changes: &mut Changes) -> Outcome {
        if let Some(event) = self.event_of_request(spec.request) {
            return Outcome::EventCreated(event);
        }
        if let Err(refusal) = self.may_create(spec) {
            return Outcome::EventRefused(refusal);
        }
        let id = EventId(u32::try_from(self.events.len() + 1).expect("EVENTS_MAX fits"));
        let event = Event::new(id, changes.index, spec.clone());
        self.schedule.add(&event);
        self.holdings.add(spec);
        self.events.push(Arc::new(event));
        Arc::make_mut(&mut self.requests).insert(spec.request, id);
        changes.touch(id);
        if spec.opens_at.is_none_or(|at| at <= self.effective_time) {
            self.change_status(id, Event::open, changes);
        }
        Outcome::EventCreated(id)
    }

    fn may_create(&self, spec: &NewEvent) -> Result<(), EventRefusal> {
        if !spec.is_within_limits() {
            return Err(EventRefusal::OutsideLimits);
        }
        if let Some(refusal) = self.no_room_for(spec) {
            return Err(refusal);
        }
        let starts = spec
            .opens_at
            .unwrap_or(self.effective_time)
            .max(self.effective_time);
        if spec.closes_at.is_some_and(|at| at <= starts) {
            return Err(EventRefusal::ScheduleImpossible);
        }
        Ok(())
    }

    fn open_event(
        &mut self,
        id: EventId,
        by: VoterNumber,
        by_operator: bool,
        changes: &mut Changes,
    ) -> Outcome {
        match self.status_for_change(id, by, by_operator) {
            Err(refusal) => return Outcome::EventRefused(refusal),
            Ok(EventStatus::Closed) => return Outcome::EventRefused(EventRefusal::AlreadyClosed),
            Ok(EventStatus::Open) => (),
            Ok(EventStatus::Scheduled) => self.change_status(id, Event::open, changes),
        }
        self.status_outcome(id)
    }

    fn close_event(
        &mut self,
        id: EventId,
        by: VoterNumber,
        by_operator: bool,
        changes: &mut Changes,
    ) -> Outcome {
        match self.status_for_change(id, by, by_operator) {
            Err(refusal) => return Outcome::EventRefused(refusal),
            Ok(EventStatus::Closed) => (),
            Ok(EventStatus::Scheduled | EventStatus::Open) => self.change_status(id, Event::close, changes),
        }
        self.status_outcome(id)
    }

    fn status_for_change(
        &self,
        id: EventId,
        by: VoterNumber,
        by_operator: bool,
    ) -> Result<EventStatus, EventRefusal> {
        let event = self.event(id).ok_or(EventRefusal::EventNotFound)?;
        if !by_operator && event.owner() != by {
            return Err(EventRefusal::NotTheOwner);
        }
        Ok(event.status())
    }

    fn status_outcome(&self, id: EventId) -> Outcome {
        let event = self.event(id).expect("the event exists");
        Outcome::EventStatus {
            event: id,
            status: event.status(),
            at: event.status_index(),
        }
    }

    fn cast_vote(&mut self, vote: &VoteRecord, offset: u16, changes: &mut Changes) -> VoteOutcome {
        let Some(event) = place_of_event(vote.event).and_then(|place| self.events.get_mut(place)) else {
            return VoteOutcome::EventNotFound;
        };
        let standing = event.standing(vote);
        if let Standing::Retry { position, verdict } = standing {
            return VoteOutcome::Recorded { position, verdict };
        }
        if event.contestant(vote.contestant).is_none() {
            return VoteOutcome::ContestantNotFound;
        }
        let verdict = event.verdict_on(&standing);
        if !event.has_room_for(vote.voter, verdict) {
            return VoteOutcome::TooManySubmissions;
        }
        let position = VotePosition {
            index: changes.index,
            offset,
        };
        Arc::make_mut(event).record(vote, position, verdict);
        if verdict == VoteVerdict::Processed {
            changes.counted(vote.event, vote.trace.filter(|_| vote.trace_sampled));
        }
        VoteOutcome::Recorded { position, verdict }
    }
}
