//! The head of a request, read as far as it takes to know where the request ends and whether the lane may answer it.
//!
//! Nothing is refused here. What is doubtful in any way is hyper's to judge, and then hyper gets all that comes behind it
//! too: two readers of one connection must never differ about where a request ends (RFC 9112 section 11.2).

use std::mem::MaybeUninit;

use httparse::{Request, Status};
use ostraka_core::limits::{HTTP_BODY_BYTES_MAX, HTTP_HEAD_LINES_MAX};

/// What stands at the front of the bytes that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front<'a> {
    /// A head of which not all has come.
    Partial,
    /// A whole head, and no doubt about how many bytes the request has.
    Whole {
        head_bytes: usize,
        body_bytes: usize,
        /// If the lane may answer it.
        express: Option<Fields<'a>>,
    },
    /// Anything else.
    Odd,
}

/// The fields of an express request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) authorization: &'a str,
    pub(super) idempotency_key: Option<&'a str>,
    pub(super) traceparent: Option<&'a str>,
    pub(super) amzn_trace: Option<&'a str>,
}

/// Reads the front of `bytes`. `is_json`: which content types the target takes; `target`: its path, for POST.
pub(super) fn front<'a>(bytes: &'a [u8], target: &str, is_json: impl Fn(&str) -> bool) -> Front<'a> {
    let mut room = [const { MaybeUninit::uninit() }; HTTP_HEAD_LINES_MAX];
    let mut request = Request::new(&mut []);
    let head_bytes = match request.parse_with_uninit_headers(bytes, &mut room) {
        Ok(Status::Complete(head_bytes)) => head_bytes,
        Ok(Status::Partial) => return Front::Partial,
        Err(_) => return Front::Odd,
    };
    // HTTP/1.1, the version whose connections are kept.
    if request.version != Some(1) {
        return Front::Odd;
    }
    let Some(head) = Head::of(request.headers) else {
        return Front::Odd;
    };
    let is_target = request.method == Some("POST") && request.path == Some(target);
    let express = head.fields().filter(|_| {
        is_target
            && head
                .content_length
                .is_some_and(|bytes| bytes <= HTTP_BODY_BYTES_MAX)
            && head.content_type.is_some_and(is_json)
    });
    Front::Whole {
        head_bytes,
        body_bytes: head.content_length.unwrap_or(0),
        express,
    }
}

/// The fields that matter here.
#[derive(Default)]
struct Head<'a> {
    content_length: Option<usize>,
    host: Option<&'a str>,
    content_type: Option<&'a str>,
    authorization: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    traceparent: Option<&'a str>,
    amzn_trace: Option<&'a str>,
    /// Has something that only hyper and the router understand.
    is_ordinary: bool,
}

impl<'a> Head<'a> {
    /// `None` where the request's end is in doubt.
    fn of(headers: &[httparse::Header<'a>]) -> Option<Self> {
        let mut head = Head::default();
        for header in headers {
            head.take(header)?;
        }
        Some(head)
    }

    fn take(&mut self, header: &httparse::Header<'a>) -> Option<()> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        // By length first: most names are told apart by that alone.
        match header.name.len() {
            6 if is("expect") => return None,
            7 if is("upgrade") => return None,
            17 if is("transfer-encoding") => return None,
            14 if is("content-length") => {
                let bytes = length_of(header.value)?;
                if self.content_length.replace(bytes).is_some() {
                    return None;
                }
            }
            10 if is("connection") => {
                self.is_ordinary |= !header.value.eq_ignore_ascii_case(b"keep-alive");
            }
            4 if is("host") => self.is_ordinary |= !set(&mut self.host, header.value),
            12 if is("content-type") => self.is_ordinary |= !set(&mut self.content_type, header.value),
            13 if is("authorization") => self.is_ordinary |= !set(&mut self.authorization, header.value),
            15 if is("idempotency-key") => self.is_ordinary |= !set(&mut self.idempotency_key, header.value),
            15 if is("x-amzn-trace-id") => self.is_ordinary |= !set(&mut self.amzn_trace, header.value),
            11 if is("traceparent") => self.is_ordinary |= !set(&mut self.traceparent, header.value),
            _ => {}
        }
        Some(())
    }

    fn fields(&self) -> Option<Fields<'a>> {
        if self.is_ordinary || self.host.is_none() {
            return None;
        }
        Some(Fields {
            authorization: self.authorization?,
            idempotency_key: self.idempotency_key,
            traceparent: self.traceparent,
            amzn_trace: self.amzn_trace,
        })
    }
}

