//! The naive model: what the service promises, written as plainly as possible, over lists and ordered maps. It shares
//! the core's messages and none of its logic.

use std::collections::BTreeMap;

use ostraka_core::limits::{EXTRA_SUBMISSIONS_PER_VOTER_MAX, PROBE_KEYS_PER_EVENT_MAX, TRACES_PER_DELTA_MAX};
use ostraka_core::{
    Applied, ChangedEvent, Command, EventId, EventKind, EventRefusal, EventStatus, LogIndex, NewEvent,
    Outcome, RejectReason, State, TraceId, VoteOutcome, VotePosition, VoteRecord, VoteVerdict, VoterNumber,
};

use crate::generate::Entry;

#[derive(Clone, Debug)]
pub(crate) struct Submission {
    pub(crate) vote: VoteRecord,
    pub(crate) position: VotePosition,
    pub(crate) verdict: VoteVerdict,
}

#[derive(Clone, Debug)]
pub(crate) struct ModelEvent {
    pub(crate) spec: NewEvent,
    pub(crate) created: u64,
    pub(crate) opened: Option<u64>,
    pub(crate) closed: Option<u64>,
    /// Everything ever recorded, in log order.
    pub(crate) submissions: Vec<Submission>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    now: u64,
    pub(crate) events: Vec<ModelEvent>,
}

impl ModelEvent {
    pub(crate) fn status(&self) -> EventStatus {
        match (self.opened, self.closed) {
            (_, Some(_)) => EventStatus::Closed,
            (Some(_), None) => EventStatus::Open,
            (None, None) => EventStatus::Scheduled,
        }
    }

    pub(crate) fn with_verdict(&self, wanted: fn(&VoteVerdict) -> bool) -> impl Iterator<Item = &Submission> {
        self.submissions
            .iter()
            .filter(move |submission| wanted(&submission.verdict))
    }

    pub(crate) fn totals(&self) -> Vec<u64> {
        let mut totals = vec![0; self.spec.contestants.len()];
        for submission in self.with_verdict(|verdict| *verdict == VoteVerdict::Processed) {
            totals[usize::from(submission.vote.contestant.0)] += 1;
        }
        totals
    }

    pub(crate) fn version(&self) -> u64 {
        let counted = self
            .with_verdict(|verdict| *verdict == VoteVerdict::Processed)
            .last();
        let last_counted = counted.map(|submission| submission.position.index.0);
        [Some(self.created), self.opened, self.closed, last_counted]
            .into_iter()
            .flatten()
            .max()
            .unwrap_or(0)
    }

    /// What is still remembered for retries and questions: all, but of probes the newest only.
    pub(crate) fn remembered(&self) -> &[Submission] {
        match self.spec.kind {
            EventKind::Public => &self.submissions,
            EventKind::Canary => {
                let forgotten = self.submissions.len().saturating_sub(PROBE_KEYS_PER_EVENT_MAX);
                &self.submissions[forgotten..]
            }
        }
    }

    fn cast(&mut self, vote: VoteRecord, position: VotePosition) -> VoteOutcome {
        let mine: Vec<&Submission> = self
            .remembered()
            .iter()
            .filter(|submission| submission.vote.voter == vote.voter)
            .collect();
        if let Some(first) = mine.iter().find(|submission| submission.vote.key == vote.key) {
            return VoteOutcome::Recorded {
                position: first.position,
                verdict: first.verdict,
            };
        }
        if usize::from(vote.contestant.0) >= self.spec.contestants.len() {
            return VoteOutcome::ContestantNotFound;
        }
        let public = self.spec.kind == EventKind::Public;
        let has_counted = mine
            .iter()
            .any(|submission| submission.verdict == VoteVerdict::Processed);
        let extras = mine
            .iter()
            .filter(|submission| submission.verdict != VoteVerdict::Processed)
            .count();
        let verdict = match self.status() {
            _ if public && has_counted => VoteVerdict::Duplicate,
            EventStatus::Open => VoteVerdict::Processed,
            EventStatus::Scheduled => VoteVerdict::Rejected(RejectReason::EventNotOpen),
            EventStatus::Closed => VoteVerdict::Rejected(RejectReason::EventClosed),
        };
        if public && verdict != VoteVerdict::Processed && extras >= EXTRA_SUBMISSIONS_PER_VOTER_MAX {
            return VoteOutcome::TooManySubmissions;
        }
        self.submissions.push(Submission {
            vote,
            position,
            verdict,
        });
        VoteOutcome::Recorded { position, verdict }
    }
}

impl Model {
    fn event_mut(&mut self, id: EventId) -> Option<&mut ModelEvent> {
        self.events.get_mut((id.0 as usize).checked_sub(1)?)
    }

    pub(crate) fn apply(&mut self, entry: &Entry) -> Applied {
        let index = entry.meta.index.0;
        let before: Vec<_> = self
            .events
            .iter()
            .map(|event| (event.status(), event.totals()))
            .collect();
        self.now = self.now.max(entry.meta.stamped_at.0);
        self.pass_time(index);
        let mut outcomes = Vec::new();
        let mut traces: BTreeMap<usize, Vec<TraceId>> = BTreeMap::new();
        for (offset, command) in entry.batch.commands.iter().enumerate() {
            let position = VotePosition {
                index: LogIndex(index),
                offset: offset as u16,
            };
            let outcome = self.carry_out(command, position);
            let first_counted = outcome
                == Outcome::Vote(VoteOutcome::Recorded {
                    position,
                    verdict: VoteVerdict::Processed,
                });
            if let Command::CastVote(VoteRecord {
                event,
                trace: Some(trace),
                trace_sampled: true,
                ..
            }) = command
                && first_counted
            {
                traces.entry(event.0 as usize - 1).or_default().push(*trace);
            }
            outcomes.push(outcome);
        }
        let mut changed = Vec::new();
        for (place, event) in self.events.iter().enumerate() {
            if before.get(place) != Some(&(event.status(), event.totals())) {
                let mut traces = traces.remove(&place).unwrap_or_default();
                let traces_omitted = traces.len().saturating_sub(TRACES_PER_DELTA_MAX) as u32;
                traces.truncate(TRACES_PER_DELTA_MAX);
                changed.push(ChangedEvent {
                    event: EventId(place as u32 + 1),
                    traces,
                    traces_omitted,
                });
            }
        }
        Applied { outcomes, changed }
    }

