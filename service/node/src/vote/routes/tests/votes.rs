//! Submission and status.

use ostraka_replication::Refusal;

use super::*;

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
        (SubmitError::Refused(Refusal::Overloaded), ErrorCode::Overloaded),
        (SubmitError::Refused(Refusal::StorageFull), ErrorCode::StorageFull),
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
