//! The little HTTP that readiness and status need; votes go through the service's own client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::Trouble;
use crate::limits::{OPERATOR_ANSWER_BYTES_MAX, OPERATOR_CALL_WAIT};

/// What a node answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub(super) fn get(addr: SocketAddr, path: &str) -> Result<Answer, Trouble> {
    let failed = |error: std::io::Error| Trouble::failed(format!("{addr} does not answer {path}: {error}"));
    let mut stream = TcpStream::connect_timeout(&addr, OPERATOR_CALL_WAIT).map_err(failed)?;
    stream
        .set_read_timeout(Some(OPERATOR_CALL_WAIT))
        .and_then(|()| stream.set_write_timeout(Some(OPERATOR_CALL_WAIT)))
        .map_err(failed)?;
    // HTTP/1.0: the answer is not chunked, and ends with the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut bytes = Vec::new();
    stream
        .take(OPERATOR_ANSWER_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    parse(&bytes).ok_or_else(|| Trouble::failed(format!("{addr} answered {path} with what is not HTTP")))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
        .collect();
    Some(Answer {
        status,
        headers,
        body: bytes[end + 4..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\n\r\nno\r\n\r\n").unwrap();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        assert_eq!(answer.body, b"no\r\n\r\n");
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n"), None);
        assert_eq!(parse(b"garbage\r\n\r\n"), None);
    }
}
