//! Streams against real sockets: cut anywhere, resumed, ended.

use std::time::Duration;

use crate::support::{Script, Server, client, config, dead_authority, stream};
use ostraka_api::ids::{EventId, LogIndex};
use ostraka_api::{ErrorClass, ErrorCode, ProblemBody, ResumeToken};
use ostraka_client::{CallOptions, ClientConfig, ClientError, Update, Watch};

const E17: EventId = EventId(17);

fn standings(event: &str, version: u64, total: u64) -> String {
    format!(
        "event: {event}\nid: {version}\ndata: {{\"event_id\":\"e17\",\"event_name\":\"n\\u00e9\",\"status\":\"open\",\
         \"version\":{version},\"contestants\":[{{\"contestant_id\":\"e17-c0\",\"contestant_name\":\"é\",\
         \"total_votes\":{total}}}]}}\n\n"
    )
}

fn tally(version: u64, previous: u64, total: u64) -> String {
    format!(
        "event: tally\r\nid: {version}\r\ndata: {{\"event_id\":\"e17\",\"status\":\"open\",\"version\":{version},\r\n\
         data: \"previous_version\":{previous},\"contestants\":[{{\"contestant_id\":\"e17-c0\",\
         \"total_votes\":{total}}}],\"traces\":[],\"traces_omitted\":0}}\r\n\r\n"
    )
}

fn resume(version: u64) -> Option<ResumeToken> {
    Some(ResumeToken(LogIndex(version)))
}

/// A short word for an update, so that whole histories can be compared.
async fn word(watch: &mut Watch) -> String {
    let next = tokio::time::timeout(Duration::from_secs(20), watch.next())
        .await
        .expect("an update in time");
    match next {
        None => "end".to_owned(),
        Some(Err(error)) => format!("error {:?}", error.class()),
        Some(Ok(update)) => match update {
            Update::Connected { resumed_from, .. } => {
                format!("connected {:?}", resumed_from.map(|token| token.0.0))
            }
            Update::Snapshot(payload) => format!(
                "snapshot {} {:?}",
                payload.version, payload.contestants[0].total_votes
            ),
            Update::Tally(payload) => {
                format!("tally {} {}", payload.version, payload.contestants[0].total_votes)
            }
            Update::Closed(payload) => format!("closed {}", payload.version),
            Update::Heartbeat => "heartbeat".to_owned(),
            Update::Disconnected { cause, .. } => format!("disconnected {:?}", cause.class()),
        },
    }
}

async fn words(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut words = Vec::new();
    for _ in 0..count {
        words.push(word(watch).await);
    }
    words
}

#[tokio::test]
async fn reads_a_stream_cut_into_single_bytes_to_its_end() {
    let body = [
        ": hello\n\n",
        &standings("snapshot", 5, 1),
        &tally(7, 5, 2),
        "event: later\ndata: x\n\n",
        ": beat\n\n",
    ];
    let body = body.concat() + &standings("closed", 9, 2) + &tally(11, 9, 3);
    let server = Server::raw(vec![stream(&body, true)]).await;
    let mut watch = client(&[&server.authority], config()).watch(E17, None, CallOptions::bearer("t"));
    assert_eq!(
        words(&mut watch, 8).await,
        [
            "connected None",
            "heartbeat",
            "snapshot 5 Some(1)",
            "tally 7 2",
            "heartbeat",
            "closed 9",
            "end",
            "end"
        ]
    );
    let seen = &server.seen()[0];
    assert_eq!(seen.path, "/v1/event/e17/stream");
    assert_eq!(seen.header("accept"), Some("text/event-stream"));
    assert_eq!(seen.header("authorization"), Some("Bearer t"));
    assert_eq!(seen.header("last-event-id"), None);
}

#[tokio::test]
async fn resumes_elsewhere_after_a_cut() {
    // The first stream breaks off in the middle of a tally, which therefore was never told.
    let broken = tally(8, 7, 3);
    let first = [
        "retry: 60\n\n",
        &standings("snapshot", 5, 1),
        &tally(7, 5, 2),
        &broken[..broken.len() - 2],
    ]
    .concat();
    let one = Server::raw(vec![stream(&first, false)]).await;
    let two = Server::raw(vec![stream(&tally(8, 7, 3), true)]).await;
    let mut watch =
        client(&[&one.authority, &two.authority], config()).watch(E17, None, CallOptions::default());

    assert_eq!(
        words(&mut watch, 3).await,
        ["connected None", "snapshot 5 Some(1)", "tally 7 2"]
    );
    let Some(Ok(Update::Disconnected { cause, pause })) = watch.next().await else {
        panic!("a cut is told")
    };
    assert_eq!(cause.class(), ErrorClass::Unknown);
    assert_eq!(pause, Duration::from_millis(60), "the server's retry is kept to");
    let Some(Ok(Update::Connected {
        endpoint,
        resumed_from,
    })) = watch.next().await
    else {
        panic!("another stream")
    };
    assert_eq!((endpoint, resumed_from), (two.authority.clone(), resume(7)));
    assert_eq!(word(&mut watch).await, "tally 8 3");
    assert_eq!(two.seen()[0].header("last-event-id"), Some("7"));
}

