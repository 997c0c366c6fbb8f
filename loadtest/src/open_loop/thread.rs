//! One thread of the generator: a schedule, its connections, and what it saw.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::{sleep, sleep_until, timeout_at};

use super::lane::{self, Awaited, Lane};
use super::requests::Requests;
use super::{OpenLoad, Seen, Share, Timeline};
use crate::generator::{ANSWER_TIMEOUT, Counts};

/// What an acknowledgement may take at most: the objective.
const ACK_MAX: Duration = Duration::from_millis(50);

/// What one thread is to do.
pub(super) struct Plan<'a> {
    pub(super) load: &'a OpenLoad,
    pub(super) start: Instant,
    /// Votes that are to begin within this are measured; since the start.
    pub(super) measured: Range<Duration>,
    pub(super) share: &'a Share,
}

/// What the schedule and the connections share.
pub(super) struct Shared {
    start: Instant,
    measured: Range<Duration>,
    depth: usize,
    requests: Requests,
    inner: RefCell<Inner>,
    /// Somebody's last vote was answered, or given up.
    pub(super) settled: Notify,
}

struct Inner {
    lanes: Vec<Rc<Lane>>,
    /// Lanes with room, the one that was used longest ago first. None is in it twice.
    free: VecDeque<usize>,
    /// Votes that no lane has had room for yet: when they were to begin, and their numbers.
    due: VecDeque<(Duration, usize)>,
    under_way: u64,
    counts: Counts,
    seen: Seen,
    timeline: Timeline,
    pool: Option<Pool>,
}

/// What one thread saw.
pub(super) struct Part {
    pub(super) counts: Counts,
    pub(super) seen: Seen,
    pub(super) timeline: Timeline,
    pub(super) sent_voters: u64,
}

/// Whose votes are cast next.
struct Pool {
    /// The first that was never sent.
    fresh: usize,
    voters: usize,
    /// Refused, and to be sent again.
    again: VecDeque<usize>,
}

impl Pool {
    fn next(&mut self) -> Option<usize> {
        self.again.pop_front().or_else(|| {
            let is_left = self.fresh < self.voters;
            self.fresh += usize::from(is_left);
            is_left.then(|| self.fresh - 1)
        })
    }
}

/// Runs one thread's part on a runtime of its own.
pub(super) fn run(plan: Plan<'_>, requests: Requests) -> std::io::Result<Part> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let lanes: Vec<_> = (0..plan.share.connections)
        .map(|_| Rc::new(Lane::default()))
        .collect();
    let shared = Rc::new(Shared {
        start: plan.start,
        measured: plan.measured.clone(),
        depth: plan.load.depth,
        requests,
        settled: Notify::new(),
        inner: RefCell::new(Inner {
            free: VecDeque::with_capacity(lanes.len()),
            lanes,
            due: VecDeque::new(),
            under_way: 0,
            counts: Counts::default(),
            seen: Seen::new(),
            timeline: Timeline::default(),
            pool: plan.load.voters.map(|_| Pool {
                fresh: 0,
                voters: plan.share.voters.len(),
                again: VecDeque::new(),
            }),
        }),
    });
    let local = LocalSet::new();
    for number in 0..plan.share.connections {
        local.spawn_local(lane::serve(shared.clone(), number, plan.load.addr));
    }
    local.block_on(&runtime, drive(&shared, &plan.share.starts));
    // The lanes go with the runtime, and what they know is here.
    let inner = &mut *shared.inner.borrow_mut();
    inner.counts.unanswered += inner.under_way;
    Ok(Part {
        counts: std::mem::take(&mut inner.counts),
        seen: std::mem::replace(&mut inner.seen, Seen::new()),
        timeline: std::mem::take(&mut inner.timeline),
        sent_voters: inner.pool.as_ref().map_or(0, |pool| pool.fresh as u64),
    })
}

async fn drive(shared: &Shared, starts: &[Duration]) {
    let mut next = 0;
    while next < starts.len() {
        let now = shared.start.elapsed();
        while let Some(intended) = starts.get(next).filter(|intended| **intended <= now) {
            shared.begin(*intended, now, next);
            next += 1;
        }
        shared.dispatch();
        match starts.get(next) {
            Some(intended) => sleep_until((shared.start + *intended).into()).await,
            None => break,
        }
        // Where the next one is due already, the timer lets nobody else run.
        tokio::task::yield_now().await;
    }
    let patience = Instant::now() + ANSWER_TIMEOUT;
    while !shared.is_settled() {
        if timeout_at(patience.into(), shared.settled.notified())
            .await
            .is_err()
        {
            break;
        }
    }
    shared.give_up_waiting(Duration::MAX);
    // What is still to be read from the connections is read.
    sleep(Duration::ZERO).await;
}

