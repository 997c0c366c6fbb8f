//! The open loop against servers that answer as they are told, stall, hang up, or are not there.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const PROCESSED: &str = r#"{"vote_id":"x","vote_status":"processed"}"#;
const MS: Duration = Duration::from_millis(1);

fn load(addr: SocketAddr, votes_per_s: f64) -> OpenLoad {
    OpenLoad {
        addr,
        template: VoteTemplate::new("h", "e1", "e1-c0", "2026-01-01T00:00:00Z"),
        issuer: Issuer::new(&[7; 32], "k1", 1),
        first_voter: 1,
        traced: None,
        votes_per_s,
        surge: None,
        voters: None,
        pace: Pace::Constant,
        seed: 1,
        connections: 4,
        depth: 1,
        threads: 2,
        warmup: 100 * MS,
        window: 500 * MS,
        server_pid: None,
    }
}

/// What a server does with a request, by its number over all connections; none: it hangs up.
type Answer = fn(u64) -> Option<u16>;

fn server(answer: Answer) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let served = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&served);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, counter) = (stream.unwrap(), Arc::clone(&counter));
            std::thread::spawn(move || talk(stream, &counter, answer));
        }
    });
    (addr, served)
}

fn talk(mut stream: TcpStream, counter: &AtomicU64, answer: Answer) {
    stream.set_nodelay(true).unwrap();
    let mut text: Vec<u8> = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(1..) = stream.read(&mut piece).inspect(|n| text.extend(&piece[..*n])) {
        // A vote's body ends with two braces, and nothing else in it does.
        while let Some(end) = text.windows(2).position(|two| two == b"}}") {
            text.drain(..end + 2);
            let Some(status) = answer(counter.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let length = PROCESSED.len();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{PROCESSED}");
            if stream.write_all(head.as_bytes()).is_err() {
                return;
            }
        }
    }
}

#[test]
fn every_vote_of_the_schedule_is_sent_once_and_answered() {
    for depth in [1, 8] {
        let (addr, served) = server(|_| Some(200));
        let report = run(OpenLoad {
            depth,
            ..load(addr, 1_000.0)
        })
        .unwrap();
        assert_eq!(report.counts.acked, 600);
        assert_eq!(served.load(Ordering::Relaxed), 600);
        assert_eq!(
            (report.seen.intended, report.seen.never(), report.seen.unsent),
            (500, 0, 0)
        );
        assert_eq!(report.seen.noticed_micros.len(), 500);
        assert!(report.counts.broken.is_empty() && report.counts.in_doubt() == 0);
        assert!((report.acked_per_s() - 1_000.0).abs() < 1e-6);
    }
}

#[test]
fn one_vote_in_so_many_is_traced_and_each_trace_says_when_it_was_to_begin() {
    let (addr, _) = server(|_| Some(200));
    let traced = Traced::new(5, 100);
    let load = OpenLoad {
        traced: Some(traced),
        ..load(addr, 1_000.0)
    };
    let ready = Ready::of(load).unwrap();
    assert_eq!(ready.votes(), 600);
    let mut found = Vec::new();
    for (share, requests) in ready.shares.iter().zip(&ready.requests) {
        for (number, start) in share.starts.iter().enumerate() {
            let request = std::str::from_utf8(requests.get(number)).unwrap();
            let trace = request.split("traceparent: 00-").nth(1).map(|rest| &rest[..32]);
            let id = trace.map(|hex| ostraka_api::trace::parse_trace_id(hex).unwrap());
            if let Some((nth, intended)) = id.map(|id| traced.read(id).unwrap()) {
                assert_eq!(intended, *start);
                found.push(nth);
            }
        }
    }
    assert_eq!(found, [0, 1, 2, 3, 4, 5]);
    // Each thread's first is before the window.
    assert_eq!(ready.traced(), 4);
}

#[test]
fn a_surge_brings_so_many_times_as_many_votes_while_it_lasts() {
    let mut load = load("127.0.0.1:1".parse().unwrap(), 1_000.0);
    load.surge = Some(Surge {
        within: 200 * MS..400 * MS,
        times: 3.0,
    });
    let starts = starts(1_000.0, &load, 1);
    assert!(starts.is_sorted());
    let within = |from: u32, until: u32| {
        let range = from * MS..until * MS;
        starts.iter().filter(|start| range.contains(*start)).count()
    };
    for (found, expected) in [
        (within(0, 200), 200),
        (within(200, 400), 600),
        (within(400, 600), 200),
    ] {
        assert!(found.abs_diff(expected) <= 2, "{found} {expected}");
    }
}

#[test]
fn who_was_refused_votes_again_and_nobody_votes_twice_who_was_not() {
    let (addr, served) = server(|request| Some(if request < 300 { 503 } else { 200 }));
    let report = run(OpenLoad {
        voters: Some(400),
        ..load(addr, 1_000.0)
    })
    .unwrap();
    assert_eq!(report.counts.refused[&503], 300);
    assert_eq!((report.counts.acked, served.load(Ordering::Relaxed)), (300, 600));
    assert!(
        (300..=310).contains(&report.sent_voters),
        "{}",
        report.sent_voters
    );
    assert_eq!(report.seen.without_retry_after, 300);
    assert_eq!(
        report.timeline.slots.iter().map(|slot| slot.acked).sum::<u64>(),
        300
    );
    let (addr, _) = server(|_| Some(200));
    let few = run(OpenLoad {
        voters: Some(100),
        ..load(addr, 1_000.0)
    })
    .unwrap();
    assert_eq!((few.counts.acked, few.seen.without_voter), (100, 500));
}

#[test]
fn a_stall_shows_in_every_vote_that_came_during_it() {
    // One answer of a thousand and more stalls, and with it the only connection: for 300 ms.
    let (addr, _) = server(|request| {
        if request == 200 {
            std::thread::sleep(300 * MS);
        }
        Some(200)
    });
    let report = run(OpenLoad {
        connections: 1,
        threads: 1,
        ..load(addr, 1_000.0)
    })
    .unwrap();
    let slow = report.seen.acked_micros.len() - report.seen.acked_micros.count_between(0, 100_000);
    assert!(
        slow >= 150,
        "about 200 of the 300 that came meanwhile waited over 100 ms: {slow}"
    );
    assert_eq!((report.counts.acked, report.seen.never()), (600, 0));
}

#[test]
fn refusals_are_timed_apart() {
    let (addr, _) = server(|request| Some(if request % 2 == 0 { 200 } else { 503 }));
    let report = run(load(addr, 1_000.0)).unwrap();
    assert_eq!(report.counts.refused[&503], 300);
    let seen = report.seen;
    assert_eq!(seen.acked_micros.len() + seen.refused_micros.len(), 500);
    assert!(seen.refused_micros.len() > 200 && seen.never() == 0);
}

#[test]
fn a_server_that_hangs_up_costs_what_was_under_way_and_no_more() {
    let (addr, served) = server(|request| (request % 100 != 99).then_some(200));
    let report = run(load(addr, 1_000.0)).unwrap();
    let served = served.load(Ordering::Relaxed);
    let Counts {
        acked,
        unanswered,
        ref broken,
        ..
    } = report.counts;
    assert_eq!(acked + unanswered, 600, "each is sent once, and none again");
    assert!(
        (1..=6).contains(&unanswered) && served == 600,
        "{unanswered} {served}"
    );
    assert_eq!(broken.values().sum::<u64>(), unanswered);
    assert!(report.seen.never() <= unanswered);
}

#[test]
fn a_server_that_is_not_there_is_one_error() {
    let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = run(load(addr, 10.0)).unwrap_err();
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}
