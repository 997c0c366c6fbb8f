use std::sync::atomic::Ordering;

use ostraka_core::limits::{BATCH_AGE_MICROS_MAX, BATCH_VOTES_MAX};
use ostraka_core::{
    ContestantIndex, EventId, EventKind, NewContestant, NewEvent, RequestKey, ResultsPolicy, SubmissionKey,
    VoteOutcome, VoteRecord, VoteVerdict, VoterNumber,
};
use prometheus_client::registry::Registry;

use super::*;
use crate::vote::testing::LocalLog;

fn start(log: &Arc<LocalLog>) -> Ingest {
    let metrics = VoteMetrics::register(&mut Registry::default());
    Ingest::start(Arc::clone(log) as Arc<dyn Log>, metrics)
}

fn new_event() -> Command {
    let contestant = |name: &str| NewContestant {
        name: name.into(),
        description: "".into(),
        image_url: "".into(),
    };
    Command::CreateEvent(Box::new(NewEvent {
        request: RequestKey(1),
        owner: VoterNumber(1),
        name: "Song".into(),
        kind: EventKind::Public,
        results: ResultsPolicy::Live,
        opens_at: None,
        closes_at: None,
        contestants: vec![contestant("a"), contestant("b")],
    }))
}

fn vote(voter: u32) -> Command {
    Command::CastVote(VoteRecord {
        voter: VoterNumber(voter),
        event: EventId(1),
        contestant: ContestantIndex((voter % 2) as u16),
        key: SubmissionKey(7),
        client_timestamp: None,
        trace: None,
        trace_sampled: false,
    })
}

fn is_processed(outcome: Result<Outcome, IngestError>) -> bool {
    matches!(
        outcome,
        Ok(Outcome::Vote(VoteOutcome::Recorded {
            verdict: VoteVerdict::Processed,
            ..
        }))
    )
}

