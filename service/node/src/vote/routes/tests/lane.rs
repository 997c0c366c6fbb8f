//! The lane beside the router: the same requests over pipes, with it and without it, get the same answers.

use std::collections::BTreeMap;

use ostraka_core::limits::{EXPRESS_UNDER_WAY_MAX, HTTP_BUFFER_BYTES_MAX, HTTP_REST_MS_MAX};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::http::testing::{Dialer, Pipes, read_all};
use crate::http::{Express, Server};

struct Port {
    app: App,
    server: Server,
    dialer: Dialer,
}

impl Port {
    /// With an event `e1` of two contestants, and `e2` of so many that its leaderboard does not fit into any buffer.
    async fn start(has_lane: bool) -> Self {
        let app = App::start();
        app.event(json!({})).await;
        let many: Vec<Value> = (0..HTTP_BUFFER_BYTES_MAX / 100)
            .map(|place| json!({"contestant_name": format!("{place:0120}")}))
            .collect();
        app.event(json!({"contestants": many})).await;
        let edge = Edge::new(&env(&app.log), HttpMetrics::register(&mut Registry::default()));
        let express = has_lane.then(|| Arc::clone(&app.service) as Arc<dyn Express>);
        let served = edge.over_both(router(Arc::clone(&app.service)), express);
        let (pipes, dialer) = Pipes::new();
        let server = Server::start("test", Box::new(pipes), served, 10).unwrap();
        Self { app, server, dialer }
    }

    fn vote(&self, voter: u32, contestant: &str, lines: &str) -> String {
        let token = self.app.token(voter, Role::Voter);
        vote(&token, &submission(voter, "e1", contestant).to_string(), lines)
    }
}

fn vote(token: &str, body: &str, lines: &str) -> String {
    format!(
        "POST /v1/vote/submit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n{lines}\r\n{body}",
        body.len()
    )
}

/// An answer without what differs from run to run.
#[derive(Debug, PartialEq)]
struct Answer {
    status: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// Takes the answers of a connection apart; each has a length.
fn answers(mut text: &str) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !text.is_empty() {
        let (head, rest) = text.split_once("\r\n\r\n").expect("a whole head");
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().to_owned();
        let mut headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").expect("a header"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length: usize = headers["content-length"].parse().unwrap();
        let mut body: Value = serde_json::from_str(&rest[..length]).unwrap();
        assert_eq!(headers.remove("traceparent").map(|trace| trace.len()), Some(55));
        for fresh in ["vote_id", "trace_id"] {
            if let Some(text) = body.get_mut(fresh) {
                *text = json!(text.as_str().unwrap().len());
            }
        }
        // Votes of one batch share a version.
        if let Some(version) = body.get_mut("version") {
            version.take();
        }
        answers.push(Answer {
            status,
            headers,
            body,
        });
        text = &rest[length..];
    }
    answers
}

/// Requests of every kind, for voters 1 to 5; the last one ends its connection.
fn request() -> impl Strategy<Value = (usize, u32)> {
    (0..KINDS, 1..6u32)
}

const KINDS: usize = 15;

fn written(port: &Port, kind: usize, voter: u32) -> String {
    let token = port.app.token(voter, Role::Voter);
    let good = submission(voter, "e1", "e1-c0").to_string();
    match kind {
        0..=3 => port.vote(voter, "e1-c0", ""),
        4 => port.vote(voter, "e1-c1", "Idempotency-Key: again\r\n"),
        5 => port.vote(voter, "e1-c1", "idempotency-key: two words\r\n"),
        6 => vote("nobodys", &good, ""),
        7 => vote(&token, &good[..good.len() - 1], ""),
        8 => vote(&token, &submission(voter + 1, "e1", "e1-c0").to_string(), ""),
        9 => vote(&token, &submission(voter, "e3", "e3-c0").to_string(), ""),
        10 => port.vote(voter, "e1-c7", ""),
        11 => port.vote(
            voter,
            "e1-c0",
            "connection: Keep-Alive\r\nx-amzn-trace-id: nothing\r\n",
        ),
        12 => format!(
            "GET /v1/event/e1/leaderboard HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
        ),
        13 => format!(
            "POST /v1/vote/submit HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: \
             application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{good}\r\n0\r\n\r\n",
            good.len()
        ),
        14 => format!(
            "GET /v1/event/e2/leaderboard HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
        ),
        _ => unreachable!("there are {KINDS} kinds"),
    }
}

