//! The second opinion: a recount of the log that shares messages with the service, and none of its logic.
//!
//! It is written to be read, not to be fast: who counted first is kept as a plain set, time as plain fields. What it
//! finds is compared with what `apply` says and with what is stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ostraka_core::limits::{
    CONTESTANT_OWN_BYTES, EVENT_BYTES_MAX, EVENT_BYTES_PER_OWNER_MAX, EVENT_OWN_BYTES, EVENTS_MAX,
    EVENTS_PER_OWNER_MAX, EXTRA_SUBMISSIONS_PER_VOTER_MAX, PROBE_KEYS_PER_EVENT_MAX,
};
use ostraka_core::{
    Batch, Command, EntryMeta, EventId, EventKind, NewEvent, RequestKey, State, SubmissionKey, UnixMs,
    VoteRecord, VoterNumber,
};

/// One event, recounted.
#[derive(Debug)]
pub(super) struct EventCount {
    spec: NewEvent,
    opened: bool,
    closed: bool,
    pub(super) totals: Vec<u64>,
    voters: VoterSet,
    /// Submissions of voters without a counted vote that were answered "rejected": their retries stay rejected.
    rejected: BTreeMap<VoterNumber, BTreeSet<SubmissionKey>>,
    probes: VecDeque<(VoterNumber, SubmissionKey)>,
}

/// A set of dense numbers: 64 to a word.
#[derive(Debug, Default)]
struct VoterSet {
    words: BTreeMap<u32, u64>,
}

