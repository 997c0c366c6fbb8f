//! Every row of the API contract, each success and each failure code, over real HTTP against the real binary.

use serde_json::{Value, json};

use crate::support::http::{Answer, Call};
use crate::support::stage::{Stage, vote_call};

/// One row: what is sent, what must come back.
struct Row {
    name: &'static str,
    call: Call,
    status: u16,
    /// The end of the problem's `type`; empty for a success.
    problem: &'static str,
}

fn row(name: &'static str, call: Call, status: u16, problem: &'static str) -> Row {
    Row { name, call, status, problem }
}

/// Says what is wrong with an answer, if anything.
fn judge(row: &Row, answer: &Answer) -> Result<(), String> {
    if answer.status != row.status {
        return Err(format!("{}: {} expected, got {answer:?}", row.name, row.status));
    }
    let is_traced = answer.header("traceparent").is_some_and(|trace| trace.len() == 55);
    if !is_traced {
        return Err(format!("{}: no traceparent in {answer:?}", row.name));
    }
    if !row.problem.is_empty() {
        let problem = answer.assert_problem();
        let expected = format!("urn:ostraka:problem:{}", row.problem);
        if problem["type"] != expected.as_str() {
            return Err(format!("{}: {expected} expected, got {problem}", row.name));
        }
    }
    Ok(())
}

fn run(stage: &Stage, rows: &[Row]) {
    let failed: Vec<String> = rows.iter().filter_map(|row| judge(row, &stage.send(&row.call)).err()).collect();
    assert!(failed.is_empty(), "{} of {} rows:\n{}", failed.len(), rows.len(), failed.join("\n"));
}

#[test]
fn the_judge_of_rows_can_fail() {
    let stage = Stage::new();
    let wrong = row("a lie", Call::get("/v1/contestants/e1"), 200, "");
    assert!(judge(&wrong, &stage.send(&wrong.call)).is_err());
    let wrong_type = row("another", Call::get("/v1/contestants/e1"), 401, "event-not-found");
    assert!(judge(&wrong_type, &stage.send(&wrong_type.call)).is_err());
}

#[test]
fn login() {
    let stage = Stage::new();
    let login = |body: Value| Call::post("/v1/auth/login", &body);
    let password = crate::support::process::OPERATOR_PASSWORD;
    run(
        &stage,
        &[
            row("right", login(json!({"username": "operator", "password": password})), 200, ""),
            row("extra fields", login(json!({"username": "operator", "password": password, "x": 1})), 200, ""),
            row("wrong password", login(json!({"username": "operator", "password": "no"})), 401, "wrong-credentials"),
            row("unknown user", login(json!({"username": "nobody", "password": "no"})), 401, "wrong-credentials"),
            row("no password", login(json!({"username": "operator"})), 400, "invalid-field"),
            row("wrong type", login(json!({"username": 7, "password": "no"})), 400, "invalid-field"),
            row("not JSON", Call::post_bytes("/v1/auth/login", b"{"), 400, "malformed-json"),
            row("nothing", Call::post_bytes("/v1/auth/login", b""), 400, "malformed-json"),
            row("wrong method", Call::get("/v1/auth/login"), 405, "method-not-allowed"),
        ],
    );
    let answer = stage.send(&login(json!({"username": "operator", "password": password})));
    assert_eq!(answer.json()["userId"], "u1");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
}

#[test]
fn too_many_logins() {
    let stage = Stage::new();
    let call = Call::post("/v1/auth/login", &json!({"username": "victim", "password": "guess"}));
    let refused = (0..200).map(|_| stage.send(&call)).find(|answer| answer.status == 429).expect("a limit");
    assert_eq!(refused.assert_problem()["type"], "urn:ostraka:problem:too-many-requests");
    assert!(refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()));
}

fn registration(username: &str) -> Value {
    json!({
        "username": username,
        "email": format!("{username}@example.org"),
        "date_of_birth": "1990-05-17",
        "password": "a long enough password",
    })
}

