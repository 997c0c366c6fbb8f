use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use loadtest::issuer::Issuer;
use ostraka_core::ids::EventId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Ballot, PollsOptions};
use super::*;

#[test]
fn a_load_that_did_not_keep_up_says_so() {
    let mut sent = Sent::default();
    for late_by in [0, 1, 400] {
        sent.began(Duration::from_millis(late_by));
    }
    assert_eq!((sent.intended, sent.late, sent.latest_ms), (3, 1, 400));
    assert_eq!(sent.missing(), None);
    assert!(sent.too_late().unwrap().contains("1 of 3 votes"));
    sent.unsent = 2;
    assert!(sent.missing().unwrap().contains("2 of 3 votes were not sent"));
    sent.ledger_full = true;
    assert!(sent.missing().unwrap().contains("full"));
    let on_time = Sent {
        intended: 1_000,
        late: 10,
        ..Sent::default()
    };
    assert_eq!(on_time.too_late(), None, "one in a hundred is let pass");
}

/// A service that answers nothing before `opens`, then every vote at once.
async fn stalled_until(opens: Instant) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let answers = Arc::new(AtomicU64::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, opens, answers.clone()));
        }
    });
    endpoint
}

async fn answer(mut stream: TcpStream, opens: Instant, answers: Arc<AtomicU64>) {
    let mut seen = Vec::new();
    // A vote's body is the only thing that ends with a brace.
    while stream.read_buf(&mut seen).await.is_ok_and(|read| read > 0) {
        if seen.last() == Some(&b'}') {
            seen.clear();
            sleep_until(opens).await;
            let number = answers.fetch_add(1, Ordering::Relaxed);
            let body = format!(
                "{{\"vote_id\":\"v{number}\",\"vote_status\":\"processed\",\"durability\":\"quorum_fsync\"}}"
            );
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all((head + &body).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

async fn load_on(endpoint: String, in_flight_max: u32, votes_max: usize) -> Load {
    load_since(Instant::now(), endpoint, in_flight_max, votes_max)
}

fn load_since(begun: Instant, endpoint: String, in_flight_max: u32, votes_max: usize) -> Load {
    let polls = PollsOptions {
        endpoints: vec![endpoint],
        secrets: PathBuf::new(),
        contestants: 2,
        request_wait: Duration::from_secs(5),
        patience: Duration::from_secs(5),
        idle_connections_max: 64,
    };
    let polls = Polls::in_event(polls, Issuer::new(&[7; 32], "k1", 1), EventId(1));
    let options = LoadOptions {
        votes_per_s: 200.0,
        pace: Pace::Constant,
        seed: 1,
        in_flight_max,
        votes_max,
        first_voter: 1_000,
    };
    Load::due_since(begun, &Handle::current(), Arc::new(polls), options)
}

/// The service stands still for 400 ms: votes go on to begin on time, and each one's wait is counted whole. A closed loop
/// would have sent a handful, and seen one slow answer each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_service_does_not_slow_the_load_down() {
    let stall = Duration::from_millis(400);
    let load = load_on(stalled_until(Instant::now() + stall).await, 1_000, 1_000).await;
    tokio::time::sleep(stall + Duration::from_millis(400)).await;
    let ledger = load.ledger();
    let sent = load.end().await;
    assert_eq!(sent.missing(), None);
    let ledger = ledger.lock();
    assert_eq!(ledger.acked() as u64, sent.intended);
    // 80 votes were due before the service went on; one that was due in the first half waited for more than the second.
    let waited_long = ledger
        .ballots()
        .iter()
        .filter(|ballot| ballot.latency().is_some_and(|latency| latency >= stall / 2));
    assert!(waited_long.count() >= 35, "{sent:?}");
    assert!(ledger.ballots()[0].latency().unwrap() >= stall - Duration::from_millis(20));
    assert!(sent.intended >= 120, "{sent:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_at_once_is_not_sent_and_counted() {
    let stall = Duration::from_millis(300);
    let load = load_on(stalled_until(Instant::now() + stall).await, 10, 1_000).await;
    tokio::time::sleep(stall * 2).await;
    let ledger = load.ledger();
    let sent = load.end().await;
    assert!(sent.unsent >= 30, "{sent:?}");
    assert!(sent.missing().is_some());
    assert_eq!(ledger.lock().ballots().len() as u64, sent.intended - sent.unsent);
}

/// A load that was held up itself does not go on to owe what nobody waits for any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_much_too_late_is_not_sent_and_counted() {
    let begun = Instant::now() - LOAD_GIVE_UP - Duration::from_secs(1);
    let load = load_since(begun, stalled_until(Instant::now()).await, 10_000, 10_000);
    let ledger = load.ledger();
    // It owes a thousand votes that are not much too late, and is on time once it has sent them.
    let is_late = |ballot: Option<&Ballot>| ballot.is_none_or(|ballot| ballot.late > LOAD_GIVE_UP / 2);
    while is_late(ledger.lock().ballots().last()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let sent = load.end().await;
    assert!(sent.unsent >= 200, "those of the first second: {sent:?}");
    assert!(sent.missing().is_some());
    let ledger = ledger.lock();
    assert!(ledger.ballots().iter().all(|ballot| ballot.late <= LOAD_GIVE_UP));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_ledger_ends_the_load_and_is_told() {
    let load = load_on(stalled_until(Instant::now()).await, 1_000, 10).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let ledger = load.ledger();
    let sent = load.end().await;
    assert!(sent.missing().is_some_and(|doubt| doubt.contains("full")));
    assert_eq!(ledger.lock().acked(), 10);
}
