//! Bad input: a problem+json answer or a closed connection, a node that goes on, no panic, no growth.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::stage::{Stage, vote_call};

/// What a hostile crowd may make the node's memory grow by: caches and buffers, never the requests themselves.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The node still does its work, and nothing in it panicked.
fn assert_unharmed(stage: &Stage, voter: u32, event: &str) {
    let answer = stage.send(&vote_call(&stage.issuer.voter(voter), voter, event, 0));
    assert_eq!(answer.status, 200, "{answer:?}");
    let log = stage.node.log();
    assert!(!log.contains("panicked"), "{log}");
}

/// Sends raw bytes and reads until the server closes or says something; what it said.
fn raw(addr: &str, bytes: &[u8], patience: Duration) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn bodies_that_are_too_large_are_refused_before_they_are_read() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let before = stage.node.resident_bytes();
    let ten_megabytes = vec![b' '; 10 * 1024 * 1024];
    for path in [
        "/v1/auth/login",
        "/v1/auth/register",
        "/v1/event/create",
        "/v1/vote/submit",
    ] {
        for _ in 0..5 {
            let call = Call::post_bytes(path, &ten_megabytes).token(&stage.operator_token);
            // The answer may be lost when the server closes while we still send: then the connection is closed.
            if let Ok(answer) = call.try_send(stage.public()) {
                assert_eq!(
                    answer.assert_problem()["type"],
                    "urn:ostraka:problem:body-too-large",
                    "{path}"
                );
            }
        }
    }
    // Without a length, in chunks: the same.
    let mut chunked = b"POST /v1/vote/submit HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\nauthorization: Bearer ".to_vec();
    chunked.extend_from_slice(stage.operator_token.as_bytes());
    chunked.extend_from_slice(b"\r\n\r\nA00000\r\n");
    chunked.extend_from_slice(&ten_megabytes);
    let answer = raw(stage.public(), &chunked, Duration::from_secs(5));
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 413"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    let grown = stage.node.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "grew by {grown} bytes");
    assert_unharmed(&stage, 7, &event);
}

#[test]
fn json_in_every_wrong_shape_is_a_problem() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let deep = "[".repeat(3_000);
    let shapes: [&[u8]; 12] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"\"vote\"",
        b"{\"user_id\":}",
        b"\xff\xfe\x00",
        b"{\"user_id\":\"u1\",\"user_id\":\"u2\"}",
        b"{\"user_id\":{\"$gt\":\"\"}}",
        b"{\"user_id\":\"u99999999999999999999\"}",
        deep.as_bytes(),
    ];
    for path in [
        "/v1/auth/login",
        "/v1/auth/register",
        "/v1/event/create",
        "/v1/vote/submit",
    ] {
        for shape in shapes {
            let answer = stage.send(&Call::post_bytes(path, shape).token(&stage.operator_token));
            let sent = String::from_utf8_lossy(&shape[..shape.len().min(40)]);
            assert!(
                answer.status == 400 || answer.status == 429,
                "{path} {sent}: {answer:?}"
            );
            answer.assert_problem();
        }
    }
    assert_unharmed(&stage, 7, &event);
}

