use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::limits::SNAPSHOT_FILE_CHUNK_BYTES_MAX;
use proptest::prelude::*;

use super::*;
use crate::log_store::{Extent, LogEnd};
use crate::types::{LogId, Membership, NodeNumber, PeerAddr, StoredMembership};

fn log_id(index: u64) -> LogId {
    LogId::new_term_index(2, index)
}

fn meta(index: u64) -> SnapshotMeta {
    let nodes = BTreeMap::from([(NodeNumber(1), PeerAddr("one:8082".to_owned()))]);
    let members = Membership::new(vec![BTreeSet::from([NodeNumber(1)])], nodes).unwrap();
    SnapshotMeta {
        last_log_id: Some(log_id(index)),
        last_membership: StoredMembership::new(Some(log_id(0)), members),
    }
}

fn body(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 % 251) as u8).collect()
}

fn read(snapshot: &StoredSnapshot) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    snapshot.open()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn raw(snapshot: &StoredSnapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.open_raw().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn both(test: impl Fn(SnapshotStore)) {
    test(SnapshotStore::in_memory());
    let folder = tempfile::tempdir().unwrap();
    test(SnapshotStore::open(&folder.path().join("snapshots")).unwrap());
}

#[test]
fn comes_back_as_it_went_and_the_newest_two_are_kept() {
    both(|store| {
        assert!(store.latest().unwrap().is_none());
        let sizes = [
            0,
            1,
            SNAPSHOT_FILE_CHUNK_BYTES_MAX - 1,
            SNAPSHOT_FILE_CHUNK_BYTES_MAX,
            SNAPSHOT_FILE_CHUNK_BYTES_MAX + 1,
            3 * SNAPSHOT_FILE_CHUNK_BYTES_MAX,
        ];
        for (number, size) in sizes.into_iter().enumerate() {
            let index = 10 + number as u64;
            let written = store
                .write(&meta(index), |out| out.write_all(&body(size)))
                .unwrap();
            assert_eq!(written.size_bytes(), raw(&written).len() as u64);
            let latest = store.latest().unwrap().unwrap();
            assert_eq!(latest.meta(), &meta(index));
            assert_eq!(latest.size_bytes(), written.size_bytes());
            assert!(read(&latest).unwrap() == body(size), "{size} bytes");
        }
        assert!(store.find(15).unwrap().is_some());
        assert!(store.find(14).unwrap().is_some());
        assert!(store.find(13).unwrap().is_none());
        let kept: Vec<u64> = store.all().unwrap().iter().map(StoredSnapshot::index).collect();
        assert_eq!(kept, [14, 15]);
    });
}

#[test]
fn a_received_snapshot_counts_when_it_is_adopted() {
    both(|store| {
        let sender = SnapshotStore::in_memory();
        let sent = sender
            .write(&meta(7), |out| out.write_all(&body(2_000_000)))
            .unwrap();
        let mut incoming = store.receive().unwrap();
        for piece in raw(&sent).chunks(60_000) {
            incoming.write_all(piece).unwrap();
        }
        assert_eq!(incoming.size_bytes(), sent.size_bytes());
        let received = incoming.finish().unwrap();
        assert_eq!(received.meta(), &meta(7));
        assert!(store.latest().unwrap().is_none());
        let adopted = store.adopt(&received).unwrap();
        store.adopt(&received).unwrap();
        store.adopt(&adopted).unwrap();
        drop(received);
        assert!(read(&store.latest().unwrap().unwrap()).unwrap() == body(2_000_000));
    });
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(folder.path()).unwrap();
    let mut incoming = store.receive().unwrap();
    incoming.write_all(b"OSTR").unwrap();
    assert_eq!(names(folder.path()).len(), 1);
    // An audit does not touch it, nor mind a folder that is not there.
    for looked_at in [folder.path(), &folder.path().join("none")] {
        let looked = CheckedSnapshots::look_at_all(looked_at).unwrap();
        assert!(looked.whole().is_empty() && looked.damaged().is_empty());
    }
    assert_eq!(names(folder.path()).len(), 1);
    drop(incoming);
    assert_eq!(names(folder.path()), Vec::<String>::new());
    let failed = store.write(&meta(1), |_| Err(io::Error::other("the machine stopped")));
    assert!(failed.is_err());
    assert_eq!(names(folder.path()), Vec::<String>::new());
    // A process that died left one behind.
    std::fs::write(folder.path().join("incoming-0.tmp"), b"half").unwrap();
    SnapshotStore::open(folder.path()).unwrap();
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

#[test]
fn any_cut_or_flipped_bit_is_found_out_on_receipt() {
    let sender = SnapshotStore::in_memory();
    let sent = raw(&sender.write(&meta(7), |out| out.write_all(&body(300))).unwrap());
    let store = SnapshotStore::in_memory();
    let receive = |bytes: &[u8]| {
        let mut incoming = store.receive().unwrap();
        incoming.write_all(bytes).unwrap();
        incoming.finish()
    };
    assert!(receive(&sent).is_ok());
    for at in 0..sent.len() {
        assert!(
            matches!(receive(&sent[..at]), Err(SnapshotError::Received(_))),
            "cut at {at}"
        );
        let mut flipped = sent.clone();
        flipped[at] ^= 0x10;
        assert!(
            matches!(receive(&flipped), Err(SnapshotError::Received(_))),
            "flipped at {at}"
        );
    }
    let longer = [sent.as_slice(), b"x"].concat();
    assert!(matches!(
        receive(&longer),
        Err(SnapshotError::Received(FrameError::BytesAfterEnd))
    ));
}

#[test]
fn chunks_that_change_places_are_found_out() {
    let store = SnapshotStore::in_memory();
    let mut bytes = vec![1; SNAPSHOT_FILE_CHUNK_BYTES_MAX];
    bytes.extend(vec![2; SNAPSHOT_FILE_CHUNK_BYTES_MAX]);
    let sent = raw(&store.write(&meta(7), |out| out.write_all(&bytes)).unwrap());
    let chunk = SNAPSHOT_FILE_CHUNK_BYTES_MAX + 8;
    let head = sent.len() - 16 - 2 * chunk;
    let swapped = [
        &sent[..head],
        &sent[head + chunk..head + 2 * chunk],
        &sent[head..head + chunk],
        &sent[head + 2 * chunk..],
    ]
    .concat();
    let mut incoming = store.receive().unwrap();
    incoming.write_all(&swapped).unwrap();
    assert!(matches!(
        incoming.finish(),
        Err(SnapshotError::Received(FrameError::ChunkChecksum(0)))
    ));
}

fn damage(folder: &Path, index: u64) -> PathBuf {
    let path = folder.join(format!("snapshot-{index:020}.ost"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    path
}

fn extent(purged: Option<u64>, last: u64) -> Extent {
    Extent {
        purged: purged.map(log_id),
        last: Some(log_id(last)),
    }
}

fn fit(folder: &Path, extent: Extent) -> Result<(), SnapshotError> {
    CheckedSnapshots::look(folder)
        .unwrap()
        .fit(Path::new("vote/log"), &extent)
}

fn open(folder: &Path) -> SnapshotStore {
    let looked = CheckedSnapshots::look(folder).unwrap();
    looked.open(LogEnd::new(|| u64::MAX)).unwrap()
}

#[test]
fn a_damaged_newest_is_set_aside_only_where_the_log_replaces_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = SnapshotStore::open(folder).unwrap();
    store.write(&meta(10), |out| out.write_all(&body(5_000))).unwrap();
    store.write(&meta(20), |out| out.write_all(&body(5_000))).unwrap();
    fit(folder, extent(Some(20), 30)).unwrap();
    damage(folder, 20);
    // The log begins behind 15: neither the older snapshot nor the log alone leads on.
    let refused = fit(folder, extent(Some(15), 30)).unwrap_err();
    assert!(matches!(&refused, SnapshotError::Damaged { .. }), "{refused}");
    assert_eq!(names(folder).len(), 2, "nothing was touched");
    // The log reaches back to the older one.
    fit(folder, extent(Some(10), 30)).unwrap();
    assert_eq!(open(folder).latest().unwrap().unwrap().index(), 10);
    assert_eq!(names(folder).len(), 2, "set aside, not deleted");
    // The older one is damaged as well, and the log is whole.
    damage(folder, 10);
    fit(folder, extent(None, 30)).unwrap();
    assert!(open(folder).latest().unwrap().is_none());
    assert_eq!(names(folder).len(), 2);
    // Nothing is left that a purged log could begin from.
    let refused = fit(folder, extent(Some(10), 30)).unwrap_err();
    assert!(
        matches!(&refused, SnapshotError::Missing { begins: 11, .. }),
        "{refused}"
    );
}

#[test]
fn a_log_that_ends_before_a_snapshot_is_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let store = SnapshotStore::open(folder).unwrap();
    store.write(&meta(20), |out| out.write_all(&body(50))).unwrap();
    fit(folder, extent(None, 20)).unwrap();
    for log in [extent(None, 19), extent(Some(5), 19), Extent::default()] {
        let refused = fit(folder, log).unwrap_err();
        assert!(
            matches!(&refused, SnapshotError::Ahead { index: 20, .. }),
            "{refused}"
        );
    }
    // Damaged or not.
    damage(folder, 20);
    fit(folder, extent(None, 20)).unwrap();
    let refused = fit(folder, extent(None, 19)).unwrap_err();
    assert!(matches!(&refused, SnapshotError::Ahead { .. }), "{refused}");
}

/// A node that was killed while it installed a peer's snapshot has a log that ends before it, and starts.
#[test]
fn a_log_that_had_not_come_so_far_is_no_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let end = Arc::new(std::sync::atomic::AtomicU64::new(13));
    let asked = end.clone();
    let looked = CheckedSnapshots::look(folder).unwrap();
    let store = looked
        .open(LogEnd::new(move || {
            asked.load(std::sync::atomic::Ordering::Relaxed)
        }))
        .unwrap();
    store.write(&meta(20), |out| out.write_all(&body(50))).unwrap();
    assert_eq!(names(folder).len(), 2, "the snapshot and a note");
    fit(folder, extent(None, 12)).unwrap();
    let refused = fit(folder, extent(None, 11)).unwrap_err();
    assert!(
        matches!(&refused, SnapshotError::Ahead { .. }),
        "older than the note: {refused}"
    );
    // The log comes past it: the note has done its duty, and explains nothing any more.
    end.store(25, std::sync::atomic::Ordering::Relaxed);
    store.write(&meta(24), |out| out.write_all(&body(50))).unwrap();
    assert_eq!(names(folder).len(), 2, "two snapshots and no note");
    assert!(fit(folder, extent(None, 12)).is_err());
    // A damaged note explains nothing.
    end.store(25, std::sync::atomic::Ordering::Relaxed);
    store.write(&meta(30), |out| out.write_all(&body(50))).unwrap();
    fit(folder, extent(None, 24)).unwrap();
    let note = folder.join(format!("snapshot-{:020}.early", 30));
    let mut bytes = std::fs::read(&note).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&note, bytes).unwrap();
    assert!(fit(folder, extent(None, 24)).is_err());
}

#[test]
fn a_newer_format_is_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let store = SnapshotStore::open(folder.path()).unwrap();
    store.write(&meta(10), |out| out.write_all(b"state")).unwrap();
    let path = folder.path().join(format!("snapshot-{:020}.ost", 10));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[11] = 2;
    std::fs::write(&path, bytes).unwrap();
    let refused = CheckedSnapshots::look(folder.path()).err().unwrap();
    assert!(matches!(refused, SnapshotError::NewerFormat { .. }));
    assert!(refused.to_string().contains("start a newer Ostraka"), "{refused}");
    assert!(store.latest().is_err());
}

proptest! {
    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let store = SnapshotStore::in_memory();
        let mut incoming = store.receive().unwrap();
        if magic {
            incoming.write_all(b"OSTRSNAP\0\0\0\x01").unwrap();
        }
        incoming.write_all(&bytes).unwrap();
        prop_assert!(incoming.finish().is_err());
    }
}