impl Shared {
    pub(super) fn lane(&self, number: usize) -> Rc<Lane> {
        self.inner.borrow().lanes[number].clone()
    }

    fn is_settled(&self) -> bool {
        let inner = self.inner.borrow();
        inner.under_way == 0 && inner.due.is_empty()
    }

    fn is_measured(&self, intended: Duration) -> bool {
        self.measured.contains(&intended)
    }

    /// A vote is due.
    fn begin(&self, intended: Duration, now: Duration, number: usize) {
        let inner = &mut *self.inner.borrow_mut();
        if self.is_measured(intended) {
            inner.seen.intended += 1;
            inner
                .seen
                .noticed_micros
                .saturating_record(micros(now - intended));
        }
        inner.timeline.at(intended).begun += 1;
        inner.due.push_back((intended, number));
    }

    /// Gives votes that are due to lanes with room.
    pub(super) fn dispatch(&self) {
        self.give_up_waiting(self.start.elapsed());
        let inner = &mut *self.inner.borrow_mut();
        while !inner.due.is_empty()
            && let Some(number) = inner.free.pop_front()
        {
            let (intended, own) = inner.due.pop_front().expect("one is due");
            let vote = match &mut inner.pool {
                None => Some(own),
                Some(pool) => pool.next(),
            };
            let Some(vote) = vote else {
                inner.seen.without_voter += 1;
                inner.free.push_front(number);
                continue;
            };
            let lane = &inner.lanes[number];
            lane.send(intended, vote, self.requests.get(vote));
            inner.under_way += 1;
            if lane.under_way() < self.depth {
                inner.free.push_back(number);
            }
        }
    }

    /// Votes that no lane had room for in time are never sent: whoever cast them has left.
    fn give_up_waiting(&self, now: Duration) {
        let inner = &mut *self.inner.borrow_mut();
        while let Some((intended, _)) = inner.due.front()
            && now.saturating_sub(*intended) > ANSWER_TIMEOUT
        {
            inner.seen.unsent += u64::from(self.measured.contains(intended));
            inner.due.pop_front();
        }
    }

    /// A lane is connected.
    pub(super) fn connected(&self, number: usize) {
        self.inner.borrow_mut().free.push_back(number);
        self.dispatch();
    }

    /// A vote that was to begin at `intended` was answered; `took` it until then.
    pub(super) fn answered(&self, number: usize, (intended, vote): Awaited, answer: Answered) {
        let now = self.start.elapsed();
        let inner = &mut *self.inner.borrow_mut();
        if matches!(answer, Answered::Acked) {
            inner.timeline.at(now).acked += 1;
            inner.timeline.at(intended).quick += u64::from(now - intended <= ACK_MAX);
        }
        if self.is_measured(intended) {
            let took = micros(now - intended);
            match answer {
                Answered::Acked => inner.seen.acked_micros.saturating_record(took),
                _ => inner.seen.refused_micros.saturating_record(took),
            }
        }
        match answer {
            Answered::Acked => inner.counts.acked += 1,
            Answered::NotCounted => inner.counts.not_counted += 1,
            Answered::Refused { status, says_when } => {
                *inner.counts.refused.entry(status).or_default() += 1;
                inner.seen.without_retry_after += u64::from(status == 503 && !says_when);
                if let Some(pool) = &mut inner.pool {
                    pool.again.push_back(vote);
                }
            }
        }
        inner.under_way -= 1;
        // It had no room until now, or is in the queue already.
        if inner.lanes[number].under_way() + 1 == self.depth {
            inner.free.push_back(number);
        }
    }

    /// A lane ended with so many votes under way, for that reason.
    pub(super) fn broken(&self, number: usize, unanswered: usize, why: String) {
        let inner = &mut *self.inner.borrow_mut();
        inner.free.retain(|free| *free != number);
        inner.under_way -= unanswered as u64;
        inner.counts.unanswered += unanswered as u64;
        *inner.counts.broken.entry(why).or_default() += 1;
    }
}

/// How a vote was answered.
pub(super) enum Answered {
    Acked,
    NotCounted,
    Refused { status: u16, says_when: bool },
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
