//! Reading server-sent events from chunks cut anywhere.

use crate::limits::{SSE_DATA_BYTES_MAX, SSE_LINE_BYTES_MAX};

/// What a reader learns from the stream, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    Event {
        /// `message` where the stream named none.
        event: String,
        data: String,
        /// The last `id:` seen up to this event; empty if there was none.
        last_event_id: String,
    },
    /// Without the leading colon and the one space after it.
    Comment(String),
    /// Milliseconds to wait before connecting again.
    Retry(u64),
}

/// Why a stream cannot be read on. Terminal for this connection: drop it and connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("a line of the stream is longer than {0} bytes")]
    LineTooLong(usize),
    #[error("an event of the stream is larger than {0} bytes")]
    EventTooLarge(usize),
}

/// An incremental parser after WHATWG HTML section 9.2.6 ("Interpreting an event stream"). Holds at most one line and
/// one event. An event that the stream's end cuts off is dropped, as the standard says.
#[derive(Debug)]
pub struct Decoder {
    line_bytes_max: usize,
    data_bytes_max: usize,
    line: Vec<u8>,
    /// The last byte was a CR that ended a line; an LF right after it belongs to the same line end.
    after_cr: bool,
    /// No line has ended yet, so a byte order mark may still begin the stream.
    at_start: bool,
    event: String,
    data: String,
    last_event_id: String,
    failed: Option<DecodeError>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::with_limits(SSE_LINE_BYTES_MAX, SSE_DATA_BYTES_MAX)
    }
}

impl Decoder {
    /// A decoder that holds at most `line_bytes_max` bytes of an unfinished line and `data_bytes_max` bytes of data.
    pub fn with_limits(line_bytes_max: usize, data_bytes_max: usize) -> Self {
        Self {
            line_bytes_max,
            data_bytes_max,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            event: String::new(),
            data: String::new(),
            last_event_id: String::new(),
            failed: None,
        }
    }

    /// The `id:` to resume from. Also set by a block that has an id but no data.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    /// Takes the next bytes and gives what they complete. After an error every further call gives the same error.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Decoded>, DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut decoded = Vec::new();
        self.read(chunk, &mut decoded)
            .inspect_err(|error| self.failed = Some(*error))?;
        Ok(decoded)
    }

    fn read(&mut self, mut chunk: &[u8], decoded: &mut Vec<Decoded>) -> Result<(), DecodeError> {
        while !chunk.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                chunk = chunk.strip_prefix(b"\n").unwrap_or(chunk);
                continue;
            }
            let end = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.line.len() + part.len() > self.line_bytes_max {
                return Err(DecodeError::LineTooLong(self.line_bytes_max));
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { return Ok(()) };
            self.after_cr = chunk[end] == b'\r';
            chunk = &chunk[end + 1..];
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, decoded)?;
            // Keeps the allocation for the next line.
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    fn take_line(&mut self, line: &[u8], decoded: &mut Vec<Decoded>) -> Result<(), DecodeError> {
        let mut line = line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        // Line ends are ASCII, so decoding each line by itself equals decoding the stream.
        let text = String::from_utf8_lossy(line);
        if text.is_empty() {
            self.dispatch(decoded);
            return Ok(());
        }
        let (name, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => decoded.push(Decoded::Comment(value.to_owned())),
            "event" => value.clone_into(&mut self.event),
            "data" => {
                if self.data.len() + value.len() + 1 > self.data_bytes_max {
                    return Err(DecodeError::EventTooLarge(self.data_bytes_max));
                }
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => value.clone_into(&mut self.last_event_id),
            "retry" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                // More digits than 64 bits hold is nobody's honest wait: ignored like any other bad value.
                decoded.extend(value.parse().ok().map(Decoded::Retry));
            }
            // Unknown fields are ignored, so that the format can grow.
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, decoded: &mut Vec<Decoded>) {
        let event = std::mem::take(&mut self.event);
        let mut data = std::mem::take(&mut self.data);
        if data.is_empty() {
            return;
        }
        data.pop();
        decoded.push(Decoded::Event {
            event: if event.is_empty() {
                "message".to_owned()
            } else {
                event
            },
            data,
            last_event_id: self.last_event_id.clone(),
        });
    }
}
