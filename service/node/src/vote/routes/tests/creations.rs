//! How many events one user may create, and how fast.

use std::net::IpAddr;

use ostraka_core::limits::{
    CREATE_EVENT_PER_ADDRESS_BURST, CREATE_EVENT_PER_CALLER_BURST, CREATE_EVENT_PER_CALLER_REFILL_MS,
    EVENTS_PER_OWNER_MAX,
};
use ostraka_core::{Batch, Command, EventKind, NewContestant, NewEvent, RequestKey, ResultsPolicy};

use super::*;
use crate::http::progress::Progress;

const HERE: &str = "192.0.2.1";

impl App {
    fn creation(&self, owner: u32, role: Role, body: String) -> Request<Body> {
        let bearer = format!("Bearer {}", self.token(owner, role));
        Request::post("/v1/event/create")
            .header("authorization", bearer)
            .header("content-type", "application/json")
            .body(body.into())
            .unwrap()
    }

    /// Creates one from an address: its status, and the seconds after which to come back.
    async fn create_from(&self, address: &str, owner: u32, role: Role) -> (u16, Option<String>) {
        let address: IpAddr = address.parse().unwrap();
        let request = self.creation(owner, role, song(owner).to_string());
        let answer = self.served.handle(request, Arc::new(Progress::of(address))).await;
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), retry_after)
    }

    fn submissions(&self) -> usize {
        self.log.submissions.load(Ordering::SeqCst)
    }
}

fn song(owner: u32) -> Value {
    json!({"user_id": format!("u{owner}"), "event_name": "Song", "contestants": [{"contestant_name": "A"}]})
}

/// So many events of one owner, created by another node.
fn events_of(owner: u32, count: u64) -> Batch {
    let contestant = NewContestant {
        name: "A".to_owned(),
        description: String::new(),
        image_url: String::new(),
    };
    let event = |request| NewEvent {
        request: RequestKey(request),
        owner: VoterNumber(owner),
        name: "Song".to_owned(),
        kind: EventKind::Public,
        results: ResultsPolicy::Live,
        opens_at: None,
        closes_at: None,
        contestants: vec![contestant.clone()],
    };
    let events = (0..u128::from(count)).map(event);
    Batch {
        commands: events
            .map(|event| Command::CreateEvent(Box::new(event)))
            .collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_creates_a_handful_at_once_then_one_at_a_time_and_others_are_not_held_up() {
    let app = App::start();
    let created = (200, None);
    for _ in 0..CREATE_EVENT_PER_CALLER_BURST {
        assert_eq!(app.create_from(HERE, 1, Role::Voter).await, created);
    }
    let too_often = (429, Some("6".to_owned()));
    assert_eq!(app.create_from(HERE, 1, Role::Voter).await, too_often);
    assert_eq!(
        app.create_from("192.0.2.2", 1, Role::Voter).await,
        too_often,
        "wherever the user is"
    );
    assert_eq!(app.create_from(HERE, 2, Role::Voter).await, created);
    app.log
        .clock
        .0
        .fetch_add(CREATE_EVENT_PER_CALLER_REFILL_MS, Ordering::SeqCst);
    assert_eq!(app.create_from(HERE, 1, Role::Voter).await, created);
    assert_eq!(app.create_from(HERE, 1, Role::Voter).await, too_often);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_accounts_is_not_much_faster_from_one_address_and_operators_are_not_counted() {
    let app = App::start();
    let mut created = 0;
    for user in 1..20 {
        while app.create_from(HERE, user, Role::Voter).await.0 == 200 {
            created += 1;
        }
    }
    assert_eq!(created, CREATE_EVENT_PER_ADDRESS_BURST);
    assert_eq!(
        app.create_from(HERE, 30, Role::Voter).await,
        (429, Some("1".to_owned()))
    );
    assert_eq!(app.create_from("192.0.2.2", 31, Role::Voter).await.0, 200);
    for _ in 0..2 * CREATE_EVENT_PER_ADDRESS_BURST {
        assert_eq!(app.create_from(HERE, 40, Role::Operator).await.0, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_too_often_is_neither_read_nor_submitted() {
    let app = App::start();
    for _ in 0..CREATE_EVENT_PER_CALLER_BURST {
        let (status, _) = app.json(app.creation(1, Role::Voter, "{".to_owned())).await;
        assert_eq!(status, 400, "what is malformed counts, too");
    }
    for body in ["{".to_owned(), song(1).to_string(), "x".repeat(2_000_000)] {
        let (status, answer) = app.json(app.creation(1, Role::Voter, body)).await;
        assert_eq!(
            (status.as_u16(), code(&answer)),
            (429, ErrorCode::TooManyRequests)
        );
        assert_eq!(answer["retryable"], true);
    }
    assert_eq!(app.submissions(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_has_as_many_events_as_one_may_is_told_so_and_a_repeated_creation_gets_the_first() {
    let app = App::start();
    let keyed = |name: &str| {
        let mut request = app.creation(1, Role::Voter, song(1).to_string());
        request
            .headers_mut()
            .insert("idempotency-key", name.parse().unwrap());
        request
    };
    let (_, first) = app.json(keyed("first")).await;
    app.log.apply(&events_of(1, EVENTS_PER_OWNER_MAX - 1).encode());
    let before = app.submissions();
    for request in [
        keyed("second"),
        app.creation(1, Role::Operator, song(1).to_string()),
    ] {
        let (status, answer) = app.json(request).await;
        assert_eq!(
            (status.as_u16(), code(&answer)),
            (409, ErrorCode::OwnerLimitReached),
            "operators have no more"
        );
        assert_eq!(answer["retryable"], false);
    }
    assert_eq!(app.submissions(), before, "it takes no place in the log");
    assert_eq!(app.json(keyed("first")).await, (StatusCode::OK, first));
    assert_eq!(app.create_from(HERE, 2, Role::Voter).await.0, 200);
}

/// Two creations that meet the last place: whether this node's replica knows it yet or not, one of them gets it.
#[tokio::test(start_paused = true)]
async fn the_log_has_the_last_word() {
    let app = App::start();
    app.log.apply(&events_of(1, EVENTS_PER_OWNER_MAX - 1).encode());
    app.log.stuck.store(true, Ordering::SeqCst);
    let both = 2 * events_of(1, 1).commands[0].encoded_len();
    let unstick = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(app.service.ingest.bytes_unanswered(), both);
        app.log.unstick();
    };
    let (one, other, ()) = tokio::join!(
        app.post("/v1/event/create", 1, song(1)),
        app.post("/v1/event/create", 1, song(1)),
        unstick
    );
    let (won, lost) = if one.0 == 200 { (one, other) } else { (other, one) };
    assert_eq!((won.0.as_u16(), lost.0.as_u16()), (200, 409));
    assert_eq!(code(&lost.1), ErrorCode::OwnerLimitReached);
}
