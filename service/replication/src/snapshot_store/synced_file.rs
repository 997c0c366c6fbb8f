//! A large file that is synced while it is written.

use std::fs::File;
use std::io::{self, Write};

use ostraka_core::limits::SNAPSHOT_UNSYNCED_BYTES_MAX;

/// Never leaves much to be synced. Where the log is on the same file system, its barrier waits for whatever a file system's own
/// log takes with it, and that is all that was written to any file in between: 100 MB of a snapshot held acknowledgements up
/// for 60 to 120 ms.
pub(super) struct SyncedFile {
    file: File,
    unsynced_bytes: usize,
}

impl SyncedFile {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            unsynced_bytes: 0,
        }
    }

    /// The file and its length are durable on return.
    pub(super) fn finish(self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for SyncedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SNAPSHOT_UNSYNCED_BYTES_MAX - self.unsynced_bytes;
        let written = self.file.write(&bytes[..bytes.len().min(room)])?;
        self.unsynced_bytes += written;
        if self.unsynced_bytes == SNAPSHOT_UNSYNCED_BYTES_MAX {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_pieces_all_is_written_and_little_waits_for_a_sync() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("large");
        let mut file = SyncedFile::new(File::create_new(&path).expect("a file"));
        let mut expected = Vec::new();
        let pieces = [
            1,
            SNAPSHOT_UNSYNCED_BYTES_MAX,
            3 * SNAPSHOT_UNSYNCED_BYTES_MAX,
            0,
            7,
        ];
        for (number, len) in (1u8..).zip(pieces) {
            let piece = vec![number; len];
            file.write_all(&piece).expect("written");
            assert!(file.unsynced_bytes < SNAPSHOT_UNSYNCED_BYTES_MAX);
            expected.extend(piece);
        }
        assert_eq!(file.unsynced_bytes, 8);
        file.finish().expect("synced");
        assert!(std::fs::read(path).expect("read") == expected);
    }
}
