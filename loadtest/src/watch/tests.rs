//! Watchers before streams that are what they should be, or lie, linger, or end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;

const WATCHERS: usize = 5;
const TRACED: Traced = Traced::new(1, 1);
const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const MS: Duration = Duration::from_millis(1);

/// What a connection is told, by its number: each after a pause. None ends it.
type Script = fn(usize) -> Vec<(Duration, Option<String>)>;

fn server(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let stream = stream.unwrap();
            std::thread::spawn(move || tell(stream, script(number)));
        }
    });
    addr
}

fn tell(mut stream: TcpStream, script: Vec<(Duration, Option<String>)>) {
    let mut request = [0; 512];
    let _ = stream.read(&mut request).unwrap();
    stream.write_all(HEAD.as_bytes()).unwrap();
    for (pause, text) in script {
        std::thread::sleep(pause);
        let Some(text) = text else { return };
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        if stream.write_all(chunk.as_bytes()).is_err() {
            return;
        }
    }
    // Until the watcher goes.
    let _ = stream.read(&mut request);
}

fn snapshot() -> String {
    "retry: 300\n\nevent: snapshot\nid: 5\ndata: {\"event_id\":\"e1\",\"event_name\":\"E\",\"status\":\"open\",\"version\":5,\
     \"contestants\":[{\"contestant_id\":\"e1-c0\",\"contestant_name\":\"Ada\",\"total_votes\":3}]}\n\n"
        .to_string()
}

fn tally(since: u64, version: u64, total: u64, traces: &[(u32, u64)]) -> String {
    let id = |(nth, ms): &(u32, u64)| {
        let id = TRACED.id(*nth, Duration::from_millis(*ms));
        format!("\"{}\"", ostraka_api::trace::format_trace_id(id))
    };
    let traces: Vec<_> = traces.iter().map(id).collect();
    format!(
        "event: tally\nid: {version}\ndata: {{\"event_id\":\"e1\",\"status\":\"open\",\"version\":{version},\
         \"previous_version\":{since},\"contestants\":[{{\"contestant_id\":\"e1-c0\",\"total_votes\":{total}}}],\
         \"traces\":[{}],\"traces_omitted\":0}}\n\n",
        traces.join(",")
    )
}

fn now(text: String) -> (Duration, Option<String>) {
    (Duration::ZERO, Some(text))
}

/// Watches until that many votes are shown.
fn watched(script: Script, acked: u64) -> Part {
    let event = "e1".parse().unwrap();
    let window = Duration::ZERO..Duration::from_secs(60);
    let shared = Shared::new(server(script), event, TRACED, window);
    shared.start.get_or_init(Instant::now);
    shared.acked.get_or_init(|| acked);
    let request = "GET /v1/event/e1/stream HTTP/1.1\r\n\r\n".to_string();
    crowd::run(&shared, &vec![request; WATCHERS]).unwrap()
}

#[test]
fn every_watcher_is_read_and_every_version_counted_once_for_each() {
    let script = |_| {
        let both = tally(5, 7, 4, &[(0, 1)]) + &tally(7, 9, 6, &[]);
        vec![now(snapshot()), (20 * MS, Some(both))]
    };
    let part = watched(script, 6);
    assert_eq!((part.faults, part.lost.len(), part.skipped), (0, 0, 0));
    assert_eq!(part.shown, [6; WATCHERS]);
    assert_eq!(part.tallies, [2; WATCHERS]);
    let had: Vec<_> = part
        .versions
        .iter()
        .map(|(version, had)| (*version, had.watchers))
        .collect();
    assert_eq!(had, [(7, 5), (9, 5)]);
    assert_eq!(part.end_to_end_micros.len(), WATCHERS as u64);
    assert_eq!(part.fan_out_micros.len(), 2 * WATCHERS as u64);
}

#[test]
fn who_skips_a_version_waits_for_it_until_a_newer_one_and_sees_a_vote_once() {
    let script = |number| match number {
        // One of them has 9 only 200 ms after the others have had 7 and 9, and is shown again what it has seen.
        4 => vec![
            now(snapshot()),
            (20 * MS, Some(tally(5, 7, 4, &[(0, 1)]))),
            (200 * MS, Some(tally(0, 11, 7, &[(0, 1), (1, 2)]))),
        ],
        _ => vec![
            now(snapshot()),
            (
                20 * MS,
                Some(tally(5, 7, 4, &[(0, 1)]) + &tally(7, 9, 6, &[(1, 2)])),
            ),
            (200 * MS, Some(tally(9, 11, 7, &[]))),
        ],
    };
    let part = watched(script, 7);
    assert_eq!((part.faults, part.skipped), (0, 1));
    assert_eq!(part.end_to_end_micros.len(), 2 * WATCHERS as u64);
    assert!(part.end_to_end_micros.max() > 200_000);
    assert_eq!(part.fan_out_micros.len(), 3 * WATCHERS as u64);
    let late = part.fan_out_micros.len() - part.fan_out_micros.count_between(0, 150_000);
    assert_eq!(late, 1, "the skipped one");
}

#[test]
fn a_watcher_that_is_served_late_shows_in_the_fan_out() {
    let script = |number| {
        let pause = if number == 4 { 300 * MS } else { 20 * MS };
        vec![now(snapshot()), (pause, Some(tally(5, 7, 4, &[])))]
    };
    let part = watched(script, 4);
    assert!(part.fan_out_micros.max() > 200_000);
    let had = part.versions[&7];
    assert!(had.last - had.first > 200 * MS);
}

#[test]
fn a_total_that_goes_back_is_a_fault_of_each_stream() {
    let script = |_| vec![now(snapshot()), now(tally(5, 7, 2, &[]))];
    let part = watched(script, 9);
    assert_eq!(part.faults, WATCHERS as u64);
    assert!(part.fault_sentences[0].contains("went back from 3 to 2"));
    let gap = |_| vec![now(snapshot()), now(tally(6, 7, 4, &[]))];
    assert!(watched(gap, 9).fault_sentences[0].contains("goes on from version 6"));
}

#[test]
fn a_stream_that_ends_is_lost() {
    let script = |number| match number {
        0 => vec![now(snapshot()), (Duration::ZERO, None)],
        _ => vec![now(snapshot()), (300 * MS, Some(tally(5, 7, 4, &[])))],
    };
    let part = watched(script, 4);
    assert_eq!(part.lost["the service closed the stream"], 1);
    assert_eq!(part.shown, [4; WATCHERS - 1]);
}

#[test]
fn open_files_are_raised() {
    assert!(raise_open_files().is_none_or(|files| files >= 1_024));
}
