//! Any log of commands gives the outcomes, the changes and the state that the naive model gives.

use ostraka_core::{Applied, EventKind, Outcome, State, VoteOutcome, VotePosition, VoteVerdict};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::generate::{Entry, create, entry, new_event, some_log, vote};
use crate::model::Model;

/// Runs both and compares after every entry. `tamper` stands for a fault of the state machine.
fn compare(log: &[Entry], tamper: impl Fn(&mut Applied)) -> Result<(), String> {
    let (mut state, mut model) = (State::new(), Model::default());
    for entry in log {
        let mut found = state.apply(entry.meta, &entry.batch);
        tamper(&mut found);
        let expected = model.apply(entry);
        for (at, (found, expected)) in found.outcomes.iter().zip(&expected.outcomes).enumerate() {
            if found != expected {
                let command = &entry.batch.commands[at];
                return Err(format!(
                    "{:?} {command:?}: {found:?}, expected {expected:?}",
                    entry.meta
                ));
            }
        }
        if found != expected {
            return Err(format!(
                "{:?}: changed {:?}, expected {:?}",
                entry.meta, found.changed, expected.changed
            ));
        }
        if let Some(difference) = model.difference(&state) {
            return Err(format!("after {:?}: {difference}", entry.meta));
        }
        state.check_invariants().map_err(|broken| broken.to_string())?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_state_is_the_model(log in some_log(40)) {
        prop_assert_eq!(compare(&log, |_| ()), Ok(()));
    }
}

fn kind_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::EventCreated(_) => "created".to_owned(),
        Outcome::EventStatus { status, .. } => format!("{status:?}"),
        Outcome::EventRefused(refusal) => format!("{refusal:?}"),
        Outcome::Ticked => "ticked".to_owned(),
        Outcome::Vote(VoteOutcome::Recorded { verdict, .. }) => format!("{verdict:?}"),
        Outcome::Vote(other) => format!("{other:?}"),
    }
}

/// A comparison over logs in which nothing happens would prove nothing.
#[test]
fn the_random_logs_reach_every_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, u64>::new();
    for _ in 0..96 {
        let log = some_log(40).new_tree(&mut runner).unwrap().current();
        let mut state = State::new();
        for entry in &log {
            let applied = state.apply(entry.meta, &entry.batch);
            for outcome in &applied.outcomes {
                *seen.entry(kind_of(outcome)).or_default() += 1;
            }
            for changed in &applied.changed {
                *seen.entry("traces".to_owned()).or_default() += changed.traces.len() as u64;
            }
        }
        let canary = state
            .events()
            .any(|event| event.kind() == EventKind::Canary && event.counted() > 0);
        *seen.entry("counted probes".to_owned()).or_default() += u64::from(canary);
        let dense = state.events().any(|event| event.counted() > 1_100);
        *seen.entry("dense chunks".to_owned()).or_default() += u64::from(dense);
    }
    let wanted = "created Open Closed EventNotFound NotTheOwner AlreadyClosed ScheduleImpossible OutsideLimits ticked \
                  Processed Duplicate Rejected(EventNotOpen) Rejected(EventClosed) ContestantNotFound \
                  TooManySubmissions traces";
    for kind in wanted
        .split_whitespace()
        .chain(["counted probes", "dense chunks"])
    {
        assert!(
            seen.get(kind).is_some_and(|times| *times >= 5),
            "{kind} was hardly seen: {seen:?}"
        );
    }
}

/// A scheduled event, opened and closed by time; retries, a duplicate, probes.
fn story() -> Vec<Entry> {
    let cast = |vote| ostraka_core::Command::CastVote(vote);
    let mut scheduled = new_event(1, EventKind::Public, 2);
    scheduled.opens_at = Some(ostraka_core::UnixMs(20));
    scheduled.closes_at = Some(ostraka_core::UnixMs(40));
    vec![
        entry(
            1,
            10,
            vec![
                create(scheduled),
                create(new_event(2, EventKind::Canary, 1)),
                cast(vote(1, 1, 0, 1)),
            ],
        ),
        entry(
            2,
            20,
            vec![
                cast(vote(1, 1, 0, 1)),
                cast(vote(1, 1, 0, 2)),
                cast(vote(1, 1, 1, 3)),
            ],
        ),
        entry(
            3,
            30,
            vec![
                cast(vote(1, 2, 0, 1)),
                cast(vote(1, 2, 0, 2)),
                cast(vote(1, 2, 0, 1)),
            ],
        ),
        entry(
            4,
            40,
            vec![
                cast(vote(1, 1, 0, 2)),
                cast(vote(2, 1, 0, 1)),
                cast(vote(1, 1, 0, 4)),
            ],
        ),
    ]
}

#[test]
fn the_story_goes_as_told() {
    assert_eq!(compare(&story(), |_| ()), Ok(()));
    let mut state = State::new();
    let verdicts: Vec<String> = crate::generate::apply_all(&mut state, &story())
        .iter()
        .flat_map(|applied| applied.outcomes.iter().map(kind_of))
        .collect();
    let expected = "created created Rejected(EventNotOpen) Rejected(EventNotOpen) Processed Duplicate Processed \
                    Processed Processed Processed Rejected(EventClosed) Duplicate";
    assert_eq!(
        verdicts.join(" "),
        expected.split_whitespace().collect::<Vec<_>>().join(" ")
    );
}

#[test]
fn a_wrong_verdict_is_seen() {
    let tamper = |applied: &mut Applied| {
        for outcome in &mut applied.outcomes {
            if let Outcome::Vote(VoteOutcome::Recorded { verdict, .. }) = outcome
                && *verdict == VoteVerdict::Duplicate
            {
                *verdict = VoteVerdict::Processed;
            }
        }
    };
    assert!(compare(&story(), tamper).is_err_and(|said| said.contains("expected")));
}

#[test]
fn a_retry_with_a_new_position_is_seen() {
    let tamper = |applied: &mut Applied| {
        for outcome in &mut applied.outcomes {
            if let Outcome::Vote(VoteOutcome::Recorded {
                position: VotePosition { offset, .. },
                ..
            }) = outcome
            {
                *offset += 1;
            }
        }
    };
    assert!(compare(&story(), tamper).is_err());
}

#[test]
fn a_change_that_is_not_told_is_seen() {
    assert!(compare(&story(), |applied| applied.changed.clear()).is_err_and(|said| said.contains("changed")));
}
