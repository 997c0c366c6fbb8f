use std::collections::BTreeMap;

use ostraka_api::sse::{Decoded, Decoder};
use ostraka_api::{StandingsPayload, TallyPayload};
use ostraka_core::{
    Batch, Command, ContestantIndex, EventKind, NewContestant, NewEvent, RequestKey, ResultsPolicy,
    SubmissionKey, UnixMs, VoteRecord, VoterNumber,
};
use prometheus_client::registry::Registry;
use proptest::prelude::*;

use super::*;
use crate::vote::metrics::VoteMetrics;
use crate::vote::testing::LocalLog;

const EVENT: EventId = EventId(1);
const CONTESTANTS: usize = 5;

fn metrics() -> VoteMetrics {
    VoteMetrics::register(&mut Registry::default())
}

fn submit(log: &LocalLog, commands: Vec<Command>) {
    log.apply(&Batch { commands }.encode());
}

fn create(log: &LocalLog, results: ResultsPolicy) {
    let contestant = |place| NewContestant {
        name: format!("contestant {place}"),
        description: String::new(),
        image_url: String::new(),
    };
    submit(
        log,
        vec![Command::CreateEvent(Box::new(NewEvent {
            request: RequestKey(1),
            owner: VoterNumber(1),
            name: "Song".into(),
            kind: EventKind::Public,
            results,
            opens_at: None,
            closes_at: None,
            contestants: (0..CONTESTANTS).map(contestant).collect(),
        }))],
    );
}

fn vote(voter: u32, contestant: usize) -> Command {
    let trace = u128::from(voter).to_be_bytes();
    Command::CastVote(VoteRecord {
        voter: VoterNumber(voter),
        event: EVENT,
        contestant: ContestantIndex(contestant as u16),
        key: SubmissionKey(1),
        client_timestamp: Some(UnixMs(1)),
        trace: Some(TraceId(trace)),
        trace_sampled: true,
    })
}

fn close() -> Command {
    Command::CloseEvent {
        event: EVENT,
        by: VoterNumber(1),
        by_operator: false,
    }
}

/// What a page would show: it believes whatever the stream tells it.
#[derive(Default)]
struct Page {
    decoder: Decoder,
    totals: BTreeMap<String, Option<u64>>,
    version: u64,
    traces: Vec<TraceId>,
    closed: bool,
    events: Vec<String>,
}

impl Page {
    fn read(&mut self, block: &[u8]) {
        for decoded in self.decoder.feed(block).unwrap() {
            let Decoded::Event {
                event,
                data,
                last_event_id,
            } = decoded
            else {
                continue;
            };
            let version = match event.as_str() {
                "snapshot" | "closed" => self.standings(&data, event == "closed"),
                "tally" => self.tally(&data),
                other => panic!("unknown event {other}"),
            };
            assert_eq!(last_event_id, version.to_string());
            assert!(version >= self.version, "from {} back to {version}", self.version);
            self.version = version;
            self.events.push(event);
        }
    }

    fn standings(&mut self, data: &str, closed: bool) -> u64 {
        let standings: StandingsPayload = serde_json::from_str(data).unwrap();
        self.closed |= closed;
        for entry in standings.contestants {
            self.set(entry.contestant_id.to_string(), entry.total_votes);
        }
        standings.version
    }

    fn tally(&mut self, data: &str) -> u64 {
        let tally: TallyPayload = serde_json::from_str(data).unwrap();
        assert!(
            tally.previous_version <= self.version,
            "a tally that begins after what this page has"
        );
        for entry in tally.contestants {
            self.set(entry.contestant_id.to_string(), Some(entry.total_votes));
        }
        self.traces.extend(tally.traces);
        tally.version
    }

    fn set(&mut self, contestant: String, total: Option<u64>) {
        let before = self.totals.insert(contestant, total).flatten();
        assert!(total >= before, "a total went back from {before:?} to {total:?}");
    }

    /// Reads all that the subscriber has for it now.
    fn pull(&mut self, subscription: &mut Subscription, cursor: &mut Cursor) -> usize {
        let mut blocks = 0;
        while let Some(block) = subscription.newest().and_then(|frame| cursor.next(&frame)) {
            self.read(&block);
            blocks += 1;
        }
        blocks
    }

