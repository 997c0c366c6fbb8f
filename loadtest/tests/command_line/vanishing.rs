//! A service that takes so many votes and is gone: its connections end, and nobody listens any more.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

struct Service {
    addr: SocketAddr,
    votes: AtomicU64,
    votes_max: u64,
}

pub(crate) fn start(votes_max: u64) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let service = Arc::new(Service {
        addr,
        votes: AtomicU64::new(0),
        votes_max,
    });
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if service.is_gone() {
                return;
            }
            let (service, stream) = (Arc::clone(&service), stream.unwrap());
            std::thread::spawn(move || service.serve(stream));
        }
    });
    addr
}

impl Service {
    fn is_gone(&self) -> bool {
        self.votes.load(Ordering::SeqCst) >= self.votes_max
    }

    fn serve(&self, mut stream: TcpStream) {
        let (mut buffer, mut piece) = (Vec::new(), [0; 4_096]);
        while !self.is_gone() {
            match stream.read(&mut piece) {
                Ok(read @ 1..) => buffer.extend_from_slice(&piece[..read]),
                _ => return,
            }
            if self.is_gone() {
                break;
            }
            while let Some(length) = request_bytes(&buffer) {
                let request = String::from_utf8(buffer.drain(..length).collect()).unwrap();
                let body = self.answer(&request);
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
        // Whoever waits for the next connection sees that there is no service.
        let _ = TcpStream::connect(self.addr);
    }

    fn answer(&self, request: &str) -> &'static str {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/v1/auth/login" => r#"{"userId":"u1","token":"t"}"#,
            "/v1/event/create" => {
                r#"{"event_id":"e1","contestants":[{"contestant_id":"e1-c0","contestant_name":"Ada"}]}"#
            }
            "/v1/vote/submit" => {
                self.votes.fetch_add(1, Ordering::SeqCst);
                r#"{"vote_id":"AAAA","vote_status":"processed","durability":"quorum_fsync"}"#
            }
            other => panic!("nobody should ask for {other} yet"),
        }
    }
}

/// Of the request at the start of `buffer`, once it is all there.
fn request_bytes(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).unwrap().to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    (buffer.len() >= head + length).then_some(head + length)
}
