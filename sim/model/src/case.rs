//! A case: one run's plan and history, indexed for those who judge it. Nothing in here trusts the history: a service at
//! fault may have told any nonsense, and a judge who panics has judged nothing.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::{EventId, LogIndex, SubmissionKey, UnixMs, VotePosition, VoterNumber};

use crate::disks::{CommittedLog, Disks, Voters};
use crate::history::{Answer, Happening, History, Life, VoteStatus};
use crate::ids::{EventSlot, FaultId, OperationId, SimMicros, SubmissionTag};
use crate::names;
use crate::oracle::{EventTruth, Oracle, VoteTruth};
use crate::plan::{Action, Operation, Plan};

/// When something happened: the time, and the record's place in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    pub at: SimMicros,
    pub record: usize,
}

/// An operation that was really sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub operation: &'a Operation,
    pub invoked: Moment,
    pub answered: Option<(Moment, &'a Answer)>,
}

/// What one of an overload's crowd was told.
#[derive(Clone, Copy, Debug)]
pub struct CrowdAnswer<'a> {
    pub fault: FaultId,
    pub place: u32,
    pub answered: Moment,
    pub answer: &'a Answer,
}

/// A submission as the plan has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    pub slot: EventSlot,
    pub voter: VoterNumber,
    pub contestant: u16,
    pub tag: SubmissionTag,
}

#[derive(Clone, Debug)]
pub struct Case<'a> {
    pub plan: &'a Plan,
    pub history: &'a History,
    pub disks: Disks<'a>,
    pub log: CommittedLog<'a>,
    pub oracle: Oracle,
    /// In the order in which they were sent.
    pub asked: Vec<Asked<'a>>,
    pub crowd: Vec<CrowdAnswer<'a>>,
    /// Records that no run can have made: operations that are none of the plan's, or were sent or answered more than once, or
    /// answered unsent, or skipped though they were sent or could have been.
    pub out_of_turn: Vec<(Moment, OperationId)>,
    /// By submission: its records in the log, in order.
    pub records: BTreeMap<SubmissionTag, Vec<VoteTruth>>,
    /// The same of crowds, by voter.
    crowd_records: BTreeMap<VoterNumber, Vec<VoteTruth>>,
    pub formed: Option<(SimMicros, UnixMs)>,
    pub storm_over: Option<Moment>,
    pub end: SimMicros,
    places: BTreeMap<OperationId, usize>,
}

/// Disks that make a quorum of the smallest cluster that the plan ever has: each node that leaves is one less. The next may
/// leave before the last is back, for adding takes as long as it takes (seed 3006660).
pub fn quorum(plan: &Plan) -> usize {
    voters(plan).majority_min()
}

fn voters(plan: &Plan) -> Voters {
    let leave = plan.faults.iter().filter(|fault| fault.kind.takes_a_member());
    Voters {
        nodes: usize::from(plan.knobs.nodes),
        leaving: leave.map(|fault| fault.id).collect(),
    }
}

impl<'a> Case<'a> {
    pub fn new(plan: &'a Plan, history: &'a History) -> Self {
        let disks = Disks::replay(history, &voters(plan));
        let log = disks.committed();
        let oracle = Oracle::of(&log);
        let mut case = Case {
            plan,
            history,
            disks,
            log,
            oracle,
            asked: Vec::new(),
            crowd: Vec::new(),
            out_of_turn: Vec::new(),
            records: BTreeMap::new(),
            crowd_records: BTreeMap::new(),
            formed: None,
            storm_over: None,
            end: history.records.last().map_or(SimMicros(0), |record| record.at),
            places: BTreeMap::new(),
        };
        case.index();
        case.group_records();
        case
    }

