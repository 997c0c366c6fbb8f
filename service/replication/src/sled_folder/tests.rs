//! On files that the engine wrote, and on folders as crashes and damage leave them.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::walk::SEGMENT_BYTES;
use super::*;

fn open_sled(folder: &Path) -> sled::Db {
    sled::Config::new()
        .path(folder)
        .flush_every_ms(None)
        .open()
        .unwrap()
}

/// The engine's threads write for a moment after a database was dropped.
fn close(db: sled::Db, folder: &Path) {
    drop(db);
    while lock(folder).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

fn value(key: u32) -> Vec<u8> {
    let mut value = vec![key as u8 | 1; 1_000 + (key as usize * 37) % 3_000];
    value[..4].copy_from_slice(&key.to_be_bytes());
    value
}

/// Flushes behind a new seal; its number.
fn seal(db: &sled::Db) -> u64 {
    let meta = db.open_tree("meta").unwrap();
    let last = meta.get("seal").unwrap();
    let number = last.map_or(0, |last| seal::decode(&last).unwrap()) + 1;
    meta.insert("seal", &seal::encode(number)).unwrap();
    db.flush().unwrap();
    number
}

/// A database of some segments, opened `times` times; later times write over earlier keys, too. The newest seal.
fn written(folder: &Path, times: u32) -> Option<u64> {
    let mut newest = 0;
    for time in 0..times {
        let db = open_sled(folder);
        for key in 0..400 {
            db.insert((time * 200 + key).to_be_bytes(), value(key + time))
                .unwrap();
            if key % 7 == 0 {
                newest = seal(&db);
            }
        }
        newest = seal(&db).max(newest);
        close(db, folder);
    }
    Some(newest)
}

fn pairs(folder: &Path) -> Vec<(sled::IVec, sled::IVec)> {
    let db = open_sled(folder);
    let pairs = db.iter().collect::<sled::Result<_>>().unwrap();
    close(db, folder);
    pairs
}

fn content(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.insert(path.clone(), Vec::new());
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    files
}

fn copied(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_engine_folder(from, copy.path()).unwrap();
    copy
}

fn write_at(folder: &Path, place: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(folder.join("db")).unwrap();
    file.write_all_at(bytes, place).unwrap();
}

/// One behind the last byte in use of the whole file.
fn used_bytes(folder: &Path) -> usize {
    let db = fs::read(folder.join("db")).unwrap();
    db.iter().rposition(|byte| *byte != 0).unwrap() + 1
}

/// Where the newest seal stands: the last bytes that count.
fn seal_place(folder: &Path, seal: Option<u64>) -> usize {
    let db = fs::read(folder.join("db")).unwrap();
    let seal = seal::encode(seal.unwrap());
    db.windows(seal.len()).position(|window| window == seal).unwrap()
}

fn is_doubtful(folder: &Path, seal: Option<u64>) -> bool {
    matches!(walk(folder, seal).unwrap(), Finding::Doubtful(_))
}

#[test]
fn what_the_engine_wrote_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(walk(folder.path(), None).unwrap(), Finding::Whole, "nothing yet");
    for times in 1..5 {
        let seal = written(folder.path(), times);
        assert_eq!(
            walk(folder.path(), seal).unwrap(),
            Finding::Whole,
            "after {times} more"
        );
        let later = seal.map(|seal| seal + 1);
        assert!(
            is_doubtful(folder.path(), later),
            "a later write was durable, and is not there"
        );
    }
    assert!(
        used_bytes(folder.path()) > 4 * SEGMENT_BYTES,
        "a short file tests little"
    );
}

