//! However many images of a state are held, and for however long: each stays what the state was when it was taken, and
//! the state goes on as one of which none was ever taken.

use ostraka_core::{Command, EventKind, State};
use proptest::prelude::*;

use crate::generate::{Entry, create, entry, new_event, snapshot_of, some_log, vote};

/// An image that is taken before the entry at `from`, and dropped `entries` entries later.
#[derive(Clone, Debug)]
struct Hold {
    from: usize,
    entries: usize,
}

/// Replays `log` with and without the images.
fn compare(log: &[Entry], holds: &[Hold]) -> Result<(), String> {
    let (mut plain, mut state) = (State::new(), State::new());
    let mut held: Vec<(usize, State, Vec<u8>)> = Vec::new();
    for (at, entry) in log.iter().enumerate() {
        held.retain(|(until, _, _)| *until > at);
        for hold in holds.iter().filter(|hold| hold.from == at) {
            // What the image must be is written by the state that knows of no images.
            held.push((at + hold.entries, state.clone(), snapshot_of(&plain)));
        }
        if state.apply(entry.meta, &entry.batch) != plain.apply(entry.meta, &entry.batch) {
            return Err(format!("entry {} is answered differently", entry.meta.index));
        }
        state.check_invariants().map_err(|broken| broken.to_string())?;
        for (_, image, expected) in &held {
            if snapshot_of(image) != *expected {
                return Err(format!("entry {} changed an image", entry.meta.index));
            }
        }
    }
    if snapshot_of(&state) != snapshot_of(&plain) {
        return Err("the states differ".to_owned());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn images_are_seen_by_nobody(
        log in some_log(40),
        holds in prop::collection::vec((0_usize..40, 1_usize..12), 0..6),
    ) {
        let holds: Vec<Hold> = holds.into_iter().map(|(from, entries)| Hold { from, entries }).collect();
        prop_assert_eq!(compare(&log, &holds), Ok(()));
    }
}

/// Entry n casts `votes` votes of the voters n, n + 9, …: nine entries interleave in the same chunks.
fn interleaved(entries: u64, votes: u32, key: u64) -> Vec<Entry> {
    let mut log = vec![entry(1, 1, vec![create(new_event(1, EventKind::Public, 2))])];
    for n in 0..entries {
        let voter = |number: u32| n as u32 % 9 + 9 * number;
        let casts = (0..votes).map(|number| Command::CastVote(vote(voter(number), 1, 0, key + n / 9)));
        log.push(entry(n + 2, n + 2, casts.collect()));
    }
    log
}

#[test]
fn votes_and_duplicates_in_chunks_that_images_hold() {
    // The second nine entries are the same voters' again, with other keys: duplicates.
    let log = interleaved(18, 1_000, 7);
    let (few, many, all) = (2, 5, 99);
    for entries in [few, many, all] {
        let every_third = (1..log.len()).step_by(3).map(|from| Hold { from, entries });
        assert_eq!(compare(&log, &every_third.collect::<Vec<_>>()), Ok(()));
    }
}

#[test]
fn an_image_taken_at_another_entry_is_seen() {
    let log = interleaved(3, 10, 7);
    let bytes_at = |entries: usize| {
        let mut state = State::new();
        log[..entries]
            .iter()
            .for_each(|entry| drop(state.apply(entry.meta, &entry.batch)));
        snapshot_of(&state)
    };
    assert_ne!(bytes_at(2), bytes_at(3), "or the comparison above could not fail");
}
