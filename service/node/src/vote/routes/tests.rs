use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use ostraka_api::sse::{Decoded, Decoder};
use ostraka_api::{Durability, ErrorCode, ProblemBody};
use ostraka_core::{LogIndex, VoterNumber};
use ostraka_replication::{Clock, SubmitError};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::*;
use crate::http::edge::Served;
use crate::http::{Authenticator, Edge, HttpMetrics};
use crate::log::Log;
use crate::secrets::Secrets;
use crate::token::{Role, Tokens};
use crate::vote::service::VoteParts;
use crate::vote::testing::{LocalLog, env};

struct App {
    log: Arc<LocalLog>,
    service: Arc<VoteService>,
    served: Arc<Served>,
    tokens: Arc<Tokens>,
}

impl App {
    fn start() -> Self {
        Self::over(LocalLog::new())
    }

    fn over(log: Arc<LocalLog>) -> Self {
        let env = env(&log);
        let secrets = Secrets::derive(&[7; 32], &["k1".to_owned()]);
        let tokens = Arc::new(Tokens::new(&secrets));
        let mut registry = Registry::default();
        let service = VoteService::start(VoteParts {
            log: Arc::clone(&log) as Arc<dyn Log>,
            machine: Arc::clone(&log.machine),
            secrets: &secrets,
            authenticator: Authenticator::new(Arc::clone(&tokens), Arc::clone(&env.clock)),
            env: &env,
            durability: Durability::Volatile,
            storage_full: Arc::default(),
            registry: &mut registry,
        });
        let served = Edge::new(&env, HttpMetrics::register(&mut registry)).over(router(Arc::clone(&service)));
        Self {
            log,
            service,
            served,
            tokens,
        }
    }

    fn token(&self, voter: u32, role: Role) -> String {
        self.tokens.sign(
            VoterNumber(voter),
            role,
            self.log.clock.now(),
            Duration::from_secs(3_600),
        )
    }

    fn request(&self, method: &str, path: &str, voter: u32) -> axum::http::request::Builder {
        let bearer = format!("Bearer {}", self.token(voter, Role::Voter));
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", bearer)
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.served.handle(request, Arc::default()).await
    }

