//! A look at the engine's file before the engine sees it.
//!
//! sled mends what it takes for a torn tail when it opens, and a damaged head of a segment is such a thing to it: it
//! drops the segment and writes over it. So the heads are checked first, without writing, and a folder that has a
//! damaged one is refused as it is.
//!
//! Layout of sled 0.34 (`pagecache/logger.rs`): segments of 512 KiB, each beginning with a CRC-32 (4 bytes, inverted)
//! over the 16 bytes behind it. A segment that was never used is zero.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// sled's default, which the log does not change.
const SEGMENT_BYTES: u64 = 512 * 1024;
const HEAD_BYTES: usize = 20;

/// The first segment whose head is damaged, as its offset in the file.
pub(super) fn first_damaged(db: &Path) -> io::Result<Option<u64>> {
    let file = File::open(db)?;
    let file_bytes = file.metadata()?.len();
    let mut head = [0; HEAD_BYTES];
    for offset in (0..file_bytes).step_by(SEGMENT_BYTES as usize) {
        if offset + HEAD_BYTES as u64 > file_bytes {
            break;
        }
        file.read_exact_at(&mut head, offset)?;
        if !is_sound(&head) {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

fn is_sound(head: &[u8; HEAD_BYTES]) -> bool {
    let (crc, covered) = head.split_at(4);
    let stored = u32::from_le_bytes(crc.try_into().expect("four bytes"));
    *head == [0; HEAD_BYTES] || stored ^ u32::MAX == crc32fast::hash(covered)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    /// A database of a few segments.
    fn written(folder: &Path) -> std::path::PathBuf {
        let db = sled::Config::new()
            .path(folder)
            .flush_every_ms(None)
            .open()
            .unwrap();
        for key in 0_u32..600 {
            db.insert(key.to_be_bytes(), vec![7; 4_000]).unwrap();
            if key % 50 == 0 {
                db.flush().unwrap();
            }
        }
        db.flush().unwrap();
        folder.join("db")
    }

    #[test]
    fn what_the_engine_wrote_is_sound_and_a_damaged_head_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let db = written(dir.path());
        let segments = fs::metadata(&db).unwrap().len() / SEGMENT_BYTES;
        assert!(segments >= 3, "{segments} segments test little");
        assert_eq!(first_damaged(&db).unwrap(), None);
        let third = 2 * SEGMENT_BYTES;
        let file = OpenOptions::new().write(true).open(&db).unwrap();
        file.write_all_at(&[0x5a], third + 6).unwrap();
        assert_eq!(first_damaged(&db).unwrap(), Some(third));
    }
}
