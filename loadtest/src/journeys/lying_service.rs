//! A service small enough to be plainly right, that tells one lie on demand: each check of a journey is shown to find
//! the lie that it is there for.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Frame, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::Stream;
use futures_util::stream;
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    None,
    /// A second vote is told `processed`.
    SecondVoteProcessed,
    /// A first vote is told `duplicate`.
    FirstVoteDuplicate,
    /// A vote in an open event is told `rejected`.
    OpenEventRejects,
    /// A request that is sent again gets another vote id.
    RetryGetsAnotherId,
    StatusDiffers,
    OtherContestants,
    /// The stream takes a vote back.
    TotalGoesBack,
    /// The stream lists a vote and does not count it.
    ListedNotCounted,
    NotShown,
    /// The leaderboard knows nothing of what the stream showed.
    LeaderboardBehind,
    EarlyVoteCounts,
    LateVoteCounts,
    /// A closed event has one vote less than were acknowledged.
    ResultLacksVote,
    /// A closed event has one vote more, the second time it is asked.
    ResultChanges,
    StreamEndsOtherwise,
    /// The leaderboard of a closed event says that it is open.
    NotClosed,
    /// Every vote is told 503, done or not.
    Overloaded,
    /// An answer that the API does not have.
    OtherAnswer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Scheduled,
    Open,
    Closed,
}

struct Event {
    status: Status,
    version: u64,
    totals: Vec<u64>,
    voters: HashMap<String, usize>,
    /// By voter and key.
    submissions: HashMap<(String, String), Value>,
    traces: Vec<(u64, String)>,
    looked_at: u64,
}

#[derive(Default)]
struct Kept {
    events: BTreeMap<String, Event>,
    statuses: HashMap<String, String>,
}

#[derive(Clone)]
struct Service {
    lie: Lie,
    kept: Arc<Mutex<Kept>>,
}

/// Starts it with an open event `e1` of three contestants.
pub(super) async fn start(lie: Lie) -> SocketAddr {
    let service = Service {
        lie,
        kept: Arc::default(),
    };
    service.create(3, Status::Open);
    let router = Router::new()
        .route("/v1/event/create", post(create))
        .route("/v1/event/{event}/open", post(open))
        .route("/v1/event/{event}/close", post(close))
        .route("/v1/event/{event}/leaderboard", get(leaderboard))
        .route("/v1/event/{event}/stream", get(watch))
        .route("/v1/contestants/{event}", get(contestants))
        .route("/v1/vote/submit", post(vote))
        .route("/v1/vote/{vote}/status", get(status))
        .with_state(service);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

impl Service {
    fn create(&self, contestants: usize, status: Status) -> String {
        let mut kept = self.kept.lock().unwrap();
        let id = format!("e{}", kept.events.len() + 1);
        let event = Event {
            status,
            version: 1,
            totals: vec![0; contestants],
            voters: HashMap::new(),
            submissions: HashMap::new(),
            traces: Vec::new(),
            looked_at: 0,
        };
        kept.events.insert(id.clone(), event);
        id
    }

    fn turn(&self, id: &str, status: Status) -> Value {
        let mut kept = self.kept.lock().unwrap();
        let event = kept.events.get_mut(id).unwrap();
        event.version += 1;
        event.status = status;
        json!({"event_id": id, "status": word(status), "version": event.version})
    }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Scheduled => "scheduled",
        Status::Open => "open",
        Status::Closed => "closed",
    }
}

async fn create(State(service): State<Service>) -> Json<Value> {
    let id = service.create(2, Status::Scheduled);
    let contestant = |number| json!({"contestant_id": format!("{id}-c{number}"), "contestant_name": "x"});
    Json(json!({"event_id": id, "contestants": [contestant(0), contestant(1)]}))
}

async fn open(State(service): State<Service>, Path(id): Path<String>) -> Json<Value> {
    Json(service.turn(&id, Status::Open))
}

async fn close(State(service): State<Service>, Path(id): Path<String>) -> Json<Value> {
    Json(service.turn(&id, Status::Closed))
}

async fn contestants(State(service): State<Service>, Path(id): Path<String>) -> Json<Value> {
    let shown = if service.lie == Lie::OtherContestants {
        2
    } else {
        3
    };
    let entry = |number| json!({"contestant_id": format!("{id}-c{number}"), "contestant_name": "x", "contestant_image_url": ""});
    Json(json!({"event_id": id, "contestants": (0..shown).map(entry).collect::<Vec<_>>()}))
}

