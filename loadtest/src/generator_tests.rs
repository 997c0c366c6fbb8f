//! The generator against servers whose counts are known, and against broken ones.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::AtomicU64;

use super::*;

const PROCESSED: &str = r#"{"vote_id":"x","vote_status":"processed"}"#;

fn load(addr: SocketAddr, connections: usize, pipeline: usize) -> Load {
    Load {
        addr,
        template: VoteTemplate::new("h", "e1", "e1-c0", "2026-01-01T00:00:00Z"),
        issuer: Issuer::new(&[7; 32], "k1", 1),
        voters: 1..u32::MAX,
        connections,
        pipeline,
        threads: 2,
        warmup: Duration::from_millis(100),
        window: Duration::from_millis(300),
        server_pid: Some(std::process::id()),
    }
}

/// A server that gives each request, by its number over all connections, what `answer` says; none: it hangs up.
fn server(answer: fn(u64) -> Option<(u16, &'static str)>) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let served = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&served);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter) = (stream.unwrap(), Arc::clone(&counter));
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let mut text: Vec<u8> = Vec::new();
                let mut piece = [0; 4096];
                while let Ok(1..) = stream.read(&mut piece).inspect(|n| text.extend(&piece[..*n])) {
                    // A vote's body ends with two braces, and nothing else in it does.
                    while let Some(end) = text.windows(2).position(|two| two == b"}}") {
                        text.drain(..end + 2);
                        let Some((status, body)) = answer(counter.fetch_add(1, Ordering::Relaxed)) else {
                            return;
                        };
                        let length = body.len();
                        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (addr, served)
}

#[test]
fn every_answer_is_counted_and_timed() {
    for pipeline in [1, 4] {
        let (addr, served) = server(|_| Some((200, PROCESSED)));
        let report = run(load(addr, 3, pipeline)).unwrap();
        assert_eq!(report.counts.acked, served.load(Ordering::Relaxed));
        assert_eq!(report.counts.in_doubt(), 0);
        assert_eq!(report.counts.broken, BTreeMap::new());
        assert!(report.acked_in_window > 0 && report.acked_in_window < report.counts.acked);
        assert_eq!(report.latencies_micros.len(), report.acked_in_window);
        assert!(report.cpu.generator > 0.0 && report.cpu.machine >= 1.0);
    }
}

#[test]
fn refusals_and_duplicates_are_no_acks() {
    let (addr, served) = server(|request| match request % 4 {
        0 => Some((200, PROCESSED)),
        1 => Some((200, r#"{"vote_id":"x","vote_status":"duplicate"}"#)),
        2 => Some((401, "{}")),
        _ => Some((503, "{}")),
    });
    let counts = run(load(addr, 2, 1)).unwrap().counts;
    let refused: u64 = counts.refused.values().sum();
    assert!(counts.acked > 0 && counts.not_counted > 0 && counts.refused[&401] > 0);
    assert_eq!(
        counts.acked + counts.not_counted + refused,
        served.load(Ordering::Relaxed)
    );
    assert_eq!(counts.in_doubt(), counts.refused[&503]);
}

#[test]
fn a_vote_without_an_answer_is_in_doubt() {
    let (addr, _) = server(|request| (request < 10).then_some((200, PROCESSED)));
    let counts = run(load(addr, 1, 1)).unwrap().counts;
    assert_eq!((counts.acked, counts.unanswered), (10, 1));
    assert_eq!(counts.broken.values().sum::<u64>(), 1);
}

#[test]
fn a_server_that_is_not_there_is_one_error() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(load(addr, 64, 1)).unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[test]
fn so_many_voters_vote_once_each_and_no_more() {
    for (pipeline, voters) in [(1, 1..2), (4, 10..110), (7, 1..51), (4, 5..5)] {
        let (addr, served) = server(|_| Some((200, PROCESSED)));
        let load = Load {
            voters: voters.clone(),
            window: Duration::from_secs(60),
            ..load(addr, 3, pipeline)
        };
        let counts = cast(load).unwrap();
        assert_eq!(counts.acked, voters.len() as u64);
        assert_eq!(served.load(Ordering::Relaxed), voters.len() as u64);
    }
}
