//! What damage and crashes leave: refused untouched, or opened with everything that was durable.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use openraft::storage::RaftLogStorage;

use super::tests::{bare, filled, run};
use super::*;
use crate::log_store::conformance_rigs::{append_durably, copy_folder, entries, entry, read_all};
use crate::types::NodeNumber;

/// Every file below the folder, with its content.
fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    files
}

fn write_at(folder: &Path, place: u64, bytes: &[u8]) {
    let db = std::fs::OpenOptions::new()
        .write(true)
        .open(folder.join("db"))
        .unwrap();
    db.write_all_at(bytes, place).unwrap();
}

/// Damage anywhere in sled's file: refused with a sentence and untouched; never a shorter log that looks whole.
#[test]
fn damage_is_found_out() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let whole = folder.path().join("whole");
        filled(&whole, 150).await;
        let bytes = std::fs::metadata(whole.join("db")).unwrap().len();
        let (mut refused, mut harmless) = (0, 0);
        for number in 0..24_u64 {
            let damaged = folder.path().join(format!("damaged-{number}"));
            copy_folder(&whole, &damaged);
            // Half of them without sled's own snapshot file, so that it reads its whole log.
            if number % 2 == 0 {
                for file in std::fs::read_dir(&damaged).unwrap() {
                    let path = file.unwrap().path();
                    if path.file_name().unwrap().to_str().unwrap().starts_with("snap.") {
                        std::fs::remove_file(path).unwrap();
                    }
                }
            }
            write_at(&damaged, number * bytes / 24, &[0xa5; 700]);
            let before = content(&damaged);
            match SledLogStore::open(&damaged) {
                Err(error @ OpenError::Damaged { .. }) => {
                    assert!(error.to_string().contains("restore"), "{error}");
                    assert!(!error.to_string().contains("REHEARSAL"), "{error}");
                    assert!(content(&damaged) == before, "a refusal changes nothing");
                    refused += 1;
                }
                Err(error) => panic!("another error: {error}"),
                Ok(mut store) => {
                    let expected: Vec<Entry> = (0..150).map(|index| entry(1, index, 9_000)).collect();
                    let read = read_all(&mut store).await;
                    assert!(read == expected, "damage at {number}/24 was not found out");
                    harmless += 1;
                }
            }
        }
        println!("{refused} refused, {harmless} in unused bytes");
        assert!(refused > 12);
    });
}

/// Where the newest seal stands: the last bytes that count.
fn seal_place(folder: &Path) -> u64 {
    let marked = mark::Mark::read(&trees::mark_path(folder)).unwrap().unwrap();
    let seal = crate::sled_folder::seal::encode(marked.seal.unwrap());
    let db = std::fs::read(folder.join("db")).unwrap();
    db.windows(seal.len()).position(|window| window == seal).unwrap() as u64
}

/// A vote that was answered for is not to be given twice, and it stands behind the last entry, where the mark of entries
/// does not reach.
#[test]
fn a_lost_vote_is_refused() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 20).await;
        let mut store = SledLogStore::open(folder.path()).unwrap();
        let vote = RaftVote::new(7, NodeNumber(2));
        store.save_vote(&vote).await.unwrap();
        drop(store);
        let stored = crate::log_store::meta::encode_vote(&vote);
        let db = std::fs::read(folder.path().join("db")).unwrap();
        let place = db
            .windows(stored.len())
            .position(|window| window == stored)
            .unwrap();
        write_at(folder.path(), place as u64, &[0x5a]);
        let before = content(folder.path());
        let refused = SledLogStore::open(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("lost its last writes"), "{refused}");
        assert!(content(folder.path()) == before);
    });
}