/// At every moment, as a killed process leaves it: whole, and with all that was sealed.
#[test]
fn what_a_killed_process_leaves_is_whole_or_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sled(folder.path());
    let (mut whole, mut reused) = (0, 0);
    for key in 0_u32..600 {
        db.insert((key % 450).to_be_bytes(), value(key)).unwrap();
        let seal = seal(&db);
        if key % 20 != 19 {
            continue;
        }
        let copy = copied(folder.path());
        if walk(copy.path(), Some(seal)).unwrap() == Finding::Whole {
            whole += 1;
            let db = fs::read(copy.path().join("db")).unwrap();
            let end = seal_place(copy.path(), Some(seal));
            let segment_end = (end / SEGMENT_BYTES + 1) * SEGMENT_BYTES;
            let leftovers = db.get(end + 64..segment_end.min(db.len())).unwrap_or(&[]);
            reused += u32::from(leftovers.iter().any(|byte| *byte != 0));
            let opened = open_sled(copy.path());
            assert_eq!(
                opened.get((key % 450).to_be_bytes()).unwrap().unwrap(),
                value(key)
            );
            close(opened, copy.path());
        }
    }
    println!("{whole} of 30 whole, {reused} of them with leftovers behind the end");
    assert!(
        whole > 20 && reused > 0,
        "{whole} whole, {reused} with leftovers test little"
    );
}

/// A process that writes batches and is killed, however idle it was: nothing to doubt where nobody was told "durable".
#[test]
fn the_head_of_a_batch_that_never_came_is_no_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sled(folder.path());
    let mut torn = 0;
    for number in 0..200_u32 {
        let mut batch = sled::Batch::default();
        for part in 0..3_u32 {
            batch.insert(
                &[number.to_be_bytes(), part.to_be_bytes()].concat()[..],
                value(number),
            );
        }
        db.apply_batch(batch).unwrap();
        if number % 20 != 19 {
            continue;
        }
        if number % 40 == 39 {
            db.flush().unwrap();
        }
        // The engine's threads write behind what it was told.
        std::thread::sleep(std::time::Duration::from_millis(50));
        let killed = copied(folder.path());
        let found = walk(killed.path(), None).unwrap();
        assert_eq!(found, Finding::Whole, "killed after batch {number}");
        torn += usize::from(
            walk(killed.path(), Some(1)).unwrap()
                == Finding::Doubtful("its last batch is not whole".to_owned()),
        );
        // What the engine makes of it: whole batches, and no hole between them.
        let kept = pairs(killed.path());
        assert_eq!(kept.len() % 3, 0, "half a batch came back");
        for (place, (key, stored)) in kept.iter().enumerate() {
            let (batch, part) = (place as u32 / 3, place as u32 % 3);
            assert_eq!(key[..], [batch.to_be_bytes(), part.to_be_bytes()].concat()[..]);
            assert_eq!(stored[..], value(batch)[..]);
        }
        if number % 40 == 39 {
            assert_eq!(kept.len() as u32, 3 * (number + 1), "what was flushed is there");
        }
    }
    assert!(torn > 0, "the case was met");
    close(db, folder.path());
}

/// The promise of "whole": opening takes nothing away that was written before the newest seal.
#[test]
fn a_whole_folder_loses_nothing_when_it_is_opened() {
    for times in 1..4 {
        let folder = tempfile::tempdir().unwrap();
        let seal = written(folder.path(), times);
        assert_eq!(walk(folder.path(), seal).unwrap(), Finding::Whole);
        let db = open_sled(folder.path());
        for key in 0..400 + (times - 1) * 200 {
            let time = (key / 200).min(times - 1);
            let expected = value(key - time * 200 + time);
            assert_eq!(db.get(key.to_be_bytes()).unwrap().unwrap(), expected, "key {key}");
        }
        close(db, folder.path());
        assert_eq!(walk(folder.path(), seal).unwrap(), Finding::Whole);
    }
}

struct Sealed {
    folder: tempfile::TempDir,
    seal: Option<u64>,
    pairs: Vec<(sled::IVec, sled::IVec)>,
}

