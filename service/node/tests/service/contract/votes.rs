//! Votes: submission, retry, status.

use serde_json::{Value, json};

use super::{row, run};
use crate::support::http::{Answer, Call};
use crate::support::stage::{Stage, vote_call};

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
            row(
                "camelCase",
                Call::post(
                    "/v1/vote/submit",
                    &json!({"userId": "u7", "eventId": id, "contestantId": format!("{id}-c0")}),
                )
                .token(&token),
                200,
                "",
            ),
            row(
                "another's vote",
                vote_call(&token, 8, &id, 0),
                403,
                "not-token-user",
            ),
            row(
                "unknown event",
                vote_call(&token, 7, "e4000", 0),
                404,
                "event-not-found",
            ),
            row(
                "unknown contestant",
                vote_call(&stage.issuer.voter(9), 9, &id, 2),
                404,
                "contestant-not-found",
            ),
            row(
                "another event's contestant",
                body("contestant_id", "e4000-c0".into()),
                404,
                "contestant-not-found",
            ),
            row(
                "malformed event",
                body("event_id", "first".into()),
                400,
                "malformed-id",
            ),
            row(
                "malformed contestant",
                body("contestant_id", "c0".into()),
                400,
                "malformed-id",
            ),
            row("wrong type", body("user_id", 7.into()), 400, "invalid-field"),
            row(
                "wrong timestamp",
                body("client_timestamp", "noon".into()),
                400,
                "invalid-field",
            ),
            row("wrong meta", body("meta", "phone".into()), 400, "invalid-field"),
            row(
                "malformed key",
                right.clone().header("idempotency-key", ""),
                400,
                "malformed-header",
            ),
            row(
                "not JSON",
                Call::post_bytes("/v1/vote/submit", b"{\"user_id\":").token(&token),
                400,
                "malformed-json",
            ),
            row(
                "no token",
                Call::post("/v1/vote/submit", &json!({})),
                401,
                "unauthenticated",
            ),
            row(
                "expired",
                right.clone().token(&stage.issuer.expired(7)),
                401,
                "unauthenticated",
            ),
        ],
    );
}

#[test]
fn a_retry_gets_the_first_outcome_and_a_second_vote_is_a_duplicate() {
    let stage = Stage::new();
    let id = stage.event(&["Ada", "Bo"]);
    let token = stage.issuer.voter(7);
    let first = stage.send(&vote_call(&token, 7, &id, 0)).json();
    assert_eq!(
        (&first["vote_status"], &first["durability"]),
        (&json!("processed"), &json!("quorum_fsync"))
    );
    assert_eq!(stage.send(&vote_call(&token, 7, &id, 0)).json(), first);

    let second = stage
        .send(&vote_call(&token, 7, &id, 1).header("idempotency-key", "k2"))
        .json();
    assert_eq!(second["vote_status"], "duplicate");
    assert_ne!(second["vote_id"], first["vote_id"]);
    // The same key, whatever the body says, is the same submission.
    assert_eq!(
        stage
            .send(&vote_call(&token, 7, &id, 0).header("idempotency-key", "k2"))
            .json(),
        second
    );
    assert_eq!(stage.leaderboard(&id)["contestants"][0]["total_votes"], 1);
}

#[test]
fn a_voter_who_does_not_stop_is_told_429() {
    let stage = Stage::new();
    let id = stage.event(&["Ada"]);
    let token = stage.issuer.voter(7);
    let vote = |key: u32| vote_call(&token, 7, &id, 0).header("idempotency-key", &format!("key-{key}"));
    let answers: Vec<Answer> = (0..40).map(|key| stage.send(&vote(key))).collect();
    let refused = answers
        .iter()
        .find(|answer| answer.status == 429)
        .expect("a limit");
    assert_eq!(
        refused.assert_problem()["type"],
        "urn:ostraka:problem:too-many-submissions"
    );
    assert!(refused.header("retry-after").is_some());
    assert_eq!(answers[0].json()["vote_status"], "processed");
    assert_eq!(stage.leaderboard(&id)["contestants"][0]["total_votes"], 1);
}

#[test]
fn status() {
    let stage = Stage::new();
    let id = stage.event(&["Ada"]);
    let token = stage.issuer.voter(7);
    let vote = stage.send(&vote_call(&token, 7, &id, 0)).json()["vote_id"]
        .as_str()
        .unwrap()
        .to_string();
    let status = |vote: &str| Call::get(&format!("/v1/vote/{vote}/status"));
    // A flipped character is a forgery: well formed, never given out.
    let mut forged = vote.clone().into_bytes();
    forged[5] = if forged[5] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    run(
        &stage,
        &[
            row("own", status(&vote).token(&token), 200, ""),
            row(
                "another user's",
                status(&vote).token(&stage.issuer.voter(8)),
                404,
                "vote-not-found",
            ),
            row("forged", status(&forged).token(&token), 404, "vote-not-found"),
            row(
                "malformed",
                status("not*an*id").token(&token),
                400,
                "malformed-id",
            ),
            row("too short", status("abc").token(&token), 400, "malformed-id"),
            row("no token", status(&vote), 401, "unauthenticated"),
        ],
    );
    let shown = stage.send(&status(&vote).token(&token)).json();
    assert_eq!(
        shown,
        json!({"vote_id": vote, "vote_status": "processed", "event_name": "Final"})
    );
}