#[test]
fn register() {
    let stage = Stage::new();
    let operator = stage.operator_token.clone();
    let register = |body: &Value| Call::post("/v1/auth/register", body);
    let with = |body: &Value| register(body).token(&operator);
    let mut camel = registration("camel");
    camel["dateOfBirth"] = camel["date_of_birth"].take();
    camel.as_object_mut().unwrap().remove("date_of_birth");
    let changed = |field: &str, value: Value| {
        let mut body = registration("changed");
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = registration("without");
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let mut same_email = registration("other");
    same_email["email"] = "Ada@example.org".into();
    run(
        &stage,
        &[
            row("right", with(&registration("ada")), 201, ""),
            row("camelCase", with(&camel), 201, ""),
            row("no password", with(&without("password")), 201, ""),
            row("taken username", with(&registration("ADA")), 409, "username-taken"),
            row("taken email", with(&same_email), 409, "email-taken"),
            row("no username", with(&without("username")), 400, "invalid-field"),
            row("no email", with(&without("email")), 400, "invalid-field"),
            row("no date of birth", with(&without("date_of_birth")), 400, "invalid-field"),
            row("wrong email", with(&changed("email", "nowhere".into())), 400, "invalid-field"),
            row("wrong date", with(&changed("date_of_birth", "1990-02-31".into())), 400, "invalid-field"),
            row("wrong type", with(&changed("username", 5.into())), 400, "invalid-field"),
            row("short password", with(&changed("password", "short".into())), 400, "invalid-field"),
            row("not JSON", Call::post_bytes("/v1/auth/register", b"nope").token(&operator), 400, "malformed-json"),
            row("no token", register(&registration("bo")), 401, "unauthenticated"),
            row("bad token", register(&registration("bo")).token("x.y.z"), 401, "unauthenticated"),
            row("expired", register(&registration("bo")).token(&stage.issuer.expired(1)), 401, "unauthenticated"),
            row("user gone", register(&registration("bo")).token(&stage.issuer.voter(4_000_000)), 404, "user-gone"),
            row("a voter", register(&registration("bo")).token(&stage.issuer.voter(2)), 403, "not-permitted"),
        ],
    );
    let answer = stage.send(&with(&registration("eve")));
    assert!(answer.json()["user_id"].as_str().unwrap().starts_with('u'), "{answer:?}");
    let token = crate::support::stage::login(stage.public(), "eve", "a long enough password");
    assert_ne!(token, stage.operator_token);
}

#[test]
fn too_many_registrations() {
    let stage = Stage::new();
    // Without a password nothing is hashed, so that a crowd on slow hardware is still quicker than the refill.
    let register = |number: u32| {
        let mut body = registration(&format!("crowd{number}"));
        body.as_object_mut().unwrap().remove("password");
        stage.send(&Call::post("/v1/auth/register", &body).token(&stage.operator_token))
    };
    let register = &register;
    let refused = std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..8)
            .map(|thread| {
                let mut numbers = thread * 1_000..thread * 1_000 + 300;
                scope.spawn(move || numbers.find_map(|number| Some(register(number)).filter(|a| a.status == 429)))
            })
            .collect();
        crowd.into_iter().filter_map(|thread| thread.join().unwrap()).next()
    });
    let refused = refused.expect("a limit");
    assert_eq!(refused.assert_problem()["type"], "urn:ostraka:problem:too-many-requests");
    assert!(refused.header("retry-after").is_some());
}

fn event(user: &str) -> Value {
    json!({
        "user_id": user,
        "event_name": "Final",
        "contestants": [
            {"contestant_name": "Ada", "contestant_description": "sings", "contestant_image_url": "https://example.org/a.png"},
            {"contestant_name": "Bo", "contestant_description": "", "contestant_image_url": "https://example.org/b.png"},
        ],
    })
}

