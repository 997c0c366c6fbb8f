//! The feed: a replica's own live tallies. `apply` marks an event as changed; one task renders the newest tally of each,
//! at most every 50 ms, once for all subscribers; a subscriber reads the newest and never a backlog.

mod cursor;
mod frame;
mod publisher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ostraka_core::limits::{SUBSCRIBERS_MAX, TALLY_MS_MIN, TRACES_PER_DELTA_MAX};
use ostraka_core::outcome::ChangedEvent;
use ostraka_core::{EventId, TraceId};
use ostraka_replication::runtime::watch;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use cursor::Cursor;
pub use frame::Frame;
pub(super) use frame::visible_totals;
pub use publisher::publish;

/// Terminal for this node: it has [`SUBSCRIBERS_MAX`] streams already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node has {SUBSCRIBERS_MAX} subscribers, the most it takes")]
pub struct TooManySubscribers;

/// Where `apply` leaves word and subscribers wait. Its lock is held for a few map operations at most, and whoever holds
/// it never asks for the machine's lock: `apply` comes here with that one held.
#[derive(Default)]
pub struct FeedHub {
    feeds: Mutex<Feeds>,
    changed: Notify,
}

#[derive(Default)]
struct Feeds {
    by_event: BTreeMap<EventId, Feed>,
    subscribers: usize,
}

/// One event that somebody watches.
struct Feed {
    newest: watch::Sender<Option<Arc<Frame>>>,
    subscribers: usize,
    dirty: bool,
    traces: Traces,
    /// No tally before this moment.
    rest_until: Option<Instant>,
}

/// Sampled traces that wait for the tally that first includes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Traces {
    pub(super) listed: Vec<TraceId>,
    pub(super) omitted: u32,
}

impl Traces {
    fn add(&mut self, changed: &ChangedEvent) {
        let room = TRACES_PER_DELTA_MAX - self.listed.len();
        let taken = changed.traces.len().min(room);
        self.listed.extend_from_slice(&changed.traces[..taken]);
        let left_out = (changed.traces.len() - taken) as u32;
        self.omitted = self
            .omitted
            .saturating_add(changed.traces_omitted)
            .saturating_add(left_out);
    }
}

/// What the publisher renders next, and for whom.
pub(super) struct Due {
    pub(super) event: EventId,
    pub(super) traces: Traces,
    pub(super) previous: Option<Arc<Frame>>,
}

impl FeedHub {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// An entry was applied. Called with the machine locked.
    pub(super) fn changed(&self, changed: Vec<ChangedEvent>) {
        let mut watched = false;
        let mut feeds = self.feeds.lock();
        for change in &changed {
            if let Some(feed) = feeds.by_event.get_mut(&change.event) {
                feed.dirty = true;
                feed.traces.add(change);
                watched = true;
            }
        }
        drop(feeds);
        if watched {
            self.changed.notify_one();
        }
    }

    /// The whole state was replaced. Called with the machine locked.
    pub(super) fn restored(&self) {
        for feed in self.feeds.lock().by_event.values_mut() {
            feed.dirty = true;
        }
        self.changed.notify_one();
    }

    /// Watches `event`. The first frame comes at once if others watch too, else when the publisher has rendered it.
    ///
    /// # Errors
    /// If this node has [`SUBSCRIBERS_MAX`] already.
    pub fn subscribe(self: &Arc<Self>, event: EventId) -> Result<Subscription, TooManySubscribers> {
        let mut feeds = self.feeds.lock();
        if feeds.subscribers >= SUBSCRIBERS_MAX {
            return Err(TooManySubscribers);
        }
        feeds.subscribers += 1;
        let feed = feeds.by_event.entry(event).or_insert_with(Feed::new);
        feed.subscribers += 1;
        let frames = feed.newest.subscribe();
        if feed.dirty {
            self.changed.notify_one();
        }
        Ok(Subscription {
            hub: Arc::clone(self),
            event,
            frames,
        })
    }

    fn unsubscribe(&self, event: EventId) {
        let mut feeds = self.feeds.lock();
        feeds.subscribers -= 1;
        let feed = feeds
            .by_event
            .get_mut(&event)
            .expect("a subscribed event has its feed");
        feed.subscribers -= 1;
        if feed.subscribers == 0 {
            feeds.by_event.remove(&event);
        }
    }

    /// Open streams of this node.
    pub fn subscribers(&self) -> usize {
        self.feeds.lock().subscribers
    }

    /// Takes the events that are to be rendered now, and says when to look again. Call it with the machine locked for
    /// reading, and render from that very state: then traces and totals belong together.
    pub(super) fn take_due(&self, now: Instant) -> (Vec<Due>, Option<Instant>) {
        let mut due = Vec::new();
        let mut look_again: Option<Instant> = None;
        for (event, feed) in &mut self.feeds.lock().by_event {
            match feed.rest_until {
                _ if !feed.dirty => {}
                Some(until) if until > now => {
                    look_again = Some(look_again.map_or(until, |earliest| earliest.min(until)));
                }
                _ => {
                    feed.dirty = false;
                    feed.rest_until = Some(now + Duration::from_millis(TALLY_MS_MIN));
                    let previous = feed.newest.borrow().clone();
                    due.push(Due {
                        event: *event,
                        traces: std::mem::take(&mut feed.traces),
                        previous,
                    });
                }
            }
        }
        (due, look_again)
    }

    /// Hands a new frame to the event's subscribers.
    pub(super) fn put(&self, event: EventId, frame: Arc<Frame>) {
        let sender = self
            .feeds
            .lock()
            .by_event
            .get(&event)
            .map(|feed| feed.newest.clone());
        // Woken outside the lock: there may be thousands.
        if let Some(sender) = sender {
            sender.send_replace(Some(frame));
        }
    }

    pub(super) async fn wait_for_change(&self) {
        self.changed.notified().await;
    }
}

impl Feed {
    /// Dirty, so that the first frame is made.
    fn new() -> Self {
        let (newest, _) = watch::channel(None);
        Self {
            newest,
            subscribers: 0,
            dirty: true,
            traces: Traces::default(),
            rest_until: None,
        }
    }
}

/// One subscriber's end of an event's feed.
pub struct Subscription {
    hub: Arc<FeedHub>,
    event: EventId,
    frames: watch::Receiver<Option<Arc<Frame>>>,
}

impl Subscription {
    /// The newest frame, if there is one yet; marks it as seen.
    pub fn newest(&mut self) -> Option<Arc<Frame>> {
        self.frames.borrow_and_update().clone()
    }

    /// Waits for a frame that was not seen. Safe to cancel.
    pub async fn changed(&mut self) {
        if self.frames.changed().await.is_err() {
            // The feed lives as long as it has subscribers, and this is one.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.unsubscribe(self.event);
    }
}

#[cfg(test)]
mod tests;
