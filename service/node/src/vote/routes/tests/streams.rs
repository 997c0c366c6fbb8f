//! The live stream.

use futures_util::StreamExt;
use ostraka_api::sse::{Decoded, Decoder};
use ostraka_core::LogIndex;

use super::*;

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
    assert!(matches!(reader.next().await, Some(Decoded::Retry(250..=1_250))));
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
    assert!(
        app.service
            .shutdown(tokio::time::sleep(Duration::from_secs(1)))
            .await
    );
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

#[tokio::test(start_paused = true)]
async fn streams_of_a_node_that_was_removed_end_and_none_begin() {
    let app = App::start();
    app.event(json!({})).await;
    let mut reader = Reader::open(&app, "/v1/event/e1/stream", None).await;
    reader.event().await.unwrap();
    app.log.expelled.store(true, Ordering::SeqCst);
    let (status, answer) = app.get("/v1/event/e1/stream", 5).await;
    assert_eq!((status.as_u16(), code(&answer)), (503, ErrorCode::Draining));
    let began = tokio::time::Instant::now();
    assert!(matches!(reader.next().await, Some(Decoded::Comment(_))));
    assert!(matches!(reader.next().await, Some(Decoded::Retry(_))));
    assert_eq!(reader.next().await, None);
    assert!(
        began.elapsed() < Duration::from_secs(12),
        "at the next sign of life"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_node_that_is_cut_off_end_once() {
    let app = App::start();
    app.event(json!({})).await;
    let mut reader = Reader::open(&app, "/v1/event/e1/stream", None).await;
    reader.event().await.unwrap();
    app.log.cut_off.send_replace(true);
    assert!(matches!(reader.next().await, Some(Decoded::Comment(_))));
    assert!(matches!(reader.next().await, Some(Decoded::Retry(_))));
    assert_eq!(reader.next().await, None);
    // Perhaps the others are no better off: whoever insists is shown what is known here, and stays.
    let mut insisting = Reader::open(&app, "/v1/event/e1/stream", None).await;
    insisting.event().await.unwrap();
    app.log.cut_off.send_replace(false);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(matches!(insisting.next().await, Some(Decoded::Comment(alive)) if alive == "alive"));
    // The next time is another time.
    app.log.cut_off.send_replace(true);
    assert!(matches!(insisting.next().await, Some(Decoded::Comment(_))));
    assert!(matches!(insisting.next().await, Some(Decoded::Retry(_))));
    assert_eq!(insisting.next().await, None);
}
