//! The server over pipes in memory: every wait is on tokio's paused clock.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use ostraka_core::UnixMs;
use ostraka_core::limits::{HTTP_STALL_MS_MAX, HTTP_WATCH_MS};
use ostraka_replication::env::BoxFuture;
use ostraka_replication::{Clock, Net};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::Env;
use crate::env::Entropy;
use crate::http::testing::{Dialer, PIPE_BYTES, Pipes, read_all};
use axum::Router;

use crate::http::{Edge, HttpMetrics, JsonBody, RequestContext};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixMs {
        UnixMs(1_700_000_000_000)
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Net for Fixed {
    fn bind<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<BoxIo>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

struct Port {
    server: Server,
    connections: Dialer,
}

impl Port {
    fn start(connections_max: usize) -> Self {
        let (pipes, connections) = Pipes::new();
        let env = Env::new(Arc::new(Fixed), Arc::new(Fixed), Arc::new(Fixed));
        let edge = Edge::new(&env, HttpMetrics::register(&mut Registry::default()));
        let router = Router::new()
            .route("/fine", get(|| async { "fine" }))
            .route("/slow", get(slow))
            .route("/takes", post(|_: JsonBody<serde_json::Value>| async { "taken" }))
            .route("/numbers", get(numbers));
        let server = Server::start("test", Box::new(pipes), edge.over(router), connections_max);
        Self {
            server: server.unwrap(),
            connections,
        }
    }

    fn connect(&self) -> DuplexStream {
        self.connections.connect()
    }
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    "slow"
}

/// An endless stream of the tenths of a second that have passed, made as the real streams are: when there is room.
async fn numbers(axum::Extension(context): axum::Extension<RequestContext>) -> Response {
    let open = context.progress.keep_busy();
    let began = Instant::now();
    let stream = futures_util::stream::unfold((context.progress, open), move |(progress, open)| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::future::poll_fn(|cx| progress.poll_room(cx)).await;
        let tenths = began.elapsed().as_millis() / 100;
        let line = Bytes::from(format!("{tenths:01000}\n"));
        Some((Ok::<_, Infallible>(line), (progress, open)))
    });
    Response::new(Body::from_stream(stream))
}

async fn read_until(pipe: &mut DuplexStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(pipe.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_in_order_on_one_connection() {
    let port = Port::start(10);
    let mut pipe = port.connect();
    let requests = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET /fine HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3);
    let last = "GET /fine HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    pipe.write_all((requests + last).as_bytes()).await.unwrap();
    let answers = read_all(pipe).await;
    let bodies: Vec<_> = answers.split("\r\n\r\n").skip(1).map(|body| &body[..4]).collect();
    assert_eq!(bodies, ["slow", "fine", "slow", "fine", "slow", "fine", "fine"]);
    assert!(
        !answers.contains("\r\ndate:"),
        "no header reads the machine's clock"
    );
}

/// As `nc -N` does it.
#[tokio::test(start_paused = true)]
async fn who_has_said_all_is_answered_all_the_same() {
    let port = Port::start(10);
    let post =
        "POST /takes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    for request in [
        "GET /fine HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n",
        post,
    ] {
        let mut pipe = port.connect();
        pipe.write_all(request.as_bytes()).await.unwrap();
        pipe.shutdown().await.unwrap();
        let answer = read_all(pipe).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{request:?}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_open_connection_is_closed_in_time() {
    let port = Port::start(10);
    for begun in ["", "GET /fine HTT", "GET /fine HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let mut pipe = port.connect();
        let began = Instant::now();
        pipe.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(read_all(pipe).await, "");
        let held_ms = began.elapsed().as_millis() as u64;
        assert!(
            (HTTP_STALL_MS_MAX..=HTTP_STALL_MS_MAX + HTTP_WATCH_MS).contains(&held_ms),
            "{begun:?} was held for {held_ms} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn headers_that_drip_in_do_not_hold_a_connection() {
    let port = Port::start(10);
    let mut pipe = port.connect();
    let began = Instant::now();
    pipe.write_all(b"GET /fine HTTP/1.1\r\n").await.unwrap();
    while pipe.write_all(b"x: y\r\n").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_millis(HTTP_STALL_MS_MAX + 2 * HTTP_WATCH_MS));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_announced_too_large_or_never_comes_is_refused() {
    let port = Port::start(10);
    let post = |length: usize| {
        format!(
            "POST /takes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    for (length, status) in [(10_000_000, "413"), (100, "408")] {
        let mut pipe = port.connect();
        pipe.write_all(post(length).as_bytes()).await.unwrap();
        let answer = read_all(pipe).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
}

/// What hyper cannot read, and what its sender is told.
fn no_requests() -> Vec<(Vec<u8>, &'static str)> {
    let head = |lines: &str| format!("POST /takes HTTP/1.1\r\nhost: x\r\n{lines}\r\n").into_bytes();
    let long = "y".repeat(2 * HTTP_BUFFER_BYTES_MAX);
    vec![
        (head("content-length: -1\r\n"), "400 malformed-request"),
        (
            head("content-length: 5\r\ncontent-length: 6\r\n"),
            "400 malformed-request",
        ),
        (head("content-length: 5, 6\r\n"), "400 malformed-request"),
        (head("content-length: 0x10\r\n"), "400 malformed-request"),
        (
            head("content-length: 99999999999999999999999\r\n"),
            "400 malformed-request",
        ),
        (
            head("content-length: 18446744073709551615\r\n"),
            "413 body-too-large",
        ),
        (head("transfer-encoding: gzip\r\n"), "400 malformed-request"),
        (head("no colon\r\n"), "400 malformed-request"),
        (head("x: \u{0}\r\n"), "400 malformed-request"),
        (head(&format!("x: {long}\r\n")), "431 head-too-large"),
        (head(&"x: y\r\n".repeat(200)), "431 head-too-large"),
        (
            format!("GET /{long} HTTP/1.1\r\n\r\n").into_bytes(),
            "431 head-too-large",
        ),
        (b"GET /fine HTTP/9.9\r\n\r\n".to_vec(), "400 malformed-request"),
        (b"\x01\x02\x03 nonsense\r\n\r\n".to_vec(), "400 malformed-request"),
        (
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            "400 malformed-request",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "505 http-version"),
    ]
}

/// Statuses and problem types of whole answers, in order: "200" or "400 malformed-request".
fn summary(mut answers: &str) -> Vec<String> {
    let mut found = Vec::new();
    while !answers.is_empty() {
        let (head, rest) = answers.split_once("\r\n\r\n").expect("a whole head");
        let status = head.split(' ').nth(1).unwrap();
        let length = head.split("content-length: ").nth(1).expect("a length");
        let length = length.split("\r\n").next().unwrap().parse().unwrap();
        let (body, rest) = rest.split_at(length);
        answers = rest;
        if !head.contains("application/problem+json") {
            found.push(status.to_owned());
            continue;
        }
        let problem: serde_json::Value = serde_json::from_str(body).expect("a problem is JSON");
        assert_eq!(problem["status"].to_string(), status);
        assert!(
            head.contains(problem["trace_id"].as_str().unwrap()),
            "{head} {body}"
        );
        let kind = problem["type"].as_str().unwrap().rsplit(':').next().unwrap();
        found.push(format!("{status} {kind}"));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_is_told_so_and_loses_no_answer_before_it() {
    let port = Port::start(10);
    let fine = b"GET /fine HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let slow = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    let told = b"POST /takes HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}".to_vec();
    for (bytes, expected) in no_requests() {
        for before in [
            vec![],
            vec![&fine],
            vec![&fine, &slow, &fine],
            vec![&told],
            vec![&fine; 40],
        ] {
            let (mut reader, mut writer) = tokio::io::split(port.connect());
            let sent: Vec<u8> = before
                .iter()
                .copied()
                .chain([&bytes])
                .flatten()
                .copied()
                .collect();
            let sending = tokio::spawn(async move { writer.write_all(&sent).await });
            let mut answers = String::new();
            reader.read_to_string(&mut answers).await.unwrap();
            let _ = sending.await;
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
            let mut all: Vec<_> = before
                .iter()
                .map(|request| {
                    if *request == &told {
                        "415 unsupported-media-type"
                    } else {
                        "200"
                    }
                })
                .collect();
            all.push(expected);
            assert_eq!(
                summary(&answers),
                all,
                "{shown:?} after {} requests",
                before.len()
            );
            assert!(
                answers.ends_with('}') && answers.contains("connection: close"),
                "{answers}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_does_not_wait_for_the_next_request() {
    let port = Port::start(10);
    let mut pipe = port.connect();
    pipe.write_all(b"GET /fine HTTP/1.1\r\nhost: x\r\n\r\nGET /fi")
        .await
        .unwrap();
    let began = Instant::now();
    assert!(
        read_until(&mut pipe, "\r\n\r\nfine")
            .await
            .starts_with("HTTP/1.1 200")
    );
    pipe.write_all(
        b"ne HTTP/1.1\r\nhost: x\r\n\r\nGET /slow HTTP/1.1\r\nhost: x\r\n\r\nGET /fine HTTP/1.1\r\n",
    )
    .await
    .unwrap();
    assert!(
        read_until(&mut pipe, "\r\n\r\nfine")
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_on_sending_gets_its_answer_and_is_cut_off() {
    let port = Port::start(10);
    let (mut reader, mut writer) = tokio::io::split(port.connect());
    let sending = tokio::spawn(async move {
        let began = Instant::now();
        while writer.write_all(&[b'a'; 1_000]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    });
    let mut answers = String::new();
    reader.read_to_string(&mut answers).await.unwrap();
    assert_eq!(summary(&answers), ["431 head-too-large"]);
    let held = sending.await.unwrap();
    assert!(held < Duration::from_millis(2 * HTTP_LINGER_MS_MAX), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_body_that_is_really_sent_is_answered_before_its_end() {
    let port = Port::start(10);
    let (mut reader, mut writer) = tokio::io::split(port.connect());
    let head = "POST /takes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    for framing in [
        "content-length: 10000000\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffff\r\n",
    ] {
        let request = [(head.to_owned() + framing).into_bytes(), vec![b' '; 10_000_000]].concat();
        let sending = tokio::spawn(async move { writer.write_all(&request).await.is_err() });
        let mut answer = Vec::new();
        let _ = reader.read_to_end(&mut answer).await;
        assert!(
            answer.starts_with(b"HTTP/1.1 413 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        assert!(sending.await.unwrap(), "the rest of the body was not taken");
        (reader, writer) = tokio::io::split(port.connect());
    }
}

#[tokio::test(start_paused = true)]
async fn connections_over_the_limit_are_told_and_closed_and_room_comes_back() {
    let port = Port::start(2);
    let held = [port.connect(), port.connect()];
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(read_all(port.connect()).await.starts_with("HTTP/1.1 503 "));
    drop(held);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut pipe = port.connect();
    pipe.write_all(b"GET /fine HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    assert!(read_all(pipe).await.ends_with("fine"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_newest_and_a_dead_one_is_dropped() {
    let port = Port::start(10);
    let mut pipe = port.connect();
    pipe.write_all(b"GET /numbers HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let number = |line: &str| line.trim().trim_start_matches('0').parse::<u64>().unwrap();
    read_until(&mut pipe, "\r\n\r\n").await;
    // Nothing is read for ten seconds: a hundred lines of 1,000 bytes, for which there is no room.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let mut lines = Vec::new();
    while lines.len() < 10 {
        let line = read_until(&mut pipe, "\n").await;
        if line.len() > 1_000 {
            lines.push(number(&line));
        }
    }
    let fresh = lines.iter().position(|tenths| *tenths >= 100).unwrap();
    assert!(
        fresh <= PIPE_BYTES / 1_000 + 1,
        "{fresh} old lines were kept for the reader: {lines:?}"
    );
    let began = Instant::now();
    let _unread = pipe;
    assert!(
        port.server
            .shutdown(tokio::time::sleep(Duration::from_secs(3_600)))
            .await,
        "the dead reader was given up"
    );
    assert!(began.elapsed() <= Duration::from_millis(HTTP_STALL_MS_MAX + 2 * HTTP_WATCH_MS));
}

#[tokio::test(start_paused = true)]
async fn shutdown_lets_a_request_finish_closes_idle_connections_and_cuts_off_at_the_deadline() {
    let port = Port::start(10);
    let (idle, mut busy) = (port.connect(), port.connect());
    busy.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(
        port.server
            .shutdown(tokio::time::sleep(Duration::from_secs(5)))
            .await
    );
    assert!(read_all(busy).await.ends_with("slow"));
    assert_eq!(read_all(idle).await, "");

    let port = Port::start(10);
    let mut endless = port.connect();
    endless
        .write_all(b"GET /numbers HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let reading = tokio::spawn(read_all(endless));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(
        !port
            .server
            .shutdown(tokio::time::sleep(Duration::from_secs(1)))
            .await,
        "something was cut off, and that is said"
    );
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_two_readers_could_understand_differently_is_refused() {
    let port = Port::start(10);
    let get = |lines: &str| format!("GET /fine HTTP/1.1\r\n{lines}\r\n");
    for (lines, status) in [
        ("host: x\r\nauthorization: a\r\nidempotency-key: k\r\n", 200),
        ("", 400),
        ("host: x\r\nhost: x\r\n", 400),
        ("host: x\r\nauthorization: a\r\nauthorization: b\r\n", 400),
        ("host: x\r\nidempotency-key: a\r\nIdempotency-Key: a\r\n", 400),
    ] {
        let mut pipe = port.connect();
        pipe.write_all(get(lines).as_bytes()).await.unwrap();
        pipe.shutdown().await.unwrap();
        let answer = read_all(pipe).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{lines:?}: {answer}"
        );
    }
}
