//! Where a limit is reached the answer is a refusal, and what stood before stands.

use ostraka_core::limits::{
    CONTESTANT_OWN_BYTES, CONTESTANTS_PER_EVENT_MAX, DESCRIPTION_BYTES_MAX, EVENT_BYTES_PER_OWNER_MAX,
    EVENT_OWN_BYTES, EVENTS_MAX, EVENTS_PER_OWNER_MAX, EXTRA_SUBMISSIONS_PER_VOTER_MAX, NAME_BYTES_MAX,
    TRACES_PER_DELTA_MAX, URL_BYTES_MAX,
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

fn owned_by(owner: u32, request: u128) -> NewEvent {
    NewEvent {
        owner: VoterNumber(owner),
        ..new_event(request, EventKind::Public, 1)
    }
}

/// Creates events of these requests by entries of a thousand.
fn create_all(state: &mut State, mut events: impl Iterator<Item = NewEvent>) {
    loop {
        let commands: Vec<Command> = events.by_ref().take(1_000).map(create).collect();
        if commands.is_empty() {
            return;
        }
        let entry = entry(state.last_applied().0 + 1, 1, commands);
        state.apply(entry.meta, &entry.batch);
    }
}

fn read_back(state: &State) -> State {
    ostraka_core::snapshot::read(&mut &*snapshot_of(state)).expect("what was written can be read")
}

#[test]
fn a_group_holds_so_many_events() {
    let mut state = State::new();
    let owner = |request: u128| 1 + (request / u128::from(EVENTS_PER_OWNER_MAX)) as u32;
    let requests = 0..EVENTS_MAX as u128;
    create_all(
        &mut state,
        requests.map(|request| owned_by(owner(request), request)),
    );
    assert_eq!(state.events().count(), EVENTS_MAX);
    let one_more = create(owned_by(1_000_000, u128::MAX));
    assert_eq!(
        apply_one(&mut state, one_more),
        Outcome::EventRefused(EventRefusal::TooManyEvents)
    );
    let again = create(new_event(7, EventKind::Public, 1));
    assert_eq!(apply_one(&mut state, again), Outcome::EventCreated(EventId(8)));
    assert_eq!(state.events().count(), EVENTS_MAX);
    assert!(ostraka_core::snapshot::read(&mut &*snapshot_of(&state)).is_ok());
}

#[test]
fn an_owner_has_so_many_events_and_a_repeated_creation_still_gets_the_first_one() {
    let mut state = State::new();
    create_all(
        &mut state,
        (0..u128::from(EVENTS_PER_OWNER_MAX)).map(|request| owned_by(1, request)),
    );
    assert_eq!(state.events().count() as u64, EVENTS_PER_OWNER_MAX);
    for mut state in [state.clone(), read_back(&state)] {
        let refused = Outcome::EventRefused(EventRefusal::OwnerHasTooManyEvents);
        let outcomes = [(1, 7_000), (1, 7), (2, 8_000), (2, 8_000), (1, 7_000)]
            .map(|(owner, request)| apply_one(&mut state, create(owned_by(owner, request))));
        let others = Outcome::EventCreated(EventId(EVENTS_PER_OWNER_MAX as u32 + 1));
        let first = Outcome::EventCreated(EventId(8));
        assert_eq!(outcomes, [refused, first, others, others, refused]);
        assert_eq!(state.check_invariants(), Ok(()));
    }
}

/// What an event counts, worked out from the limits' own words.
fn weight(event: &NewEvent) -> u64 {
    let mut weight = EVENT_OWN_BYTES + event.name.len() as u64;
    for contestant in &event.contestants {
        let texts = [&contestant.name, &contestant.description, &contestant.image_url];
        weight += CONTESTANT_OWN_BYTES + texts.iter().map(|text| text.len() as u64).sum::<u64>();
    }
    weight
}

#[test]
fn an_owners_events_take_so_many_bytes_to_the_byte() {
    let large = |request| {
        let mut event = owned_by(1, request);
        event.contestants[0].description = "x".repeat(DESCRIPTION_BYTES_MAX);
        event.contestants = vec![event.contestants[0].clone(); 110];
        event
    };
    let mut state = State::new();
    let mut left = EVENT_BYTES_PER_OWNER_MAX;
    let mut request = 0;
    while weight(&large(request)) <= left {
        left -= weight(&large(request));
        assert!(matches!(
            apply_one(&mut state, create(large(request))),
            Outcome::EventCreated(_)
        ));
        request += 1;
    }
    let refused = Outcome::EventRefused(EventRefusal::OwnerEventsTooLarge);
    assert_eq!(apply_one(&mut state, create(large(request))), refused);
    assert_eq!(
        state.no_room_for(&large(request)),
        Some(EventRefusal::OwnerEventsTooLarge)
    );
    assert_eq!(state.no_room_for(&large(0)), None, "it is there already");
    assert_eq!(
        apply_one(&mut state, create(large(0))),
        Outcome::EventCreated(EventId(1))
    );

    // What is left is taken up to the last byte.
    let mut filling = large(request);
    while weight(&filling) > left {
        filling.contestants.pop();
    }
    let mut missing = (left - weight(&filling)) as usize;
    for contestant in &mut filling.contestants {
        let more = missing.min(URL_BYTES_MAX);
        contestant.image_url = "x".repeat(more);
        missing -= more;
    }
    assert_eq!(weight(&filling), left);
    filling.name.push('x');
    assert_eq!(apply_one(&mut state, create(filling.clone())), refused);
    filling.name.pop();
    assert!(matches!(
        apply_one(&mut state, create(filling)),
        Outcome::EventCreated(_)
    ));
    assert_eq!(apply_one(&mut state, create(owned_by(1, 9_000))), refused);
    assert!(matches!(
        apply_one(&mut state, create(owned_by(2, 9_000))),
        Outcome::EventCreated(_)
    ));
    assert_eq!(read_back(&state).check_invariants(), Ok(()));
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
