//! The high-water mark: the log id up to which this log was once durable, kept beside sled.
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

/// Bytes of a slot: a sequence number (8), then an encoded log id padded with zeros, or zeros alone for "empty log".
const SLOT_BYTES: usize = 64;
const SLOTS: u64 = 2;
const LOG_ID_BYTES: usize = 21;
const SEALED_BYTES: usize = 1 + 8 + LOG_ID_BYTES;

pub(super) struct Mark {
    file: File,
    sequence: u64,
    value: Option<LogId>,
}

impl Mark {
    /// Opens or creates the file; the caller syncs the folder.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
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
        };
        if sequence == 0 {
            // Durable before the first entry is: from now on a log with entries and no mark has lost it.
            mark.lower(None)?;
        }
        Ok(mark)
    }

    /// Whether a mark was ever written here and one of its slots is whole.
    pub(super) fn is_there(path: &Path) -> io::Result<bool> {
        match File::open(path) {
            Ok(file) => Ok(read_newest(&file)?.0 > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The mark as stored, without creating anything. `None` where no log was ever marked.
    pub(super) fn read(path: &Path) -> io::Result<Option<LogId>> {
        match File::open(path) {
            Ok(file) => Ok(read_newest(&file)?.1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Everything up to `last` is durable.
    pub(super) fn raise(&mut self, last: Option<LogId>) -> io::Result<()> {
        if last == self.value {
            return Ok(());
        }
        self.write(last)
    }

    /// The log is about to be cut back to `last`. Durable on return.
    pub(super) fn lower(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.write(last)?;
        self.file.sync_data()
    }

    fn write(&mut self, value: Option<LogId>) -> io::Result<()> {
        let sequence = self.sequence + 1;
        self.file
            .write_all_at(&encode(sequence, value), (sequence % SLOTS) * SLOT_BYTES as u64)?;
        self.sequence = sequence;
        self.value = value;
        Ok(())
    }
}

fn encode(sequence: u64, value: Option<LogId>) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[1..9].copy_from_slice(&sequence.to_be_bytes());
    if let Some(log_id) = value {
        slot[0] = 1;
        slot[9..SEALED_BYTES].copy_from_slice(&meta::encode_log_id(&log_id));
    }
    let crc = crc32fast::hash(&slot[..SEALED_BYTES]);
    slot[SEALED_BYTES..SEALED_BYTES + 4].copy_from_slice(&crc.to_be_bytes());
    slot
}

fn read_newest(file: &File) -> io::Result<(u64, Option<LogId>)> {
    let mut newest = (0, None);
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
fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, Option<LogId>)> {
    let (sealed, rest) = slot.split_at(SEALED_BYTES);
    if crc32fast::hash(sealed).to_be_bytes() != rest[..4] {
        return None;
    }
    let sequence = u64::from_be_bytes(sealed[1..9].try_into().ok()?);
    let value = match sealed[0] {
        0 => None,
        _ => Some(meta::decode_log_id(&sealed[9..]).ok()?),
    };
    Some((sequence, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64) -> Option<LogId> {
        Some(LogId::new_term_index(2, index))
    }

    #[test]
    fn the_newest_whole_slot_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        assert_eq!(Mark::read(&path).unwrap(), None);
        let mut mark = Mark::open(&path).unwrap();
        for index in 1..=5 {
            mark.raise(at(index)).unwrap();
            assert_eq!(Mark::read(&path).unwrap(), at(index));
        }
        mark.lower(at(2)).unwrap();
        let mut mark = Mark::open(&path).unwrap();
        assert_eq!(mark.value, at(2));
        mark.lower(None).unwrap();
        assert_eq!(Mark::read(&path).unwrap(), None);
        // Tear the newest slot: the one before it, index 2, is what remains.
        let torn = (mark.sequence % SLOTS) * SLOT_BYTES as u64;
        mark.file.write_all_at(&[0xff; 4], torn + 2).unwrap();
        assert_eq!(Mark::read(&path).unwrap(), at(2));
    }
}
