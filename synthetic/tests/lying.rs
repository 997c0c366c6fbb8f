//! The program against a service small enough to be plainly right, that tells one lie on demand: each thing that a probe is
//! there to find is shown to be found, and an honest service passes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Frame, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    None,
    NotShown,
    CountsTwice,
    /// The stream names the vote and its total stays.
    NamedNotCounted,
    Duplicate,
    StatusRejected,
    StatusNotFound,
    Overloaded,
    /// The vote is shown after 1.2 s.
    LateOnStream,
    /// It is acknowledged after 80 ms.
    LateAnswer,
    /// The first token has expired.
    TokenExpired,
    WrongPassword,
    NoOperator,
}

/// What the stream says: version, totals of both contestants, and the newest vote's trace.
type Shown = (u64, [u64; 2], Option<String>);

struct Service {
    lie: Lie,
    shown: watch::Sender<Shown>,
    logins: Mutex<u32>,
}

type Shared = State<Arc<Service>>;

fn problem(status: StatusCode, code: &str) -> (StatusCode, Json<Value>) {
    let body = json!({
        "type": format!("urn:ostraka:problem:{code}"), "title": code, "status": status.as_u16(), "detail": code,
        "retryable": status == StatusCode::SERVICE_UNAVAILABLE, "trace_id": "0af7651916cd43dd8448eb211c80319c",
    });
    (status, Json(body))
}

type Told = (StatusCode, Json<Value>);

async fn login(State(service): Shared) -> Told {
    if service.lie == Lie::WrongPassword {
        return problem(StatusCode::UNAUTHORIZED, "wrong-credentials");
    }
    let mut logins = service.logins.lock().unwrap();
    *logins += 1;
    (
        StatusCode::OK,
        Json(json!({"userId": "u1", "token": format!("token-{logins}")})),
    )
}

async fn create(State(service): Shared) -> Told {
    if service.lie == Lie::NoOperator {
        return problem(StatusCode::FORBIDDEN, "not-permitted");
    }
    let contestants = json!([
        {"contestant_id": "e1-c0", "contestant_name": "heads"}, {"contestant_id": "e1-c1", "contestant_name": "tails"}
    ]);
    (
        StatusCode::OK,
        Json(json!({"event_id": "e1", "contestants": contestants})),
    )
}