#[test]
fn create_event() {
    let stage = Stage::new();
    let token = stage.issuer.voter(7);
    let create = |body: &Value| Call::post("/v1/event/create", body);
    let with = |body: &Value| create(body).token(&token);
    let changed = |field: &str, value: Value| {
        let mut body = event("u7");
        body[field] = value;
        body
    };
    let camel = json!({"userId": "u7", "eventName": "F", "contestants": [{"contestantName": "A"}]});
    run(
        &stage,
        &[
            row("right", with(&event("u7")), 200, ""),
            row("camelCase", with(&camel), 200, ""),
            row("not the token's user", with(&event("u8")), 403, "not-token-user"),
            row("malformed user", with(&changed("user_id", "7".into())), 400, "malformed-id"),
            row("no contestants", with(&changed("contestants", json!([]))), 400, "invalid-field"),
            row("wrong type", with(&changed("contestants", "Ada".into())), 400, "invalid-field"),
            row("no name", with(&changed("event_name", "".into())), 400, "invalid-field"),
            row("long name", with(&changed("event_name", "x".repeat(300).into())), 400, "invalid-field"),
            row("closes before", with(&changed("closes_at", "2001-01-01T00:00:00Z".into())), 400, "invalid-field"),
            row("wrong time", with(&changed("opens_at", "soon".into())), 400, "invalid-field"),
            row("no token", create(&event("u7")), 401, "unauthenticated"),
            row("a cookie is no token here", create(&event("u7")).header("cookie", &format!("ostraka_token={token}")), 401, "unauthenticated"),
            row("wrong media type", with(&event("u7")).header("content-type", "text/plain"), 415, "unsupported-media-type"),
        ],
    );
    let created = stage.send(&with(&event("u7"))).json();
    let id = created["event_id"].as_str().unwrap();
    let expected = json!([
        {"contestant_id": format!("{id}-c0"), "contestant_name": "Ada"},
        {"contestant_id": format!("{id}-c1"), "contestant_name": "Bo"},
    ]);
    assert_eq!(created["contestants"], expected);
}

#[test]
fn leaderboard_and_contestants() {
    let stage = Stage::new();
    let token = stage.issuer.voter(7);
    let id = stage.event(&["Ada", "Bo"]);
    let leaderboard = |id: &str| Call::get(&format!("/v1/event/{id}/leaderboard"));
    let contestants = |id: &str| Call::get(&format!("/v1/contestants/{id}"));
    run(
        &stage,
        &[
            row("leaderboard", leaderboard(&id).token(&token), 200, ""),
            row("malformed", leaderboard("17").token(&token), 400, "malformed-id"),
            row("not canonical", leaderboard("e01").token(&token), 400, "malformed-id"),
            row("unknown", leaderboard("e4000").token(&token), 404, "event-not-found"),
            row("no token", leaderboard(&id), 401, "unauthenticated"),
            row("contestants", contestants(&id).token(&token), 200, ""),
            row("malformed", contestants("%00").token(&token), 400, "malformed-id"),
            row("unknown", contestants("e4000").token(&token), 404, "event-not-found"),
            row("no token", contestants(&id), 401, "unauthenticated"),
            row("no such route", Call::get("/v1/nothing").token(&token), 404, "route-not-found"),
        ],
    );
    for (voter, contestant) in [(1, 1), (2, 1), (3, 0)] {
        let call = vote_call(&stage.issuer.voter(voter), voter, &id, contestant);
        assert_eq!(stage.send(&call).status, 200);
    }
    let board = stage.send(&leaderboard(&id).token(&token)).json();
    let expected = json!([
        {"contestant_id": format!("{id}-c1"), "contestant_name": "Bo", "total_votes": 2},
        {"contestant_id": format!("{id}-c0"), "contestant_name": "Ada", "total_votes": 1},
    ]);
    assert_eq!(board["contestants"], expected);
    assert_eq!((&board["event_id"], &board["event_name"]), (&json!(id), &json!("Final")));
    let listed = stage.send(&contestants(&id).token(&token)).json();
    assert_eq!(listed["contestants"][1]["contestant_name"], "Bo");
    assert_eq!(listed["contestants"][1]["contestant_image_url"], "https://example.org/a.png");
}

