//! A wall clock that can be moved while the process runs: libfaketime, told by a file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

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

/// By how many seconds the clock that an answer was stamped with is ahead of this one.
///
/// The service sends no `Date`, but the trace id that it gives a request begins with its wall clock: 32 bits of seconds since
/// 1970, as AWS X-Ray wants them.
pub(super) fn offset_s(answer: &Answer) -> Result<i64, Trouble> {
    let traceparent = answer.header("traceparent").unwrap_or_default();
    let stamped_s = stamped_s(traceparent).ok_or_else(|| {
        Trouble::failed(format!(
            "the node's answer has no stamp in its trace: {traceparent:?}"
        ))
    })?;
    Ok(stamped_s - now_s())
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn stamped_s(traceparent: &str) -> Option<i64> {
    let trace_id = traceparent.split('-').nth(1)?;
    i64::from_str_radix(trace_id.get(..8)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(traceparent: &str) -> Answer {
        Answer {
            status: 404,
            headers: vec![("traceparent".to_string(), traceparent.to_string())],
            body: Vec::new(),
        }
    }

    #[test]
    fn the_offset_is_that_of_the_stamp() {
        let traceparent = format!(
            "00-{:08x}396fb9c3276afb15d60ae0e7-42106ae7160a46b5-00",
            now_s() + 600
        );
        assert!((598..=600).contains(&offset_s(&answer(&traceparent)).unwrap()));
        for broken in ["", "00", "00-12-34-00", "00-zzzzzzzz-1-00"] {
            assert!(offset_s(&answer(broken)).is_err(), "{broken}");
        }
    }
}
