//! One event of the oracle.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::{
    EventId, EventKind, LogIndex, NewContestant, NewEvent, ResultsPolicy, UnixMs, VotePosition, VoteRecord,
    VoterNumber,
};

use super::Ruling;
use crate::history::{Standings, Status, VoteStatus};
use crate::ids::EventSlot;
use crate::names::slot_of_event_name;

/// Submissions of one voter in one event that are remembered beside the counted one (docs/components/core.md).
pub(crate) const FURTHER_SUBMISSIONS_MAX: usize = 16;

/// An event as the log made it.
#[derive(Clone, Debug)]
pub struct EventTruth {
    pub id: EventId,
    /// The plan's event, if it is one.
    pub slot: Option<EventSlot>,
    pub owner: VoterNumber,
    pub created: VotePosition,
    /// By a command, or at an entry's beginning by its stamp: then the offset is that of the first command.
    pub opened: Option<VotePosition>,
    pub opened_by_hand: bool,
    pub closed: Option<VotePosition>,
    /// The closing came by a command, not by the schedule.
    pub closed_by_hand: bool,
    pub opens_at: Option<UnixMs>,
    pub closes_at: Option<UnixMs>,
    /// Totals are hidden until the event is closed.
    pub after_close: bool,
    pub status: Status,
    pub totals: Vec<u64>,
    pub contestants: Vec<NewContestant>,
    /// Who has a counted vote.
    pub voters: BTreeSet<VoterNumber>,
    further: BTreeMap<VoterNumber, usize>,
    pub is_canary: bool,
    /// Status and totals at each index that changed one of them.
    pub versions: BTreeMap<u64, (Status, Vec<u64>)>,
    changed: bool,
}

impl EventTruth {
    pub(super) fn new(id: EventId, spec: &NewEvent, created: VotePosition) -> Self {
        let opens_at_once = spec.opens_at.is_none();
        EventTruth {
            id,
            slot: slot_of_event_name(&spec.name),
            owner: spec.owner,
            created,
            opened: opens_at_once.then_some(created),
            opened_by_hand: false,
            closed: None,
            closed_by_hand: false,
            opens_at: spec.opens_at,
            closes_at: spec.closes_at,
            after_close: spec.results == ResultsPolicy::AfterClose,
            status: if opens_at_once {
                Status::Open
            } else {
                Status::Scheduled
            },
            totals: vec![0; spec.contestants.len()],
            contestants: spec.contestants.clone(),
            voters: BTreeSet::new(),
            further: BTreeMap::new(),
            is_canary: spec.kind == EventKind::Canary,
            versions: BTreeMap::new(),
            changed: true,
        }
    }

    pub(super) fn follow_the_clock(&mut self, now: UnixMs, index: LogIndex) {
        let first = VotePosition { index, offset: 0 };
        if self.opens_at.is_some_and(|at| at <= now) {
            self.open(first, false);
        }
        if self.closes_at.is_some_and(|at| at <= now) {
            self.close(first, false);
        }
    }

    pub(super) fn open(&mut self, at: VotePosition, by_hand: bool) {
        if self.status == Status::Scheduled {
            self.status = Status::Open;
            self.opened = Some(at);
            self.opened_by_hand = by_hand;
            self.changed = true;
        }
    }

    pub(super) fn close(&mut self, at: VotePosition, by_hand: bool) {
        if self.status != Status::Closed {
            self.status = Status::Closed;
            self.closed = Some(at);
            self.closed_by_hand = by_hand;
            self.changed = true;
        }
    }

    /// The verdict on a submission that is none of those before.
    pub(super) fn cast(&mut self, vote: &VoteRecord) -> Result<VoteStatus, Ruling> {
        let Some(total) = self.totals.get_mut(usize::from(vote.contestant.0)) else {
            return Err(Ruling::NoSuchContestant);
        };
        let verdict = match self.status {
            _ if !self.is_canary && self.voters.contains(&vote.voter) => VoteStatus::Duplicate,
            Status::Open => VoteStatus::Processed,
            Status::Scheduled => VoteStatus::RejectedNotOpen,
            Status::Closed => VoteStatus::RejectedClosed,
        };
        if verdict == VoteStatus::Processed {
            *total += 1;
            self.voters.insert(vote.voter);
            self.changed = true;
            return Ok(verdict);
        }
        let further = self.further.entry(vote.voter).or_default();
        if *further >= FURTHER_SUBMISSIONS_MAX && !self.is_canary {
            return Err(Ruling::TooMany);
        }
        *further += 1;
        Ok(verdict)
    }

    /// An entry is over: what it changed has its index as version.
    pub(super) fn remember(&mut self, index: LogIndex) {
        if std::mem::take(&mut self.changed) {
            self.versions.insert(index.0, (self.status, self.totals.clone()));
        }
    }

    pub fn version(&self) -> u64 {
        self.versions.last_key_value().map_or(0, |(version, _)| *version)
    }

    /// The version that follows `version`, if there is one: until then `version` is what there is to see.
    pub fn version_after(&self, version: u64) -> Option<u64> {
        let after = (std::ops::Bound::Excluded(version), std::ops::Bound::Unbounded);
        self.versions.range(after).next().map(|(next, _)| *next)
    }

    /// What everyone may see at `version`.
    pub fn standings_at(&self, version: u64) -> Option<Standings> {
        let (status, totals) = self.versions.get(&version)?;
        let hidden = self.after_close && *status != Status::Closed;
        Some(Standings {
            event: self.id,
            status: *status,
            version,
            totals: totals.iter().map(|total| (!hidden).then_some(*total)).collect(),
        })
    }
}
