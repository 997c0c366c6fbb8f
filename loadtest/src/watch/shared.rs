//! What the threads of watchers and the votes share.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ostraka_api::ids::EventId;

use crate::open_loop::Traced;

pub(super) struct Shared {
    pub(super) addr: SocketAddr,
    pub(super) event: EventId,
    pub(super) traced: Traced,
    /// What is measured, since the start of the votes.
    pub(super) window: Range<Duration>,
    origin: Instant,
    /// When the votes begin.
    pub(super) start: OnceLock<Instant>,
    /// Watchers that have their first snapshot.
    pub(super) opened: AtomicU64,
    /// The votes are over, and so many of them acknowledged.
    pub(super) acked: OnceLock<u64>,
    given_up: AtomicBool,
    /// When the first watcher had each version, since the origin.
    firsts: Mutex<BTreeMap<u64, Duration>>,
}

impl Shared {
    pub(super) fn new(addr: SocketAddr, event: EventId, traced: Traced, window: Range<Duration>) -> Self {
        Self {
            addr,
            event,
            traced,
            window,
            origin: Instant::now(),
            start: OnceLock::new(),
            opened: AtomicU64::new(0),
            acked: OnceLock::new(),
            given_up: AtomicBool::new(false),
            firsts: Mutex::default(),
        }
    }

    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    pub(super) fn since_origin(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin)
    }

    /// Zero before the votes.
    pub(super) fn since_start(&self, now: Instant) -> Duration {
        self.start
            .get()
            .map_or(Duration::ZERO, |start| now.saturating_duration_since(*start))
    }

    pub(super) fn is_measured(&self, now: Instant) -> bool {
        self.start
            .get()
            .is_some_and(|start| self.window.contains(&now.saturating_duration_since(*start)))
    }

    /// When the first watcher had that version: now, where this is the first.
    pub(super) fn first(&self, version: u64, now: Instant) -> Duration {
        let now = self.since_origin(now);
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        *firsts.entry(version).or_insert(now)
    }

    /// When the versions between those two were first had.
    pub(super) fn between(&self, before: u64, version: u64) -> Vec<Duration> {
        let firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let between = firsts.range(before.saturating_add(1)..version.max(before + 1));
        between.map(|(_, first)| *first).collect()
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
