//! One event: its description, its status, its tally, and what it remembers of its voters.

use std::sync::Arc;

use super::counted::{CountedVote, CountedVotes};
use super::extras::{ExtraVote, ExtraVotes};
use super::probes::Probes;
use crate::command::{NewContestant, NewEvent, VoteRecord};
use crate::ids::{ContestantIndex, EventId, LogIndex, RequestKey, UnixMs, VotePosition, VoterNumber};
use crate::outcome::{RejectReason, VoteVerdict};
use crate::terms::{EventKind, EventStatus, ResultsPolicy};

/// One event with its tally. Fields are private; readers use the accessors. Cloning copies pointers and the totals.
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) info: Arc<EventInfo>,
    pub(crate) tally: Tally,
    pub(crate) ledger: Ledger,
}

/// What never changes after creation.
#[derive(Debug)]
pub(crate) struct EventInfo {
    pub(crate) id: EventId,
    pub(crate) created_index: LogIndex,
    pub(crate) spec: NewEvent,
}

/// What changes with every vote, and is small.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    pub(crate) status: EventStatus,
    pub(crate) opened_index: Option<LogIndex>,
    pub(crate) closed_index: Option<LogIndex>,
    pub(crate) version: LogIndex,
    pub(crate) totals: Vec<u64>,
    pub(crate) counted: u64,
    pub(crate) duplicates: u64,
    pub(crate) rejected: u64,
}

/// What the event remembers of submissions.
#[derive(Clone, Debug)]
pub(crate) enum Ledger {
    Public {
        counted: CountedVotes,
        extras: ExtraVotes,
    },
    Canary(Arc<Probes>),
}

impl Ledger {
    pub(crate) fn new(kind: EventKind) -> Self {
        match kind {
            EventKind::Public => Ledger::Public {
                counted: CountedVotes::default(),
                extras: ExtraVotes::default(),
            },
            EventKind::Canary => Ledger::Canary(Arc::default()),
        }
    }
}

/// How a submission stands to those before it.
pub(crate) enum Standing {
    /// The same submission was recorded before.
    Retry {
        position: VotePosition,
        verdict: VoteVerdict,
    },
    /// Another one, by a voter who has a counted vote.
    Again,
    New,
}

impl Event {
    /// A new event, scheduled; `State` opens it at once if it should be.
    pub(crate) fn new(id: EventId, created_index: LogIndex, spec: NewEvent) -> Self {
        let tally = Tally {
            status: EventStatus::Scheduled,
            opened_index: None,
            closed_index: None,
            version: created_index,
            totals: vec![0; spec.contestants.len()],
            counted: 0,
            duplicates: 0,
            rejected: 0,
        };
        let ledger = Ledger::new(spec.kind);
        Event {
            info: Arc::new(EventInfo {
                id,
                created_index,
                spec,
            }),
            tally,
            ledger,
        }
    }

    pub fn id(&self) -> EventId {
        self.info.id
    }

    pub fn name(&self) -> &str {
        &self.info.spec.name
    }

    pub fn owner(&self) -> VoterNumber {
        self.info.spec.owner
    }

    /// The request that created it.
    pub fn request(&self) -> RequestKey {
        self.info.spec.request
    }

    pub fn kind(&self) -> EventKind {
        self.info.spec.kind
    }

    pub fn results(&self) -> ResultsPolicy {
        self.info.spec.results
    }

    /// The opening that was asked for at creation. Opening by hand does not change it.
    pub fn opens_at(&self) -> Option<UnixMs> {
        self.info.spec.opens_at
    }

    /// The closing that was asked for at creation. Closing by hand does not change it.
    pub fn closes_at(&self) -> Option<UnixMs> {
        self.info.spec.closes_at
    }

    /// In the order of creation: position n is `ContestantIndex(n)`.
    pub fn contestants(&self) -> &[NewContestant] {
        &self.info.spec.contestants
    }

    pub fn contestant(&self, contestant: ContestantIndex) -> Option<&NewContestant> {
        self.contestants().get(usize::from(contestant.0))
    }

    pub fn status(&self) -> EventStatus {
        self.tally.status
    }

    /// The entry that created it.
    pub fn created_index(&self) -> LogIndex {
        self.info.created_index
    }

    /// The entry that opened it.
    pub fn opened_index(&self) -> Option<LogIndex> {
        self.tally.opened_index
    }

    /// The entry that closed it: no vote of this entry's later commands, or of a later entry, is counted.
    pub fn closed_index(&self) -> Option<LogIndex> {
        self.tally.closed_index
    }

    /// The entry that gave it its present status.
    pub fn status_index(&self) -> LogIndex {
        let since = match self.tally.status {
            EventStatus::Scheduled => None,
            EventStatus::Open => self.tally.opened_index,
            EventStatus::Closed => self.tally.closed_index,
        };
        since.unwrap_or(self.info.created_index)
    }

