//! Log lines: pretty for people, JSON for machines, each with the trace id of the request it belongs to.
//!
//! Logs go to stderr. What the node says to the person who started it (where it listens, the first password) goes to
//! stdout, so that it stands in no log. With JSON logs every line of both is a JSON object, the last words of a panic too.

use std::io::{ErrorKind, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::Arc;

use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;
use crate::env::Console;

/// Starts logging to stderr for the whole process; `RUST_LOG` filters as usual, `info` without it. A second start
/// changes nothing.
pub fn start(format: LogFormat) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,openraft=error,sled=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Unheard(std::io::stderr()))
        // They would be written to stderr as well, by a macro that panics where it cannot.
        .log_internal_errors(false);
    let started = match format {
        LogFormat::Pretty => builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .try_init(),
        LogFormat::Json => {
            std::panic::set_hook(Box::new(|panic| complain(LogFormat::Json, &last_words(panic))));
            builder
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .try_init()
        }
    };
    if let Err(error) = started {
        complain(format, &format!("logging was already started ({error})"));
    }
}

/// A log whose reader is gone, or whose disk is full, is no reason to break off a request or a stop: lines are lost then.
struct Unheard<W>(W);

impl<W: Write> Write for Unheard<W> {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match self.0.write(line) {
            // Nothing is wrong: whoever writes tries again, and the line is not lost.
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            written => Ok(written.unwrap_or(line.len())),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}

/// Says a sentence, of one line or several, on stdout. Nobody need listen.
pub fn console(format: LogFormat) -> Console {
    Arc::new(move |sentence| {
        let line = match format {
            LogFormat::Pretty => sentence.to_owned(),
            LogFormat::Json => json!({ "message": sentence }).to_string(),
        };
        let _ = writeln!(std::io::stdout(), "{line}");
    })
}

/// Says on stderr what no log filter may swallow: why the process ends.
pub fn complain(format: LogFormat, sentence: &str) {
    let line = match format {
        LogFormat::Pretty => format!("ostraka: {sentence}"),
        LogFormat::Json => json!({ "level": "ERROR", "target": "ostraka", "message": sentence }).to_string(),
    };
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn last_words(panic: &PanicHookInfo<'_>) -> String {
    let words = panic.payload_as_str().unwrap_or("no message");
    match panic.location() {
        Some(place) => format!("panicked at {place}: {words}"),
        None => format!("panicked: {words}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Is interrupted once, then takes some of what it is given, then breaks.
    struct Fickle {
        calls: u32,
        taken: Vec<u8>,
    }

    impl Write for Fickle {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.calls += 1;
            match self.calls {
                1 => Err(ErrorKind::Interrupted.into()),
                2 => {
                    self.taken.extend(&bytes[..3]);
                    Ok(3)
                }
                3 => {
                    self.taken.extend(bytes);
                    Ok(bytes.len())
                }
                _ => Err(ErrorKind::BrokenPipe.into()),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    #[test]
    fn a_line_outlives_a_signal_and_a_lost_reader_is_no_error() {
        let mut log = Unheard(Fickle {
            calls: 0,
            taken: Vec::new(),
        });
        log.write_all(b"first line\n").unwrap();
        assert_eq!(log.0.taken, b"first line\n");
        log.write_all(b"second line\n").unwrap();
        log.flush().unwrap();
        assert_eq!(log.0.taken, b"first line\n");
    }
}
