//! Whatever bytes a snapshot file holds, reading them gives a state that holds together, or a sentence. Never a panic.

use std::io::{self, Read};

use ostraka_core::snapshot::{self, SNAPSHOT_FORMAT, SnapshotError};
use ostraka_core::{Command, EventKind, State};
use proptest::prelude::*;

use crate::generate::{apply_all, create, entry, new_event, snapshot_of, some_log, vote};

fn read(bytes: &[u8]) -> Result<State, SnapshotError> {
    snapshot::read(&mut &*bytes)
}

/// Bytes that read must be the only bytes of what they read as: then nothing in them was passed over.
fn faithful(bytes: &[u8], read: impl Fn(&[u8]) -> Result<State, SnapshotError>) -> Result<(), String> {
    match read(bytes) {
        Err(SnapshotError::Io(error)) => Err(format!("bytes in memory gave {error}")),
        Err(_) => Ok(()),
        Ok(state) if bytes.starts_with(&snapshot_of(&state)) => Ok(()),
        Ok(_) => Err("something was passed over".to_owned()),
    }
}

fn refused_or_faithful(bytes: &[u8]) -> Result<(), String> {
    faithful(bytes, read)
}

fn some_snapshot() -> impl Strategy<Value = Vec<u8>> {
    some_log(12).prop_map(|log| {
        let mut state = State::new();
        apply_all(&mut state, &log);
        snapshot_of(&state)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn changed_bytes_are_refused_or_read_faithfully(
        bytes in some_snapshot(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        prop_assert_eq!(refused_or_faithful(&bytes), Ok(()));
    }

    #[test]
    fn a_cut_snapshot_is_refused(bytes in some_snapshot(), cut: prop::sample::Index) {
        let cut = cut.index(bytes.len());
        prop_assert!(matches!(read(&bytes[..cut]), Err(SnapshotError::Corrupt(_))));
    }

    #[test]
    fn any_bytes_are_refused_or_read_faithfully(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let with_head: Vec<u8> = SNAPSHOT_FORMAT.to_le_bytes().into_iter().chain(bytes.iter().copied()).collect();
        prop_assert_eq!(refused_or_faithful(&bytes), Ok(()));
        prop_assert_eq!(refused_or_faithful(&with_head), Ok(()));
    }

    #[test]
    fn what_follows_a_snapshot_stays_unread(bytes in some_snapshot(), after in prop::collection::vec(any::<u8>(), 0..9)) {
        let all: Vec<u8> = bytes.into_iter().chain(after.iter().copied()).collect();
        let mut from = &*all;
        prop_assert!(snapshot::read(&mut from).is_ok());
        prop_assert_eq!(from, &*after);
    }
}

/// An event with two counted votes, a duplicate and an open status.
fn small_snapshot() -> Vec<u8> {
    let cast = |voter, key| Command::CastVote(vote(voter, 1, 0, key));
    let commands = vec![
        create(new_event(1, EventKind::Public, 1)),
        cast(1, 1),
        cast(2, 1),
        cast(2, 5),
    ];
    let mut state = State::new();
    apply_all(&mut state, &[entry(1, 1, commands)]);
    snapshot_of(&state)
}

/// The bytes are a contract: this fails when the layout of format 1 changes.
#[test]
fn format_1_is_these_bytes() {
    let number = |value: u64, bytes: usize| value.to_le_bytes()[..bytes].to_vec();
    let text = |text: &str| [number(text.len() as u64, 4), text.as_bytes().to_vec()].concat();
    let packed = |index: u64, offset: u64, spare: u64| number(index << 22 | offset << 8 | spare, 8);
    let creation = [
        number(1, 1),
        number(1, 16 - 8),
        number(0, 8),
        number(1, 4),
        vec![1, 1],
        text("event 1"),
    ];
    let contestant = [number(1, 4), text("contestant 0"), text(""), text("")];
    let status = [number(1, 8), vec![2], number(1, 8), number(0, 8), number(1, 8)];
    let tally = [
        number(2, 8),
        number(1, 8),
        number(0, 8),
        number(1, 4),
        number(2, 8),
    ];
    let record = [
        creation.concat(),
        contestant.concat(),
        status.concat(),
        tally.concat(),
    ]
    .concat();
    let row = |voter: u64| [number(voter, 2), packed(1, voter, 1), number(0, 4)].concat();
    let counted = [number(1, 4), number(0, 4), number(2, 4), row(1), row(2)];
    let extras = [
        number(1, 4),
        number(0, 4),
        number(1, 4),
        number(2, 2),
        number(5, 8),
        packed(1, 3, 2),
    ];
    let expected = [
        [number(1, 4), number(1, 8), number(1, 8), number(1, 4)].concat(),
        number(record.len() as u64, 4),
        record,
        counted.concat(),
        extras.concat(),
        number(0x444e_4521, 4),
    ];
    assert_eq!(small_snapshot(), expected.concat());
}

/// The checksum around a snapshot is not this codec's; but a byte that turns a count is found out here too.
#[test]
fn a_changed_total_is_refused() {
    let bytes = small_snapshot();
    assert!(read(&bytes).is_ok());
    let two = 2_u64.to_le_bytes();
    let totals: Vec<usize> = (0..bytes.len() - 8)
        .filter(|at| bytes[*at..*at + 8] == two)
        .collect();
    assert!(totals.len() >= 2, "counted and the only total are 2");
    for at in totals {
        let mut changed = bytes.clone();
        changed[at] = 3;
        assert!(
            matches!(read(&changed), Err(SnapshotError::Corrupt(_))),
            "byte {at}"
        );
    }
}

#[test]
fn a_newer_format_is_refused_with_a_sentence() {
    let mut bytes = small_snapshot();
    bytes[0] = SNAPSHOT_FORMAT as u8 + 1;
    let error = read(&bytes).unwrap_err();
    assert!(matches!(error, SnapshotError::Newer { found, known } if found == known + 1));
    assert!(
        error
            .to_string()
            .contains("Start the version of Ostraka that wrote it, or a newer one")
    );
    bytes[0] = 0;
    assert!(matches!(read(&bytes), Err(SnapshotError::Corrupt(_))));
}

#[test]
fn a_failing_disk_is_not_called_damage() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    assert!(matches!(snapshot::read(&mut Failing), Err(SnapshotError::Io(_))));
}

#[test]
fn a_reader_that_passes_bytes_over_is_seen() {
    let bytes = small_snapshot();
    // As if the effective time, bytes 12 to 19, were not read.
    let careless = |bytes: &[u8]| {
        let mut timeless = bytes.to_vec();
        timeless[12..20].fill(0);
        read(&timeless)
    };
    let mut changed = bytes.clone();
    changed[13] = 9;
    assert_eq!(refused_or_faithful(&changed), Ok(()));
    assert!(faithful(&changed, careless).is_err_and(|said| said.contains("passed over")));
}
