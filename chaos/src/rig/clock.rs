//! A wall clock that can be moved while the process runs: libfaketime, told by a file.

use std::path::{Path, PathBuf};
use std::process::Command;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::Answer;
use crate::Trouble;
use crate::limits::CLOCK_SHIM_CACHE_S;

/// The library, wherever this machine's architecture has it.
///
/// # Errors
/// [`Trouble::Missing`] where it is not installed.
pub fn shim() -> Result<PathBuf, Trouble> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let candidates = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    let mut found = candidates.filter(|path| path.is_file());
    found.next().ok_or_else(|| {
        Trouble::missing("a process's clock is moved by libfaketime, which is not installed here: it is in Debian's package libfaketime")
    })
}

pub(super) struct Clock {
    shim: PathBuf,
    file: PathBuf,
}

impl Clock {
    pub(super) fn new(file: PathBuf) -> Result<Self, Trouble> {
        let clock = Self { shim: shim()?, file };
        clock.set(0)?;
        Ok(clock)
    }

    /// Seconds; whole at once, since the process may read it at any moment.
    pub(super) fn set(&self, offset_s: i64) -> Result<(), Trouble> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{offset_s:+}\n"))
            .and_then(|()| std::fs::rename(&new, &self.file))
            .map_err(Trouble::with_file(&self.file))
    }

    /// Timeouts run on the monotonic clock, which goes on: on real machines it does not jump either.
    pub(super) fn give_to(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.shim)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_CACHE_DURATION", CLOCK_SHIM_CACHE_S.to_string())
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1");
    }
}

pub(super) fn file_of(folder: &Path, node: &str) -> PathBuf {
    folder.join(format!("{node}.clock"))
}

pub(super) fn offset_s(answer: &Answer) -> Result<i64, Trouble> {
    let date = answer
        .header("date")
        .ok_or_else(|| Trouble::failed("the node's answer has no date"))?;
    let stamped = OffsetDateTime::parse(date, &Rfc2822)
        .map_err(|error| Trouble::failed(format!("the node's date {date} cannot be read: {error}")))?;
    Ok((stamped - OffsetDateTime::now_utc()).whole_seconds())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_is_that_of_the_date() {
        let ahead = OffsetDateTime::now_utc() + time::Duration::seconds(600);
        let date = ahead.format(&Rfc2822).unwrap().replace("+0000", "GMT");
        let answer = Answer {
            status: 404,
            headers: vec![("date".to_string(), date)],
            body: Vec::new(),
        };
        assert!((598..=600).contains(&offset_s(&answer).unwrap()));
        assert!(
            offset_s(&Answer {
                headers: Vec::new(),
                ..answer
            })
            .is_err()
        );
    }
}
