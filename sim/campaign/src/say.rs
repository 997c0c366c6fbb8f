//! Telling a person, or a pipe that may be closed, or a file on a full disk.

use std::io::Write;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::EXIT_UNUSABLE;

static LOST: AtomicBool = AtomicBool::new(false);

/// A line on stdout. Where that cannot be written, stderr is told once: what was found still decides how the process
/// ends, and evidence is still kept.
pub fn say(line: impl std::fmt::Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && !LOST.swap(true, Ordering::Relaxed)
    {
        complain(format_args!("stdout cannot be written: {error}"));
    }
}

/// A line on stderr. Where that is lost too, nobody is left to be told.
pub fn complain(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// How the program `name` ends: the exit code is what was found. Only a program that found nothing wrong ends with
/// another one if it could not say so.
pub fn ended(name: &str, done: Result<u8, String>) -> ExitCode {
    match done {
        Ok(0) if LOST.load(Ordering::Relaxed) => ExitCode::from(EXIT_UNUSABLE),
        Ok(code) => ExitCode::from(code),
        Err(sentence) => {
            complain(format_args!("{name}: {sentence}"));
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}