/// Digits and nothing else, few enough for any body that is taken anywhere.
fn length_of(value: &[u8]) -> Option<usize> {
    let is_plain = (1..=9).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(value).ok().filter(|_| is_plain)?.parse().ok()
}

/// `false` if there is one already, or it is not visible ASCII.
fn set<'a>(field: &mut Option<&'a str>, value: &'a [u8]) -> bool {
    let is_visible = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    match std::str::from_utf8(value) {
        Ok(text) if is_visible => field.replace(text).is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VOTE: &str = "POST /v1/vote/submit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\
                        Content-Type: application/json\r\nContent-Length: 2\r\n\r\n";

    fn read(bytes: &str) -> Front<'_> {
        front(bytes.as_bytes(), "/v1/vote/submit", |kind| {
            kind == "application/json"
        })
    }

    fn is_express(bytes: &str) -> bool {
        matches!(read(bytes), Front::Whole { express: Some(_), .. })
    }

    fn with(line: &str) -> String {
        VOTE.replace("Host: x\r\n", &format!("Host: x\r\n{line}\r\n"))
    }

    #[test]
    fn a_plain_vote_is_for_the_lane() {
        let Front::Whole {
            head_bytes,
            body_bytes,
            express: Some(fields),
        } = read(VOTE)
        else {
            panic!("{:?}", read(VOTE))
        };
        assert_eq!((head_bytes, body_bytes), (VOTE.len(), 2));
        assert_eq!(fields.authorization, "Bearer t");
        assert!(is_express(&with(
            "IDEMPOTENCY-KEY: k\r\nconnection: Keep-Alive\r\nX-Other: y"
        )));
    }

    #[test]
    fn what_needs_the_router_is_ordinary_and_what_is_doubtful_is_odd() {
        for ordinary in [
            VOTE.replace("POST", "GET"),
            VOTE.replace("/submit", "/submit?x=1"),
            VOTE.replace("Authorization", "X-Authorization"),
            VOTE.replace("application/json", "text/plain"),
            VOTE.replace(
                "Content-Length: 2",
                &format!("Content-Length: {}", HTTP_BODY_BYTES_MAX + 1),
            ),
            VOTE.replace("Host", "X-Host"),
            with("Host: y"),
            with("Connection: close"),
            with("Authorization: Bearer u"),
            with("Content-Type: application/json"),
            with("Idempotency-Key: a\r\nIdempotency-Key: b"),
            with("Traceparent: \u{e9}"),
        ] {
            assert!(
                matches!(read(&ordinary), Front::Whole { express: None, .. }),
                "{ordinary}"
            );
        }
        for odd in [
            VOTE.replace("HTTP/1.1", "HTTP/1.0"),
            VOTE.replace("Content-Length: 2", "Content-Length: +2"),
            VOTE.replace("Content-Length: 2", "Content-Length: 2, 2"),
            VOTE.replace("Content-Length: 2", "Content-Length: 99999999999"),
            with("Content-Length: 2"),
            with("Transfer-Encoding: chunked"),
            with("Expect: 100-continue"),
            with("Upgrade: h2c"),
            with("Bad Header: x"),
            with(&"A: b\r\n".repeat(HTTP_HEAD_LINES_MAX)),
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        ] {
            assert_eq!(read(&odd), Front::Odd, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn a_part_of_a_head_is_partial(at in 0..VOTE.len()) {
            prop_assert_eq!(read(&VOTE[..at]), Front::Partial);
        }

        #[test]
        fn no_bytes_break_the_reader(bytes: Vec<u8>, at in 0..VOTE.len()) {
            let mut changed = VOTE.as_bytes().to_vec();
            changed.splice(at..at, bytes.clone());
            for bytes in [&bytes, &changed] {
                if let Front::Whole { head_bytes, .. } = front(bytes, "/v1/vote/submit", |_| true) {
                    prop_assert!(head_bytes <= bytes.len());
                }
            }
        }
    }
}
