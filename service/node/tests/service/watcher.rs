//! A watcher sees a snapshot, then tallies that never go back, across a `kill -9` and restart, through
//! `Last-Event-ID`; and the closing with the final result.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::process::NodeProcess;
use crate::support::stage::{Stage, login, vote_call};

/// One event of a stream, as a browser would hand it over.
#[derive(Clone, Debug)]
struct Shown {
    kind: String,
    id: Option<String>,
    data: Value,
}

/// A plain `EventSource`: reads lines, keeps the last id.
struct Watcher {
    stream: TcpStream,
    buffer: String,
    last_id: Option<String>,
}

impl Watcher {
    fn connect(addr: &str, auth: (&str, &str), event: &str, last_id: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let resume = last_id.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        let (name, value) = auth;
        let request = format!(
            "GET /v1/event/{event}/stream HTTP/1.1\r\nhost: {addr}\r\naccept: text/event-stream\r\n{name}: {value}\r\n{resume}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Self {
            stream,
            buffer: String::new(),
            last_id: last_id.map(str::to_owned),
        }
    }

    /// The next event with data within the time; `None` when there is none or the stream has ended.
    fn next(&mut self, within: Duration) -> Option<Shown> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(shown) = self.take_event() {
                return Some(shown);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.buffer.push_str(&String::from_utf8_lossy(&chunk[..count])),
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return None,
            }
            if Instant::now() > deadline {
                return self.take_event();
            }
        }
    }

    /// Cuts one event out of what was read. Chunk sizes and the head are lines without a field name; skipped.
    fn take_event(&mut self) -> Option<Shown> {
        while let Some(end) = self.buffer.find("\n\n") {
            let block: String = self.buffer.drain(..end + 2).collect();
            let field = |name: &str| {
                let found = block
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                found.map(|value| value.trim_start().trim_end_matches('\r').to_string())
            };
            let Some(data) = field("data") else { continue };
            let id = field("id");
            self.last_id = id.clone().or(self.last_id.take());
            let data = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error} in {data}"));
            return Some(Shown {
                kind: field("event").unwrap(),
                id,
                data,
            });
        }
        None
    }
}

fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// What a person in front of the screen knows, and would notice.
#[derive(Default)]
struct Audience {
    totals: std::collections::BTreeMap<String, u64>,
    version: u64,
}

impl Audience {
    fn see(&mut self, shown: &Shown) {
        let version = shown.id.as_ref().expect("every event has an id").parse().unwrap();
        assert!(
            version >= self.version,
            "the version goes back: {} after {}",
            version,
            self.version
        );
        self.version = version;
        for entry in shown.data["contestants"].as_array().unwrap() {
            let id = entry["contestant_id"].as_str().unwrap().to_string();
            let total = entry["total_votes"].as_u64().unwrap();
            let before = self.totals.insert(id, total).unwrap_or(0);
            assert!(total >= before, "a total goes back: {total} after {before}");
        }
    }

    fn sum(&self) -> u64 {
        self.totals.values().sum()
    }
}

fn watch_until(watcher: &mut Watcher, audience: &mut Audience, votes: u64) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while audience.sum() < votes {
        assert!(
            Instant::now() < deadline,
            "only {} of {votes} votes seen",
            audience.sum()
        );
        if let Some(shown) = watcher.next(Duration::from_secs(2)) {
            audience.see(&shown);
        }
    }
    assert_eq!(
        audience.sum(),
        votes,
        "the screen never shows more than was voted"
    );
}