impl Sealed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seal = written(folder.path(), 2);
        let pairs = pairs(copied(folder.path()).path());
        Self { folder, seal, pairs }
    }

    /// Whether the walk sees the flip. What it does not see must be harmless.
    fn sees_flip(&self, place: usize, bit: u8) -> bool {
        let copy = copied(self.folder.path());
        let db = fs::read(copy.path().join("db")).unwrap();
        write_at(copy.path(), place as u64, &[db[place] ^ (1 << bit)]);
        if walk(copy.path(), self.seal).unwrap() != Finding::Whole {
            return true;
        }
        assert!(
            pairs(copy.path()) == self.pairs,
            "byte {place}, bit {bit}: the walk saw nothing, and content is lost"
        );
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_flipped_bit_is_seen_or_harmless(at in 0.0_f64..1.0, bit in 0_u8..8) {
        static SEALED: std::sync::LazyLock<Sealed> = std::sync::LazyLock::new(Sealed::new);
        let place = (at * used_bytes(SEALED.folder.path()) as f64) as usize;
        SEALED.sees_flip(place, bit);
    }

    #[test]
    fn garbage_is_never_whole_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 1..4_096)) {
        let folder = tempfile::tempdir().unwrap();
        close(open_sled(folder.path()), folder.path());
        prop_assume!(bytes.iter().any(|byte| *byte != 0));
        fs::write(folder.path().join("db"), &bytes).unwrap();
        prop_assert!(walk(folder.path(), Some(1)).unwrap() != Finding::Whole);
    }
}

/// Every byte, so that no field is left to chance.
#[test]
fn every_byte_of_a_small_file_counts() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sled(folder.path());
    db.insert("a", "one").unwrap();
    db.insert("b", "two").unwrap();
    let seal = Some(seal(&db));
    close(db, folder.path());
    let whole = fs::read(folder.path().join("db")).unwrap();
    let used = seal_place(folder.path(), seal) + 20;
    for place in 0..used {
        write_at(folder.path(), place as u64, &[whole[place] ^ 0x10]);
        assert!(
            walk(folder.path(), seal).unwrap() != Finding::Whole,
            "byte {place} of {used}"
        );
        write_at(folder.path(), place as u64, &whole[place..=place]);
    }
    assert_eq!(walk(folder.path(), seal).unwrap(), Finding::Whole);
}

#[test]
fn a_damaged_head_is_damage_and_a_lost_end_is_a_doubt() {
    let folder = tempfile::tempdir().unwrap();
    let seal = written(folder.path(), 2);
    let place = seal_place(folder.path(), seal) as u64;
    let torn = copied(folder.path());
    write_at(torn.path(), place - 600, &[0; 600]);
    assert!(is_doubtful(torn.path(), seal));
    let stale = copied(folder.path());
    write_at(stale.path(), place, &seal::encode(1));
    assert!(
        is_doubtful(stale.path(), seal),
        "a seal counts only where its checksum does"
    );
    write_at(folder.path(), SEGMENT_BYTES as u64 + 6, &[0x5a]);
    assert!(matches!(walk(folder.path(), seal).unwrap(), Finding::Damaged(_)));
}

#[test]
fn a_segment_that_reads_as_zeros_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sled(folder.path());
    for key in 0_u32..1_500 {
        db.insert(key.to_be_bytes(), value(key)).unwrap();
    }
    let seal = Some(seal(&db));
    close(db, folder.path());
    let segments = fs::metadata(folder.path().join("db"))
        .unwrap()
        .len()
        .div_ceil(SEGMENT_BYTES as u64);
    for number in 0..segments {
        let lost = copied(folder.path());
        write_at(
            lost.path(),
            number * SEGMENT_BYTES as u64,
            &vec![0; SEGMENT_BYTES],
        );
        assert!(is_doubtful(lost.path(), seal), "segment {number} of {segments}");
    }
}

#[test]
fn files_beside_the_log_count() {
    let folder = tempfile::tempdir().unwrap();
    let seal = written(folder.path(), 2);
    let plant = |what: &dyn Fn(&Path)| {
        let copy = copied(folder.path());
        what(copy.path());
        walk(copy.path(), seal).unwrap()
    };
    let snap = |root: &Path| {
        let mut names = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        names
            .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap."))
            .unwrap()
    };
    assert_eq!(plant(&|_| {}), Finding::Whole);
    let planted: [&dyn Fn(&Path); 7] = [
        &|root| fs::write(root.join("conf"), "").unwrap(),
        &|root| fs::remove_file(root.join("conf")).unwrap(),
        &|root| fs::remove_file(root.join("db")).unwrap(),
        &|root| fs::write(root.join("db"), "").unwrap(),
        &|root| fs::write(root.join("blobs").join("77"), "x").unwrap(),
        &|root| fs::write(snap(root), "torn").unwrap(),
        &|root| {
            fs::copy(snap(root), root.join("snap.00000000000000AA"))
                .map(drop)
                .unwrap()
        },
    ];
    for (number, what) in planted.iter().enumerate() {
        assert!(matches!(plant(what), Finding::Doubtful(_)), "plant {number}");
    }
}

