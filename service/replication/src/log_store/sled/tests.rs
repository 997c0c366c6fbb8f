//! What is true of the store on disk alone; what both stores promise is in the conformance suite.

use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogReader, RaftLogStorage};

use super::*;
use crate::log_store::ReadError;
use crate::log_store::conformance_rigs::{append, append_durably, entries, entry, read_all};
use crate::log_store::record::{RecordKind, part_key};
use crate::types::NodeNumber;

pub(super) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test);
}

pub(super) async fn filled(folder: &Path, end: u64) {
    let mut store = SledLogStore::open(folder).unwrap();
    store
        .save_vote(&RaftVote::new_committed(1, NodeNumber(1)))
        .await
        .unwrap();
    for index in 0..end {
        append_durably(&mut store, vec![entry(1, index, 9_000)]).await;
    }
}

#[test]
fn a_folder_in_use_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let _held = SledLogStore::open(folder.path()).unwrap();
    let refused = SledLogStore::open(folder.path()).err().unwrap();
    assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
    assert!(
        refused.to_string().contains(folder.path().to_str().unwrap()),
        "{refused}"
    );
    assert!(matches!(
        OfflineLog::open(folder.path()),
        Err(OpenError::InUse(_))
    ));
}

#[test]
fn a_newer_format_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("FORMAT"), "ostraka log format 2\n").unwrap();
    let refused = SledLogStore::open(folder.path()).err().unwrap();
    assert!(
        matches!(&refused, OpenError::NewerFormat { found, .. } if found == "2"),
        "{refused}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing was created"
    );
}

#[test]
fn formats_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let said = |format: &[u8]| {
        std::fs::write(folder.path().join("FORMAT"), format).unwrap();
        SledLogStore::open(folder.path()).err().unwrap().to_string()
    };
    for newer in ["99", "4294967296", "99999999999999999999999999"] {
        let sentence = said(format!("ostraka log format {newer}\n").as_bytes());
        assert!(
            sentence.contains("written by a newer Ostraka") && sentence.contains(newer),
            "{sentence}"
        );
    }
    let foreign: [&[u8]; 6] = [
        b"poems\n",
        b"",
        b"ostraka log format \n",
        b"ostraka log format 0\n",
        b"ostraka log format one\n",
        &[0xff, 0xfe, 0],
    ];
    for foreign in foreign {
        let sentence = said(foreign);
        assert!(sentence.contains("not a log of Ostraka"), "{sentence}");
        assert!(!sentence.contains("UTF-8"), "{sentence}");
    }
}

#[test]
fn a_foreign_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        OfflineLog::open(&folder.path().join("none")),
        Err(OpenError::NotALog { .. })
    ));
    std::fs::write(folder.path().join("db"), "something else").unwrap();
    assert!(matches!(
        SledLogStore::open(folder.path()),
        Err(OpenError::NotALog { .. })
    ));
    std::fs::write(folder.path().join("FORMAT"), "poems\n").unwrap();
    assert!(matches!(
        SledLogStore::open(folder.path()),
        Err(OpenError::NotALog { .. })
    ));
}

/// Opens the trees without the store around them.
pub(super) fn bare(folder: &Path) -> Trees {
    trees::open(folder).unwrap().trees
}

#[test]
fn an_entry_cut_short_by_a_crash_is_dropped() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 5).await;
        let trees = bare(folder.path());
        let mut parts = Vec::new();
        let record = Record::from_entry(&entry(1, 5, 9_000)).unwrap();
        let stored: Result<(), std::convert::Infallible> = record.for_each_part(|key, part| {
            parts.push((key, part.to_vec()));
            Ok(())
        });
        stored.unwrap();
        for (key, part) in &parts[..2] {
            trees.entries.insert(key, part.as_slice()).unwrap();
        }
        drop(trees);
        let offline = OfflineLog::open(folder.path()).unwrap();
        assert_eq!(offline.torn(), Some(5));
        assert_eq!(offline.entries().count(), 5);
        drop(offline);
        let mut store = SledLogStore::open(folder.path()).unwrap();
        assert_eq!(read_all(&mut store).await.len(), 5);
        append_durably(&mut store, entries(2, 5..7)).await;
        assert_eq!(read_all(&mut store).await.len(), 7);
    });
}