    /// No two of these meet in one event, so their order among events does not show.
    fn pass_time(&mut self, index: u64) {
        for event in &mut self.events {
            let is_due = |at: Option<ostraka_core::UnixMs>| at.is_some_and(|at| at.0 <= self.now);
            if event.status() == EventStatus::Scheduled && is_due(event.spec.opens_at) {
                event.opened = Some(index);
            }
            if event.status() != EventStatus::Closed && is_due(event.spec.closes_at) {
                event.closed = Some(index);
            }
        }
    }

    fn carry_out(&mut self, command: &Command, position: VotePosition) -> Outcome {
        let index = position.index.0;
        match command {
            Command::Tick => Outcome::Ticked,
            Command::CreateEvent(spec) => self.create(spec, index),
            Command::OpenEvent {
                event,
                by,
                by_operator,
            } => self.change(*event, *by, *by_operator, |event| {
                if event.status() == EventStatus::Closed {
                    return Err(EventRefusal::AlreadyClosed);
                }
                Ok(*event.opened.get_or_insert(index))
            }),
            Command::CloseEvent {
                event,
                by,
                by_operator,
            } => self.change(*event, *by, *by_operator, |event| {
                Ok(*event.closed.get_or_insert(index))
            }),
            Command::CastVote(vote) => Outcome::Vote(match self.event_mut(vote.event) {
                None => VoteOutcome::EventNotFound,
                Some(event) => event.cast(*vote, position),
            }),
        }
    }

    fn create(&mut self, spec: &NewEvent, index: u64) -> Outcome {
        if let Some(place) = self
            .events
            .iter()
            .position(|event| event.spec.request == spec.request)
        {
            return Outcome::EventCreated(EventId(place as u32 + 1));
        }
        if spec.contestants.is_empty() {
            return Outcome::EventRefused(EventRefusal::OutsideLimits);
        }
        if let Some(closes_at) = spec.closes_at {
            let after_opening = spec.opens_at.is_none_or(|opens_at| closes_at > opens_at);
            if closes_at.0 <= self.now || !after_opening {
                return Outcome::EventRefused(EventRefusal::ScheduleImpossible);
            }
        }
        let waits = spec.opens_at.is_some_and(|opens_at| opens_at.0 > self.now);
        let opened = if waits { None } else { Some(index) };
        let spec = spec.clone();
        self.events.push(ModelEvent {
            spec,
            created: index,
            opened,
            closed: None,
            submissions: Vec::new(),
        });
        Outcome::EventCreated(EventId(self.events.len() as u32))
    }

    fn change(
        &mut self,
        id: EventId,
        by: VoterNumber,
        by_operator: bool,
        change: impl FnOnce(&mut ModelEvent) -> Result<u64, EventRefusal>,
    ) -> Outcome {
        let Some(event) = self.event_mut(id) else {
            return Outcome::EventRefused(EventRefusal::EventNotFound);
        };
        if event.spec.owner != by && !by_operator {
            return Outcome::EventRefused(EventRefusal::NotTheOwner);
        }
        match change(event) {
            Err(refusal) => Outcome::EventRefused(refusal),
            Ok(at) => Outcome::EventStatus {
                event: id,
                status: event.status(),
                at: LogIndex(at),
            },
        }
    }

    /// The first difference between what the model holds and what the state shows.
    pub(crate) fn difference(&self, state: &State) -> Option<String> {
        if state.events().count() != self.events.len() {
            return Some(format!(
                "{} events, expected {}",
                state.events().count(),
                self.events.len()
            ));
        }
        for (shown, event) in state.events().zip(&self.events) {
            let duplicates = event
                .with_verdict(|verdict| *verdict == VoteVerdict::Duplicate)
                .count() as u64;
            let rejected = event
                .with_verdict(|verdict| matches!(verdict, VoteVerdict::Rejected(_)))
                .count() as u64;
            let expected = (
                event.status(),
                event.totals(),
                event.version(),
                duplicates,
                rejected,
            );
            let found = (
                shown.status(),
                shown.totals().to_vec(),
                shown.version().0,
                shown.duplicates(),
                shown.rejected(),
            );
            if found != expected {
                return Some(format!("{} is {found:?}, expected {expected:?}", shown.id()));
            }
            let indexes = (
                shown.opened_index().map(|at| at.0),
                shown.closed_index().map(|at| at.0),
            );
            if indexes != (event.opened, event.closed) {
                return Some(format!("{} opened and closed at {indexes:?}", shown.id()));
            }
            let same = shown.name() == event.spec.name
                && shown.owner() == event.spec.owner
                && shown.contestants() == event.spec.contestants;
            if !same {
                return Some(format!("{} is described differently", shown.id()));
            }
            for Submission {
                vote,
                position,
                verdict,
            } in event.remembered()
            {
                let shown = state.vote_verdict(vote.event, vote.voter, *position);
                if shown != Some(*verdict) {
                    return Some(format!(
                        "the vote at {position:?} is {shown:?}, expected {verdict:?}"
                    ));
                }
            }
        }
        None
    }
}