async fn converse(port: &Port, requests: &[(usize, u32)], cut: usize) -> Vec<Answer> {
    let mut text: String = requests
        .iter()
        .map(|(kind, voter)| written(port, *kind, *voter))
        .collect();
    text.push_str(&port.vote(9, "e1-c0", "connection: close\r\n"));
    let pipe = port.dialer.connect();
    let (mut reading, mut writing) = tokio::io::split(pipe);
    let sending = async {
        for chunk in text.as_bytes().chunks(cut) {
            if writing.write_all(chunk).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut said = String::new();
    let (_, read) = tokio::join!(sending, reading.read_to_string(&mut said));
    read.unwrap();
    answers(&said)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_lane_answers_what_the_router_does(
        requests in prop::collection::vec(request(), 0..12),
        cut in 1..2_000usize,
    ) {
        let said = [true, false].map(|has_lane| {
            runtime().block_on(async {
                let port = Port::start(has_lane).await;
                let said = converse(&port, &requests, cut).await;
                let counted = port.app.get("/v1/event/e1/leaderboard", 1).await;
                (said, counted.1["contestants"].clone())
            })
        });
        let [lane, router] = &said;
        prop_assert_eq!(lane, router);
        prop_assert_eq!(lane.0.len(), requests.len() + 1);
    }
}

async fn next_answer(pipe: &mut DuplexStream) -> Answer {
    let mut text = String::new();
    loop {
        text.push(char::from(pipe.read_u8().await.unwrap()));
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.split("content-length: ").nth(1).unwrap();
            let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
            if body.len() == length {
                return answers(&text).remove(0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn votes_sent_one_behind_the_other_share_a_batch_and_are_answered_in_order() {
    let port = Port::start(true).await;
    let before = port.app.log.submissions.load(Ordering::SeqCst);
    let mut pipe = port.dialer.connect();
    // Every third one's event is not there.
    let votes: String = (1..=30)
        .map(|voter| {
            let event = if voter % 3 == 0 { "e3" } else { "e1" };
            let body = submission(voter, event, &format!("{event}-c0")).to_string();
            vote(&port.app.token(voter, Role::Voter), &body, "")
        })
        .collect();
    let (mut reading, mut writing) = tokio::io::split(&mut pipe);
    let mut said = vec![0; 16];
    let (sent, read) = tokio::join!(writing.write_all(votes.as_bytes()), reading.read_exact(&mut said));
    sent.unwrap();
    read.unwrap();
    let mut rest = String::from_utf8(said).unwrap();
    drop((reading, writing));
    pipe.shutdown().await.unwrap();
    pipe.read_to_string(&mut rest).await.unwrap();
    let statuses: Vec<bool> = answers(&rest)
        .iter()
        .map(|answer| answer.status == "HTTP/1.1 200 OK")
        .collect();
    let expected: Vec<bool> = (1..=30).map(|voter| voter % 3 != 0).collect();
    assert_eq!(statuses, expected);
    let batches = port.app.log.submissions.load(Ordering::SeqCst) - before;
    assert!(batches <= 10, "{batches} batches for 30 votes");
}

#[tokio::test(start_paused = true)]
async fn a_connection_begins_so_many_votes_and_no_more() {
    let port = Port::start(true).await;
    port.app.log.stuck.store(true, Ordering::SeqCst);
    let votes: Vec<String> = (1..=2 * EXPRESS_UNDER_WAY_MAX as u32)
        .map(|voter| port.vote(voter, "e1-c0", ""))
        .collect();
    let pipe = port.dialer.connect();
    let (mut reading, mut writing) = tokio::io::split(pipe);
    let sending = tokio::spawn(async move { writing.write_all(votes.concat().as_bytes()).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!sending.is_finished(), "all was read though nothing was answered");
    let vote_bytes = port.app.service.ingest.bytes_unanswered();
    port.app.log.unstick();
    let mut said = String::new();
    while said.matches("HTTP/1.1 200 OK").count() < 2 * EXPRESS_UNDER_WAY_MAX {
        let mut some = [0; 4_096];
        let read = reading.read(&mut some).await.unwrap();
        said.push_str(std::str::from_utf8(&some[..read]).unwrap());
    }
    sending.await.unwrap().unwrap();
    assert!(vote_bytes > 0);
    assert_eq!(port.app.service.ingest.bytes_unanswered(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_answers_what_is_under_way_and_closes() {
    let port = Port::start(true).await;
    port.app.log.stuck.store(true, Ordering::SeqCst);
    let mut pipe = port.dialer.connect();
    let votes: String = (1..=3).map(|voter| port.vote(voter, "e1-c0", "")).collect();
    pipe.write_all(votes.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let stopping = tokio::spawn(port.server.shutdown(tokio::time::sleep(Duration::from_secs(5))));
    tokio::time::sleep(Duration::from_millis(10)).await;
    port.app.log.unstick();
    let said = read_all(pipe).await;
    assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 3, "{said}");
    assert!(stopping.await.unwrap(), "a connection was cut off");
}

#[tokio::test(start_paused = true)]
async fn a_connection_goes_to_and_fro_between_lane_and_router() {
    let port = Port::start(true).await;
    let mut pipe = port.dialer.connect();
    for voter in 1..=20 {
        let kind = if voter % 2 == 0 { 12 } else { 0 };
        pipe.write_all(written(&port, kind, voter).as_bytes())
            .await
            .unwrap();
        let answer = next_answer(&mut pipe).await;
        assert_eq!(answer.status, "HTTP/1.1 200 OK", "{answer:?}");
        assert_eq!(answer.body.get("vote_id").is_some(), kind == 0);
    }
}

/// A large answer goes to the socket piece by piece, and votes behind it come while most of it is still to be sent.
#[tokio::test(start_paused = true)]
async fn nothing_comes_between_the_pieces_of_a_large_answer() {
    let port = Port::start(true).await;
    for rounds in [1, 3] {
        let (board, vote) = (written(&port, 14, 1), written(&port, 0, 2));
        let requests = [&board[..], &vote, &vote].concat().repeat(rounds);
        let pipe = port.dialer.connect();
        let (mut reading, mut writing) = tokio::io::split(pipe);
        let sending = tokio::spawn(async move { writing.write_all(requests.as_bytes()).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut said = String::new();
        while answers_begun(&said) < 3 * rounds || !ends_whole(&said) {
            let mut some = [0; 1_000];
            let within = Duration::from_secs(2);
            let read = tokio::time::timeout(within, reading.read(&mut some)).await;
            let read = read.expect("the answer goes on").unwrap();
            said.push_str(std::str::from_utf8(&some[..read]).unwrap());
        }
        sending.await.unwrap().unwrap();
        let kinds: Vec<bool> = answers(&said)
            .iter()
            .map(|answer| answer.body.get("contestants").is_some())
            .collect();
        assert_eq!(kinds, [true, false, false].repeat(rounds));
    }
}

fn answers_begun(said: &str) -> usize {
    said.matches("HTTP/1.1 200 OK").count()
}

/// Whether the last body has its length.
fn ends_whole(said: &str) -> bool {
    let last = said.rfind("HTTP/1.1 ").map_or("", |at| &said[at..]);
    last.split_once("\r\n\r\n").is_some_and(|(head, body)| {
        let length = head.split("content-length: ").nth(1).unwrap_or_default();
        length.split("\r\n").next() == Some(&body.len().to_string())
    })
}

/// Whether the body comes with the head or a little later is no matter, and where it is later than that the answer says so.
#[tokio::test(start_paused = true)]
async fn who_is_refused_by_the_head_loses_the_connection_only_where_the_answer_says_so() {
    let port = Port::start(true).await;
    for (pause_ms, closes) in [(0, false), (200, false), (HTTP_REST_MS_MAX + 500, true)] {
        let mut pipe = port.dialer.connect();
        let refused = written(&port, 6, 1);
        let (head, body) = refused.split_at(refused.len() - 3);
        pipe.write_all(head.as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        pipe.write_all(body.as_bytes()).await.unwrap();
        let answer = next_answer(&mut pipe).await;
        assert_eq!(answer.status, "HTTP/1.1 401 Unauthorized");
        let says_so = answer.headers.get("connection").map(String::as_str) == Some("close");
        assert_eq!(says_so, closes, "{pause_ms} ms: {answer:?}");
        if !closes {
            pipe.write_all(written(&port, 0, 1).as_bytes()).await.unwrap();
            assert_eq!(next_answer(&mut pipe).await.status, "HTTP/1.1 200 OK");
        }
    }
}