#[test]
fn totals_never_go_back_across_a_restart() {
    let stage = Stage::new();
    let event = stage.event(&["Ada", "Bo", "Cy"]);
    let (name, value) = bearer(&stage.issuer.voter(500));
    let mut audience = Audience::default();

    let mut watcher = Watcher::connect(stage.public(), (name, &value), &event, None);
    let first = watcher.next(Duration::from_secs(10)).expect("a snapshot at once");
    assert_eq!(first.kind, "snapshot");
    audience.see(&first);
    for voter in 10..60 {
        assert_eq!(
            stage
                .send(&vote_call(&stage.issuer.voter(voter), voter, &event, voter % 3))
                .status,
            200
        );
    }
    watch_until(&mut watcher, &mut audience, 50);

    let Stage {
        node,
        issuer,
        dir: _dir,
        ..
    } = stage;
    let node = NodeProcess::start(node.kill_nine());
    login(
        &node.options.public,
        "operator",
        crate::support::process::OPERATOR_PASSWORD,
    );
    let mut again = Watcher::connect(
        &node.options.public,
        (name, &value),
        &event,
        watcher.last_id.as_deref(),
    );
    let resumed = again
        .next(Duration::from_secs(10))
        .expect("a snapshot after the restart");
    assert_eq!(resumed.kind, "snapshot");
    audience.see(&resumed);
    assert_eq!(audience.sum(), 50);
    for voter in 60..80 {
        let call = vote_call(&issuer.voter(voter), voter, &event, voter % 3);
        assert_eq!(call.send(&node.options.public).status, 200);
    }
    watch_until(&mut again, &mut audience, 70);
}

#[test]
fn a_tally_names_only_what_changed_and_the_sampled_traces_that_are_new() {
    let stage = Stage::new();
    let event = stage.event(&["Ada", "Bo"]);
    let (name, value) = bearer(&stage.issuer.voter(500));
    let mut watcher = Watcher::connect(stage.public(), (name, &value), &event, None);
    assert_eq!(watcher.next(Duration::from_secs(10)).unwrap().kind, "snapshot");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let vote = vote_call(&stage.issuer.voter(7), 7, &event, 1)
        .header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(stage.send(&vote).status, 200);
    let tally = watcher.next(Duration::from_secs(5)).expect("a tally");
    assert_eq!(tally.kind, "tally");
    assert_eq!(tally.data["traces"], json!([trace]));
    let changed = tally.data["contestants"].as_array().unwrap();
    assert_eq!(changed.len(), 1, "{}", tally.data);
    assert_eq!(changed[0]["contestant_id"], format!("{event}-c1"));
    assert_eq!(changed[0]["total_votes"], 1);
}

#[test]
fn closing_is_told_with_the_final_result_and_a_cookie_is_enough() {
    let stage = Stage::new();
    let event = stage.event(&["Ada", "Bo"]);
    let cookie = format!("ostraka_token={}", stage.issuer.voter(500));
    let mut watcher = Watcher::connect(stage.public(), ("cookie", &cookie), &event, None);
    assert_eq!(watcher.next(Duration::from_secs(10)).unwrap().kind, "snapshot");
    assert_eq!(
        stage
            .send(&vote_call(&stage.issuer.voter(7), 7, &event, 0))
            .status,
        200
    );
    let close = Call::post(&format!("/v1/event/{event}/close"), &json!({})).token(&stage.operator_token);
    assert_eq!(stage.send(&close).status, 200);
    let mut last = None;
    while let Some(shown) = watcher.next(Duration::from_secs(5)) {
        let is_closed = shown.kind == "closed";
        last = Some(shown);
        if is_closed {
            break;
        }
    }
    let last = last.expect("something was shown");
    assert_eq!(
        (last.kind.as_str(), &last.data["status"]),
        ("closed", &json!("closed"))
    );
    let total: u64 = last.data["contestants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["total_votes"].as_u64().unwrap())
        .sum();
    assert_eq!(total, 1);
}

#[test]
fn the_audience_notices_a_total_that_goes_back() {
    let shown = |id: &str, total: u64| Shown {
        kind: "tally".into(),
        id: Some(id.into()),
        data: json!({"contestants": [{"contestant_id": "e1-c0", "total_votes": total}]}),
    };
    let mut audience = Audience::default();
    audience.see(&shown("5", 3));
    let back = std::panic::catch_unwind(move || audience.see(&shown("6", 2)));
    assert!(back.is_err());
}
