//! Where a limit is reached the answer is a refusal, and what stood before stands.

use ostraka_core::limits::{
    CONTESTANTS_PER_EVENT_MAX, DESCRIPTION_BYTES_MAX, EVENTS_MAX, EXTRA_SUBMISSIONS_PER_VOTER_MAX,
    NAME_BYTES_MAX, TRACES_PER_DELTA_MAX, URL_BYTES_MAX,
};
use ostraka_core::{
    Command, EventId, EventKind, EventRefusal, NewEvent, Outcome, State, TraceId, VoteOutcome, VoteVerdict,
    VoterNumber,
};

use crate::generate::{create, entry, new_event, snapshot_of, vote};

fn apply_one(state: &mut State, command: Command) -> Outcome {
    let entry = entry(state.last_applied().0 + 1, 1, vec![command]);
    state.apply(entry.meta, &entry.batch).outcomes[0]
}

#[test]
fn a_group_holds_so_many_events() {
    let mut state = State::new();
    let mut requests =
        (0..EVENTS_MAX as u128).map(|request| create(new_event(request, EventKind::Public, 1)));
    for index in 1.. {
        let commands: Vec<Command> = requests.by_ref().take(1_000).collect();
        if commands.is_empty() {
            break;
        }
        let entry = entry(index, 1, commands);
        state.apply(entry.meta, &entry.batch);
    }
    let one_more = create(new_event(u128::MAX, EventKind::Public, 1));
    assert_eq!(
        apply_one(&mut state, one_more),
        Outcome::EventRefused(EventRefusal::TooManyEvents)
    );
    let again = create(new_event(7, EventKind::Public, 1));
    assert_eq!(apply_one(&mut state, again), Outcome::EventCreated(EventId(8)));
    assert_eq!(state.events().count(), EVENTS_MAX);
    assert!(ostraka_core::snapshot::read(&mut &*snapshot_of(&state)).is_ok());
}

/// A batch can be built without having been decoded; the state still refuses what a snapshot could not hold.
#[test]
fn an_event_outside_the_limits_is_refused() {
    let largest = || {
        let mut event = new_event(1, EventKind::Public, 1);
        event.name = "x".repeat(NAME_BYTES_MAX);
        event.contestants[0].name = "x".repeat(NAME_BYTES_MAX);
        event.contestants[0].description = "x".repeat(DESCRIPTION_BYTES_MAX);
        event.contestants[0].image_url = "x".repeat(URL_BYTES_MAX);
        event
    };
    let edits: [fn(&mut NewEvent); 6] = [
        |event| event.name.push('x'),
        |event| event.contestants[0].name.push('x'),
        |event| event.contestants[0].description.push('x'),
        |event| event.contestants[0].image_url.push('x'),
        |event| event.contestants.clear(),
        // Each text is short enough, and all of them together do not fit a batch.
        |event| event.contestants = vec![event.contestants[0].clone(); 100],
    ];
    let mut state = State::new();
    for edit in edits {
        let mut event = largest();
        edit(&mut event);
        assert_eq!(
            apply_one(&mut state, create(event)),
            Outcome::EventRefused(EventRefusal::OutsideLimits)
        );
    }
    assert_eq!(state.events().count(), 0);
    assert_eq!(
        apply_one(&mut state, create(largest())),
        Outcome::EventCreated(EventId(1))
    );
    let many = new_event(2, EventKind::Public, CONTESTANTS_PER_EVENT_MAX);
    assert_eq!(
        apply_one(&mut state, create(many)),
        Outcome::EventCreated(EventId(2))
    );
}

#[test]
fn a_voter_has_so_many_further_submissions() {
    let mut state = State::new();
    apply_one(&mut state, create(new_event(1, EventKind::Public, 1)));
    let mut cast = |voter, key| match apply_one(&mut state, Command::CastVote(vote(voter, 1, 0, key))) {
        Outcome::Vote(VoteOutcome::Recorded { verdict, .. }) => Some(verdict),
        Outcome::Vote(VoteOutcome::TooManySubmissions) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(cast(1, 0), Some(VoteVerdict::Processed));
    for key in 1..=EXTRA_SUBMISSIONS_PER_VOTER_MAX as u64 {
        assert_eq!(cast(1, key), Some(VoteVerdict::Duplicate));
    }
    assert_eq!(cast(1, 99), None);
    assert_eq!(
        cast(1, 0),
        Some(VoteVerdict::Processed),
        "retries are always answered"
    );
    assert_eq!(
        cast(1, EXTRA_SUBMISSIONS_PER_VOTER_MAX as u64),
        Some(VoteVerdict::Duplicate)
    );
    assert_eq!(
        cast(2, 99),
        Some(VoteVerdict::Processed),
        "another voter has their own"
    );
    assert_eq!(
        state.event(EventId(1)).unwrap().duplicates(),
        EXTRA_SUBMISSIONS_PER_VOTER_MAX as u64
    );
}

/// Rejected submissions use up the memory for further ones, never the voter's right to be counted.
#[test]
fn rejections_never_cost_the_vote() {
    let mut scheduled = new_event(1, EventKind::Public, 1);
    scheduled.opens_at = Some(ostraka_core::UnixMs(1_000));
    let mut state = State::new();
    apply_one(&mut state, create(scheduled));
    for key in 0..=EXTRA_SUBMISSIONS_PER_VOTER_MAX as u64 {
        apply_one(&mut state, Command::CastVote(vote(1, 1, 0, key)));
    }
    let full = apply_one(&mut state, Command::CastVote(vote(1, 1, 0, 77)));
    assert_eq!(full, Outcome::Vote(VoteOutcome::TooManySubmissions));
    apply_one(
        &mut state,
        Command::OpenEvent {
            event: EventId(1),
            by: VoterNumber(1),
            by_operator: false,
        },
    );
    apply_one(&mut state, Command::CastVote(vote(1, 1, 0, 77)));
    assert_eq!(state.event(EventId(1)).unwrap().counted(), 1);
    assert_eq!(
        state.next_due(),
        None,
        "opening by hand cancels the scheduled opening"
    );
}

#[test]
fn a_delta_lists_so_many_traces() {
    let mut state = State::new();
    apply_one(&mut state, create(new_event(1, EventKind::Public, 1)));
    let sampled = |voter: u32| {
        let mut vote = vote(voter, 1, 0, 1);
        vote.trace = Some(TraceId([voter as u8 + 1; 16]));
        vote.trace_sampled = voter != 3;
        Command::CastVote(vote)
    };
    let entry = entry(2, 1, (0..TRACES_PER_DELTA_MAX as u32 + 6).map(sampled).collect());
    let applied = state.apply(entry.meta, &entry.batch);
    assert_eq!(applied.changed[0].traces.len(), TRACES_PER_DELTA_MAX);
    assert_eq!(applied.changed[0].traces_omitted, 5);
    assert!(
        !applied.changed[0].traces.contains(&TraceId([4; 16])),
        "only sampled traces are listed"
    );
}