async fn vote(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    let lie = service.lie;
    let header = |name: &str| headers[name].to_str().unwrap().to_string();
    if lie == Lie::Overloaded {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    if lie == Lie::OtherAnswer {
        return Ok(Json(json!({"vote": "taken"})));
    }
    let mut guard = service.kept.lock().unwrap();
    let kept = &mut *guard;
    let event = kept.events.get_mut(body["event_id"].as_str().unwrap()).unwrap();
    let voter = body["user_id"].as_str().unwrap().to_string();
    let contestant = body["contestant_id"]
        .as_str()
        .unwrap()
        .split_once("-c")
        .unwrap()
        .1;
    let contestant: usize = contestant.parse().unwrap();
    let submission = (voter.clone(), header("idempotency-key"));
    if let Some(first) = event.submissions.get(&submission) {
        let mut first = first.clone();
        if lie == Lie::RetryGetsAnotherId {
            first["vote_id"] = json!("another");
        }
        return Ok(Json(first));
    }
    let told = match event.status {
        Status::Scheduled if lie != Lie::EarlyVoteCounts => "rejected",
        Status::Closed if lie != Lie::LateVoteCounts => "rejected",
        _ if lie == Lie::OpenEventRejects => "rejected",
        _ if lie == Lie::FirstVoteDuplicate => "duplicate",
        _ if event.voters.contains_key(&voter) && lie != Lie::SecondVoteProcessed => "duplicate",
        _ => "processed",
    };
    if told == "processed" {
        event.version += 1;
        event.totals[contestant] += 1;
        event.voters.insert(voter, contestant);
        let trace = header("traceparent").split('-').nth(1).unwrap().to_string();
        event.traces.push((event.version, trace));
    }
    let id = format!("v{}", kept.statuses.len());
    let answer = json!({"vote_id": id, "vote_status": told, "durability": "quorum_fsync"});
    event.submissions.insert(submission, answer.clone());
    kept.statuses.insert(id, told.to_string());
    Ok(Json(answer))
}

async fn status(State(service): State<Service>, Path(vote): Path<String>) -> Json<Value> {
    let kept = service.kept.lock().unwrap();
    let lies = service.lie == Lie::StatusDiffers;
    let status = if lies {
        "rejected"
    } else {
        kept.statuses[&vote].as_str()
    };
    Json(json!({"vote_id": vote, "vote_status": status, "event_name": "x"}))
}

fn entries(id: &str, totals: &[u64]) -> Value {
    let entry = |(number, total)| json!({"contestant_id": format!("{id}-c{number}"), "contestant_name": "x", "total_votes": total});
    totals.iter().enumerate().map(entry).collect()
}

async fn leaderboard(State(service): State<Service>, Path(id): Path<String>) -> Json<Value> {
    let mut kept = service.kept.lock().unwrap();
    let event = kept.events.get_mut(&id).unwrap();
    event.looked_at += 1;
    let mut totals = event.totals.clone();
    let highest = totals.iter_mut().max().unwrap();
    let status = if service.lie == Lie::NotClosed {
        Status::Open
    } else {
        event.status
    };
    match service.lie {
        Lie::ResultLacksVote => *highest -= 1,
        Lie::LeaderboardBehind => totals.fill(0),
        Lie::ResultChanges if event.looked_at > 1 => *highest += 1,
        _ => {}
    }
    Json(json!({
        "event_id": id, "event_name": "x", "status": word(status), "results": "live",
        "version": event.version, "consistency": "linearizable", "contestants": entries(&id, &totals),
    }))
}

/// What one watcher of the stub was told.
struct Watcher {
    service: Service,
    id: String,
    /// None before the snapshot.
    version: Option<u64>,
    first: Vec<u64>,
    over: bool,
}

async fn watch(
    State(service): State<Service>,
    Path(id): Path<String>,
) -> Sse<impl Stream<Item = Result<Frame, Infallible>>> {
    let watcher = Watcher {
        service,
        id,
        version: None,
        first: Vec::new(),
        over: false,
    };
    Sse::new(stream::unfold(watcher, next))
}

async fn next(mut watcher: Watcher) -> Option<(Result<Frame, Infallible>, Watcher)> {
    loop {
        if watcher.over {
            return None;
        }
        if let Some(frame) = watcher.look() {
            return Some((Ok(frame), watcher));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

impl Watcher {
    fn look(&mut self) -> Option<Frame> {
        let kept = self.service.kept.lock().unwrap();
        let (event, lie) = (&kept.events[&self.id], self.service.lie);
        let before = self.version.replace(event.version);
        let frame = |name: &str, data: Value| {
            Frame::default()
                .event(name)
                .id(event.version.to_string())
                .data(data.to_string())
        };
        let mut totals = event.totals.clone();
        if event.status == Status::Closed {
            self.over = true;
            if lie == Lie::StreamEndsOtherwise {
                totals[0] += 1;
            }
        }
        let Some(before) = before.filter(|_| !self.over) else {
            let name = if self.over { "closed" } else { "snapshot" };
            self.first.clone_from(&totals);
            let data = json!({
                "event_id": self.id, "event_name": "x", "status": word(event.status),
                "version": event.version, "contestants": entries(&self.id, &totals),
            });
            return Some(frame(name, data));
        };
        if before == event.version {
            return None;
        }
        match lie {
            Lie::TotalGoesBack if event.version % 2 == 1 => totals.fill(0),
            Lie::ListedNotCounted => totals.clone_from(&self.first),
            _ => {}
        }
        let listed = |(version, trace): &(u64, String)| (*version > before).then(|| trace.clone());
        let traces: Vec<_> = match lie {
            Lie::NotShown => Vec::new(),
            _ => event.traces.iter().filter_map(listed).collect(),
        };
        let data = json!({
            "event_id": self.id, "status": word(event.status), "version": event.version,
            "previous_version": before, "contestants": entries(&self.id, &totals),
            "traces": traces, "traces_omitted": 0,
        });
        Some(frame("tally", data))
    }
}
