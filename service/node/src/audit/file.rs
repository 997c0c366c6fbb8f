//! The trail on disk.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::chain::{Fields, Head, head_of, next_line};
use crate::secrets::SecretKey;

/// Why there is no trail, or why a line is not in it.
#[derive(Debug, thiserror::Error)]
#[error("the audit trail {path} cannot be read or written ({source}); check that disk and the file's owner")]
pub struct TrailError {
    path: PathBuf,
    source: io::Error,
}

/// A trail that lines are added to.
pub(super) struct TrailFile {
    path: PathBuf,
    file: File,
    key: SecretKey,
    head: Head,
    /// Whole lines, in bytes. Behind them is what could not be written to its end.
    whole_bytes: u64,
    cut_bytes: Option<u64>,
}

impl TrailFile {
    /// Goes on behind the last whole line, whatever it says: to judge it is `verify`'s.
    pub(super) fn open(path: &Path, key: SecretKey) -> Result<Self, TrailError> {
        let failed = |source| TrailError {
            path: path.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).mode(0o600);
        let file = options.open(path).map_err(failed)?;
        let (head, whole_bytes) = last_line(&file).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let cut = bytes - whole_bytes;
        let mut trail = Self {
            path: path.to_owned(),
            file,
            key,
            head,
            whole_bytes,
            cut_bytes: (cut > 0).then_some(cut),
        };
        trail.back_to_whole().map_err(failed)?;
        // The name of a new file is durable as well.
        let folder = path.parent().map(File::open).transpose().map_err(failed)?;
        folder
            .map_or(Ok(()), |folder| folder.sync_all())
            .map_err(failed)?;
        Ok(trail)
    }

    /// How many bytes of an unfinished line were taken away.
    pub(super) fn cut_bytes(&self) -> Option<u64> {
        self.cut_bytes
    }

    /// Adds a line, durably, or nothing.
    pub(super) fn append(&mut self, fields: &Fields<'_>) -> Result<(), TrailError> {
        let (line, head) = next_line(&self.key, &self.head, fields);
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.head = head;
                self.whole_bytes += line.len() as u64;
                Ok(())
            }
            Err(source) => {
                // If this fails as well, the next line stands behind a part of this one, and `verify` says so.
                let _ = self.back_to_whole();
                Err(TrailError {
                    path: self.path.clone(),
                    source,
                })
            }
        }
    }

    fn back_to_whole(&mut self) -> io::Result<()> {
        self.file.set_len(self.whole_bytes)?;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }
}

/// The head of the last whole line, and how many bytes the whole lines have.
fn last_line(file: &File) -> io::Result<(Head, u64)> {
    let mut reader = BufReader::new(file);
    let (mut head, mut whole_bytes) = (Head::default(), 0);
    let mut line = Vec::new();
    loop {
        line.clear();
        let bytes = reader.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Ok((head, whole_bytes));
        }
        whole_bytes += bytes as u64;
        // A line that is none leaves the head as it was; the break shows.
        let text = std::str::from_utf8(&line).ok();
        head = text.and_then(head_of).unwrap_or(head);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ostraka_core::{EventId, VoterNumber};
    use ostraka_replication::NodeNumber;
    use ostraka_replication::env::Offload;

    use super::super::{Action, Actor, Certainty, TRAIL_FILE, Trail, verify};
    use super::*;
    use crate::identity::testing::TestClock;

    fn key() -> SecretKey {
        SecretKey([7; 32])
    }

    fn open(folder: &Path) -> Trail {
        let clock = Arc::new(TestClock::default());
        Trail::open(folder, key(), NodeNumber(1), clock, Offload::Inline).unwrap()
    }

    async fn note(trail: &Trail, event: u32) {
        let who = Actor::User(VoterNumber(7));
        trail
            .note(
                who,
                Action::EventClosed(EventId(event)),
                Some(Certainty::Done),
                None,
            )
            .await;
    }

    fn found(folder: &Path) -> (u64, usize) {
        let file = BufReader::new(File::open(folder.join(TRAIL_FILE)).unwrap());
        let verdict = verify(&key(), file, None).unwrap();
        (verdict.lines, verdict.findings.len())
    }

    #[tokio::test]
    async fn a_trail_goes_on_where_it_ended_and_a_cut_line_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        note(&open(folder.path()), 1).await;
        let trail = open(folder.path());
        note(&trail, 2).await;
        note(&trail, 3).await;
        assert_eq!(found(folder.path()), (3, 0));
        let path = folder.path().join(TRAIL_FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.lines()
                .nth(1)
                .unwrap()
                .contains(r#""who":"u7","action":"event_closed","what":"e2""#)
        );

        // A crash in the middle of the third line.
        std::fs::write(&path, &text[..text.len() - 9]).unwrap();
        assert_eq!(found(folder.path()), (3, 1));
        note(&open(folder.path()), 4).await;
        assert_eq!(found(folder.path()), (4, 0));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.lines().nth(2).unwrap().contains("unfinished_line_removed"),
            "{text}"
        );
    }

    #[test]
    fn the_trail_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        open(folder.path());
        let metadata = std::fs::metadata(folder.path().join(TRAIL_FILE)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}
