//! Events: creation, opening and closing, what is read of them.

use serde_json::{Value, json};

use super::{row, run};
use crate::support::http::Call;
use crate::support::stage::{Stage, vote_call};

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
            row(
                "malformed user",
                with(&changed("user_id", "7".into())),
                400,
                "malformed-id",
            ),
            row(
                "no contestants",
                with(&changed("contestants", json!([]))),
                400,
                "invalid-field",
            ),
            row(
                "wrong type",
                with(&changed("contestants", "Ada".into())),
                400,
                "invalid-field",
            ),
            row(
                "no name",
                with(&changed("event_name", "".into())),
                400,
                "invalid-field",
            ),
            row(
                "long name",
                with(&changed("event_name", "x".repeat(300).into())),
                400,
                "invalid-field",
            ),
            row(
                "closes before",
                with(&changed("closes_at", "2001-01-01T00:00:00Z".into())),
                400,
                "invalid-field",
            ),
            row(
                "wrong time",
                with(&changed("opens_at", "soon".into())),
                400,
                "invalid-field",
            ),
            row("no token", create(&event("u7")), 401, "unauthenticated"),
            row(
                "a cookie is no token here",
                create(&event("u7")).header("cookie", &format!("ostraka_token={token}")),
                401,
                "unauthenticated",
            ),
            row(
                "wrong media type",
                with(&event("u7")).header("content-type", "text/plain"),
                415,
                "unsupported-media-type",
            ),
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

/// Nineteen of the longest are one user's share of every replica's memory, and twenty are what may come at once.
#[test]
fn create_events_without_end() {
    let stage = Stage::new();
    let create = |user: &str, token: &str| Call::post("/v1/event/create", &event(user)).token(token);
    let mut longest = event("u9");
    let contestant = json!({"contestant_name": "Ada", "contestant_description": "x".repeat(240)});
    longest["contestants"] = vec![contestant; 1_000].into();
    let longest = Call::post("/v1/event/create", &longest).token(&stage.issuer.voter(9));
    for place in 1..=19 {
        let answer = stage.send(&longest);
        assert_eq!(answer.status, 200, "{place}: {answer:?}");
    }
    run(
        &stage,
        &[
            row("one more", longest, 409, "owner-limit-reached"),
            row("another user", create("u10", &stage.issuer.voter(10)), 200, ""),
        ],
    );
    // The clock is the machine's, so a slow one lets one through now and then.
    let mut answers = (0..100).map(|_| stage.send(&create("u9", &stage.issuer.voter(9))));
    let refused = answers.find(|answer| answer.status == 429).unwrap();
    assert_eq!(
        refused.assert_problem()["type"],
        "urn:ostraka:problem:too-many-requests"
    );
    let seconds: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=6).contains(&seconds), "{refused:?}");
    for _ in 0..30 {
        assert_eq!(stage.send(&create("u1", &stage.operator_token)).status, 200);
    }
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
            row(
                "not canonical",
                leaderboard("e01").token(&token),
                400,
                "malformed-id",
            ),
            row(
                "unknown",
                leaderboard("e4000").token(&token),
                404,
                "event-not-found",
            ),
            row("no token", leaderboard(&id), 401, "unauthenticated"),
            row("contestants", contestants(&id).token(&token), 200, ""),
            row("malformed", contestants("%00").token(&token), 400, "malformed-id"),
            row(
                "unknown",
                contestants("e4000").token(&token),
                404,
                "event-not-found",
            ),
            row("no token", contestants(&id), 401, "unauthenticated"),
            row(
                "no such route",
                Call::get("/v1/nothing").token(&token),
                404,
                "route-not-found",
            ),
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
    assert_eq!(
        (&board["event_id"], &board["event_name"]),
        (&json!(id), &json!("Final"))
    );
    let listed = stage.send(&contestants(&id).token(&token)).json();
    assert_eq!(listed["contestants"][1]["contestant_name"], "Bo");
    assert_eq!(
        listed["contestants"][1]["contestant_image_url"],
        "https://example.org/a.png"
    );
}

#[test]
fn open_and_close() {
    let stage = Stage::new();
    let owner = stage.issuer.voter(7);
    let mut later = event("u7");
    later["opens_at"] = "2999-01-01T00:00:00Z".into();
    let created = stage
        .send(&Call::post("/v1/event/create", &later).token(&owner))
        .json();
    let id = created["event_id"].as_str().unwrap().to_string();
    let act = |id: &str, action: &str| Call::post(&format!("/v1/event/{id}/{action}"), &json!({}));

    let early = stage.send(&vote_call(&stage.issuer.voter(3), 3, &id, 0)).json();
    assert_eq!(
        (&early["vote_status"], &early["reason"]),
        (&json!("rejected"), &json!("event_not_open"))
    );
    run(
        &stage,
        &[
            row(
                "not the owner",
                act(&id, "open").token(&stage.issuer.voter(8)),
                403,
                "not-owner",
            ),
            row("no token", act(&id, "open"), 401, "unauthenticated"),
            row("malformed", act("x", "open").token(&owner), 400, "malformed-id"),
            row(
                "unknown",
                act("e4000", "close").token(&owner),
                404,
                "event-not-found",
            ),
            row("open", act(&id, "open").token(&owner), 200, ""),
            row("open again", act(&id, "open").token(&owner), 200, ""),
            row("close", act(&id, "close").token(&stage.operator_token), 200, ""),
            row("close again", act(&id, "close").token(&owner), 200, ""),
            row(
                "open what is closed",
                act(&id, "open").token(&owner),
                409,
                "event-already-closed",
            ),
        ],
    );
    let late = stage.send(&vote_call(&stage.issuer.voter(4), 4, &id, 0)).json();
    assert_eq!(
        (&late["vote_status"], &late["reason"]),
        (&json!("rejected"), &json!("event_closed"))
    );
    // The early voter's retry keeps its first outcome.
    assert_eq!(
        stage.send(&vote_call(&stage.issuer.voter(3), 3, &id, 0)).json(),
        early
    );
}

#[test]
fn results_after_close_are_hidden_until_then() {
    let stage = Stage::new();
    let owner = stage.issuer.voter(7);
    let mut hidden = event("u7");
    hidden["results"] = "after_close".into();
    let created = stage
        .send(&Call::post("/v1/event/create", &hidden).token(&owner))
        .json();
    let id = created["event_id"].as_str().unwrap().to_string();
    assert_eq!(
        stage.send(&vote_call(&stage.issuer.voter(3), 3, &id, 1)).status,
        200
    );
    assert_eq!(
        stage.leaderboard(&id)["contestants"][0]["total_votes"],
        Value::Null
    );
    let close = Call::post(&format!("/v1/event/{id}/close"), &json!({})).token(&owner);
    assert_eq!(stage.send(&close).status, 200);
    let board = stage.leaderboard(&id);
    assert_eq!(
        board["contestants"][0],
        json!({"contestant_id": format!("{id}-c1"), "contestant_name": "Bo", "total_votes": 1})
    );
}