#[test]
fn submit() {
    let stage = Stage::new();
    let id = stage.event(&["Ada", "Bo"]);
    let token = stage.issuer.voter(7);
    let right = vote_call(&token, 7, &id, 0);
    let body = |field: &str, value: Value| {
        let mut body = json!({"user_id": "u7", "event_id": id, "contestant_id": format!("{id}-c0")});
        body[field] = value;
        Call::post("/v1/vote/submit", &body).token(&token)
    };
    run(
        &stage,
        &[
            row("right", right.clone(), 200, ""),
            row("camelCase", Call::post("/v1/vote/submit", &json!({"userId": "u7", "eventId": id, "contestantId": format!("{id}-c0")})).token(&token), 200, ""),
            row("another's vote", vote_call(&token, 8, &id, 0), 403, "not-token-user"),
            row("unknown event", vote_call(&token, 7, "e4000", 0), 404, "event-not-found"),
            row("unknown contestant", vote_call(&stage.issuer.voter(9), 9, &id, 2), 404, "contestant-not-found"),
            row("another event's contestant", body("contestant_id", "e4000-c0".into()), 404, "contestant-not-found"),
            row("malformed event", body("event_id", "first".into()), 400, "malformed-id"),
            row("malformed contestant", body("contestant_id", "c0".into()), 400, "malformed-id"),
            row("wrong type", body("user_id", 7.into()), 400, "invalid-field"),
            row("wrong timestamp", body("client_timestamp", "noon".into()), 400, "invalid-field"),
            row("wrong meta", body("meta", "phone".into()), 400, "invalid-field"),
            row("malformed key", right.clone().header("idempotency-key", ""), 400, "malformed-header"),
            row("not JSON", Call::post_bytes("/v1/vote/submit", b"{\"user_id\":").token(&token), 400, "malformed-json"),
            row("no token", Call::post("/v1/vote/submit", &json!({})), 401, "unauthenticated"),
            row("expired", right.clone().token(&stage.issuer.expired(7)), 401, "unauthenticated"),
        ],
    );
}

#[test]
fn a_retry_gets_the_first_outcome_and_a_second_vote_is_a_duplicate() {
    let stage = Stage::new();
    let id = stage.event(&["Ada", "Bo"]);
    let token = stage.issuer.voter(7);
    let first = stage.send(&vote_call(&token, 7, &id, 0)).json();
    assert_eq!((&first["vote_status"], &first["durability"]), (&json!("processed"), &json!("quorum_fsync")));
    assert_eq!(stage.send(&vote_call(&token, 7, &id, 0)).json(), first);

    let second = stage.send(&vote_call(&token, 7, &id, 1).header("idempotency-key", "k2")).json();
    assert_eq!(second["vote_status"], "duplicate");
    assert_ne!(second["vote_id"], first["vote_id"]);
    // The same key, whatever the body says, is the same submission.
    assert_eq!(stage.send(&vote_call(&token, 7, &id, 0).header("idempotency-key", "k2")).json(), second);
    assert_eq!(stage.leaderboard(&id)["contestants"][0]["total_votes"], 1);
}

#[test]
fn a_voter_who_does_not_stop_is_told_429() {
    let stage = Stage::new();
    let id = stage.event(&["Ada"]);
    let token = stage.issuer.voter(7);
    let vote = |key: u32| vote_call(&token, 7, &id, 0).header("idempotency-key", &format!("key-{key}"));
    let answers: Vec<Answer> = (0..40).map(|key| stage.send(&vote(key))).collect();
    let refused = answers.iter().find(|answer| answer.status == 429).expect("a limit");
    assert_eq!(refused.assert_problem()["type"], "urn:ostraka:problem:too-many-submissions");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(answers[0].json()["vote_status"], "processed");
    assert_eq!(stage.leaderboard(&id)["contestants"][0]["total_votes"], 1);
}

#[test]
fn status() {
    let stage = Stage::new();
    let id = stage.event(&["Ada"]);
    let token = stage.issuer.voter(7);
    let vote = stage.send(&vote_call(&token, 7, &id, 0)).json()["vote_id"].as_str().unwrap().to_string();
    let status = |vote: &str| Call::get(&format!("/v1/vote/{vote}/status"));
    // A flipped character is a forgery: well formed, never given out.
    let mut forged = vote.clone().into_bytes();
    forged[5] = if forged[5] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    run(
        &stage,
        &[
            row("own", status(&vote).token(&token), 200, ""),
            row("another user's", status(&vote).token(&stage.issuer.voter(8)), 404, "vote-not-found"),
            row("forged", status(&forged).token(&token), 404, "vote-not-found"),
            row("malformed", status("not*an*id").token(&token), 400, "malformed-id"),
            row("too short", status("abc").token(&token), 400, "malformed-id"),
            row("no token", status(&vote), 401, "unauthenticated"),
        ],
    );
    let shown = stage.send(&status(&vote).token(&token)).json();
    assert_eq!(shown, json!({"vote_id": vote, "vote_status": "processed", "event_name": "Final"}));
}

