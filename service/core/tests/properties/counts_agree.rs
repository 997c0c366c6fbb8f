//! counted = sum of totals = distinct voters, after every entry, by a count of its own.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::{
    Command, Event, EventId, EventKind, Outcome, State, VoteOutcome, VotePosition, VoteVerdict, VoterNumber,
};
use proptest::prelude::*;

use crate::generate::{Entry, create, entry, new_event, some_log, vote};

/// Counts what was told to clients: a vote is counted at the position where it was first said to be.
#[derive(Default)]
struct Recount {
    votes: BTreeMap<EventId, BTreeSet<VotePosition>>,
    voters: BTreeMap<EventId, BTreeSet<VoterNumber>>,
}

impl Recount {
    fn hear(&mut self, entry: &Entry, outcomes: &[Outcome]) {
        for (command, outcome) in entry.batch.commands.iter().zip(outcomes) {
            if let (Command::CastVote(vote), Outcome::Vote(VoteOutcome::Recorded { position, verdict })) =
                (command, outcome)
                && *verdict == VoteVerdict::Processed
            {
                self.votes.entry(vote.event).or_default().insert(*position);
                self.voters.entry(vote.event).or_default().insert(vote.voter);
            }
        }
    }

    fn check(&self, event: &Event) -> Result<(), String> {
        let votes = self.votes.get(&event.id()).map_or(0, BTreeSet::len) as u64;
        let voters = self.voters.get(&event.id()).map_or(0, BTreeSet::len) as u64;
        let sum: u64 = event.totals().iter().sum();
        let distinct = event.kind() == EventKind::Canary || voters == votes;
        if event.counted() == sum && sum == votes && distinct {
            return Ok(());
        }
        Err(format!(
            "{}: counted {}, sum {sum}, told {votes}, voters {voters}",
            event.id(),
            event.counted()
        ))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_counts_agree_after_every_entry(log in some_log(40)) {
        let (mut state, mut recount) = (State::new(), Recount::default());
        for entry in &log {
            let applied = state.apply(entry.meta, &entry.batch);
            recount.hear(entry, &applied.outcomes);
            for event in state.events() {
                prop_assert_eq!(recount.check(event), Ok(()));
            }
        }
    }
}

#[test]
fn a_vote_told_and_not_counted_is_seen() {
    let votes = (1..4).map(|voter| Command::CastVote(vote(voter, 1, 0, 1)));
    let entry = entry(
        1,
        1,
        [create(new_event(1, EventKind::Public, 1))]
            .into_iter()
            .chain(votes)
            .collect(),
    );
    let mut state = State::new();
    let applied = state.apply(entry.meta, &entry.batch);
    let mut recount = Recount::default();
    recount.hear(&entry, &applied.outcomes);
    assert_eq!(recount.check(state.event(EventId(1)).unwrap()), Ok(()));

    let mut told_too_much = applied.outcomes.clone();
    let position = VotePosition {
        index: entry.meta.index,
        offset: 9,
    };
    told_too_much[1] = Outcome::Vote(VoteOutcome::Recorded {
        position,
        verdict: VoteVerdict::Processed,
    });
    recount.hear(&entry, &told_too_much);
    assert!(recount.check(state.event(EventId(1)).unwrap()).is_err());
}
