//! HTTP/1.1 (RFC 9112) as far as a load generator needs it: requests rendered by hand, answers found in a buffer.

use std::fmt::Write;

use ostraka_api::ids::TraceId;
use ostraka_api::trace::format_traceparent;
use ostraka_api::{SpanId, TraceContext};

use crate::issuer::Issuer;

/// The vote that every request casts, but for its voter.
#[derive(Clone)]
pub(crate) struct VoteTemplate {
    host: String,
    event: String,
    contestant: String,
    /// RFC 3339.
    client_timestamp: String,
}

impl VoteTemplate {
    pub(crate) fn new(host: &str, event: &str, contestant: &str, client_timestamp: &str) -> Self {
        let [host, event, contestant, client_timestamp] =
            [host, event, contestant, client_timestamp].map(str::to_string);
        Self {
            host,
            event,
            contestant,
            client_timestamp,
        }
    }

    /// Whom and what it is for: `Host` and event.
    pub(crate) fn aims_at(&self) -> (&str, &str) {
        (&self.host, &self.event)
    }

    /// Appends the request of that voter to `out`.
    pub(crate) fn render_into(&self, issuer: &Issuer, voter: u32, out: &mut String) {
        self.render_traced_into(issuer, voter, None, out);
    }

    /// The same, as a part of a sampled trace where one is given.
    pub(crate) fn render_traced_into(
        &self,
        issuer: &Issuer,
        voter: u32,
        trace: Option<TraceId>,
        out: &mut String,
    ) {
        let body = format!(
            r#"{{"user_id":"u{voter}","event_id":"{}","contestant_id":"{}","client_timestamp":"{}","meta":{{"device_id":"d{voter}","app_version":"1.0.0"}}}}"#,
            self.event, self.contestant, self.client_timestamp
        );
        let host = &self.host;
        let length = body.len();
        write!(
            out,
            "POST /v1/vote/submit HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nauthorization: Bearer "
        )
        .expect("writing to a string does not fail");
        issuer.sign_into(voter, out);
        if let Some(trace_id) = trace {
            let context = TraceContext {
                trace_id,
                span_id: SpanId::new(1_u64.to_be_bytes()).expect("one is not zero"),
                sampled: true,
            };
            out.push_str("\r\ntraceparent: ");
            out.push_str(&format_traceparent(context));
        }
        out.push_str("\r\n\r\n");
        out.push_str(&body);
    }
}

/// An answer at the start of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head_bytes: usize,
    pub(crate) body_bytes: usize,
}

impl Answer {
    pub(crate) fn bytes(&self) -> usize {
        self.head_bytes + self.body_bytes
    }

    /// The head, of the buffer that the answer was found in.
    pub(crate) fn head<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[..self.head_bytes]
    }

    /// The body, of the buffer that the answer was found in.
    pub(crate) fn body<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.head_bytes..self.bytes()]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("the answer does not begin as HTTP/1.1 does: is this the service's public port?")]
    NotHttp,
    #[error("the answer does not say its length")]
    NoLength,
    #[error("the answer's head is longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    #[error("the answer's body would be {0} bytes, and no vote's answer is longer than {BODY_BYTES_MAX}")]
    BodyTooLong(usize),
}

const HEAD_BYTES_MAX: usize = 8 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024;
const STATUS_LINE_START: &[u8] = b"HTTP/1.1 ";

/// The answer at the start of `buffer`; none as long as it is not all there.
pub(crate) fn find_answer(buffer: &[u8]) -> Result<Option<Answer>, WireError> {
    let seen = buffer.len().min(STATUS_LINE_START.len());
    if buffer[..seen] != STATUS_LINE_START[..seen] {
        return Err(WireError::NotHttp);
    }
    let Some(end) = buffer
        .windows(4)
        .take(HEAD_BYTES_MAX)
        .position(|four| four == b"\r\n\r\n")
    else {
        return if buffer.len() > HEAD_BYTES_MAX {
            Err(WireError::HeadTooLong)
        } else {
            Ok(None)
        };
    };
    let head_bytes = end + 4;
    let mut lines = buffer[..end].split(|byte| *byte == b'\n');
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .get(9..12)
        .and_then(number)
        .ok_or(WireError::NotHttp)?;
    let body_bytes = lines.find_map(content_length).ok_or(WireError::NoLength)?;
    if body_bytes > BODY_BYTES_MAX {
        return Err(WireError::BodyTooLong(body_bytes));
    }
    let status = u16::try_from(status).map_err(|_| WireError::NotHttp)?;
    let answer = Answer {
        status,
        head_bytes,
        body_bytes,
    };
    Ok((buffer.len() >= answer.bytes()).then_some(answer))
}