#[test]
fn the_operator_port_answers_bad_bodies_with_problems_and_writes_a_line_about_each() {
    let stage = Stage::new();
    let operator = &stage.node.options.operator;
    let ten_megabytes = vec![b' '; 10 * 1024 * 1024];
    let untyped = |path: &str| Call::post_bytes(path, b"{}").header("content-type", "text/plain");
    for action in ["add", "remove", "transfer-leader"] {
        let path = format!("/v1/cluster/{action}");
        for (call, code) in [
            (Call::post_bytes(&path, b"{"), "malformed-json"),
            (Call::post_bytes(&path, b"[]"), "invalid-field"),
            (Call::post_bytes(&path, b"{}"), "invalid-field"),
            (
                Call::post(&path, &json!({"node": "two", "to": [], "peer": 7})),
                "invalid-field",
            ),
            (untyped(&path), "unsupported-media-type"),
            (Call::post_bytes(&path, &ten_megabytes), "body-too-large"),
        ] {
            // As above, an early answer to a long body may be lost.
            let answer = match call.try_send(operator) {
                Err(_) if code == "body-too-large" => continue,
                answer => answer.unwrap(),
            };
            let problem = answer.assert_problem();
            assert_eq!(
                problem["type"],
                format!("urn:ostraka:problem:{code}"),
                "{problem}"
            );
            let trace = problem["trace_id"].as_str().unwrap();
            let log = stage.node.log();
            let lines = log.lines().filter(|line| line.contains(trace)).count();
            // Twenty a second are written out, the rest are counted.
            assert!(
                lines == 1 || log.matches("a request was refused").count() >= 20,
                "{problem}\n{log}"
            );
        }
    }
    // What is understood and not done is a problem too.
    let groups = Call::get("/v1/cluster/status").send(operator).json()["groups"].clone();
    let over: serde_json::Map<String, Value> = groups
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            (
                group["name"].as_str().unwrap().to_owned(),
                group["membership"].clone(),
            )
        })
        .collect();
    let late = Call::post("/v1/cluster/remove", &json!({"node": 1, "over": {}})).send(operator);
    assert_eq!(
        (late.status, late.assert_problem()["type"].as_str().unwrap()),
        (409, "urn:ostraka:problem:members-changed")
    );
    let unknown = Call::post("/v1/cluster/remove", &json!({"node": 9, "over": over})).send(operator);
    let problem = unknown.assert_problem();
    assert_eq!(
        (unknown.status, problem["type"].as_str().unwrap()),
        (409, "urn:ostraka:problem:cluster-action-refused")
    );
    let absent = json!({"node": 2, "peer": "127.0.0.1:1", "over": over});
    let absent = Call::post("/v1/cluster/add", &absent).send(operator);
    assert_eq!(
        absent.assert_problem()["type"],
        "urn:ostraka:problem:node-unreachable"
    );
}

/// A page in an operator's browser reaches the operator port, and a browser says whose page it is.
#[test]
fn the_operator_port_is_not_for_web_pages() {
    let stage = Stage::new();
    for path in ["/v1/cluster/backup", "/v1/cluster/init"] {
        let call = Call::post_bytes(path, b"x").header("origin", "http://evil.example");
        let answer = call.send(&stage.node.options.operator);
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(
            answer.assert_problem()["type"],
            "urn:ostraka:problem:not-permitted"
        );
    }
}

#[test]
fn ids_and_tokens_of_every_wrong_kind_are_refused() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let token = stage.issuer.voter(7);
    let long = "e".repeat(4_000);
    let ids = [
        "e0",
        "e",
        "E1",
        "e+1",
        "e1.0",
        "e4294967296",
        "..%2f..",
        "%ff%fe",
        "e1%00",
        "💥",
        long.as_str(),
    ];
    for id in ids {
        for path in [
            format!("/v1/event/{id}/leaderboard"),
            format!("/v1/contestants/{id}"),
            format!("/v1/vote/{id}/status"),
        ] {
            let answer = stage.send(&Call::get(&path).token(&token));
            assert!([400, 404].contains(&answer.status), "{path}: {answer:?}");
        }
    }
    let tampered = format!("{}x", &token[..token.len() - 1]);
    let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSJ9.";
    for bad in ["", "x", "..", none, tampered.as_str(), long.as_str()] {
        let answer = stage.send(&vote_call(bad, 7, &event, 0));
        assert_eq!(answer.status, 401, "{bad}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some());
    }
    assert_unharmed(&stage, 7, &event);
}

#[test]
fn a_foreign_vote_id_opens_nothing() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let other = Stage::new();
    let other_event = other.event(&["Ada"]);
    let foreign = other
        .send(&vote_call(&other.issuer.voter(7), 7, &other_event, 0))
        .json();
    let foreign = foreign["vote_id"].as_str().unwrap().to_string();
    assert_unharmed(&stage, 7, &event);
    let answer = stage.send(&Call::get(&format!("/v1/vote/{foreign}/status")).token(&stage.issuer.voter(7)));
    assert_eq!(
        answer.assert_problem()["type"],
        "urn:ostraka:problem:vote-not-found"
    );
}

