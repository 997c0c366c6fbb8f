//! What a connection is told that sent something other than HTTP/1.1.

use ostraka_api::ErrorCode;
use ostraka_core::limits::{HTTP_BUFFER_BYTES_MAX, HTTP_HEAD_LINES_MAX};

use super::problem::Problem;

/// The problem to answer, where hyper could not read a request and the client may still be listening. `bare_status` is
/// what hyper would have answered, `unread` what it had received and not taken in.
pub(super) fn of(error: &hyper::Error, bare_status: Option<u16>, unread: &[u8]) -> Option<Problem> {
    if error.is_parse_version_h2() {
        let detail = "This port speaks HTTP/1.1 only; the request began as HTTP/2 does.";
        return Some(Problem::new(ErrorCode::HttpVersion, detail));
    }
    if !error.is_parse() {
        return None;
    }
    Some(match bare_status {
        Some(431) if took_the_head(unread) => Problem::new(
            ErrorCode::BodyTooLarge,
            "The request announces a longer body than there can be.",
        ),
        Some(431) => Problem::new(
            ErrorCode::HeadTooLarge,
            format!(
                "The request line and the headers may have {HTTP_BUFFER_BYTES_MAX} bytes in {HTTP_HEAD_LINES_MAX} lines."
            ),
        ),
        _ => Problem::new(
            ErrorCode::MalformedRequest,
            format!("This is no HTTP/1.1 request: {error}. The connection is closed."),
        ),
    })
}

/// hyper says "too large" of a head and of an announced body alike, but only in the second case has it taken the head in.
fn took_the_head(unread: &[u8]) -> bool {
    let lines = unread.iter().filter(|byte| **byte == b'\n').count();
    unread.len() < HTTP_BUFFER_BYTES_MAX && lines < HTTP_HEAD_LINES_MAX
}