impl VoterSet {
    /// Whether the voter was not in yet.
    fn insert(&mut self, voter: VoterNumber) -> bool {
        let word = self.words.entry(voter.0 / 64).or_default();
        let bit = 1_u64 << (voter.0 % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    fn len(&self) -> u64 {
        self.words.values().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// The whole log, recounted so far.
#[derive(Debug, Default)]
pub(super) struct Recount {
    now: UnixMs,
    pub(super) events: BTreeMap<EventId, EventCount>,
    requests: BTreeMap<RequestKey, EventId>,
    /// Events of each owner, and the bytes of their definitions.
    owned: BTreeMap<VoterNumber, (u64, u64)>,
    pub(super) votes_submitted: u64,
}

impl Recount {
    pub(super) fn entry(&mut self, meta: EntryMeta, batch: &Batch) {
        self.now = self.now.max(meta.stamped_at);
        for event in self.events.values_mut() {
            event.follow_the_clock(self.now);
        }
        for command in &batch.commands {
            match command {
                Command::CreateEvent(spec) => self.create(spec),
                Command::OpenEvent {
                    event,
                    by,
                    by_operator,
                } => self.turn(*event, *by, *by_operator, EventCount::open),
                Command::CloseEvent {
                    event,
                    by,
                    by_operator,
                } => {
                    self.turn(*event, *by, *by_operator, EventCount::close);
                }
                Command::CastVote(vote) => self.vote(vote),
                Command::Tick => (),
            }
        }
    }

    fn create(&mut self, spec: &NewEvent) {
        let starts = spec.opens_at.map_or(self.now, |at| at.max(self.now));
        let is_possible = spec.closes_at.is_none_or(|at| at > starts);
        if self.requests.contains_key(&spec.request) || !is_possible || !spec.is_within_limits() {
            return;
        }
        if self.events.len() >= EVENTS_MAX || !self.has_room_for(spec) {
            return;
        }
        let (events, bytes) = self.owned.entry(spec.owner).or_default();
        *events += 1;
        *bytes += bytes_of(spec);
        let id = EventId(self.events.len() as u32 + 1);
        let mut event = EventCount {
            totals: vec![0; spec.contestants.len()],
            spec: spec.clone(),
            opened: spec.opens_at.is_none(),
            closed: false,
            voters: VoterSet::default(),
            rejected: BTreeMap::new(),
            probes: VecDeque::new(),
        };
        event.follow_the_clock(self.now);
        self.requests.insert(spec.request, id);
        self.events.insert(id, event);
    }

    fn has_room_for(&self, spec: &NewEvent) -> bool {
        let (events, bytes) = self.owned.get(&spec.owner).copied().unwrap_or_default();
        let of_all: u64 = self.owned.values().map(|(_, bytes)| bytes).sum();
        events < EVENTS_PER_OWNER_MAX
            && bytes + bytes_of(spec) <= EVENT_BYTES_PER_OWNER_MAX
            && of_all + bytes_of(spec) <= EVENT_BYTES_MAX
    }

    fn turn(&mut self, event: EventId, by: VoterNumber, by_operator: bool, turn: fn(&mut EventCount)) {
        if let Some(event) = self.events.get_mut(&event)
            && (by_operator || event.spec.owner == by)
        {
            turn(event);
        }
    }

    fn vote(&mut self, vote: &VoteRecord) {
        self.votes_submitted += 1;
        if let Some(event) = self.events.get_mut(&vote.event) {
            event.vote(vote);
        }
    }

    /// Sentences on everything in which the applied state differs from this recount.
    pub(super) fn differences(&self, state: &State) -> Vec<String> {
        let mut differences = Vec::new();
        if state.events().count() != self.events.len() {
            let (stored, counted) = (state.events().count(), self.events.len());
            differences.push(format!(
                "the state has {stored} events, the log created {counted}"
            ));
        }
        for event in state.events() {
            let Some(recounted) = self.events.get(&event.id()) else {
                differences.push(format!("event {} is in the state and not in the log", event.id()));
                continue;
            };
            if event.totals() != recounted.totals {
                differences.push(format!(
                    "event {}: the state says {:?}, the recount {:?}",
                    event.id(),
                    event.totals(),
                    recounted.totals
                ));
            }
            let sum: u64 = recounted.totals.iter().sum();
            if event.kind() == EventKind::Public && sum != recounted.voters.len() {
                differences.push(format!(
                    "event {}: {sum} votes of {} voters",
                    event.id(),
                    recounted.voters.len()
                ));
            }
        }
        differences
    }
}

/// What an event counts towards the limits on bytes: 640 and its name, and for each contestant 176 and its three texts.
fn bytes_of(spec: &NewEvent) -> u64 {
    let mut bytes = EVENT_OWN_BYTES + spec.name.len() as u64;
    for contestant in &spec.contestants {
        let texts = [&contestant.name, &contestant.description, &contestant.image_url];
        bytes += CONTESTANT_OWN_BYTES;
        bytes += texts.iter().map(|text| text.len() as u64).sum::<u64>();
    }
    bytes
}

impl EventCount {
    fn follow_the_clock(&mut self, now: UnixMs) {
        if self.spec.opens_at.is_some_and(|at| at <= now) {
            self.open();
        }
        if self.spec.closes_at.is_some_and(|at| at <= now) {
            self.close();
        }
    }

    fn open(&mut self) {
        self.opened |= !self.closed;
    }

    fn close(&mut self) {
        self.closed = true;
    }

    fn vote(&mut self, vote: &VoteRecord) {
        let Some(total) = self.totals.get_mut(usize::from(vote.contestant.0)) else {
            return;
        };
        let is_open = self.opened && !self.closed;
        if self.spec.kind == EventKind::Canary {
            let probe = (vote.voter, vote.key);
            if self.probes.contains(&probe) {
                return;
            }
            self.probes.push_back(probe);
            if self.probes.len() > PROBE_KEYS_PER_EVENT_MAX {
                self.probes.pop_front();
            }
            *total += u64::from(is_open);
        } else if is_open {
            let was_rejected = self
                .rejected
                .get(&vote.voter)
                .is_some_and(|keys| keys.contains(&vote.key));
            *total += u64::from(!was_rejected && self.voters.insert(vote.voter));
        } else {
            let keys = self.rejected.entry(vote.voter).or_default();
            if keys.len() < EXTRA_SUBMISSIONS_PER_VOTER_MAX {
                keys.insert(vote.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ostraka_core::{ContestantIndex, LogIndex, NewContestant, ResultsPolicy};

    use super::*;

    fn created() -> Command {
        let contestant = |name: &str| NewContestant {
            name: name.to_string(),
            description: String::new(),
            image_url: String::new(),
        };
        Command::CreateEvent(Box::new(NewEvent {
            request: RequestKey(1),
            owner: VoterNumber(1),
            name: "Final".to_string(),
            kind: EventKind::Public,
            results: ResultsPolicy::Live,
            opens_at: None,
            closes_at: Some(UnixMs(1_000)),
            contestants: vec![contestant("Ada"), contestant("Bo")],
        }))
    }

    /// A creation by this owner of an event with so many contestants, each described at length.
    fn creation(request: u32, owner: u32, contestants: usize) -> NewEvent {
        let Command::CreateEvent(mut spec) = created() else {
            unreachable!("it is a creation");
        };
        (spec.request, spec.owner) = (RequestKey(u128::from(request)), VoterNumber(owner));
        spec.contestants[0].description = "x".repeat(2_000);
        spec.contestants = vec![spec.contestants[0].clone(); contestants];
        *spec
    }

    #[test]
    fn it_agrees_on_how_many_events_an_owner_may_have_and_how_large() {
        for (count, contestants, events) in [(1_000, 1, 1_001), (1_003, 1, 1_001), (45, 110, 35)] {
            let (mut recount, mut state) = (Recount::default(), State::new());
            let of_one = (1..=count).map(|request| creation(request, 1, contestants));
            let of_another = creation(count + 1, 2, contestants);
            let repeated = creation(1, 1, contestants);
            for (spec, index) in of_one.chain([of_another, repeated]).zip(1..) {
                let meta = EntryMeta {
                    index: LogIndex(index),
                    stamped_at: UnixMs(10),
                };
                let commands = vec![Command::CreateEvent(Box::new(spec)), vote(index as u32, 1)];
                let batch = Batch { commands };
                recount.entry(meta, &batch);
                state.apply(meta, &batch);
            }
            assert_eq!(recount.events.len(), events);
            assert_eq!(recount.differences(&state), Vec::<String>::new());
        }
    }

    #[test]
    fn all_events_together_have_a_limit_too() {
        let mut recount = Recount::default();
        let spec = creation(1, 1, 2);
        for (left, fits) in [(bytes_of(&spec), true), (bytes_of(&spec) - 1, false)] {
            recount.owned.insert(VoterNumber(9), (1, EVENT_BYTES_MAX - left));
            assert_eq!(recount.has_room_for(&spec), fits);
        }
    }

    fn vote(voter: u32, key: u64) -> Command {
        Command::CastVote(VoteRecord {
            voter: VoterNumber(voter),
            event: EventId(1),
            contestant: ContestantIndex(0),
            key: SubmissionKey(key),
            client_timestamp: None,
            trace: None,
            trace_sampled: false,
        })
    }

    fn log() -> Vec<(EntryMeta, Batch)> {
        let entry = |index, at, commands| {
            let meta = EntryMeta {
                index: LogIndex(index),
                stamped_at: UnixMs(at),
            };
            (meta, Batch { commands })
        };
        vec![
            entry(1, 10, vec![created()]),
            entry(2, 20, vec![vote(7, 1), vote(7, 1), vote(8, 1), vote(7, 2)]),
            entry(3, 1_000, vec![vote(9, 1)]),
        ]
    }

    #[test]
    fn retries_second_votes_and_late_votes_are_not_counted() {
        let mut recount = Recount::default();
        log().iter().for_each(|(meta, batch)| recount.entry(*meta, batch));
        assert_eq!(recount.events[&EventId(1)].totals, [2, 0]);
        assert_eq!(recount.votes_submitted, 5);
    }

    #[test]
    fn it_agrees_with_the_state_and_notices_a_vote_too_many() {
        let (mut recount, mut state) = (Recount::default(), State::new());
        for (meta, batch) in &log() {
            recount.entry(*meta, batch);
            state.apply(*meta, batch);
        }
        assert_eq!(recount.differences(&state), Vec::<String>::new());
        recount.events.get_mut(&EventId(1)).unwrap().totals[1] += 1;
        assert_ne!(recount.differences(&state), Vec::<String>::new());
    }
}
