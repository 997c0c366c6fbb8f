//! The high-water mark: the log id up to which this log was once durable, kept beside sled.
//!
//! With it stands the number of the last [seal](crate::sled_folder::seal) before that barrier, by which a walk tells, before
//! sled opens the folder, whether all of it is there: entries, Raft's vote and positions.
//!
//! sled takes a damaged stretch of its file for the torn end of a crash, and opens with everything behind it gone. Raft
//! forbids a node to forget what it has acknowledged, so the mark stands outside: a log that opens shorter than its mark
//! is refused.
//!
//! The mark is written after the barrier and not synced itself, except before it is lowered: it may be older than the
//! truth, never newer. Two slots are written in turn, so that one torn write leaves the other.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::log_store::meta;
use crate::types::LogId;

/// Bytes of a slot: flags (1), a sequence number (8), an encoded log id or zeros for "empty log" (21), the number of the
/// newest [seal](crate::sled_folder::seal) that a barrier has passed (8), the purged position or zeros for "nothing was
/// purged" (21), CRC-32 (4), zeros. Slots of earlier versions end, with their CRC-32, before the seal or before the
/// purged position.
const SLOT_BYTES: usize = 64;
const SLOTS: u64 = 2;
const LOG_ID_BYTES: usize = 21;
const LOG_ID_END: usize = 1 + 8 + LOG_ID_BYTES;
const SEALED_BYTES: usize = LOG_ID_END + 8;
const PURGED_BYTES: usize = SEALED_BYTES + LOG_ID_BYTES;
const FLAG_LOG_ID: u8 = 1;
const FLAG_SEAL: u8 = 2;
/// The slot has a place for a purged position.
const FLAG_PURGES: u8 = 4;
/// There is one in it.
const FLAG_PURGED: u8 = 8;

pub(super) struct Mark {
    file: File,
    sequence: u64,
    value: Marked,
    /// The highest seal that was ever given, durable or not.
    seal_given: u64,
}

/// What was once durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) last: Option<LogId>,
    /// `None` where no seal was written yet, by an earlier version.
    pub(super) seal: Option<u64>,
    pub(super) purged: Purged,
}

/// How far the log may have been purged: written and synced before a purge, so never behind the truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purged {
    /// By an earlier version, which did not write it down.
    #[default]
    Unknown,
    UpTo(Option<LogId>),
}

impl Mark {
    /// Opens or creates the file; the caller syncs the folder. `seal_stored`: the seal found in the log, which a crash may
    /// have left ahead of the mark; no number is given twice. `purged`: the position found in the log.
    pub(super) fn open(path: &Path, seal_stored: u64, purged: Option<LogId>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let (sequence, value) = read_newest(&file)?;
        let mut mark = Self {
            file,
            sequence,
            value,
            seal_given: seal_stored.max(value.seal.unwrap_or(0)),
        };
        if sequence == 0 {
            // Durable before the first entry is: from now on a log with entries and no mark has lost it.
            mark.value.seal = Some(0);
            mark.value.purged = Purged::UpTo(purged);
            mark.lower(None)?;
        }
        if mark.value.purged == Purged::Unknown {
            mark.purge(purged)?;
        }
        Ok(mark)
    }

