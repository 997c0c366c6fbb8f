//! Telling a person, or a pipe that may be closed.

use std::io::Write;

use crate::EXIT_UNUSABLE;

/// A line on stdout. Ends the process where nobody listens any more, as in `sim explore … | head`.
pub fn say(line: impl std::fmt::Display) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        std::process::exit(i32::from(EXIT_UNUSABLE));
    }
}