#[tokio::test]
async fn a_given_token_is_sent_and_dead_endpoints_are_told() {
    let server = Server::raw(vec![stream(&tally(8, 7, 3), true)]).await;
    let dead = dead_authority().await;
    let mut watch =
        client(&[&dead, &server.authority], config()).watch(E17, resume(7), CallOptions::default());
    assert_eq!(
        words(&mut watch, 3).await,
        ["disconnected Retryable", "connected Some(7)", "tally 8 3"]
    );
    assert_eq!(server.seen()[0].header("last-event-id"), Some("7"));
}

#[tokio::test]
async fn silence_counts_as_a_cut() {
    let silent = || stream(&standings("snapshot", 5, 1), true);
    let server = Server::raw(vec![silent(), silent()]).await;
    let config = ClientConfig {
        stream_silence_max: Duration::from_millis(300),
        ..config()
    };
    let mut watch = client(&[&server.authority], config).watch(E17, None, CallOptions::default());
    assert_eq!(
        words(&mut watch, 4).await,
        [
            "connected None",
            "snapshot 5 Some(1)",
            "disconnected Unknown",
            "connected Some(5)"
        ]
    );
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_asked_for_again() {
    let bad = standings("snapshot", 5, 1) + "event: tally\nid: 7\ndata: {\n\n" + &tally(8, 7, 3);
    let server = Server::raw(vec![stream(&bad, true), stream(&tally(7, 5, 2), true)]).await;
    let mut watch = client(&[&server.authority], config()).watch(E17, None, CallOptions::default());
    assert_eq!(
        words(&mut watch, 5).await,
        [
            "connected None",
            "snapshot 5 Some(1)",
            "disconnected Unknown",
            "connected Some(5)",
            "tally 7 2"
        ]
    );
}

fn whole(status: &str, content_type: &str, body: &str) -> Script {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    Script {
        writes: vec![text.into_bytes()],
        hold: true,
    }
}

#[tokio::test]
async fn refusals_end_the_watch_and_troubles_do_not() {
    let gone = serde_json::to_string(&ProblemBody::new(ErrorCode::EventNotFound, "d", "t")).unwrap();
    let busy = serde_json::to_string(&ProblemBody::new(ErrorCode::Overloaded, "d", "t")).unwrap();
    let server = Server::raw(vec![
        whole("503 Busy", "application/problem+json", &busy),
        whole("200 OK", "text/html", "<html>"),
        whole("404 Gone", "application/problem+json", &gone),
    ])
    .await;
    let mut watch = client(&[&server.authority], config()).watch(E17, None, CallOptions::default());
    assert_eq!(
        words(&mut watch, 4).await,
        [
            "disconnected Retryable",
            "disconnected Unknown",
            "error Terminal",
            "end"
        ]
    );

    let done = Script {
        writes: vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()],
        hold: true,
    };
    let server = Server::raw(vec![done]).await;
    let mut watch = client(&[&server.authority], config()).watch(E17, None, CallOptions::default());
    assert_eq!(word(&mut watch).await, "end");
}

#[tokio::test]
async fn pauses_grow_while_nobody_answers() {
    let dead = dead_authority().await;
    let mut watch = client(&[&dead], config()).watch(E17, None, CallOptions::default());
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let Some(Ok(Update::Disconnected { cause, pause })) = watch.next().await else {
            panic!("nobody is there")
        };
        assert!(matches!(cause, ClientError::Unreachable { .. }), "{cause:?}");
        pauses.push(pause);
    }
    // A pause is at most halved by jitter while the whole doubles, so two steps on it cannot be shorter.
    assert!(
        pauses[2] >= pauses[0] && pauses[4] >= pauses[2] && pauses[4] > pauses[0],
        "{pauses:?}"
    );
}

#[tokio::test]
async fn a_cancelled_wait_loses_nothing() {
    let cut = standings("snapshot", 5, 1) + &tally(7, 5, 2);
    let server = Server::raw(vec![
        stream(&cut, false),
        stream(&(tally(8, 7, 3) + &standings("closed", 9, 3)), true),
    ])
    .await;
    let mut watch = client(&[&server.authority], config()).watch(E17, None, CallOptions::default());
    let mut history = Vec::new();
    let patient = async {
        loop {
            // Far shorter than connecting or pausing takes.
            let brief = tokio::time::timeout(Duration::from_micros(50), word(&mut watch));
            if let Ok(word) = brief.await {
                let end = word == "end";
                history.push(word);
                if end {
                    break;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), patient)
        .await
        .expect("progress in spite of cancelling");
    let expected = [
        "connected None",
        "snapshot 5 Some(1)",
        "tally 7 2",
        "disconnected Unknown",
        "connected Some(7)",
        "tally 8 3",
        "closed 9",
        "end",
    ];
    assert_eq!(history, expected);
}

#[test]
fn a_watch_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Watch>();
}