    /// The last entry that changed the tally or the status.
    pub fn version(&self) -> LogIndex {
        self.tally.version
    }

    /// Counted votes by contestant; in a canary event, counted probes.
    pub fn totals(&self) -> &[u64] {
        &self.tally.totals
    }

    /// Counted votes: the sum of the totals; in a public event also the number of distinct voters.
    pub fn counted(&self) -> u64 {
        self.tally.counted
    }

    /// Recorded submissions that were duplicates.
    pub fn duplicates(&self) -> u64 {
        self.tally.duplicates
    }

    /// Recorded submissions that were rejected.
    pub fn rejected(&self) -> u64 {
        self.tally.rejected
    }

    /// The verdict on this voter's submission at `position`. A canary event knows its newest probes only.
    pub fn vote_verdict(&self, voter: VoterNumber, position: VotePosition) -> Option<VoteVerdict> {
        match &self.ledger {
            Ledger::Public { counted, extras } => {
                if counted.get(voter).is_some_and(|vote| vote.position() == position) {
                    return Some(VoteVerdict::Processed);
                }
                extras
                    .of(voter)
                    .find(|extra| extra.position() == position)
                    .map(ExtraVote::verdict)
            }
            Ledger::Canary(probes) => probes.verdict_at(voter, position),
        }
    }

    pub(crate) fn standing(&self, vote: &VoteRecord) -> Standing {
        match &self.ledger {
            Ledger::Public { counted, extras } => {
                let before = counted.get(vote.voter);
                if let Some(before) = before
                    && before.is_of(vote.key)
                {
                    return Standing::Retry {
                        position: before.position(),
                        verdict: VoteVerdict::Processed,
                    };
                }
                match extras.of(vote.voter).find(|extra| extra.key == vote.key) {
                    Some(extra) => Standing::Retry {
                        position: extra.position(),
                        verdict: extra.verdict(),
                    },
                    None if before.is_some() => Standing::Again,
                    None => Standing::New,
                }
            }
            Ledger::Canary(probes) => match probes.get(vote.voter, vote.key) {
                Some(probe) => Standing::Retry {
                    position: probe.position(),
                    verdict: probe.verdict(),
                },
                None => Standing::New,
            },
        }
    }

    /// The verdict on a submission that is not a retry. Having a counted vote weighs more than a closed event: the
    /// voter learns that their vote stands.
    pub(crate) fn verdict_on(&self, standing: &Standing) -> VoteVerdict {
        match (standing, self.tally.status) {
            (Standing::Again, _) => VoteVerdict::Duplicate,
            (_, EventStatus::Open) => VoteVerdict::Processed,
            (_, EventStatus::Scheduled) => VoteVerdict::Rejected(RejectReason::EventNotOpen),
            (_, EventStatus::Closed) => VoteVerdict::Rejected(RejectReason::EventClosed),
        }
    }

    /// Whether one more submission of this verdict can be remembered.
    pub(crate) fn has_room_for(&self, voter: VoterNumber, verdict: VoteVerdict) -> bool {
        match &self.ledger {
            Ledger::Public { extras, .. } => verdict == VoteVerdict::Processed || !extras.is_full(voter),
            Ledger::Canary(_) => true,
        }
    }

    /// Records a submission that is not a retry, and counts it if the verdict says so.
    pub(crate) fn record(&mut self, vote: &VoteRecord, position: VotePosition, verdict: VoteVerdict) {
        match verdict {
            VoteVerdict::Processed => {
                self.tally.totals[usize::from(vote.contestant.0)] += 1;
                self.tally.counted += 1;
                self.tally.version = position.index;
            }
            VoteVerdict::Duplicate => self.tally.duplicates += 1,
            VoteVerdict::Rejected(_) => self.tally.rejected += 1,
        }
        let remembered = ExtraVote::new(vote.key, position, verdict);
        match &mut self.ledger {
            Ledger::Public { counted, .. } if verdict == VoteVerdict::Processed => {
                counted.insert(vote.voter, CountedVote::new(position, vote.key));
            }
            Ledger::Public { extras, .. } => extras.push(vote.voter, remembered),
            Ledger::Canary(probes) => Arc::make_mut(probes).push(vote.voter, remembered),
        }
    }

    pub(crate) fn open(&mut self, at: LogIndex) {
        assert!(
            self.tally.status == EventStatus::Scheduled,
            "only a scheduled event is opened"
        );
        self.tally.status = EventStatus::Open;
        self.tally.opened_index = Some(at);
        self.tally.version = at;
    }

    pub(crate) fn close(&mut self, at: LogIndex) {
        assert!(
            self.tally.status != EventStatus::Closed,
            "an event is closed once"
        );
        self.tally.status = EventStatus::Closed;
        self.tally.closed_index = Some(at);
        self.tally.version = at;
    }
}
