//! A backup's file: opened, checked, and read part by part.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ostraka_core::limits::BACKUP_SECRETS_BYTES_MAX;
use ostraka_core::{Event, State, snapshot};
use ostraka_replication::snapshot_store::SnapshotReader;
use serde::Serialize;
use zeroize::Zeroizing;

use super::codec::{CodecError, Decoder, Sum, head_bytes};
use super::{Content, Header};
use crate::identity::snapshot::{read_accounts, read_head};
use crate::secrets::Secrets;

/// Why a file is no backup that could be restored. Terminal for the file; it is never changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupFileError {
    #[error("the backup {path} cannot be opened: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error("the file {path} cannot be used: {source}{}", hint(.source))]
    Codec { path: PathBuf, source: CodecError },
    #[error(
        "the {content:?} part of the backup {path} cannot be used ({what}); take an older backup, or a new one if the \
         cluster still runs"
    )]
    Content {
        path: PathBuf,
        content: Content,
        what: String,
    },
}

fn hint(error: &CodecError) -> &'static str {
    match error {
        CodecError::Newer(_) => "",
        _ => "; take an older backup, or a new one if the cluster still runs",
    }
}

/// A file whose checksums were all right when it was opened.
#[derive(Debug)]
pub struct BackupFile {
    path: PathBuf,
    header: Header,
}

/// Term and index of the last entry that a snapshot covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    pub term: u64,
    pub index: u64,
}

/// Everything in a backup, read and found sound. Accounts may be many, so they are counted and not kept.
pub struct Contents {
    pub votes: Option<(Point, State)>,
    pub accounts: Option<(Point, u64)>,
    pub secrets: Option<Zeroizing<String>>,
}

/// What is in a backup, for people and scripts.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    pub header: Header,
    pub votes_at: Option<Point>,
    pub events: u64,
    pub votes_counted: u64,
    pub accounts_at: Option<Point>,
    pub accounts: u64,
}

impl BackupFile {
    /// Reads the file to its end, in bounded memory.
    pub fn open(path: &Path) -> Result<Self, BackupFileError> {
        let broken = |source| BackupFileError::Codec {
            path: path.to_path_buf(),
            source,
        };
        let file = open(path)?;
        let mut decoder = Decoder::start(BufReader::new(file)).map_err(broken)?;
        while decoder.part(&mut io::sink()).map_err(broken)?.is_some() {}
        let file = Self {
            path: path.to_path_buf(),
            header: decoder.header().clone(),
        };
        for content in [Content::Vote, Content::Identity, Content::Secrets] {
            let parts = file.header.parts.iter().filter(|part| part.content == content);
            if parts.count() > 1 {
                return Err(file.unusable(content, "it is there twice"));
            }
        }
        Ok(file)
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reads the snapshots' own checksums, in bounded memory: what was damaged already on the disk of the node that the
    /// backup came from.
    pub fn check_snapshots(&self) -> Result<(), BackupFileError> {
        for content in [Content::Vote, Content::Identity] {
            self.read_snapshot(content, |reader| io::copy(reader, &mut io::sink()).map(drop))?;
        }
        Ok(())
    }

    /// Reads all of it as a node would. Takes the memory that the votes take on a node.
    pub fn contents(&self) -> Result<Contents, BackupFileError> {
        let votes = self.read_snapshot(Content::Vote, |reader| {
            let state = snapshot::read(reader).map_err(invalid)?;
            state.check_invariants().map_err(invalid)?;
            Ok(state)
        })?;
        if let Some((point, state)) = &votes
            && state.last_applied().0 != point.index
        {
            return Err(self.unusable(Content::Vote, "its head and its state name different entries"));
        }
        let accounts = self.read_snapshot(Content::Identity, |reader| {
            let (head, _) = read_head(reader)?;
            let mut count = 0;
            for account in read_accounts(reader, head) {
                account?;
                count += 1;
            }
            Ok((head.applied.0, count))
        })?;
        let accounts = match accounts {
            Some((point, (applied, _))) if applied != point.index => {
                return Err(self.unusable(
                    Content::Identity,
                    "its head and its accounts name different entries",
                ));
            }
            Some((point, (_, count))) => Some((point, count)),
            None => None,
        };
        Ok(Contents {
            votes,
            accounts,
            secrets: self.secrets()?,
        })
    }

    /// The file of secrets in it, which is that of its own cluster.
    fn secrets(&self) -> Result<Option<Zeroizing<String>>, BackupFileError> {
        let Some(part) = self.part(Content::Secrets)? else {
            return Ok(None);
        };
        // Cut where no file of secrets has its end, it is no whole one.
        let mut text = Zeroizing::new(String::new());
        part.take(BACKUP_SECRETS_BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(|error| self.unusable(Content::Secrets, &error.to_string()))?;
        let secrets = Secrets::parse(&self.path, &text)
            .map_err(|error| self.unusable(Content::Secrets, &error.to_string()))?;
        if secrets.fingerprint() != self.header.secrets {
            return Err(self.unusable(Content::Secrets, "they are of another cluster"));
        }
        Ok(Some(text))
    }

    fn read_snapshot<T>(
        &self,
        content: Content,
        read: impl FnOnce(&mut SnapshotReader) -> io::Result<T>,
    ) -> Result<Option<(Point, T)>, BackupFileError> {
        let Some(part) = self.part(content)? else {
            return Ok(None);
        };
        let found = || -> io::Result<(Point, T)> {
            let mut reader = SnapshotReader::start(part)?;
            let last = reader.meta().last_log_id;
            let last = last.ok_or_else(|| invalid("it covers no entry"))?;
            let found = read(&mut reader)?;
            if io::copy(&mut reader, &mut io::sink())? != 0 {
                return Err(invalid("bytes follow its end"));
            }
            let point = Point {
                term: **last.committed_leader_id(),
                index: last.index,
            };
            Ok((point, found))
        };
        found()
            .map(Some)
            .map_err(|error| self.unusable(content, &error.to_string()))
    }

    /// The bytes of a part, where it is there.
    pub(super) fn part(&self, content: Content) -> Result<Option<Box<dyn Read + Send>>, BackupFileError> {
        let failed = |source| BackupFileError::Open {
            path: self.path.clone(),
            source,
        };
        let mut at = head_bytes(&self.header).map_err(failed)?;
        for part in &self.header.parts {
            if part.content == content {
                let mut file = open(&self.path)?;
                file.seek(SeekFrom::Start(at)).map_err(failed)?;
                return Ok(Some(Box::new(BufReader::new(file).take(part.bytes))));
            }
            at += part.bytes + size_of::<Sum>() as u64;
        }
        Ok(None)
    }

    fn unusable(&self, content: Content, what: &str) -> BackupFileError {
        BackupFileError::Content {
            path: self.path.clone(),
            content,
            what: what.to_owned(),
        }
    }
}

impl Contents {
    pub fn summary(&self, header: &Header) -> Summary {
        let events = || self.votes.iter().flat_map(|(_, state)| state.events());
        Summary {
            header: header.clone(),
            votes_at: self.votes.as_ref().map(|(point, _)| *point),
            events: events().count() as u64,
            votes_counted: events().map(Event::counted).sum(),
            accounts_at: self.accounts.map(|(point, _)| point),
            accounts: self.accounts.map_or(0, |(_, count)| count),
        }
    }
}

fn open(path: &Path) -> Result<File, BackupFileError> {
    File::open(path).map_err(|source| BackupFileError::Open {
        path: path.to_path_buf(),
        source,
    })
}

fn invalid(what: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
