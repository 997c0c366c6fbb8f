//! Calls against real sockets: what is sent, what is understood, and what each failure means.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{
    CountingConnect, HangingConnect, PipeConnect, Reply, Script, Seen, Server, client, config,
    dead_authority, json, read_head, serve_once,
};
use ostraka_api::ids::{EventId, TraceId};
use ostraka_api::{
    CreateEventRequest, ErrorClass, ErrorCode, IdempotencyKey, LoginRequest, ProblemBody, RegisterRequest,
    SpanId, SubmitVoteRequest, TraceContext, VoteStatus, parse_object,
};
use ostraka_client::{CallOptions, Client, ClientConfig, ClientError};
use tokio::io::DuplexStream;

const E17: EventId = EventId(17);
const BOARD: &str = r#"{"event_id":"e17","event_name":"n","status":"open","results":"live","version":9,
    "consistency":"linearizable","contestants":[{"contestant_id":"e17-c0","contestant_name":"a","total_votes":3}]}"#;
const ACK: &str = r#"{"vote_id":"v1","vote_status":"processed","durability":"quorum_fsync"}"#;

fn vote() -> SubmitVoteRequest {
    parse_object(br#"{"user_id":"u42","event_id":"e17","contestant_id":"e17-c0"}"#).unwrap()
}

fn key() -> IdempotencyKey {
    "key-1".parse().unwrap()
}

fn problem(code: ErrorCode, headers: Vec<(&'static str, &'static str)>) -> Reply {
    let body = ProblemBody::new(code, "A sentence.", "4bf92f3577b34da6a3ce929d0e0e4736");
    Reply::Full(code.status(), headers, serde_json::to_string(&body).unwrap())
}

fn hasty() -> ClientConfig {
    ClientConfig {
        request_timeout: Duration::from_millis(300),
        ..config()
    }
}

#[tokio::test]
async fn each_call_has_its_method_and_path() {
    let server = Server::http(|_, seen| match seen.path.as_str() {
        "/v1/auth/login" => json(200, r#"{"userId":"u42","token":"t"}"#),
        "/v1/auth/register" => json(201, r#"{"user_id":"u42"}"#),
        "/v1/event/create" => json(200, r#"{"event_id":"e17","contestants":[]}"#),
        "/v1/event/e17/open" => json(200, r#"{"event_id":"e17","status":"open","version":5}"#),
        "/v1/event/e17/close" => json(200, r#"{"event_id":"e17","status":"closed","version":6}"#),
        "/v1/contestants/e17" => json(200, r#"{"event_id":"e17","contestants":[]}"#),
        "/v1/event/e17/leaderboard" => json(200, BOARD),
        "/v1/vote/submit" => json(200, ACK),
        "/v1/vote/v1/status" => json(200, r#"{"vote_id":"v1","vote_status":"acked","event_name":"n"}"#),
        _ => Reply::Cut,
    })
    .await;
    let client = client(&[&server.authority], config());
    let options = CallOptions::bearer("t");

    let login = LoginRequest {
        username: "bob".to_owned(),
        password: "secret-secret".to_owned(),
    };
    assert_eq!(
        client.login(&login, CallOptions::default()).await.unwrap().token,
        "t"
    );
    let account: RegisterRequest =
        parse_object(br#"{"username":"bob","email":"b@c.de","date_of_birth":"1990-12-31"}"#).unwrap();
    assert_eq!(
        client
            .register(&account, options)
            .await
            .unwrap()
            .user_id
            .to_string(),
        "u42"
    );
    let event: CreateEventRequest =
        parse_object(br#"{"user_id":"u42","event_name":"n","contestants":[{"contestant_name":"a"}]}"#)
            .unwrap();
    assert_eq!(
        client.create_event(&event, None, options).await.unwrap().event_id,
        E17
    );
    assert_eq!(client.open(E17, options).await.unwrap().version, 5);
    assert_eq!(client.close(E17, options).await.unwrap().version, 6);
    assert_eq!(client.contestants(E17, options).await.unwrap().event_id, E17);
    assert_eq!(
        client.leaderboard(E17, options).await.unwrap().contestants[0].total_votes,
        Some(3)
    );
    let ack = client.submit_vote(&vote(), &key(), options).await.unwrap();
    assert_eq!(ack.vote_status, VoteStatus::Processed);
    assert_eq!(
        client
            .vote_status(&ack.vote_id, options)
            .await
            .unwrap()
            .vote_status,
        VoteStatus::Acked
    );

    let methods: Vec<_> = server.seen().into_iter().map(|seen| seen.method).collect();
    assert_eq!(
        methods,
        [
            "POST", "POST", "POST", "POST", "POST", "GET", "GET", "POST", "GET"
        ]
    );
    assert!(
        server.seen().iter().all(|seen| seen.connection == 0),
        "one connection is kept and used again"
    );
}

#[tokio::test]
async fn a_vote_carries_token_key_and_trace() {
    let server = Server::http(|_, _| json(200, ACK)).await;
    let trace = TraceContext {
        trace_id: TraceId([0xab; 16]),
        span_id: SpanId::new([0xcd; 8]).unwrap(),
        sampled: true,
    };
    let options = CallOptions::bearer("t0k").traced(trace);
    client(&[&server.authority], config())
        .submit_vote(&vote(), &key(), options)
        .await
        .unwrap();

    let seen = &server.seen()[0];
    assert_eq!(seen.header("host"), Some(server.authority.as_str()));
    assert_eq!(seen.header("authorization"), Some("Bearer t0k"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("idempotency-key"), Some("key-1"));
    assert_eq!(
        seen.header("traceparent"),
        Some("00-abababababababababababababababab-cdcdcdcdcdcdcdcd-01")
    );
    assert_eq!(parse_object(&seen.body), Ok(vote()));
}

#[tokio::test]
async fn a_problem_keeps_its_type_and_its_pause() {
    let server = Server::http(|number, _| match number {
        0 => problem(ErrorCode::EventNotFound, vec![]),
        1 => problem(ErrorCode::Overloaded, vec![("retry-after", "7")]),
        2 => problem(ErrorCode::NoLeader, vec![("retry-after", "9999999")]),
        _ => problem(
            ErrorCode::OutcomeUnknown,
            vec![("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")],
        ),
    })
    .await;
    let client = client(&[&server.authority], config());
    let expected = [
        (ErrorCode::EventNotFound, None),
        (ErrorCode::Overloaded, Some(Duration::from_secs(7))),
        (ErrorCode::NoLeader, Some(Duration::from_secs(60))),
        (ErrorCode::OutcomeUnknown, None),
    ];
    for (code, pause) in expected {
        let error = client.leaderboard(E17, CallOptions::default()).await.unwrap_err();
        let ClientError::Problem { problem, retry_after } = &error else {
            panic!("{error:?}")
        };
        assert_eq!((problem.code(), *retry_after), (Some(code), pause));
        assert_eq!(error.class(), code.class());
    }
}

#[tokio::test]
async fn what_is_not_the_api_is_told_apart() {
    let server = Server::http(|number, _| match number {
        0 => Reply::Full(502, vec![], "<html>bad gateway</html>".to_owned()),
        1 => Reply::Full(404, vec![], "<html>not found</html>".to_owned()),
        2 => json(200, "{}"),
        3 => json(
            500,
            serde_json::to_string(&ProblemBody::new(ErrorCode::EventNotFound, "d", "t")).unwrap(),
        ),
        _ => json(200, " ".repeat(5 * 1024 * 1024)),
    })
    .await;
    let client = client(&[&server.authority], config());
    for (status, class) in [
        (502, ErrorClass::Unknown),
        (404, ErrorClass::Terminal),
        (200, ErrorClass::Unknown),
        (500, ErrorClass::Unknown),
    ] {
        let error = client.leaderboard(E17, CallOptions::default()).await.unwrap_err();
        assert!(
            matches!(&error, ClientError::Protocol { status: got, .. } if *got == status),
            "{error:?}"
        );
        assert_eq!(error.class(), class);
    }
    let endless = client.leaderboard(E17, CallOptions::default()).await.unwrap_err();
    assert!(matches!(endless, ClientError::Unknown { .. }), "{endless:?}");
}

#[tokio::test]
async fn a_dead_endpoint_is_passed_over_and_left() {
    let server = Server::http(|_, _| json(200, BOARD)).await;
    let connector = Arc::new(CountingConnect::default());
    let endpoints = vec![dead_authority().await, server.authority.clone()];
    let client = Client::new(connector.clone(), endpoints, config());
    client.leaderboard(E17, CallOptions::default()).await.unwrap();
    assert_eq!(connector.0.load(Ordering::Relaxed), 2);
    client.leaderboard(E17, CallOptions::default()).await.unwrap();
    assert_eq!(
        connector.0.load(Ordering::Relaxed),
        2,
        "the live endpoint is preferred, its connection kept"
    );
}

#[tokio::test]
async fn nobody_there_is_certainly_not_sent() {
    let (one, two) = (dead_authority().await, dead_authority().await);
    let error = client(&[&one, &two], config())
        .submit_vote(&vote(), &key(), CallOptions::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { endpoint, .. } if *endpoint == two),
        "{error:?}"
    );
    assert_eq!(error.class(), ErrorClass::Retryable);

    let config = ClientConfig {
        connect_timeout: Duration::from_millis(50),
        ..config()
    };
    let lost = Client::new(Arc::new(HangingConnect), vec!["nowhere:1".to_owned()], config);
    let error = lost
        .submit_vote(&vote(), &key(), CallOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn sent_and_unanswered_is_unknown_and_not_sent_again() {
    for silent in [|_: usize, _: &Seen| Reply::Hang, |_: usize, _: &Seen| Reply::Cut] {
        let server = Server::http(silent).await;
        let spare = Server::http(|_, _| json(200, ACK)).await;
        let client = client(&[&server.authority, &spare.authority], hasty());
        let error = client
            .submit_vote(&vote(), &key(), CallOptions::default())
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ClientError::Unknown { endpoint, .. } if *endpoint == server.authority),
            "{error:?}"
        );
        assert_eq!(error.class(), ErrorClass::Unknown);
        assert_eq!((server.seen().len(), spare.seen().len()), (1, 0));
        client
            .submit_vote(&vote(), &key(), CallOptions::default())
            .await
            .unwrap();
        assert_eq!(
            (server.seen().len(), spare.seen().len()),
            (1, 1),
            "the next call goes elsewhere"
        );
    }
}

#[tokio::test]
async fn an_answer_cut_half_way_is_unknown() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"vote_id\"".to_vec();
    for hold in [false, true] {
        let server = Server::raw(vec![Script {
            writes: vec![half.clone()],
            hold,
        }])
        .await;
        let client = client(&[&server.authority], hasty());
        let error = client.leaderboard(E17, CallOptions::default()).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Unknown, "{error:?}");
    }
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{BOARD}",
        BOARD.len()
    )
    .into_bytes();
    let script = || Script {
        writes: vec![answer.clone()],
        hold: false,
    };
    let server = Server::raw(vec![script(), script(), script()]).await;
    let client = client(&[&server.authority], config());
    for _ in 0..3 {
        client.leaderboard(E17, CallOptions::default()).await.unwrap();
        // Time for the end of the connection to arrive; a request written before it would rightly be unknown.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_request_handed_back_unsent_is_sent_again() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{BOARD}",
        BOARD.len()
    );
    let connector = Arc::new(PipeConnect::default());
    let (first, second) = (connector.add(), connector.add());
    let client = Client::new(connector, vec!["pipe:1".to_owned()], config());

    let call = || client.leaderboard(E17, CallOptions::default());
    // Both in tasks of their own, so that a call that fails ends the test at once.
    let serve = |mut pipe: DuplexStream| {
        let answer = answer.clone();
        tokio::spawn(async move {
            serve_once(&mut pipe, answer.as_bytes()).await;
            pipe
        })
    };
    let serving = serve(first);
    call().await.unwrap();
    let first = serving.await.unwrap();
    let serving = serve(second);
    // No await between this end and the call: the kept connection still looks well when it is given the request.
    drop(first);
    call().await.unwrap();
    serving.await.unwrap();
}

/// The other end of a kept connection dies when it has read a request.
#[tokio::test]
async fn what_is_safe_is_sent_again_over_a_new_connection_and_what_is_not_is_unknown() {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{BOARD}",
        BOARD.len()
    );
    for is_safe in [true, false] {
        let connector = Arc::new(PipeConnect::default());
        let (mut first, mut second) = (connector.add(), connector.add());
        let client = Client::new(connector, vec!["pipe:1".to_owned()], config());
        let first_answer = answer.clone();
        let dying = tokio::spawn(async move {
            serve_once(&mut first, first_answer.as_bytes()).await;
            read_head(&mut first, 0).await;
        });
        client.leaderboard(E17, CallOptions::default()).await.unwrap();
        if is_safe {
            let answer = answer.clone();
            let serving = tokio::spawn(async move { serve_once(&mut second, answer.as_bytes()).await });
            client.leaderboard(E17, CallOptions::default()).await.unwrap();
            serving.await.unwrap();
        } else {
            let error = client.close(E17, CallOptions::default()).await.unwrap_err();
            assert_eq!(error.class(), ErrorClass::Unknown, "{error:?}");
        }
        dying.await.unwrap();
    }
}

#[tokio::test]
async fn what_no_header_can_carry_is_refused_before_sending() {
    let server = Server::http(|_, _| json(200, BOARD)).await;
    let client = client(&[&server.authority], config());
    let error = client
        .leaderboard(E17, CallOptions::bearer("a\nb"))
        .await
        .unwrap_err();
    assert!(matches!(error, ClientError::Invalid { .. }), "{error:?}");
    assert_eq!(server.seen().len(), 0);
}

#[tokio::test]
async fn an_unknown_vote_is_resolved_with_the_same_key() {
    let silent = Server::http(|_, _| Reply::Hang).await;
    let spare = Server::http(|_, _| json(200, ACK)).await;
    let client = client(&[&silent.authority, &spare.authority], hasty());
    let report = client
        .submit_vote_until(&vote(), &key(), CallOptions::default(), Duration::from_secs(20))
        .await;

    assert_eq!(report.result.as_ref().unwrap().vote_id.as_str(), "v1");
    assert_eq!(report.error_class(), None);
    assert!(
        report.attempts >= 2 && report.unknown_attempts == report.attempts - 1,
        "{report:?}"
    );
    let sent: Vec<_> = silent.seen().into_iter().chain(spare.seen()).collect();
    assert!(
        sent.iter()
            .all(|seen| seen.header("idempotency-key") == Some("key-1") && seen.body == sent[0].body)
    );
}

#[tokio::test]
async fn refusals_end_the_attempts_but_not_the_doubt() {
    let refusing = Server::http(|_, _| problem(ErrorCode::EventNotFound, vec![])).await;
    let ask = async |endpoints: &[&str]| {
        let client = client(endpoints, hasty());
        client
            .submit_vote_until(&vote(), &key(), CallOptions::default(), Duration::from_secs(20))
            .await
    };
    let refused = ask(&[&refusing.authority]).await;
    assert_eq!((refused.attempts, refused.unknown_attempts), (1, 0));
    assert_eq!(refused.error_class(), Some(ErrorClass::Terminal));

    let cutting = Server::http(|_, _| Reply::Cut).await;
    let doubtful = ask(&[&cutting.authority, &refusing.authority]).await;
    assert_eq!((doubtful.attempts, doubtful.unknown_attempts), (2, 1));
    assert_eq!(doubtful.error_class(), Some(ErrorClass::Unknown));
}

#[tokio::test]
async fn when_time_runs_out_the_report_says_what_is_known() {
    let ask = async |server: &Server, within_ms| {
        let client = client(&[&server.authority], config());
        client
            .submit_vote_until(
                &vote(),
                &key(),
                CallOptions::default(),
                Duration::from_millis(within_ms),
            )
            .await
    };
    let silent = Server::http(|_, _| Reply::Hang).await;
    let report = ask(&silent, 200).await;
    assert_eq!((report.attempts, report.unknown_attempts), (1, 1));
    assert_eq!(report.error_class(), Some(ErrorClass::Unknown));

    // It asks for a pause longer than there is time, so the end comes between two attempts.
    let busy = Server::http(|_, _| problem(ErrorCode::Overloaded, vec![("retry-after", "30")])).await;
    let report = ask(&busy, 2_000).await;
    assert_eq!((report.attempts, report.unknown_attempts), (1, 0));
    assert_eq!(report.error_class(), Some(ErrorClass::Retryable));
    assert_eq!(busy.seen().len(), 1);
}

#[tokio::test]
async fn who_asks_for_a_pause_speaks_for_itself_alone() {
    let resting = || Server::http(|_, _| problem(ErrorCode::NoLeader, vec![("retry-after", "30")]));
    let ask = async |endpoints: &[&str]| {
        client(endpoints, config())
            .submit_vote_until(&vote(), &key(), CallOptions::default(), Duration::from_secs(2))
            .await
    };
    let (first, second) = (resting().await, resting().await);
    let well = Server::http(|_, _| json(200, ACK)).await;
    let report = ask(&[&first.authority, &second.authority, &well.authority]).await;
    assert_eq!((report.attempts, report.error_class()), (3, None));

    // Where everybody asks for a pause, everybody gets it.
    let report = ask(&[&first.authority, &second.authority]).await;
    assert_eq!(
        (report.attempts, report.error_class()),
        (2, Some(ErrorClass::Retryable))
    );
    assert_eq!((first.seen().len(), second.seen().len()), (2, 2));
}