    async fn json(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.send(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str, voter: u32) -> (StatusCode, Value) {
        self.json(self.request("GET", path, voter).body(Body::empty()).unwrap())
            .await
    }

    async fn post(&self, path: &str, voter: u32, body: Value) -> (StatusCode, Value) {
        let request = self
            .request("POST", path, voter)
            .header("content-type", "application/json");
        self.json(request.body(body.to_string().into()).unwrap()).await
    }

    /// An event with two contestants, of user 1.
    async fn event(&self, extra: Value) -> String {
        let mut body = json!({
            "user_id": "u1", "event_name": "Song",
            "contestants": [
                {"contestant_name": "A", "contestant_description": "", "contestant_image_url": "https://a.example/a.png"},
                {"contestantName": "B"},
            ],
        });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let (status, answer) = self.post("/v1/event/create", 1, body).await;
        assert_eq!(status, 200, "{answer}");
        answer["event_id"].as_str().unwrap().to_owned()
    }

    async fn vote(&self, voter: u32, contestant: &str) -> (StatusCode, Value) {
        let event = contestant.split('-').next().unwrap();
        self.post("/v1/vote/submit", voter, submission(voter, event, contestant))
            .await
    }
}

fn submission(voter: u32, event: &str, contestant: &str) -> Value {
    json!({
        "user_id": format!("u{voter}"), "event_id": event, "contestant_id": contestant,
        "client_timestamp": "2026-01-31T20:15:00Z", "meta": {"device_id": "d", "app_version": "1"},
    })
}

fn code(body: &Value) -> ErrorCode {
    let problem: ProblemBody = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(problem.trace_id.len(), 32);
    assert!(!problem.detail.is_empty());
    problem.code().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_vote_is_counted_once_and_its_retry_gets_the_first_answer() {
    let app = App::start();
    let event = app.event(json!({})).await;
    let (status, first) = app.vote(5, "e1-c1").await;
    assert_eq!(status, 200);
    assert_eq!(first["vote_status"], "processed");
    assert_eq!(first["durability"], "volatile");
    assert_eq!(app.vote(5, "e1-c1").await, (status, first.clone()));
    let (_, second) = app.vote(5, "e1-c0").await;
    assert_eq!(
        (&second["vote_status"], &second["reason"]),
        (&json!("duplicate"), &json!("already_voted"))
    );
    assert_ne!(second["vote_id"], first["vote_id"]);

    let path = format!("/v1/vote/{}/status", first["vote_id"].as_str().unwrap());
    let (status, answer) = app.get(&path, 5).await;
    let expected = json!({"vote_id": first["vote_id"], "vote_status": "processed", "event_name": "Song"});
    assert_eq!((status, answer), (StatusCode::OK, expected));
    let (status, answer) = app.get(&path, 6).await;
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (404, ErrorCode::VoteNotFound),
        "another user's vote"
    );

    let (status, board) = app.get(&format!("/v1/event/{event}/leaderboard"), 9).await;
    assert_eq!(status, 200);
    assert_eq!(
        board["contestants"][0],
        json!({"contestant_id": "e1-c1", "contestant_name": "B", "total_votes": 1})
    );
    assert_eq!(board["contestants"][1]["total_votes"], 0);
    assert_eq!(
        (&board["consistency"], &board["event_name"]),
        (&json!("linearizable"), &json!("Song"))
    );
}

#[tokio::test(start_paused = true)]
async fn one_idempotency_key_is_one_submission_and_one_event() {
    let app = App::start();
    app.event(json!({})).await;
    let send = |contestant: &'static str, key: &'static str| {
        let request = app
            .request("POST", "/v1/vote/submit", 5)
            .header("content-type", "application/json");
        let body = submission(5, "e1", contestant).to_string();
        app.json(request.header("idempotency-key", key).body(body.into()).unwrap())
    };
    let first = send("e1-c0", "key-1").await;
    assert_eq!(first.1["vote_status"], "processed");
    assert_eq!(
        send("e1-c1", "key-1").await,
        first,
        "the key decides, not the body"
    );
    assert_eq!(send("e1-c1", "key-2").await.1["vote_status"], "duplicate");
    let (status, answer) = send("e1-c1", "two words").await;
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (400, ErrorCode::MalformedHeader)
    );

    let create = |name: &str| {
        let request = app
            .request("POST", "/v1/event/create", 1)
            .header("content-type", "application/json");
        let body = json!({"user_id": "u1", "event_name": name, "contestants": [{"contestant_name": name}]});
        app.json(
            request
                .header("idempotency-key", "make")
                .body(body.to_string().into())
                .unwrap(),
        )
    };
    let first = create("first").await;
    assert_eq!(
        create("again").await,
        first,
        "the answer is the first event's, its names too"
    );
}