fn refuse(_copy: &Path) -> Result<(), RehearsalError> {
    Err(RehearsalError::Damaged("as the test says".to_owned()))
}

fn accept(copy: &Path) -> Result<(), RehearsalError> {
    pairs(copy);
    Ok(())
}

fn must_not_be_called(_copy: &Path) -> Result<(), RehearsalError> {
    panic!("a whole folder needs no copy")
}

#[test]
fn a_refused_folder_stays_as_it_is_and_an_accepted_one_keeps_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let seal = written(folder.path(), 2);
    rehearse(folder.path(), None, seal, must_not_be_called).unwrap();
    write_at(folder.path(), seal_place(folder.path(), seal) as u64, &[0x11; 30]);
    let before = content(folder.path());
    rehearse(folder.path(), None, seal, refuse).unwrap_err();
    assert!(content(folder.path()) == before);
    rehearse(folder.path(), None, seal, accept).unwrap();
    assert!(
        content(folder.path()) == before,
        "the engine mended the copy, not the original"
    );
    rehearse(folder.path(), Some("a doubt".to_owned()), None, refuse).unwrap_err();
    assert!(content(folder.path()) == before);
}

/// Every state in which a killed start can leave the folder: with half a copy, with an old one, with an unfinished
/// snapshot of the engine's. The next start decides from the original alone.
#[test]
fn what_a_killed_start_leaves_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let seal = written(folder.path(), 2);
    let before = content(folder.path());
    let expected = pairs(copied(folder.path()).path());
    let older = tempfile::tempdir().unwrap();
    written(older.path(), 1);
    fs::write(older.path().join("snap.0000000000000001"), "of an older state").unwrap();
    let rehearsal = folder.path().join(REHEARSAL_FOLDER);
    copy_engine_folder(older.path(), &rehearsal).unwrap();
    rehearse(folder.path(), None, seal, must_not_be_called).unwrap();
    assert!(
        content(folder.path()) == before,
        "an old, whole copy comes to nothing"
    );
    copy_engine_folder(older.path(), &rehearsal).unwrap();
    rehearse(folder.path(), Some("a doubt".to_owned()), seal, |copy| {
        let copied: Vec<PathBuf> = content(copy).into_keys().collect();
        assert_eq!(
            copied.len(),
            before.len(),
            "an old copy is mixed into it: {copied:?}"
        );
        accept(copy)
    })
    .unwrap();
    assert!(content(folder.path()) == before);
    fs::create_dir(&rehearsal).unwrap();
    fs::write(rehearsal.join("db"), "half a copy").unwrap();
    rehearse(folder.path(), None, seal, must_not_be_called).unwrap();
    assert!(content(folder.path()) == before);
    for unfinished in ["", "half a snapshot of the engine's"] {
        let name = "snap.0FFFFFFFFFFFFFFF.generating";
        fs::write(folder.path().join(name), unfinished).unwrap();
        assert!(
            std::panic::catch_unwind(|| pairs(copied_with(folder.path(), name).path())).is_err(),
            "the engine refuses it, so it must be cleared away"
        );
        rehearse(folder.path(), None, seal, accept).unwrap();
        assert!(content(folder.path()) == before, "the unfinished file is gone");
    }
    assert!(pairs(folder.path()) == expected);
}

fn copied_with(from: &Path, name: &str) -> tempfile::TempDir {
    let copy = copied(from);
    fs::copy(from.join(name), copy.path().join(name)).unwrap();
    copy
}

#[test]
fn a_folder_in_use_is_not_even_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let db = open_sled(folder.path());
    let seal = Some(seal(&db));
    let refused = rehearse(folder.path(), None, seal, must_not_be_called).unwrap_err();
    assert!(matches!(refused, RehearsalError::InUse), "{refused}");
}