/// What is no HTTP/1.1 request, and the problem that answers it.
fn no_requests() -> Vec<(Vec<u8>, u16, &'static str)> {
    let head =
        |line: &str| format!("POST /v1/vote/submit HTTP/1.1\r\nhost: x\r\n{line}\r\n\r\n").into_bytes();
    let long = "a".repeat(1024 * 1024);
    vec![
        (head("content-length: -5"), 400, "malformed-request"),
        (
            head("content-length: 5\r\ncontent-length: 6"),
            400,
            "malformed-request",
        ),
        (
            head("content-length: 340282366920938463463374607431768211456"),
            400,
            "malformed-request",
        ),
        (
            head("content-length: 18446744073709551615"),
            413,
            "body-too-large",
        ),
        (head("transfer-encoding: identity"), 400, "malformed-request"),
        (head("not a header"), 400, "malformed-request"),
        (head(&format!("x: {long}")), 431, "head-too-large"),
        (head(&"x: y\r\n".repeat(1_000)), 431, "head-too-large"),
        (
            format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(),
            431,
            "head-too-large",
        ),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), 400, "malformed-request"),
        (b"\x16\x03\x01\x02\x00\x01\x00".to_vec(), 400, "malformed-request"),
        (b"\0\0\0\0\0\0\0\0\r\n\r\n".to_vec(), 400, "malformed-request"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), 505, "http-version"),
    ]
}

#[test]
fn what_is_no_request_is_answered_logged_and_closed() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let token = stage.issuer.voter(7);
    let wanted =
        json!({"user_id": "u7", "event_id": event, "contestant_id": format!("{event}-c0")}).to_string();
    let vote = format!(
        "POST /v1/vote/submit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{wanted}",
        wanted.len()
    );
    for (bytes, status, kind) in no_requests() {
        for before in ["", vote.as_str()] {
            // The budget of log lines is 20 a second, and each of these is to be found in the log.
            std::thread::sleep(Duration::from_millis(60));
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
            let mut stream = TcpStream::connect(stage.public()).unwrap();
            let peer = stream.local_addr().unwrap().to_string();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let _ = stream.write_all(&[before.as_bytes(), &bytes].concat());
            let mut answers = Vec::new();
            stream
                .read_to_end(&mut answers)
                .unwrap_or_else(|error| panic!("{shown:?}: {error}"));
            let answers = String::from_utf8(answers).unwrap();
            let heads = answers.matches("traceparent: ").count();
            assert_eq!(heads, 1 + usize::from(!before.is_empty()), "{shown:?}: {answers}");
            assert_eq!(
                answers.contains("\"vote_id\""),
                !before.is_empty(),
                "{shown:?}: {answers}"
            );
            let last = &answers[answers
                .rfind(&format!("HTTP/1.1 {status} "))
                .unwrap_or_else(|| panic!("{shown:?}: {answers}"))..];
            assert!(last.contains("connection: close"), "{last}");
            let (_, body) = last.split_once("\r\n\r\n").unwrap();
            let problem: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(
                problem["type"],
                format!("urn:ostraka:problem:{kind}"),
                "{shown:?}"
            );
            let trace_id = problem["trace_id"].as_str().unwrap();
            let log = stage.node.log();
            let line = log
                .lines()
                .find(|line| line.contains(trace_id))
                .expect("a log line");
            assert!(line.contains(&peer), "{line}");
        }
    }
    assert_unharmed(&stage, 8, &event);
}

#[test]
fn garbage_and_half_open_connections_are_closed_and_cost_nothing() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let before = stage.node.resident_bytes();
    for _ in 0..20 {
        for (bytes, ..) in no_requests() {
            raw(stage.public(), &bytes, Duration::from_millis(100));
        }
    }
    // Half open: heads and bodies that never end. All are held at once, and all are closed in time.
    let half = b"POST /v1/vote/submit HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\ncontent-type: application/json\r\n";
    let open: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(stage.public()).unwrap();
            stream.write_all(half).unwrap();
            if number % 2 == 0 {
                stream.write_all(b"\r\n{\"user").unwrap();
            }
            stream
        })
        .collect();
    assert_unharmed(&stage, 7, &event);
    let started = Instant::now();
    for mut stream in open {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        let still_open = end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(
            !still_open,
            "a half-open connection is still open after {:?}",
            started.elapsed()
        );
    }
    let grown = stage.node.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "grew by {grown} bytes");
    assert_unharmed(&stage, 8, &event);
}