fn content_length(line: &[u8]) -> Option<usize> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    line[..colon]
        .eq_ignore_ascii_case(b"content-length")
        .then(|| number(line[colon + 1..].trim_ascii()))?
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether an answer's head has a `Retry-After`.
pub(crate) fn says_when_to_return(head: &[u8]) -> bool {
    const NAME: &[u8] = b"retry-after:";
    let mut lines = head.split(|byte| *byte == b'\n');
    lines.any(|line| line.len() >= NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))
}

/// Whether a vote's answer says that the vote is counted.
pub(crate) fn says_processed(body: &[u8]) -> bool {
    const WORDS: &[u8] = br#""vote_status":"processed""#;
    body.windows(WORDS.len()).any(|window| window == WORDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_is_whole_and_says_its_length() {
        let template = VoteTemplate::new("127.0.0.1:8080", "e1", "e1-c0", "2026-01-01T00:00:00Z");
        let mut text = String::new();
        template.render_into(&Issuer::new(&[7; 32], "k1", 1), 42, &mut text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("POST /v1/vote/submit HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"),
            "{head}"
        );
        assert!(
            head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())),
            "{head}"
        );
        assert!(head.contains("\r\nauthorization: Bearer ey"), "{head}");
        let vote: ostraka_api::SubmitVoteRequest = serde_json::from_str(body).unwrap();
        assert_eq!(vote.user_id.0, 42);
        assert!(!text.contains("traceparent"));
    }

    #[test]
    fn a_traced_request_names_its_trace_and_has_it_sampled() {
        let template = VoteTemplate::new("h", "e1", "e1-c0", "2026-01-01T00:00:00Z");
        let (mut plain, mut traced) = (String::new(), String::new());
        let issuer = Issuer::new(&[7; 32], "k1", 1);
        template.render_into(&issuer, 42, &mut plain);
        template.render_traced_into(&issuer, 42, Some(TraceId([0xab; 16])), &mut traced);
        let header = format!("\r\ntraceparent: 00-{}-0000000000000001-01", "ab".repeat(16));
        assert_eq!(traced.replace(&header, ""), plain);
        assert_eq!(traced.len(), plain.len() + header.len());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        assert_eq!(find_answer(b"SSH-2.0"), Err(WireError::NotHttp));
        assert_eq!(find_answer(b"HTTP/1.1 abc\r\n\r\n"), Err(WireError::NotHttp));
        assert_eq!(
            find_answer(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"),
            Err(WireError::NoLength)
        );
        let long = [STATUS_LINE_START, &[b'a'; HEAD_BYTES_MAX]].concat();
        assert_eq!(find_answer(&long), Err(WireError::HeadTooLong));
        let big = b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n";
        assert_eq!(find_answer(big), Err(WireError::BodyTooLong(99_999)));
    }

    #[test]
    fn who_is_to_come_back_is_told_when() {
        assert!(says_when_to_return(b"HTTP/1.1 503 X\r\nRetry-After: 1\r\n\r\n"));
        assert!(!says_when_to_return(b"HTTP/1.1 503 X\r\nretry: 1\r\n\r\n"));
        assert!(!says_when_to_return(b""));
    }

    #[test]
    fn only_a_counted_vote_says_processed() {
        assert!(says_processed(
            br#"{"vote_id":"x","vote_status":"processed","durability":"quorum_fsync"}"#
        ));
        assert!(!says_processed(
            br#"{"vote_id":"x","vote_status":"duplicate","reason":"already_voted"}"#
        ));
        assert!(!says_processed(b""));
    }

    proptest! {
        /// However an answer is cut on its way, it is found when it is whole and never before, and what follows stays.
        #[test]
        fn an_answer_is_found_once_it_is_whole(
            status in 100u16..600, name in "(content-length|Content-Length|CONTENT-LENGTH)", body in "[ -~]{0,200}",
            before in proptest::collection::vec("[a-z]{1,9}: [a-z]{0,9}", 0..4), next in "[ -~]{0,40}",
        ) {
            let fields: String = before.iter().map(|field| format!("x-{field}\r\n")).collect();
            let whole = format!("HTTP/1.1 {status} X\r\n{fields}{name}: {}\r\n\r\n{body}", body.len());
            for cut in 0..whole.len() {
                prop_assert_eq!(find_answer(&whole.as_bytes()[..cut]), Ok(None));
            }
            let buffer = format!("{whole}{next}");
            let answer = find_answer(buffer.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(answer.status, status);
            prop_assert_eq!(answer.bytes(), whole.len());
            prop_assert_eq!(answer.body(buffer.as_bytes()), body.as_bytes());
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = find_answer(&bytes);
            let _ = find_answer(&[STATUS_LINE_START, &bytes].concat());
        }
    }
}