#[test]
fn open_and_close() {
    let stage = Stage::new();
    let owner = stage.issuer.voter(7);
    let mut later = event("u7");
    later["opens_at"] = "2999-01-01T00:00:00Z".into();
    let created = stage.send(&Call::post("/v1/event/create", &later).token(&owner)).json();
    let id = created["event_id"].as_str().unwrap().to_string();
    let act = |id: &str, action: &str| Call::post(&format!("/v1/event/{id}/{action}"), &json!({}));

    let early = stage.send(&vote_call(&stage.issuer.voter(3), 3, &id, 0)).json();
    assert_eq!((&early["vote_status"], &early["reason"]), (&json!("rejected"), &json!("event_not_open")));
    run(
        &stage,
        &[
            row("not the owner", act(&id, "open").token(&stage.issuer.voter(8)), 403, "not-owner"),
            row("no token", act(&id, "open"), 401, "unauthenticated"),
            row("malformed", act("x", "open").token(&owner), 400, "malformed-id"),
            row("unknown", act("e4000", "close").token(&owner), 404, "event-not-found"),
            row("open", act(&id, "open").token(&owner), 200, ""),
            row("open again", act(&id, "open").token(&owner), 200, ""),
            row("close", act(&id, "close").token(&stage.operator_token), 200, ""),
            row("close again", act(&id, "close").token(&owner), 200, ""),
            row("open what is closed", act(&id, "open").token(&owner), 409, "event-already-closed"),
        ],
    );
    let late = stage.send(&vote_call(&stage.issuer.voter(4), 4, &id, 0)).json();
    assert_eq!((&late["vote_status"], &late["reason"]), (&json!("rejected"), &json!("event_closed")));
    // The early voter's retry keeps its first outcome.
    assert_eq!(stage.send(&vote_call(&stage.issuer.voter(3), 3, &id, 0)).json(), early);
}

#[test]
fn results_after_close_are_hidden_until_then() {
    let stage = Stage::new();
    let owner = stage.issuer.voter(7);
    let mut hidden = event("u7");
    hidden["results"] = "after_close".into();
    let created = stage.send(&Call::post("/v1/event/create", &hidden).token(&owner)).json();
    let id = created["event_id"].as_str().unwrap().to_string();
    assert_eq!(stage.send(&vote_call(&stage.issuer.voter(3), 3, &id, 1)).status, 200);
    assert_eq!(stage.leaderboard(&id)["contestants"][0]["total_votes"], Value::Null);
    let close = Call::post(&format!("/v1/event/{id}/close"), &json!({})).token(&owner);
    assert_eq!(stage.send(&close).status, 200);
    let board = stage.leaderboard(&id);
    assert_eq!(board["contestants"][0], json!({"contestant_id": format!("{id}-c1"), "contestant_name": "Bo", "total_votes": 1}));
}

#[test]
fn the_clients_trace_is_answered_back() {
    let stage = Stage::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call = Call::get("/v1/contestants/e1").header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    let answer = stage.send(&call);
    assert_eq!(answer.assert_problem()["trace_id"], trace);
    assert!(answer.header("traceparent").unwrap().contains(trace));

    let amazon = "Root=1-67891233-abcdef012345678912345678;Parent=463ac35c9f6413ad;Sampled=1";
    let answer = stage.send(&Call::get("/v1/contestants/e1").header("x-amzn-trace-id", amazon));
    assert_eq!(answer.assert_problem()["trace_id"], "67891233abcdef012345678912345678");
}

#[test]
fn operator_port_and_openapi() {
    let stage = Stage::new();
    let operator = stage.node.options.operator.clone();
    assert_eq!(Call::get("/healthz").send(&operator).status, 200);
    assert_eq!(Call::get("/readyz").send(&operator).json()["status"], "ready");
    let metrics = Call::get("/metrics").send(&operator);
    assert!(String::from_utf8_lossy(&metrics.body).ends_with("# EOF\n"), "OpenMetrics text ends so");
    assert_eq!(Call::get("/healthz").send(stage.public()).status, 404, "not on the public port");

    let document = stage.send(&Call::get("/openapi.json")).json();
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/v1/auth/login",
        "/v1/auth/register",
        "/v1/event/create",
        "/v1/event/{event_id}/leaderboard",
        "/v1/event/{event_id}/open",
        "/v1/event/{event_id}/close",
        "/v1/event/{event_id}/stream",
        "/v1/contestants/{event_id}",
        "/v1/vote/submit",
        "/v1/vote/{vote_id}/status",
    ] {
        assert!(paths.contains_key(path), "{path} is missing from the document");
    }
}