    /// The mark as stored, without creating anything. `None` where there is no file, or no slot in it is whole.
    pub(super) fn read(path: &Path) -> io::Result<Option<Marked>> {
        match File::open(path) {
            Ok(file) => {
                let (sequence, value) = read_newest(&file)?;
                Ok((sequence > 0).then_some(value))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new seal, to be stored before the next barrier.
    pub(super) fn give_seal(&mut self) -> u64 {
        self.seal_given += 1;
        self.seal_given
    }

    /// Everything up to `last` is durable, and everything before `seal`.
    pub(super) fn raise(&mut self, last: Option<LogId>, seal: u64) -> io::Result<()> {
        let seal = Some(seal);
        assert!(seal > self.value.seal, "seals only grow");
        self.write(Marked {
            last,
            seal,
            ..self.value
        })
    }

    /// The log is about to be purged up to here. Durable on return.
    pub(super) fn purge(&mut self, upto: Option<LogId>) -> io::Result<()> {
        let purged = Purged::UpTo(upto);
        self.write(Marked { purged, ..self.value })?;
        self.file.sync_data()
    }

    /// The log is about to be cut back to `last`. Durable on return.
    pub(super) fn lower(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.write(Marked { last, ..self.value })?;
        self.file.sync_data()
    }

    fn write(&mut self, value: Marked) -> io::Result<()> {
        let sequence = self.sequence + 1;
        self.file
            .write_all_at(&encode(sequence, value), (sequence % SLOTS) * SLOT_BYTES as u64)?;
        self.sequence = sequence;
        self.value = value;
        Ok(())
    }
}

fn encode(sequence: u64, value: Marked) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[1..9].copy_from_slice(&sequence.to_be_bytes());
    if let Some(log_id) = value.last {
        slot[0] = FLAG_LOG_ID;
        slot[9..LOG_ID_END].copy_from_slice(&meta::encode_log_id(&log_id));
    }
    if let Some(seal) = value.seal {
        slot[0] |= FLAG_SEAL;
        slot[LOG_ID_END..SEALED_BYTES].copy_from_slice(&seal.to_be_bytes());
    }
    if let Purged::UpTo(purged) = value.purged {
        slot[0] |= FLAG_PURGES;
        if let Some(purged) = purged {
            slot[0] |= FLAG_PURGED;
            slot[SEALED_BYTES..PURGED_BYTES].copy_from_slice(&meta::encode_log_id(&purged));
        }
    }
    let end = checked_bytes(slot[0]);
    let crc = crc32fast::hash(&slot[..end]);
    slot[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    slot
}

/// Bytes before a slot's checksum.
fn checked_bytes(flags: u8) -> usize {
    match flags {
        flags if flags & FLAG_PURGES != 0 => PURGED_BYTES,
        flags if flags & FLAG_SEAL != 0 => SEALED_BYTES,
        _ => LOG_ID_END,
    }
}

fn read_newest(file: &File) -> io::Result<(u64, Marked)> {
    let mut newest = (0, Marked::default());
    for number in 0..SLOTS {
        let mut slot = [0; SLOT_BYTES];
        match file.read_exact_at(&mut slot, number * SLOT_BYTES as u64) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(error),
        }
        match decode(&slot) {
            Some((sequence, value)) if sequence > newest.0 => newest = (sequence, value),
            _ => {}
        }
    }
    Ok(newest)
}

/// `None` for a slot never written, or torn.
fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, Marked)> {
    let number = |place: usize| Some(u64::from_be_bytes(*slot[place..].first_chunk()?));
    let has = |flag: u8| slot[0] & flag != 0;
    let log_id = |place: usize| meta::decode_log_id(&slot[place..place + LOG_ID_BYTES]).ok();
    let end = checked_bytes(slot[0]);
    let crc = u32::from_be_bytes(*slot[end..].first_chunk()?);
    if crc != crc32fast::hash(&slot[..end]) {
        return None;
    }
    let last = if has(FLAG_LOG_ID) { Some(log_id(9)?) } else { None };
    let seal = if has(FLAG_SEAL) { number(LOG_ID_END) } else { None };
    let purged = match (has(FLAG_PURGES), has(FLAG_PURGED)) {
        (false, _) => Purged::Unknown,
        (true, false) => Purged::UpTo(None),
        (true, true) => Purged::UpTo(Some(log_id(SEALED_BYTES)?)),
    };
    Some((number(1)?, Marked { last, seal, purged }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Option<LogId> {
        Some(LogId::new_term_index(2, index))
    }

    fn marked(index: u64, seal: u64) -> Option<Marked> {
        let (last, seal) = (at(index), Some(seal));
        let purged = Purged::UpTo(None);
        Some(Marked { last, seal, purged })
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        assert_eq!(Mark::read(&path).unwrap(), None);
        let mut mark = Mark::open(&path, 0, None).unwrap();
        let (last, seal, purged) = (None, Some(0), Purged::UpTo(None));
        assert_eq!(Mark::read(&path).unwrap(), Some(Marked { last, seal, purged }));
        for index in 1..=5 {
            let seal = mark.give_seal();
            mark.raise(at(index), seal).unwrap();
            assert_eq!(Mark::read(&path).unwrap(), marked(index, index));
        }
        mark.lower(at(2)).unwrap();
        let mut mark = Mark::open(&path, 0, None).unwrap();
        assert_eq!(Some(mark.value), marked(2, 5));
        mark.lower(None).unwrap();
        assert_eq!(Mark::read(&path).unwrap().unwrap().last, None);
        // Tear the newest slot: the one before it, index 2, is what remains.
        let torn = (mark.sequence % SLOTS) * SLOT_BYTES as u64;
        mark.file.write_all_at(&[0xff; 4], torn + 2).unwrap();
        assert_eq!(Mark::read(&path).unwrap(), marked(2, 5));
    }

    #[test]
    fn no_seal_is_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let mut mark = Mark::open(&path, 0, None).unwrap();
        assert_eq!((mark.give_seal(), mark.give_seal()), (1, 2));
        mark.raise(None, 2).unwrap();
        drop(mark);
        assert_eq!(Mark::open(&path, 1, None).unwrap().give_seal(), 3);
        assert_eq!(
            Mark::open(&path, 7, None).unwrap().give_seal(),
            8,
            "7 was stored, its mark was not"
        );
    }

    #[test]
    fn a_slot_of_the_first_version_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let mut slot = [0; SLOT_BYTES];
        slot[0] = 1;
        slot[8] = 9;
        slot[9..30].copy_from_slice(&meta::encode_log_id(&at(4).unwrap()));
        let crc = crc32fast::hash(&slot[..30]);
        slot[30..34].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(&path, slot).unwrap();
        let (last, seal, purged) = (at(4), None, Purged::Unknown);
        assert_eq!(Mark::read(&path).unwrap(), Some(Marked { last, seal, purged }));
        let mut mark = Mark::open(&path, 0, None).unwrap();
        let seal = mark.give_seal();
        mark.raise(at(5), seal).unwrap();
        assert_eq!(Mark::read(&path).unwrap(), marked(5, 1));
    }

    #[test]
    fn a_purge_is_kept_and_a_slot_from_before_it_learns_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let mut mark = Mark::open(&path, 0, None).unwrap();
        let seal = mark.give_seal();
        mark.raise(at(9), seal).unwrap();
        mark.purge(at(7)).unwrap();
        let seal = mark.give_seal();
        mark.raise(at(11), seal).unwrap();
        let purged = Purged::UpTo(at(7));
        let (last, seal) = (at(11), Some(2));
        assert_eq!(Mark::read(&path).unwrap(), Some(Marked { last, seal, purged }));
        // A slot with a seal and no purged position.
        let mut slot = [0; SLOT_BYTES];
        slot[0] = FLAG_LOG_ID | FLAG_SEAL;
        slot[8] = 9;
        slot[9..LOG_ID_END].copy_from_slice(&meta::encode_log_id(&at(4).unwrap()));
        slot[LOG_ID_END + 7] = 3;
        let crc = crc32fast::hash(&slot[..SEALED_BYTES]);
        slot[SEALED_BYTES..SEALED_BYTES + 4].copy_from_slice(&crc.to_be_bytes());
        std::fs::write(&path, slot).unwrap();
        let (last, seal, purged) = (at(4), Some(3), Purged::Unknown);
        assert_eq!(Mark::read(&path).unwrap(), Some(Marked { last, seal, purged }));
        drop(Mark::open(&path, 3, at(2)).unwrap());
        let purged = Purged::UpTo(at(2));
        assert_eq!(Mark::read(&path).unwrap(), Some(Marked { last, seal, purged }));
    }
}