#[tokio::test(start_paused = true)]
async fn an_idle_batch_closes_at_once() {
    let log = LocalLog::new();
    let ingest = start(&log);
    let began = Instant::now();
    assert_eq!(
        ingest.submit(new_event()).await,
        Ok(Outcome::EventCreated(EventId(1)))
    );
    assert!(is_processed(ingest.submit(vote(1)).await));
    assert_eq!(began.elapsed(), Duration::ZERO, "no timer was waited for");
    assert_eq!(log.submissions.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn everyone_is_answered_with_their_own_outcome_in_few_batches() {
    let log = LocalLog::new();
    let ingest = start(&log);
    ingest.submit(new_event()).await.unwrap();
    let voters = 3 * BATCH_VOTES_MAX as u32;
    let votes: Vec<_> = (1..=voters)
        .map(|voter| {
            let ingest = ingest.clone();
            // Every voter votes twice, the second time with the same key: a retry.
            tokio::spawn(async move { (ingest.submit(vote(voter)).await, ingest.submit(vote(voter)).await) })
        })
        .collect();
    let mut positions = std::collections::BTreeSet::new();
    for vote in votes {
        let (first, retry) = vote.await.unwrap();
        assert_eq!(first, retry);
        let Ok(Outcome::Vote(VoteOutcome::Recorded { position, .. })) = first else {
            panic!("{first:?}")
        };
        assert!(positions.insert(position), "two voters were given the same place");
    }
    let counted = log.machine.read().state().event(EventId(1)).unwrap().counted();
    assert_eq!(counted, u64::from(voters));
    let batches = log.submissions.load(Ordering::SeqCst);
    assert!(batches < 50, "{batches} batches for {voters} votes twice");
    assert_eq!(ingest.bytes_unanswered(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_company_no_longer_than_its_age_while_others_are_in_flight() {
    let log = LocalLog::new();
    let ingest = start(&log);
    ingest.submit(new_event()).await.unwrap();
    log.stuck.store(true, Ordering::SeqCst);
    let spawn = |voter| {
        let ingest = ingest.clone();
        tokio::spawn(async move { ingest.submit(vote(voter)).await })
    };
    let first = spawn(1);
    tokio::time::sleep(Duration::from_micros(10)).await;
    assert_eq!(log.submissions.load(Ordering::SeqCst), 2);
    let (second, third) = (spawn(2), spawn(3));
    tokio::task::yield_now().await;
    assert_eq!(
        log.submissions.load(Ordering::SeqCst),
        2,
        "the second waits for company"
    );
    tokio::time::sleep(Duration::from_micros(2 * BATCH_AGE_MICROS_MAX)).await;
    assert_eq!(
        log.submissions.load(Ordering::SeqCst),
        3,
        "the second and the third vote travel together"
    );
    log.unstick();
    for vote in [first, second, third] {
        assert!(is_processed(vote.await.unwrap()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_recovers() {
    let log = LocalLog::new();
    let ingest = start(&log);
    ingest.submit(new_event()).await.unwrap();
    log.stuck.store(true, Ordering::SeqCst);
    let mut waiting = Vec::new();
    let refused_at = loop {
        let mut submitted = Box::pin(ingest.submit(vote(waiting.len() as u32 + 1)));
        match futures_util::poll!(&mut submitted) {
            std::task::Poll::Ready(Err(IngestError::Overloaded)) => break ingest.bytes_unanswered(),
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => waiting.push(submitted),
        }
    };
    assert!(
        refused_at <= INGEST_BYTES_MAX && refused_at > INGEST_BYTES_MAX - 100,
        "{refused_at}"
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        log.submissions.load(Ordering::SeqCst),
        1 + BATCHES_IN_FLIGHT_MAX,
        "in flight is bounded"
    );
    log.unstick();
    for submitted in waiting {
        assert!(is_processed(submitted.await));
    }
    assert!(is_processed(ingest.submit(vote(1_000_000)).await));
}

#[tokio::test(start_paused = true)]
async fn a_failed_batch_fails_each_of_its_members() {
    let log = LocalLog::new();
    let ingest = start(&log);
    for error in [
        SubmitError::Unknown,
        SubmitError::NoLeader,
        SubmitError::Stopped("disk".into()),
    ] {
        *log.fail_with.lock() = Some(error.clone());
        let votes = futures_util::future::join_all((1..=100).map(|voter| ingest.submit(vote(voter)))).await;
        assert!(
            votes
                .into_iter()
                .all(|vote| vote == Err(IngestError::Submit(error.clone())))
        );
    }
    assert_eq!(ingest.bytes_unanswered(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_log_that_never_answers_leaves_the_outcome_unknown() {
    let log = LocalLog::new();
    let ingest = start(&log);
    log.stuck.store(true, Ordering::SeqCst);
    assert_eq!(
        ingest.submit(vote(1)).await,
        Err(IngestError::Submit(SubmitError::Unknown))
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_went_away_costs_nothing_and_its_vote_still_counts() {
    let log = LocalLog::new();
    let ingest = start(&log);
    ingest.submit(new_event()).await.unwrap();
    log.stuck.store(true, Ordering::SeqCst);
    for voter in 1..=10 {
        let gone = tokio::time::timeout(Duration::from_millis(1), ingest.submit(vote(voter))).await;
        assert!(gone.is_err());
    }
    log.unstick();
    assert!(ingest.shutdown(tokio::time::sleep(Duration::from_secs(1))).await);
    assert_eq!(
        log.machine.read().state().event(EventId(1)).unwrap().counted(),
        10
    );
    assert_eq!(ingest.bytes_unanswered(), 0);
}

#[tokio::test(start_paused = true)]
async fn shutdown_answers_what_was_taken_in_and_takes_no_more() {
    let log = LocalLog::new();
    let ingest = start(&log);
    ingest.submit(new_event()).await.unwrap();
    log.stuck.store(true, Ordering::SeqCst);
    let votes: Vec<_> = (1..=100)
        .map(|voter| {
            let ingest = ingest.clone();
            tokio::spawn(async move { ingest.submit(vote(voter)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(
        !ingest
            .shutdown(tokio::time::sleep(Duration::from_millis(10)))
            .await,
        "a stuck log is not flushed"
    );
    assert_eq!(ingest.submit(vote(101)).await, Err(IngestError::Stopping));
    log.unstick();
    assert!(ingest.shutdown(tokio::time::sleep(Duration::from_secs(1))).await);
    for vote in votes {
        assert!(is_processed(vote.await.unwrap()));
    }
}
