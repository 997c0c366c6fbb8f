//! Server-sent events as bytes (WHATWG HTML, section 9.2 "Server-sent events"): an encoder and an incremental decoder.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::{DecodeError, Decoded, Decoder};
pub use encode::{EventFrame, write_comment, write_event, write_retry};

/// Media type of a stream.
pub const SSE_MEDIA_TYPE: &str = "text/event-stream";
