//! A retry, whenever it comes, gets the first position and verdict, and changes nothing.

use std::collections::{BTreeMap, VecDeque};

use ostraka_core::limits::PROBE_KEYS_PER_EVENT_MAX;
use ostraka_core::{
    Command, Event, EventId, EventKind, Outcome, State, SubmissionKey, UnixMs, VoteOutcome, VotePosition,
    VoterNumber,
};
use proptest::prelude::*;

use crate::generate::{Entry, apply_all, create, entry, new_event, some_log, vote};

type Submission = (EventId, VoterNumber, SubmissionKey);
type FirstOutcomes = BTreeMap<Submission, (Command, Outcome)>;

/// The first recorded outcome of each submission that is remembered at the end: probes' memory is a ring, and one that it
/// has forgotten is a new one when it comes again.
fn first_outcomes(log: &[Entry], state: &mut State) -> FirstOutcomes {
    let mut first = FirstOutcomes::new();
    let mut probes: BTreeMap<EventId, VecDeque<Submission>> = BTreeMap::new();
    for (entry, applied) in log.iter().zip(apply_all(state, log)) {
        for (offset, (command, outcome)) in (0..).zip(entry.batch.commands.iter().zip(applied.outcomes)) {
            let (Command::CastVote(vote), Outcome::Vote(VoteOutcome::Recorded { position, .. })) =
                (command, outcome)
            else {
                continue;
            };
            let index = entry.meta.index;
            if position != (VotePosition { index, offset }) {
                // A retry within the log.
                continue;
            }
            let submission = (vote.event, vote.voter, vote.key);
            let kept = (command.clone(), outcome);
            if state.event(vote.event).map(Event::kind) != Some(EventKind::Canary) {
                first.entry(submission).or_insert(kept);
                continue;
            }
            first.insert(submission, kept);
            let ring = probes.entry(vote.event).or_default();
            ring.push_back(submission);
            if ring.len() > PROBE_KEYS_PER_EVENT_MAX {
                first.remove(&ring.pop_front().expect("it is not empty"));
            }
        }
    }
    first
}

/// What everybody can see of all events.
fn public_view(state: &State) -> Vec<(Vec<u64>, u64, u64, u64)> {
    let view = |event: &ostraka_core::Event| {
        (
            event.totals().to_vec(),
            event.version().0,
            event.duplicates(),
            event.rejected(),
        )
    };
    state.events().map(view).collect()
}

/// Submits everything again, in pieces, and compares with `first`.
fn retry_all(state: &mut State, first: &FirstOutcomes, next_index: u64) -> Result<(), String> {
    let pairs: Vec<_> = first.values().collect();
    for (number, pairs) in pairs.chunks(100).enumerate() {
        let again = entry(
            next_index + number as u64,
            0,
            pairs.iter().map(|(command, _)| command.clone()).collect(),
        );
        let applied = state.apply(again.meta, &again.batch);
        for ((command, expected), found) in pairs.iter().zip(&applied.outcomes) {
            if found != expected {
                return Err(format!("{command:?}: {found:?}, at first {expected:?}"));
            }
        }
        if !applied.changed.is_empty() {
            return Err(format!("retries changed {:?}", applied.changed));
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_retry_gets_its_first_outcome(log in some_log(25), close_all: bool) {
        let mut state = State::new();
        let first = first_outcomes(&log, &mut state);
        let mut next_index = state.last_applied().0 + 1;
        if close_all {
            let ids: Vec<EventId> = state.events().map(|event| event.id()).collect();
            let close = |event| Command::CloseEvent { event, by: VoterNumber(0), by_operator: true };
            let closing = entry(next_index, 0, ids.into_iter().map(close).collect());
            state.apply(closing.meta, &closing.batch);
            next_index += 1;
        }
        let before = public_view(&state);
        prop_assert_eq!(retry_all(&mut state, &first, next_index), Ok(()));
        prop_assert_eq!(public_view(&state), before);
    }
}

fn small_log(kind: EventKind) -> Vec<Entry> {
    let votes = (1..4).map(|voter| Command::CastVote(vote(voter, 1, 0, 7)));
    vec![
        entry(1, 1, vec![create(new_event(1, kind, 1))]),
        entry(2, 2, votes.collect()),
    ]
}

#[test]
fn a_retry_under_another_key_is_seen() {
    for kind in [EventKind::Public, EventKind::Canary] {
        let mut state = State::new();
        let mut first = first_outcomes(&small_log(kind), &mut state);
        assert_eq!(retry_all(&mut state, &first, 3), Ok(()));
        let (command, _) = first.values_mut().next().unwrap();
        if let Command::CastVote(vote) = command {
            vote.key = SubmissionKey(8);
        }
        assert!(retry_all(&mut state, &first, 4).is_err());
    }
}

#[test]
fn a_creation_is_carried_out_once_however_late_it_comes_again() {
    let mut event = new_event(1, EventKind::Public, 1);
    event.closes_at = Some(UnixMs(5));
    let create = create(event);
    let mut state = State::new();
    let log: Vec<Entry> = [1, 2, 9].map(|at| entry(at, at, vec![create.clone()])).to_vec();
    for applied in apply_all(&mut state, &log) {
        assert_eq!(applied.outcomes, [Outcome::EventCreated(EventId(1))]);
    }
    assert_eq!(state.events().count(), 1);
}

/// The memory of probes is a ring: full, it forgets the oldest and nothing else.
#[test]
fn a_probe_is_remembered_until_enough_newer_ones_came() {
    let probe = |key: usize| Command::CastVote(vote(1, 1, 0, key as u64));
    let mut state = State::new();
    let all = (0..PROBE_KEYS_PER_EVENT_MAX).map(probe).collect();
    apply_all(
        &mut state,
        &[
            entry(1, 1, vec![create(new_event(1, EventKind::Canary, 1))]),
            entry(2, 2, all),
        ],
    );
    let recorded_at = |applied: &ostraka_core::Applied| match applied.outcomes[0] {
        Outcome::Vote(VoteOutcome::Recorded { position, .. }) => (position.index.0, position.offset),
        other => panic!("{other:?}"),
    };
    let mut try_again = |index, key| {
        let entry = entry(index, 2, vec![probe(key)]);
        recorded_at(&state.apply(entry.meta, &entry.batch))
    };
    assert_eq!(try_again(3, 0), (2, 0));
    assert_eq!(try_again(4, PROBE_KEYS_PER_EVENT_MAX), (4, 0));
    assert_eq!(try_again(5, 1), (2, 1));
    assert_eq!(try_again(6, 0), (6, 0));
    assert_eq!(
        state.event(EventId(1)).unwrap().counted(),
        PROBE_KEYS_PER_EVENT_MAX as u64 + 2
    );
}