async fn submit(State(service): Shared, headers: HeaderMap, Json(vote): Json<Value>) -> Told {
    let token = headers["authorization"].to_str().unwrap().to_owned();
    match service.lie {
        Lie::Overloaded => return problem(StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Lie::TokenExpired if token.ends_with("token-1") => {
            return problem(StatusCode::UNAUTHORIZED, "unauthenticated");
        }
        _ => {}
    }
    let trace = headers["traceparent"].to_str().unwrap()[3..35].to_owned();
    let place = usize::from(vote["contestant_id"] == "e1-c1");
    let shown = service.shown.clone();
    let lie = service.lie;
    tokio::spawn(async move {
        let wait_ms = if lie == Lie::LateOnStream { 1_200 } else { 20 };
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        shown.send_modify(|(version, totals, newest)| {
            *version += 1;
            totals[place] += match lie {
                Lie::NamedNotCounted => 0,
                Lie::CountsTwice => 2,
                _ => 1,
            };
            *newest = Some(trace);
        });
    });
    if service.lie == Lie::LateAnswer {
        tokio::time::sleep(Duration::from_millis(80)).await;
    }
    let status = if service.lie == Lie::Duplicate {
        "duplicate"
    } else {
        "processed"
    };
    let told = json!({"vote_id": "v1", "vote_status": status, "durability": "quorum_fsync"});
    (StatusCode::OK, Json(told))
}

async fn status(State(service): Shared) -> Told {
    if service.lie == Lie::StatusNotFound {
        return problem(StatusCode::NOT_FOUND, "vote-not-found");
    }
    let status = if service.lie == Lie::StatusRejected {
        "rejected"
    } else {
        "processed"
    };
    let told = json!({"vote_id": "v1", "vote_status": status, "event_name": "canary"});
    (StatusCode::OK, Json(told))
}

async fn watch_stream(State(service): Shared) -> Sse<impl Stream<Item = Result<Frame, Infallible>>> {
    let mut shown = service.shown.subscribe();
    let (version, totals, _) = shown.borrow_and_update().clone();
    let snapshot = json!({
        "event_id": "e1", "event_name": "canary", "status": "open", "version": version,
        "contestants": [
            {"contestant_id": "e1-c0", "contestant_name": "heads", "total_votes": totals[0]},
            {"contestant_id": "e1-c1", "contestant_name": "tails", "total_votes": totals[1]},
        ],
    });
    let first = Frame::default()
        .event("snapshot")
        .id(version.to_string())
        .data(snapshot.to_string());
    let lie = service.lie;
    let tallies = stream::unfold((shown, version), move |(mut shown, before)| async move {
        shown.changed().await.ok()?;
        if lie == Lie::NotShown {
            std::future::pending::<()>().await;
        }
        let (version, totals, newest) = shown.borrow_and_update().clone();
        let traces: Vec<String> = newest.into_iter().collect();
        let tally = json!({
            "event_id": "e1", "status": "open", "version": version, "previous_version": before,
            "contestants": [
                {"contestant_id": "e1-c0", "total_votes": totals[0]}, {"contestant_id": "e1-c1", "total_votes": totals[1]},
            ],
            "traces": traces, "traces_omitted": 0,
        });
        let frame = Frame::default()
            .event("tally")
            .id(version.to_string())
            .data(tally.to_string());
        Some((Ok(frame), (shown, version)))
    });
    Sse::new(stream::once(async move { Ok(first) }).chain(tallies))
}

async fn serve(lie: Lie) -> SocketAddr {
    let service = Arc::new(Service {
        lie,
        shown: watch::Sender::new((5, [3, 2], None)),
        logins: Mutex::new(0),
    });
    let routes = Router::new()
        .route("/v1/auth/login", post(login))
        .route("/v1/event/create", post(create))
        .route("/v1/vote/submit", post(submit))
        .route("/v1/vote/{vote}/status", get(status))
        .route("/v1/event/{event}/stream", get(watch_stream))
        .with_state(service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    address
}

async fn synthetic(address: SocketAddr, folder: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synthetic"));
    command
        .args([
            "--place",
            &format!("here={address}"),
            "--patience-ms",
            "3000",
            "--evidence",
        ])
        .arg(folder)
        .args(more)
        .env("OSTRAKA_PROBE_PASSWORD", "correct horse")
        .stdin(Stdio::null());
    // The service that it asks runs on this thread.
    let done = tokio::task::spawn_blocking(move || command.output());
    done.await.unwrap().unwrap()
}

/// One probe of a service that lies so: the exit code, and something that is said.
async fn tells(lie: Lie, code: i32, part: &str) {
    let folder = tempfile::tempdir().unwrap();
    // A test machine may be slow to answer: what is tested is not its speed.
    let limit = if lie == Lie::LateAnswer { "50" } else { "1000" };
    let done = synthetic(
        serve(lie).await,
        folder.path(),
        &["--once", "--ack-p99-ms-max", limit],
    )
    .await;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(done.status.code(), Some(code), "{lie:?}: {said}");
    assert!(said.contains(part), "{lie:?}: {said}");
    assert!(!said.contains("correct horse"), "{said}");
}

#[tokio::test]
async fn an_honest_service_passes() {
    tells(Lie::None, 0, "PASS").await;
}

#[tokio::test]
async fn each_lie_is_found() {
    tells(Lie::NotShown, 1, "1 acknowledged votes not seen").await;
    tells(Lie::CountsTwice, 1, "some count twice").await;
    tells(Lie::NamedNotCounted, 1, "stays").await;
    tells(Lie::Duplicate, 1, "1 with a wrong status").await;
    tells(Lie::StatusRejected, 1, "1 with a wrong status").await;
    tells(Lie::StatusNotFound, 1, "1 acknowledged votes not seen").await;
}

#[tokio::test]
async fn what_is_slow_or_refused_is_told() {
    tells(Lie::LateOnStream, 1, "of sight is").await;
    tells(Lie::LateAnswer, 1, "of acknowledgement is").await;
    tells(Lie::Overloaded, 1, "0 of 1 probes are complete").await;
}

#[tokio::test]
async fn a_token_that_expired_is_no_fault_of_the_service() {
    tells(Lie::TokenExpired, 0, "PASS").await;
}

#[tokio::test]
async fn who_cannot_get_in_is_told_why_and_proves_nothing_good() {
    tells(Lie::WrongPassword, 1, "logging in").await;
    tells(Lie::NoOperator, 1, "only an operator may").await;
}

#[tokio::test]
async fn evidence_has_the_histogram_and_the_next_run_knows_of_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let address = serve(Lie::None).await;
    let many = ["--per-hour", "36000", "--for-s", "3", "--ack-p99-ms-max", "1000"];
    let done = synthetic(address, folder.path(), &many).await;
    assert_eq!(done.status.code(), Some(2), "too few for a p99: {done:?}");
    let files = || {
        let files = std::fs::read_dir(folder.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        files
            .filter(|file| !file.ends_with("synthetic-last.json"))
            .collect::<Vec<_>>()
    };
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let first = files();
    let evidence = read(&first[0]);
    let all = &evidence["figures"]["all"];
    assert!(all["outcomes"]["complete"].as_u64().unwrap() >= 20, "{all}");
    assert_eq!(all["outcomes"]["complete"], all["seen"]["count"]);
    assert_eq!(evidence["figures"]["not_running_before_s"], Value::Null);
    synthetic(address, folder.path(), &["--once"]).await;
    let second = files().into_iter().find(|path| !first.contains(path)).unwrap();
    assert!(read(&second)["figures"]["not_running_before_s"].is_u64());
}

#[tokio::test]
async fn wrong_arguments_are_told_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:1".parse().unwrap();
    for (more, part) in [
        (&["--per-hour", "0"][..], "0 is not in 1..=180000"),
        (&["--place", "x=y"], "has the address"),
        (&["--place", "here=a:1"], "two places are called here"),
        (&["--password-file", "/nowhere/it"], "cannot be read"),
        (&["--once", "--for-s", "3"], "cannot be used with"),
    ] {
        let done = synthetic(address, folder.path(), more).await;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(64), "{more:?}: {said}");
        assert!(said.contains(part), "{more:?}: {said}");
    }
}
