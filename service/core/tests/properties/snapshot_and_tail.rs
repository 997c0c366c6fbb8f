//! A snapshot and the log's tail give, byte for byte, what the whole log gives.

use ostraka_core::{Command, EventKind, LogIndex, State, snapshot};
use proptest::prelude::*;

use crate::generate::{Entry, apply_all, create, entry, new_event, snapshot_of, some_log, vote};

fn restored(bytes: &[u8]) -> State {
    snapshot::read(&mut &*bytes).expect("what was written can be read")
}

/// Compares replaying `log` with restoring at `cut` and replaying `tail`.
fn compare(log: &[Entry], cut: usize, tail: &[Entry]) -> Result<(), String> {
    let mut whole = State::new();
    let answers = apply_all(&mut whole, log);

    let mut original = State::new();
    apply_all(&mut original, &log[..cut]);
    // The image is a clone, written only after the original has gone on: as the service does it.
    let image = original.clone();
    let before = snapshot_of(&original);
    apply_all(&mut original, &log[cut..]);
    let bytes = snapshot_of(&image);
    if bytes != before {
        return Err("the image changed with the original".to_owned());
    }
    let mut copy = restored(&bytes);
    if snapshot_of(&copy) != bytes {
        return Err("what was read is written differently".to_owned());
    }
    copy.check_invariants().map_err(|broken| broken.to_string())?;
    let again = apply_all(&mut copy, tail);
    if again != answers[cut..] {
        return Err("the tail is answered differently".to_owned());
    }
    if snapshot_of(&copy) != snapshot_of(&whole) || snapshot_of(&original) != snapshot_of(&whole) {
        return Err("the states differ".to_owned());
    }
    if copy.next_due() != whole.next_due() {
        return Err("the schedules differ".to_owned());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn snapshot_then_tail_is_the_whole(log in some_log(40), cut: prop::sample::Index) {
        let cut = cut.index(log.len() + 1);
        prop_assert_eq!(compare(&log, cut, &log[cut..]), Ok(()));
    }
}

#[test]
fn a_missing_or_doubled_vote_in_the_tail_is_seen() {
    let cast = |index, voter| entry(index, index, vec![Command::CastVote(vote(voter, 1, 0, 1))]);
    let log = [
        entry(1, 1, vec![create(new_event(1, EventKind::Public, 2))]),
        cast(2, 1),
        cast(3, 2),
        cast(4, 3),
    ];
    assert_eq!(compare(&log, 2, &log[2..]), Ok(()));
    assert!(compare(&log, 2, &log[3..]).is_err());
    let mut other = log.to_vec();
    other[3] = cast(4, 2);
    assert!(compare(&log, 2, &other[2..]).is_err());
}

#[test]
fn skipped_entries_leave_their_mark_only() {
    let mut state = State::new();
    state.skip(LogIndex(1));
    let entry = entry(2, 5, vec![create(new_event(1, EventKind::Public, 1))]);
    state.apply(entry.meta, &entry.batch);
    state.skip(LogIndex(9));
    let copy = restored(&snapshot_of(&state));
    assert_eq!(copy.last_applied(), LogIndex(9));
    assert_eq!(copy.events().count(), 1);
}

#[test]
#[should_panic(expected = "entry 3 comes after entry 3")]
fn an_entry_is_never_applied_twice() {
    let mut state = State::new();
    state.skip(LogIndex(3));
    state.skip(LogIndex(3));
}