/// A crash leaves a torn end behind the last barrier: the log opens, and nothing is left of a look into a copy.
#[test]
fn a_torn_end_opens() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let (live, killed) = (folder.path().join("live"), folder.path().join("killed"));
        filled(&live, 30).await;
        let mut store = SledLogStore::open(&live).unwrap();
        append_durably(&mut store, vec![entry(1, 30, 9_000)]).await;
        copy_folder(&live, &killed);
        drop(store);
        let end = seal_place(&killed) + 20;
        let garbage: Vec<u8> = (0..90_000_u32).map(|number| (number * 7) as u8 | 1).collect();
        for torn in [&garbage[..1], &garbage[..700], &garbage] {
            let copy = tempfile::tempdir().unwrap();
            copy_folder(&killed, copy.path());
            write_at(copy.path(), end, torn);
            let mut store = SledLogStore::open(copy.path()).unwrap();
            let expected: Vec<Entry> = (0..31).map(|index| entry(1, index, 9_000)).collect();
            assert_eq!(read_all(&mut store).await, expected);
            append_durably(&mut store, vec![entry(1, 31, 9_000)]).await;
            drop(store);
            assert!(!copy.path().join(crate::sled_folder::REHEARSAL_FOLDER).exists());
            SledLogStore::open(copy.path()).unwrap();
        }
    });
}

/// What every other start would pay for: a copy is needed only where something is doubtful, and a kill is not that.
#[test]
fn a_killed_process_leaves_nothing_doubtful() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let live = folder.path().join("live");
        let mut store = SledLogStore::open(&live).unwrap();
        for index in 0..400 {
            append_durably(&mut store, vec![entry(1, index, 20_000)]).await;
            if index % 40 == 39 {
                let killed = folder.path().join(format!("killed-{index}"));
                copy_folder(&live, &killed);
                let marked = mark::Mark::read(&trees::mark_path(&killed)).unwrap().unwrap();
                crate::sled_folder::rehearse(&killed, None, marked.seal, |_| {
                    panic!("entry {index}: the folder of a killed process needs a copy")
                })
                .map_err(|error: crate::sled_folder::RehearsalError| error)
                .unwrap();
                std::fs::remove_dir_all(killed).unwrap();
            }
        }
    });
}

#[test]
fn a_log_of_the_first_version_opens_by_way_of_a_copy() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 20).await;
        let trees = bare(folder.path());
        trees.meta.remove(trees::SEAL).unwrap();
        trees.db.flush().unwrap();
        drop(trees);
        let mut slot = [0; 64];
        slot[0] = 1;
        slot[8] = 99;
        slot[9..30].copy_from_slice(&crate::log_store::meta::encode_log_id(&LogId::new_term_index(
            1, 19,
        )));
        let crc = crc32fast::hash(&slot[..30]);
        slot[30..34].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(folder.path().join("MARK"), slot).unwrap();
        let mut store = SledLogStore::open(folder.path()).unwrap();
        append_durably(&mut store, vec![entry(1, 20, 9_000)]).await;
        drop(store);
        let mut store = SledLogStore::open(folder.path()).unwrap();
        assert_eq!(read_all(&mut store).await.len(), 21);
    });
}

#[test]
fn a_file_of_garbage_is_refused() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 20).await;
        let bytes = std::fs::metadata(folder.path().join("db")).unwrap().len() as usize;
        for garbage in [vec![0x5a; bytes], vec![0; bytes], Vec::new()] {
            std::fs::write(folder.path().join("db"), garbage).unwrap();
            let before = content(folder.path());
            let refused = SledLogStore::open(folder.path()).err().unwrap();
            assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
            assert!(content(folder.path()) == before);
        }
    });
}

#[test]
fn a_log_shorter_than_its_mark_is_refused() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let early = folder.path().join("early");
        let late = folder.path().join("late");
        let mut store = SledLogStore::open(&late).unwrap();
        append_durably(&mut store, entries(1, 0..5)).await;
        copy_folder(&late, &early);
        append_durably(&mut store, entries(1, 5..9)).await;
        drop(store);
        std::fs::copy(late.join("MARK"), early.join("MARK")).unwrap();
        let before = content(&early);
        let refused = SledLogStore::open(&early).err().unwrap().to_string();
        assert!(refused.contains("was once durable"), "{refused}");
        assert!(content(&early) == before);
        SledLogStore::open(&late).unwrap();
    });
}