    fn index(&mut self) {
        let operations: BTreeMap<OperationId, &'a Operation> = self
            .plan
            .operations
            .iter()
            .map(|operation| (operation.id, operation))
            .collect();
        let mut known = Known::default();
        for (place, record) in self.history.records.iter().enumerate() {
            let moment = Moment {
                at: record.at,
                record: place,
            };
            match &record.what {
                Happening::Formed { true_time } => {
                    self.formed.get_or_insert((record.at, *true_time));
                }
                Happening::StormOver => {
                    self.storm_over.get_or_insert(moment);
                }
                Happening::Invoked { operation } => {
                    let Some(planned) = operations.get(operation) else {
                        self.out_of_turn.push((moment, *operation));
                        continue;
                    };
                    if self.places.contains_key(operation) || known.skipped.contains(operation) {
                        self.out_of_turn.push((moment, *operation));
                        continue;
                    }
                    self.places.insert(*operation, self.asked.len());
                    self.asked.push(Asked {
                        operation: planned,
                        invoked: moment,
                        answered: None,
                    });
                }
                Happening::Answered {
                    operation,
                    answer: Answer::Skipped,
                } => {
                    let planned = operations.get(operation);
                    let is_sent = self.places.contains_key(operation);
                    let may = planned.is_some_and(|planned| known.skips(planned, record.at));
                    if is_sent || !may {
                        self.out_of_turn.push((moment, *operation));
                    }
                }
                Happening::Answered { operation, answer } => {
                    self.answer(*operation, moment, answer);
                    if let Some(planned) = operations.get(operation) {
                        known.learn(planned, answer, record.at);
                    }
                }
                Happening::CrowdAnswered { fault, place, answer } => self.crowd.push(CrowdAnswer {
                    fault: *fault,
                    place: *place,
                    answered: moment,
                    answer,
                }),
                _ => {}
            }
        }
    }

    fn answer(&mut self, operation: OperationId, moment: Moment, answer: &'a Answer) {
        let asked = self.places.get(&operation).map(|place| &mut self.asked[*place]);
        match asked {
            Some(asked) if asked.answered.is_none() => asked.answered = Some((moment, answer)),
            _ => self.out_of_turn.push((moment, operation)),
        }
    }

    fn group_records(&mut self) {
        for vote in &self.oracle.votes {
            let is_planned = names::overload_of_voter(vote.vote.voter).is_none();
            if !is_planned {
                let of_voter = self.crowd_records.entry(vote.vote.voter).or_default();
                of_voter.push(*vote);
            }
            let tag = vote
                .vote
                .client_timestamp
                .and_then(names::tag_of_client_timestamp);
            if let Some(tag) = tag.filter(|_| is_planned) {
                self.records.entry(tag).or_default().push(*vote);
            }
        }
    }