    fn shows(&self, log: &LocalLog) {
        let machine = log.machine.read();
        let event = machine.state().event(EVENT).unwrap();
        let totals: Vec<_> = self.totals.values().map(|total| total.unwrap()).collect();
        assert_eq!(
            (totals.as_slice(), self.version),
            (event.totals(), event.version().0)
        );
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Vote(usize),
    Publish,
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..CONTESTANTS).prop_map(Step::Vote),
        2 => Just(Step::Publish),
        2 => (0..3usize).prop_map(Step::Read),
    ]
}

/// Votes, publishes and reads by three pages in any order; at the end all have caught up.
fn conflate(steps: &[Step]) {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::Live);
    let hub = Arc::clone(log.machine.read().feed());
    let mut pages: Vec<_> = (0..3)
        .map(|_| (Page::default(), hub.subscribe(EVENT).unwrap(), Cursor::default()))
        .collect();
    // Far apart, so that nothing rests.
    let mut now = Instant::now();
    let mut publish = || {
        now += Duration::from_secs(1);
        let machine = log.machine.read();
        for due in hub.take_due(now).0 {
            let event = machine.state().event(due.event).unwrap();
            hub.put(
                due.event,
                Arc::new(Frame::of(event, due.previous.as_deref(), due.traces)),
            );
        }
    };
    let mut voters = 0;
    for step in steps {
        match *step {
            Step::Vote(contestant) => {
                voters += 1;
                submit(&log, vec![vote(voters, contestant)]);
            }
            Step::Publish => publish(),
            Step::Read(page) => {
                let (page, subscription, cursor) = &mut pages[page];
                assert!(
                    page.pull(subscription, cursor) <= 1,
                    "a slow reader gets the newest, not a backlog"
                );
            }
        }
    }
    submit(&log, vec![close()]);
    publish();
    for (page, subscription, cursor) in &mut pages {
        page.pull(subscription, cursor);
        page.shows(&log);
        assert!(page.closed && cursor.is_done());
        assert_eq!(page.events[0], "snapshot");
        assert_eq!(page.events.last().unwrap(), "closed");
    }
}

proptest! {
    #[test]
    fn whoever_skips_frames_still_ends_with_the_right_totals(steps in prop::collection::vec(step(), 0..60)) {
        conflate(&steps);
    }
}

#[test]
#[should_panic(expected = "a total went back")]
fn the_page_notices_a_total_that_goes_back() {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::Live);
    let mut page = Page::default();
    let frame = |log: &LocalLog| {
        let machine = log.machine.read();
        Frame::of(machine.state().event(EVENT).unwrap(), None, Traces::default())
    };
    let before = frame(&log);
    submit(&log, vec![vote(1, 0)]);
    page.totals.insert("e1-c0".into(), Some(2));
    page.read(&frame(&log).snapshot());
    page.read(&before.snapshot());
}

#[tokio::test(start_paused = true)]
async fn the_first_change_after_quiet_goes_out_at_once_and_the_next_rests() {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::Live);
    let hub = Arc::clone(log.machine.read().feed());
    let publisher = tokio::spawn(publish(Arc::clone(&hub), Arc::clone(&log.machine), metrics()));
    let mut subscription = hub.subscribe(EVENT).unwrap();
    subscription.changed().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    submit(&log, vec![vote(1, 0)]);
    subscription.changed().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    let mut frames = 0;
    for voter in 2..=1_000 {
        submit(&log, vec![vote(voter, 0)]);
        tokio::time::sleep(Duration::from_millis(1)).await;
        if tokio::time::timeout(Duration::ZERO, subscription.changed())
            .await
            .is_ok()
        {
            frames += 1;
        }
    }
    assert!((18..=20).contains(&frames), "{frames} frames in a second");
    publisher.abort();
}

#[tokio::test(start_paused = true)]
async fn a_sampled_trace_is_told_once_with_the_first_totals_that_include_it() {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::Live);
    let hub = Arc::clone(log.machine.read().feed());
    let publisher = tokio::spawn(publish(Arc::clone(&hub), Arc::clone(&log.machine), metrics()));
    let mut subscription = hub.subscribe(EVENT).unwrap();
    let (mut page, mut cursor) = (Page::default(), Cursor::default());
    for voter in 1..=200u32 {
        subscription.changed().await;
        page.pull(&mut subscription, &mut cursor);
        assert_eq!(page.traces.len(), (voter - 1) as usize);
        submit(&log, vec![vote(voter, 1)]);
    }
    publisher.abort();
}

