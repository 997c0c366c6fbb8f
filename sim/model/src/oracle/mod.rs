//! The oracle: what the committed log amounts to, by rules written afresh from the contract (docs/components/core.md),
//! with plain maps and lists. Slow and easy to read, and none of the service's logic.

mod event;

use std::collections::BTreeMap;

use ostraka_core::{
    Batch, Command, EventId, LogIndex, NewEvent, RequestKey, SubmissionKey, UnixMs, VotePosition, VoteRecord,
    VoterNumber,
};

pub use event::EventTruth;
pub(crate) use event::FURTHER_SUBMISSIONS_MAX;

use crate::disks::CommittedLog;
use crate::history::VoteStatus;

/// What the log makes of one record of a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// The first record of a submission: its own place and verdict.
    First(VoteStatus),
    /// A further record of a submission: the first one's place and verdict.
    Retry {
        first: VotePosition,
        verdict: VoteStatus,
    },
    NoSuchEvent,
    NoSuchContestant,
    TooMany,
}

impl Ruling {
    /// Place and verdict that the client must be told; none where the vote was refused.
    pub fn told(self, own: VotePosition) -> Option<(VotePosition, VoteStatus)> {
        match self {
            Ruling::First(verdict) => Some((own, verdict)),
            Ruling::Retry { first, verdict } => Some((first, verdict)),
            Ruling::NoSuchEvent | Ruling::NoSuchContestant | Ruling::TooMany => None,
        }
    }
}

/// One record of a vote in the committed log.
#[derive(Clone, Copy, Debug)]
pub struct VoteTruth {
    pub position: VotePosition,
    pub vote: VoteRecord,
    pub ruling: Ruling,
}

/// The truth of a run, entry by entry.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    pub events: BTreeMap<EventId, EventTruth>,
    /// In the order of the log.
    pub votes: Vec<VoteTruth>,
    /// The first record of each submission.
    pub submissions: BTreeMap<(EventId, VoterNumber, SubmissionKey), (VotePosition, VoteStatus)>,
    requests: BTreeMap<RequestKey, EventId>,
    /// The newest stamp so far: time in the log never runs back.
    now: UnixMs,
    /// Committed entries that are no batch.
    pub unreadable: Vec<LogIndex>,
    /// Entries whose stamp is older than one before it.
    pub stamps_back: u64,
}

impl Oracle {
    pub fn of(log: &CommittedLog) -> Self {
        let mut oracle = Oracle::default();
        for (index, entry) in &log.entries {
            if entry.body.is_empty() {
                continue;
            }
            match Batch::decode(&entry.body) {
                Ok(batch) => oracle.entry(LogIndex(*index), entry.stamped_at, &batch),
                Err(_) => oracle.unreadable.push(LogIndex(*index)),
            }
        }
        oracle
    }

    fn entry(&mut self, index: LogIndex, stamped_at: UnixMs, batch: &Batch) {
        if stamped_at < self.now {
            self.stamps_back += 1;
        }
        self.now = self.now.max(stamped_at);
        for event in self.events.values_mut() {
            event.follow_the_clock(self.now, index);
        }
        for (offset, command) in batch.commands.iter().enumerate() {
            let offset = u16::try_from(offset).unwrap_or(u16::MAX);
            self.command(command, VotePosition { index, offset });
        }
        for event in self.events.values_mut() {
            event.remember(index);
        }
    }

    fn command(&mut self, command: &Command, position: VotePosition) {
        match command {
            Command::CreateEvent(spec) => self.create(spec, position),
            Command::OpenEvent {
                event,
                by,
                by_operator,
            } => {
                self.change(*event, *by, *by_operator, |event| event.open(position, true));
            }
            Command::CloseEvent {
                event,
                by,
                by_operator,
            } => {
                self.change(*event, *by, *by_operator, |event| event.close(position, true));
            }
            Command::CastVote(vote) => {
                let ruling = self.cast(vote, position);
                self.votes.push(VoteTruth {
                    position,
                    vote: *vote,
                    ruling,
                });
            }
            Command::Tick => {}
        }
    }

    /// How many events an owner may have, and how large, is left out: a plan that could get there is not run
    /// (`plan/validate`).
    fn create(&mut self, spec: &NewEvent, position: VotePosition) {
        let starts = spec.opens_at.map_or(self.now, |at| at.max(self.now));
        let is_possible = spec.closes_at.is_none_or(|closes| closes > starts);
        if self.requests.contains_key(&spec.request) || !is_possible {
            return;
        }
        let id = EventId(self.events.len() as u32 + 1);
        self.requests.insert(spec.request, id);
        let mut event = EventTruth::new(id, spec, position);
        event.follow_the_clock(self.now, position.index);
        self.events.insert(id, event);
    }

    fn change(
        &mut self,
        event: EventId,
        by: VoterNumber,
        by_operator: bool,
        change: impl FnOnce(&mut EventTruth),
    ) {
        if let Some(event) = self.events.get_mut(&event)
            && (by_operator || event.owner == by)
        {
            change(event);
        }
    }

    fn cast(&mut self, vote: &VoteRecord, position: VotePosition) -> Ruling {
        let Some(event) = self.events.get_mut(&vote.event) else {
            return Ruling::NoSuchEvent;
        };
        let submission = (vote.event, vote.voter, vote.key);
        if let Some((first, verdict)) = self.submissions.get(&submission) {
            return Ruling::Retry {
                first: *first,
                verdict: *verdict,
            };
        }
        match event.cast(vote) {
            Ok(verdict) => {
                self.submissions.insert(submission, (position, verdict));
                Ruling::First(verdict)
            }
            Err(refused) => refused,
        }
    }

    /// Counted votes of all events.
    pub fn counted(&self) -> u64 {
        self.events.values().map(|event| event.voters.len() as u64).sum()
    }
}

#[cfg(test)]
mod tests;