    pub fn asked(&self, operation: OperationId) -> Option<&Asked<'a>> {
        self.places.get(&operation).map(|place| &self.asked[*place])
    }

    /// Submissions that were sent, each time they were.
    pub fn submissions(&self) -> impl Iterator<Item = (&Asked<'a>, Submission)> {
        self.asked
            .iter()
            .filter_map(|asked| Some((asked, submission(asked.operation)?)))
    }

    /// Where the submission first stands in the log, and its verdict.
    pub fn first_record(&self, tag: SubmissionTag) -> Option<(VotePosition, VoteStatus)> {
        first_ruling(self.records.get(&tag)?)
    }

    /// The same for what the voter of an overload's submission `place` sent.
    pub fn first_crowd_record(
        &self,
        fault: FaultId,
        place: u32,
    ) -> Option<(EventId, VotePosition, VoteStatus)> {
        let votes = self.crowd_records.get(&names::overload_voter(fault, place))?;
        let event = votes.first()?.vote.event;
        let (position, status) = first_ruling(votes)?;
        Some((event, position, status))
    }

    /// The keys under which the log knows a submission: one, if the service is sound.
    pub fn keys(&self, tag: SubmissionTag) -> Vec<SubmissionKey> {
        let mut keys: Vec<SubmissionKey> = self
            .records
            .get(&tag)
            .into_iter()
            .flatten()
            .map(|vote| vote.vote.key)
            .collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// The event that the slot's creation made.
    pub fn event_of_slot(&self, slot: EventSlot) -> Option<&EventTruth> {
        self.oracle.events.values().find(|event| event.slot == Some(slot))
    }

    pub fn event(&self, event: EventId) -> Option<&EventTruth> {
        self.oracle.events.get(&event)
    }

    /// Whether the log at `index` is known: what nobody settled on may still turn out either way.
    pub fn knows(&self, index: u64) -> bool {
        self.log.is_whole || index <= self.log.tip.0
    }

    /// When a quorum of disks first held the committed entry at `index`.
    pub fn durable_at(&self, index: LogIndex) -> Option<SimMicros> {
        self.disks.quorum_at(self.log.entries.get(&index.0)?)
    }

    /// What an exact clock shows.
    pub fn true_time(&self, at: SimMicros) -> Option<UnixMs> {
        let (formed_at, true_time) = self.formed?;
        let since_ms = at.0.checked_sub(formed_at.0)? / 1_000;
        Some(UnixMs(true_time.0.checked_add(since_ms)?))
    }

    /// Whether no fault was planned, and no node came to harm.
    pub fn is_undisturbed(&self) -> bool {
        let harm = |record: &crate::history::Record| {
            matches!(
                &record.what,
                Happening::FaultBegan { .. }
                    | Happening::Node {
                        life: Life::LostPower { .. }
                            | Life::Killed
                            | Life::StoppedGracefully
                            | Life::Failed(_)
                            | Life::Replaced,
                        ..
                    }
            )
        };
        self.plan.faults.is_empty() && !self.history.records.iter().any(harm)
    }

    /// Whether the operation is one of those that a healed cluster must do.
    pub fn is_fresh(&self, operation: &Operation) -> bool {
        operation.at_ms >= self.plan.knobs.storm_ms
    }
}

/// What was known for so long is known to whoever is about to ask: on a real machine an answer may be filed while another
/// client already stands by its skip.
const KNOWN_FOR_MS: u64 = 1_000;

/// What clients know, and since when: they all tell each other. Who has what it takes to send an operation sends it.
#[derive(Default)]
struct Known {
    slots: BTreeMap<EventSlot, SimMicros>,
    votes: BTreeMap<OperationId, SimMicros>,
    skipped: BTreeSet<OperationId>,
}

impl Known {
    fn learn(&mut self, operation: &Operation, answer: &Answer, at: SimMicros) {
        match (&operation.action, answer) {
            (Action::CreateEvent { slot, .. }, Answer::EventCreated { .. }) => {
                self.slots.entry(*slot).or_insert(at);
            }
            (_, Answer::Vote { .. }) => drop(self.votes.insert(operation.id, at)),
            _ => {}
        }
    }

    /// Whether it may be skipped at that moment, which it is once.
    fn skips(&mut self, operation: &Operation, at: SimMicros) -> bool {
        let since = match &operation.action {
            Action::CreateEvent { .. } => return false,
            Action::Status { of } => self.votes.get(of),
            Action::OpenEvent { slot }
            | Action::CloseEvent { slot }
            | Action::Leaderboard { slot }
            | Action::Submit { slot, .. } => self.slots.get(slot),
        };
        let lacks_something = since.is_none_or(|since| at < since.plus_ms(KNOWN_FOR_MS));
        self.skipped.insert(operation.id) && lacks_something
    }
}

fn first_ruling(votes: &[VoteTruth]) -> Option<(VotePosition, VoteStatus)> {
    votes.iter().find_map(|vote| vote.ruling.told(vote.position))
}

/// What an operation submits, if it does.
pub fn submission(operation: &Operation) -> Option<Submission> {
    match operation.action {
        Action::Submit {
            slot,
            voter,
            contestant,
            tag,
        } => Some(Submission {
            slot,
            voter,
            contestant,
            tag,
        }),
        _ => None,
    }
}