#[test]
fn who_skipped_frames_is_told_their_traces() {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::Live);
    let frame = |previous: Option<&Frame>, voter: u32| {
        submit(&log, vec![vote(voter, 0)]);
        let traces = Traces {
            listed: vec![TraceId(u128::from(voter).to_be_bytes())],
            omitted: 0,
        };
        let machine = log.machine.read();
        Frame::of(machine.state().event(EVENT).unwrap(), previous, traces)
    };
    let first = frame(None, 1);
    let second = frame(Some(&first), 2);
    let third = frame(Some(&second), 3);
    let (mut page, mut cursor) = (Page::default(), Cursor::default());
    page.read(&cursor.next(&first).unwrap());
    page.read(&cursor.next(&third).unwrap());
    assert!(page.traces.contains(&TraceId(2u128.to_be_bytes())));
    assert!(page.traces.contains(&TraceId(3u128.to_be_bytes())));
}

#[test]
fn traces_that_a_tally_of_all_has_no_room_for_are_counted() {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::Live);
    let frame = |previous: Option<&Frame>, traces: u32| {
        submit(&log, vec![vote(traces, 0)]);
        let listed = (0..traces).map(|number| TraceId(u128::from(number + 1).to_be_bytes()));
        let traces = Traces {
            listed: listed.collect(),
            omitted: 3,
        };
        let machine = log.machine.read();
        Frame::of(machine.state().event(EVENT).unwrap(), previous, traces)
    };
    let first = frame(None, 1);
    let second = frame(Some(&first), TRACES_PER_DELTA_MAX as u32 - 1);
    let third = frame(Some(&second), 5);
    let all = String::from_utf8(third.full().to_vec()).unwrap();
    let listed = 1 + TRACES_PER_DELTA_MAX - 1 + 5;
    let omitted = 3 * 3 + listed - TRACES_PER_DELTA_MAX;
    assert!(all.contains(&format!("\"traces_omitted\":{omitted}}}")), "{all}");
}

#[test]
fn results_after_close_are_hidden_until_then() {
    let log = LocalLog::new();
    create(&log, ResultsPolicy::AfterClose);
    submit(&log, vec![vote(1, 0), vote(2, 0)]);
    let frame = |previous: Option<&Frame>| {
        let machine = log.machine.read();
        Frame::of(machine.state().event(EVENT).unwrap(), previous, Traces::default())
    };
    let (mut page, mut cursor) = (Page::default(), Cursor::default());
    let hidden = frame(None);
    page.read(&cursor.next(&hidden).unwrap());
    assert!(page.totals.len() == CONTESTANTS && page.totals.values().all(Option::is_none));
    submit(&log, vec![vote(3, 1)]);
    let still_hidden = frame(Some(&hidden));
    page.read(&cursor.next(&still_hidden).unwrap());
    assert!(page.totals.values().all(Option::is_none));
    submit(&log, vec![close()]);
    let closed = frame(Some(&still_hidden));
    while let Some(block) = cursor.next(&closed) {
        page.read(&block);
    }
    page.shows(&log);
}

#[test]
fn a_feed_lives_as_long_as_it_is_watched_and_streams_are_bounded() {
    let hub = FeedHub::new();
    let subscriptions: Vec<_> = (0..SUBSCRIBERS_MAX)
        .map(|_| hub.subscribe(EVENT).unwrap())
        .collect();
    assert!(hub.subscribe(EVENT).is_err());
    drop(subscriptions);
    assert_eq!(hub.subscribers(), 0);
    assert!(hub.feeds.lock().by_event.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restored_state_reaches_every_subscriber() {
    let (log, donor) = (LocalLog::new(), LocalLog::new());
    for log in [&log, &donor] {
        create(log, ResultsPolicy::Live);
    }
    submit(&donor, vec![vote(1, 2), vote(2, 2)]);
    let hub = Arc::clone(log.machine.read().feed());
    let publisher = tokio::spawn(publish(Arc::clone(&hub), Arc::clone(&log.machine), metrics()));
    let mut subscription = hub.subscribe(EVENT).unwrap();
    let (mut page, mut cursor) = (Page::default(), Cursor::default());
    subscription.changed().await;
    page.pull(&mut subscription, &mut cursor);
    let mut image = Vec::new();
    use ostraka_replication::Machine;
    donor.machine.read().image().write_to(&mut image).unwrap();
    log.machine.write().restore(&mut image.as_slice()).unwrap();
    subscription.changed().await;
    page.pull(&mut subscription, &mut cursor);
    page.shows(&donor);
    publisher.abort();
}