#[test]
fn a_damaged_or_missing_entry_is_an_error_never_a_gap() {
    run(async {
        for remove in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            filled(folder.path(), 12).await;
            let trees = bare(folder.path());
            let key = part_key(6, 1);
            if remove {
                for part in 0..3 {
                    trees.entries.remove(part_key(6, part)).unwrap();
                }
            } else {
                let mut value = trees.entries.get(key).unwrap().unwrap().to_vec();
                value[100] ^= 1;
                trees.entries.insert(key, value).unwrap();
            }
            drop(trees);
            let offline = OfflineLog::open(folder.path()).unwrap();
            let walked: Vec<_> = offline.entries().collect();
            assert_eq!(walked.len(), 7, "six whole ones, one error, nothing behind it");
            let detail = walked[6].as_ref().unwrap_err().to_string();
            assert!(matches!(walked[6], Err(ReadError::Damaged { .. })));
            assert!(
                detail.contains(if remove { "entry 6 is missing" } else { "checksum" }),
                "{detail}"
            );
            drop(offline);
            let mut store = SledLogStore::open(folder.path()).unwrap();
            let mut reader = store.get_log_reader().await;
            assert!(reader.try_get_log_entries(4..8).await.is_err());
            assert!(reader.try_get_log_entries(..).await.is_err());
            assert_eq!(reader.try_get_log_entries(0..6).await.unwrap().len(), 6);
            assert_eq!(reader.try_get_log_entries(7..12).await.unwrap().len(), 5);
        }
    });
}

#[test]
fn a_lost_beginning_is_refused() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 5).await;
        let trees = bare(folder.path());
        for part in 0..3 {
            trees.entries.remove(part_key(0, part)).unwrap();
        }
        drop(trees);
        let refused = SledLogStore::open(folder.path()).err().unwrap().to_string();
        assert!(refused.contains("should begin with entry 0"), "{refused}");
    });
}

#[test]
fn the_offline_walk_sees_what_was_written() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SledLogStore::open(folder.path()).unwrap();
        let blank = Entry::new_blank(LogId::new_term_index(1, 0));
        append_durably(&mut store, vec![blank]).await;
        append_durably(&mut store, entries(2, 1..30)).await;
        store
            .save_committed(Some(LogId::new_term_index(2, 20)))
            .await
            .unwrap();
        store.purge(LogId::new_term_index(2, 9)).await.unwrap();
        drop(store);
        let offline = OfflineLog::open(folder.path()).unwrap();
        assert_eq!(offline.purged(), Some(LogId::new_term_index(2, 9)));
        assert_eq!(offline.committed(), Some(LogId::new_term_index(2, 20)));
        assert_eq!(offline.last(), Some(LogId::new_term_index(2, 29)));
        let records: Vec<Record> = offline.entries().map(Result::unwrap).collect();
        assert_eq!(records.len(), 20);
        for (record, expected) in records.iter().zip(entries(2, 10..30)) {
            assert_eq!(record.kind, RecordKind::Normal);
            assert_eq!(record, &Record::from_entry(&expected).unwrap());
        }
    });
}

#[test]
fn purged_entries_leave_the_disk() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SledLogStore::open(folder.path()).unwrap();
        append_durably(&mut store, entries(1, 0..2_000)).await;
        store.purge(LogId::new_term_index(1, 1_989)).await.unwrap();
        assert_eq!(read_all(&mut store).await, entries(1, 1_990..2_000));
        let tree = store.entries.clone();
        for _ in 0..200 {
            if tree.len() == 10 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert_eq!(tree.len(), 10);
    });
}

/// No page may become a side file: sled never syncs those.
#[test]
fn no_side_files_whatever_the_sizes() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SledLogStore::open(folder.path()).unwrap();
        let mut index = 0;
        let mut waiting = Vec::new();
        for round in 0..60_usize {
            for bytes in [200_000, 4_000, 3_964, 64, 16_000 + round * 97] {
                waiting.push(append(&mut store, vec![entry(1, index, bytes)]).await);
                index += 1;
            }
            if round % 20 == 19 {
                index -= 7;
                store
                    .truncate_after(Some(LogId::new_term_index(1, index - 1)))
                    .await
                    .unwrap();
            }
        }
        store.purge(LogId::new_term_index(1, index / 2)).await.unwrap();
        append_durably(&mut store, entries(1, index..index + 1)).await;
        for flushed in waiting {
            flushed.await.unwrap().unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
        drop(store);
        SledLogStore::open(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 0);
    });
}

struct FullDisk;

impl Barrier for FullDisk {
    fn make_durable(&mut self) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SledLogStore::open_with(folder.path(), |_| Ok(FullDisk)).unwrap();
        let full = append(&mut store, entries(1, 0..1))
            .await
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        assert!(
            full.to_string().starts_with("disk full: free space on "),
            "{full}"
        );
    });
}

/// Entries come from memory, from sled, or from both, and are the same.
#[test]
fn old_and_new_entries_read_alike() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path(), 30).await;
        let mut store = SledLogStore::open(folder.path()).unwrap();
        let more: Vec<Entry> = (30..40).map(|index| entry(1, index, 9_000)).collect();
        append_durably(&mut store, more).await;
        let expected: Vec<Entry> = (0..40).map(|index| entry(1, index, 9_000)).collect();
        let mut reader = store.get_log_reader().await;
        for (start, end) in [(0, 40), (0, 30), (29, 31), (30, 40), (35, 36), (5, 5)] {
            let found = reader.try_get_log_entries(start..end).await.unwrap();
            assert_eq!(found, expected[start as usize..end as usize]);
            assert_eq!(found.first().map_or(start, RaftEntry::index), start);
        }
    });
}
