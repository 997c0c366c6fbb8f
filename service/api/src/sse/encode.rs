//! Writing server-sent events. Every function appends one whole block, so blocks may be joined at will.

use crate::stream::{ResumeToken, StreamEvent};

/// One event to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventFrame<'a> {
    pub event: StreamEvent,
    pub id: Option<ResumeToken>,
    /// May hold line breaks of any kind; a reader gets each as `\n`.
    pub data: &'a str,
}

/// Appends an event.
pub fn write_event(out: &mut Vec<u8>, frame: EventFrame<'_>) {
    write_field(out, "event", frame.event.name());
    if let Some(id) = frame.id {
        write_field(out, "id", &id.to_string());
    }
    for line in lines(frame.data) {
        write_field(out, "data", line);
    }
    out.push(b'\n');
}

/// Appends a comment, which readers ignore: a heartbeat that shows that the connection lives.
pub fn write_comment(out: &mut Vec<u8>, text: &str) {
    for line in lines(text) {
        write_field(out, "", line);
    }
    out.push(b'\n');
}

/// Appends how long, in milliseconds, a reader should wait before it connects again.
pub fn write_retry(out: &mut Vec<u8>, retry_ms: u32) {
    write_field(out, "retry", &retry_ms.to_string());
    out.push(b'\n');
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    // The space is always there, because a reader drops one: a value that begins with a space keeps its own.
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// Splits at `\r\n`, `\n` and `\r`, the three line ends of the format. Text without any is one line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let current = rest?;
        let Some(end) = current.find(['\r', '\n']) else {
            rest = None;
            return Some(current);
        };
        let ender = if current[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = Some(&current[end + ender..]);
        Some(&current[..end])
    })
}