/// A number from the environment, for campaigns longer than the ordinary run.
fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Memory that connections took may stay with the allocator, and is then used again by the next ones: what grows with
/// every round is lost.
#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing_behind() {
    let stage = Stage::new();
    let rounds = setting("OSTRAKA_CROWD_ROUNDS", 6);
    let connections = setting("OSTRAKA_CROWD_CONNECTIONS", 1_000);
    let mut after = Vec::new();
    for round in 1..=rounds {
        let crowd: Vec<TcpStream> = (0..connections)
            .map(|_| {
                let mut stream = TcpStream::connect(stage.public()).unwrap();
                stream
                    .write_all(b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n")
                    .unwrap();
                stream
            })
            .collect();
        for mut stream in &crowd {
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            assert_eq!(&first, b"HTTP/1.1 404");
        }
        drop(crowd);
        // Each is noticed, and its memory given back to the allocator.
        std::thread::sleep(Duration::from_millis(500));
        after.push(stage.node.resident_bytes());
        println!("round {round}: {:.1} MiB", after[round - 1] as f64 / 1_048_576.0);
    }
    assert!(!grows(&after, connections), "{after:?}");
}

/// Whether memory after each round grows as it does when connections are lost. The first half of the rounds fills the
/// allocator's arenas; a lost connection would be 8 KiB for hyper's buffer alone, of which a third is enough.
fn grows(after_round: &[u64], connections: usize) -> bool {
    let rounds = after_round.len();
    let grown = after_round[rounds - 1].saturating_sub(after_round[rounds / 2 - 1]);
    grown > ((rounds - rounds / 2) * connections * 8 * 1_024 / 3) as u64
}

#[test]
fn a_loss_in_every_round_is_growth_and_a_plateau_is_none() {
    let start = 60 * 1_024 * 1_024;
    let leaking: Vec<u64> = (1..=6).map(|round| start + round * 1_000 * 8_192).collect();
    assert!(grows(&leaking, 1_000));
    let plateau = [20, 44, 54, 61, 63, 65].map(|mib: u64| start + mib * 1_024 * 1_024);
    assert!(!grows(&plateau, 5_000));
}

#[test]
fn garbage_on_the_peer_port_and_a_wrong_cluster_key_are_refused() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let peer = stage.node.options.peer.clone();
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\0\x01\x02",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    ] {
        for _ in 0..20 {
            raw(&peer, bytes, Duration::from_millis(50));
        }
    }
    assert_unharmed(&stage, 7, &event);
}

#[test]
fn a_stream_without_a_token_or_event_is_a_problem_and_not_a_stream() {
    let stage = Stage::new();
    let event = stage.event(&["Ada"]);
    let stream = |event: &str| Call::get(&format!("/v1/event/{event}/stream"));
    let token = stage.issuer.voter(7);
    assert_eq!(
        stage.send(&stream(&event)).assert_problem()["type"],
        "urn:ostraka:problem:unauthenticated"
    );
    assert_eq!(
        stage.send(&stream("e4000").token(&token)).assert_problem()["type"],
        "urn:ostraka:problem:event-not-found"
    );
    assert_eq!(
        stage.send(&stream("4000").token(&token)).assert_problem()["type"],
        "urn:ostraka:problem:malformed-id"
    );
    // A cookie must not let another site's page vote.
    let cookie = format!("ostraka_token={token}");
    let vote = Call::post(
        "/v1/vote/submit",
        &json!({"user_id": "u7", "event_id": event, "contestant_id": format!("{event}-c0")}),
    );
    assert_eq!(stage.send(&vote.header("cookie", &cookie)).status, 401);
}
