//! Creation, opening, closing, reads.

use super::*;

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