#[tokio::test(start_paused = true)]
async fn every_failure_of_a_submission_has_its_code() {
    let app = App::start();
    app.event(json!({})).await;
    app.event(json!({})).await;
    let body = |voter: u32, event: &str, contestant: &str| submission(voter, event, contestant);
    let cases = [
        (json!([]), 400, ErrorCode::InvalidField),
        (json!({"user_id": "u5"}), 400, ErrorCode::InvalidField),
        (
            json!({"user_id": 5, "event_id": "e1", "contestant_id": "e1-c0"}),
            400,
            ErrorCode::InvalidField,
        ),
        (body(5, "x1", "e1-c0"), 400, ErrorCode::MalformedId),
        (body(6, "e1", "e1-c0"), 403, ErrorCode::NotTokenUser),
        (body(5, "e9", "e9-c0"), 404, ErrorCode::EventNotFound),
        (body(5, "e1", "e1-c2"), 404, ErrorCode::ContestantNotFound),
        (body(5, "e1", "e2-c0"), 404, ErrorCode::ContestantNotFound),
    ];
    for (body, status, expected) in cases {
        let (found, answer) = app.post("/v1/vote/submit", 5, body.clone()).await;
        assert_eq!((found.as_u16(), code(&answer)), (status, expected), "{body}");
    }
    let request = Request::post("/v1/vote/submit").header("content-type", "application/json");
    let (status, answer) = app
        .json(request.body(body(5, "e1", "e1-c0").to_string().into()).unwrap())
        .await;
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (401, ErrorCode::Unauthenticated)
    );
    let request = app
        .request("POST", "/v1/vote/submit", 5)
        .header("content-type", "application/json");
    let (status, answer) = app.json(request.body("{\"user_id\"".into()).unwrap()).await;
    assert_eq!((status.as_u16(), code(&answer)), (400, ErrorCode::MalformedJson));
    assert_eq!(
        app.log
            .machine
            .read()
            .state()
            .events()
            .map(|event| event.counted())
            .sum::<u64>(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_submission_without_an_outcome_says_whether_it_was_recorded() {
    let app = App::start();
    app.event(json!({})).await;
    let cases = [
        (SubmitError::NoLeader, ErrorCode::NoLeader),
        (SubmitError::Refused("full".into()), ErrorCode::Overloaded),
        (SubmitError::Stopped("disk".into()), ErrorCode::Draining),
        (SubmitError::Unknown, ErrorCode::OutcomeUnknown),
    ];
    for (error, expected) in cases {
        *app.log.fail_with.lock() = Some(error);
        let request = app
            .request("POST", "/v1/vote/submit", 5)
            .header("content-type", "application/json");
        let response = app
            .send(
                request
                    .body(submission(5, "e1", "e1-c0").to_string().into())
                    .unwrap(),
            )
            .await;
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(code(&serde_json::from_slice(&body).unwrap()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_submissions_are_told_so() {
    let app = App::start();
    app.event(json!({})).await;
    let send = |number: usize| {
        let request = app
            .request("POST", "/v1/vote/submit", 5)
            .header("content-type", "application/json");
        let request = request.header("idempotency-key", format!("key-{number}"));
        app.json(
            request
                .body(submission(5, "e1", "e1-c0").to_string().into())
                .unwrap(),
        )
    };
    let max = ostraka_core::limits::EXTRA_SUBMISSIONS_PER_VOTER_MAX;
    for number in 0..=max {
        assert_eq!(send(number).await.0, 200);
    }
    let (status, answer) = send(max + 1).await;
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (429, ErrorCode::TooManySubmissions)
    );
    assert_eq!(
        send(0).await.1["vote_status"],
        "processed",
        "a retry of the first still gets its answer"
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_owner_or_an_operator_opens_and_closes_and_closed_is_for_good() {
    let app = App::start();
    let event = app.event(json!({"opens_at": "2030-01-01T00:00:00Z"})).await;
    assert_eq!(app.vote(5, "e1-c0").await.1["reason"], "event_not_open");
    let path = |action: &str| format!("/v1/event/{event}/{action}");
    let (status, answer) = app.post(&path("open"), 2, json!({})).await;
    assert_eq!((status.as_u16(), code(&answer)), (403, ErrorCode::NotOwner));
    let (status, answer) = app.post(&path("open"), 1, json!({})).await;
    assert_eq!((status.as_u16(), &answer["status"]), (200, &json!("open")));
    assert_eq!(
        app.post(&path("open"), 1, json!({})).await.1,
        answer,
        "asking twice changes nothing"
    );
    assert_eq!(app.vote(6, "e1-c0").await.1["vote_status"], "processed");
    let operator = format!("Bearer {}", app.token(99, Role::Operator));
    let request = Request::post(path("close"))
        .header("authorization", operator)
        .body(Body::empty())
        .unwrap();
    let (status, answer) = app.json(request).await;
    assert_eq!((status.as_u16(), &answer["status"]), (200, &json!("closed")));
    assert_eq!(app.vote(7, "e1-c0").await.1["reason"], "event_closed");
    let (status, answer) = app.post(&path("open"), 1, json!({})).await;
    assert_eq!(
        (status.as_u16(), code(&answer)),
        (409, ErrorCode::EventAlreadyClosed)
    );
    let (status, answer) = app.post("/v1/event/e9/close", 1, json!({})).await;
    assert_eq!((status.as_u16(), code(&answer)), (404, ErrorCode::EventNotFound));
}

#[tokio::test(start_paused = true)]
async fn an_event_must_be_the_callers_sound_and_a_canary_an_operators() {
    let app = App::start();
    let body = |user: &str, name: &str| json!({"user_id": user, "event_name": name, "contestants": [{"contestant_name": "A"}]});
    let with = |field: &str, value: Value| {
        let mut body = body("u1", "Song");
        body[field] = value;
        body
    };
    let cases = [
        (body("u2", "Song"), 403, ErrorCode::NotTokenUser),
        (body("u1", ""), 400, ErrorCode::InvalidField),
        (body("one", "Song"), 400, ErrorCode::MalformedId),
        (with("contestants", json!([])), 400, ErrorCode::InvalidField),
        (
            with("closes_at", json!("2001-01-01T00:00:00Z")),
            400,
            ErrorCode::InvalidField,
        ),
        (with("closes_at", json!("soon")), 400, ErrorCode::InvalidField),
        (with("canary", json!(true)), 403, ErrorCode::NotPermitted),
    ];
    for (body, status, expected) in cases {
        let (found, answer) = app.post("/v1/event/create", 1, body.clone()).await;
        assert_eq!((found.as_u16(), code(&answer)), (status, expected), "{body}");
    }
    let operator = format!("Bearer {}", app.token(1, Role::Operator));
    let request = Request::post("/v1/event/create").header("authorization", operator);
    let request = request.header("content-type", "application/json");
    let (status, _) = app
        .json(
            request
                .body(with("canary", json!(true)).to_string().into())
                .unwrap(),
        )
        .await;
    assert_eq!(status, 200);
}

#[tokio::test(start_paused = true)]
async fn ids_in_paths_are_malformed_unknown_or_foreign() {
    let app = App::start();
    app.event(json!({})).await;
    app.vote(5, "e1-c0").await;
    for (path, status, expected) in [
        ("/v1/event/1/leaderboard", 400, ErrorCode::MalformedId),
        ("/v1/event/e2/leaderboard", 404, ErrorCode::EventNotFound),
        ("/v1/contestants/e01", 400, ErrorCode::MalformedId),
        ("/v1/contestants/e2", 404, ErrorCode::EventNotFound),
        ("/v1/contestants/%ff", 400, ErrorCode::MalformedId),
        ("/v1/event/e2/stream", 404, ErrorCode::EventNotFound),
        ("/v1/vote/17/status", 400, ErrorCode::MalformedId),
        (
            "/v1/vote/AQAAAAEAAAAAAAAAAgAAAAAAAAAAAAA/status",
            404,
            ErrorCode::VoteNotFound,
        ),
    ] {
        let (found, answer) = app.get(path, 5).await;
        assert_eq!((found.as_u16(), code(&answer)), (status, expected), "{path}");
    }
    let (_, answer) = app.get("/v1/contestants/e1", 5).await;
    let first = json!({"contestant_id": "e1-c0", "contestant_name": "A", "contestant_image_url": "https://a.example/a.png"});
    assert_eq!(answer["contestants"][0], first);
}

#[tokio::test(start_paused = true)]
async fn without_a_quorum_reads_say_that_they_may_be_old_and_nothing_of_what_is_not_known() {
    let app = App::start();
    app.event(json!({})).await;
    app.log.no_quorum.store(true, Ordering::SeqCst);
    let (status, board) = app.get("/v1/event/e1/leaderboard", 5).await;
    assert_eq!((status.as_u16(), &board["consistency"]), (200, &json!("stale")));
    assert_eq!(app.get("/v1/contestants/e1", 5).await.0, 200);
    let (status, answer) = app.get("/v1/contestants/e2", 5).await;
    assert_eq!((status.as_u16(), code(&answer)), (503, ErrorCode::NoLeader));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_behind_never_answers_with_an_older_status() {
    let (ahead, behind) = (App::start(), App::start());
    for app in [&ahead, &behind] {
        app.event(json!({})).await;
    }
    let (_, vote) = ahead.vote(5, "e1-c0").await;
    let path = format!("/v1/vote/{}/status", vote["vote_id"].as_str().unwrap());
    let (status, answer) = behind.get(&path, 5).await;
    assert_eq!((status.as_u16(), code(&answer)), (503, ErrorCode::NoLeader));
    behind.vote(5, "e1-c0").await;
    assert_eq!(behind.get(&path, 5).await.1["vote_status"], "processed");
}

#[tokio::test(start_paused = true)]
async fn results_after_close_stay_hidden_on_the_leaderboard_until_then() {
    let app = App::start();
    let event = app.event(json!({"results": "after_close"})).await;
    app.vote(5, "e1-c1").await;
    let path = format!("/v1/event/{event}/leaderboard");
    let board = app.get(&path, 5).await.1;
    assert_eq!(
        board["contestants"][0],
        json!({"contestant_id": "e1-c0", "contestant_name": "A", "total_votes": null})
    );
    app.post(&format!("/v1/event/{event}/close"), 1, json!({})).await;
    let board = app.get(&path, 5).await.1;
    assert_eq!(
        (&board["contestants"][0]["total_votes"], &board["status"]),
        (&json!(1), &json!("closed"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_closing_happens_while_nobody_votes() {
    let app = App::start();
    let event = app.event(json!({"closes_at": "2023-11-14T22:13:21Z"})).await;
    let path = format!("/v1/event/{event}/leaderboard");
    assert_eq!(app.get(&path, 5).await.1["status"], "open");
    app.log.clock.0.store(1_700_000_001_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(app.get(&path, 5).await.1["status"], "closed");
}

/// A stream as a client reads it.
struct Reader {
    body: axum::body::BodyDataStream,
    decoder: Decoder,
    pending: std::collections::VecDeque<Decoded>,
}

impl Reader {
    async fn open(app: &App, path: &str, last_event_id: Option<&str>) -> Self {
        let mut request = app.request("GET", path, 5);
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = response.into_body().into_data_stream();
        Self {
            body,
            decoder: Decoder::default(),
            pending: Default::default(),
        }
    }

    async fn next(&mut self) -> Option<Decoded> {
        while self.pending.is_empty() {
            let chunk = self.body.next().await?.unwrap();
            self.pending.extend(self.decoder.feed(&chunk).unwrap());
        }
        self.pending.pop_front()
    }

    /// The next event's name and data, past comments and retries.
    async fn event(&mut self) -> Option<(String, Value)> {
        loop {
            if let Decoded::Event {
                event,
                data,
                last_event_id,
            } = self.next().await?
            {
                let data: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(data["version"].to_string(), last_event_id);
                return Some((event, data));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_snapshot_tallies_and_the_final_result_and_then_the_end() {
    let app = App::start();
    let event = app.event(json!({})).await;
    let mut reader = Reader::open(&app, "/v1/event/e1/stream", None).await;
    assert!(matches!(reader.next().await, Some(Decoded::Retry(1_000..=3_000))));
    assert_eq!(app.service.metrics.subscribers.get(), 1);
    let (name, data) = reader.event().await.unwrap();
    assert_eq!(
        (name.as_str(), &data["contestants"][0]["total_votes"]),
        ("snapshot", &json!(0))
    );
    app.vote(5, "e1-c1").await;
    let (name, tally) = reader.event().await.unwrap();
    assert_eq!(name, "tally");
    assert_eq!(
        tally["contestants"],
        json!([{"contestant_id": "e1-c1", "total_votes": 1}])
    );
    assert_eq!(tally["previous_version"], data["version"]);
    app.post(&format!("/v1/event/{event}/close"), 1, json!({})).await;
    assert_eq!(reader.event().await.unwrap().0, "tally");
    assert!(matches!(
        reader.next().await,
        Some(Decoded::Retry(30_000..=60_000))
    ));
    let (name, data) = reader.event().await.unwrap();
    assert_eq!(
        (name.as_str(), &data["contestants"][1]["total_votes"]),
        ("closed", &json!(1))
    );
    assert_eq!(reader.event().await, None);

    let mut late = Reader::open(&app, "/v1/event/e1/stream", None).await;
    assert_eq!(late.event().await.unwrap().0, "snapshot");
    assert_eq!(late.event().await.unwrap().0, "closed");
    assert_eq!(late.event().await, None);
    drop((reader, late));
    assert_eq!(app.service.metrics.subscribers.get(), 0);
    assert_eq!(app.log.machine.read().feed().subscribers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_resumed_watcher_waits_for_what_it_has_seen_and_never_longer_than_there_is_reason() {
    let app = App::start();
    app.event(json!({})).await;
    app.vote(5, "e1-c0").await;
    // Another replica told this watcher of entry 4; a quorum has it, this replica is at 2.
    assert_eq!(app.log.applied_index(), LogIndex(2));
    app.log.quorum_index.store(4, Ordering::SeqCst);
    let mut reader = Reader::open(&app, "/v1/event/e1/stream?last_event_id=4", None).await;
    assert!(matches!(reader.next().await, Some(Decoded::Retry(_))));
    assert!(
        matches!(reader.next().await, Some(Decoded::Comment(_))),
        "alive while it waits"
    );
    for voter in [6, 7] {
        app.vote(voter, "e1-c0").await;
    }
    let (name, data) = reader.event().await.unwrap();
    assert_eq!((name.as_str(), &data["version"]), ("snapshot", &json!(4)));
    assert_eq!(data["contestants"][0]["total_votes"], 3);
    // No quorum has ever had this one: it is not this cluster's, and no reason to wait.
    for id in ["999", "not a number"] {
        let mut reader = Reader::open(&app, "/v1/event/e1/stream", Some(id)).await;
        assert_eq!(reader.event().await.unwrap().0, "snapshot");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_shows_that_it_lives_and_ends_when_the_node_goes_away() {
    let app = App::start();
    app.event(json!({})).await;
    let mut reader = Reader::open(&app, "/v1/event/e1/stream", None).await;
    reader.event().await.unwrap();
    let began = tokio::time::Instant::now();
    for _ in 0..5 {
        assert!(matches!(reader.next().await, Some(Decoded::Comment(_))));
    }
    let silence_ms = began.elapsed().as_millis() / 5;
    assert!(
        (9_000..=12_000).contains(&silence_ms),
        "a sign every {silence_ms} ms"
    );
    app.service.end_streams();
    assert!(matches!(reader.next().await, Some(Decoded::Comment(_))));
    assert!(matches!(reader.next().await, Some(Decoded::Retry(_))));
    assert_eq!(reader.next().await, None);
    let (status, answer) = app.get("/v1/event/e1/stream", 5).await;
    assert_eq!((status.as_u16(), code(&answer)), (503, ErrorCode::Draining));
    assert!(app.service.shutdown(Duration::from_secs(1)).await);
    let (status, answer) = app.vote(8, "e1-c0").await;
    assert_eq!((status.as_u16(), code(&answer)), (503, ErrorCode::Draining));
}

#[tokio::test(start_paused = true)]
async fn a_browsers_cookie_opens_a_stream_and_nothing_else() {
    let app = App::start();
    app.event(json!({})).await;
    let cookie = format!("ostraka_token={}", app.token(5, Role::Voter));
    let request = |path: &str| {
        Request::get(path)
            .header("cookie", &cookie)
            .body(Body::empty())
            .unwrap()
    };
    assert_eq!(app.send(request("/v1/event/e1/stream")).await.status(), 200);
    assert_eq!(app.send(request("/v1/event/e1/leaderboard")).await.status(), 401);
}

#[test]
fn the_document_has_every_route() {
    let document = serde_json::to_value(api_document()).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        paths,
        [
            "/v1/contestants/{event_id}",
            "/v1/event/create",
            "/v1/event/{event_id}/close",
            "/v1/event/{event_id}/leaderboard",
            "/v1/event/{event_id}/open",
            "/v1/event/{event_id}/stream",
            "/v1/vote/submit",
            "/v1/vote/{vote_id}/status",
        ]
    );
}
