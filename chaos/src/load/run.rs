//! The load itself: votes that begin when the schedule says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use loadtest::arrivals::{Arrivals, Pace};
use ostraka_core::ids::VoterNumber;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use super::{Fate, Ledger, Polls, SharedLedger};
use crate::limits::{LOAD_GIVE_UP, LOAD_LATE_PER_MILLE_MAX, LOAD_LATE_START};

/// How many votes come, and how many at once.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LoadOptions {
    pub votes_per_s: f64,
    pub pace: Pace,
    pub seed: u64,
    /// Votes without an outcome at one time. What would be more is not sent, and counted.
    pub in_flight_max: u32,
    /// Votes in all; the load ends there.
    pub votes_max: usize,
    /// Number of the first voter; accounts of the cluster's own lie below.
    pub first_voter: u32,
}

/// Whether the load was what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// Votes that the schedule wanted.
    pub intended: u64,
    /// Not sent: too many were without an outcome, or it was much too late.
    pub unsent: u64,
    /// Sent later than they should by more than a bound.
    pub late: u64,
    pub latest_ms: u64,
    /// Answers of 503 that did not say when to come again.
    pub unhinted_503s: u64,
    /// The load ended early, because the ledger was full.
    pub ledger_full: bool,
}

impl Sent {
    fn began(&mut self, late_by: Duration) {
        self.intended += 1;
        self.late += u64::from(late_by > LOAD_LATE_START);
        let ms = u64::try_from(late_by.as_millis()).unwrap_or(u64::MAX);
        self.latest_ms = self.latest_ms.max(ms);
    }

    /// What came after `before`, of the same load; `latest_ms` is of the whole.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            intended: self.intended - before.intended,
            unsent: self.unsent - before.unsent,
            late: self.late - before.late,
            unhinted_503s: self.unhinted_503s - before.unhinted_503s,
            ..*self
        }
    }

    /// Why fewer votes came than were asked for, if so.
    pub fn missing(&self) -> Option<String> {
        if self.ledger_full {
            return Some("the load ended early: its ledger was full".to_owned());
        }
        (self.unsent > 0).then(|| {
            format!(
                "the load did not keep up: {} of {} votes were not sent, for too many had no outcome yet, or for it was much too late",
                self.unsent, self.intended
            )
        })
    }

    /// Why latencies of this load say more of the load than of the service, if so.
    pub fn too_late(&self) -> Option<String> {
        (self.late * 1_000 > self.intended * LOAD_LATE_PER_MILLE_MAX).then(|| {
            format!(
                "the load was late itself: {} of {} votes began more than {} ms after their time, the latest {} ms",
                self.late,
                self.intended,
                LOAD_LATE_START.as_millis(),
                self.latest_ms
            )
        })
    }
}

/// A load that is on. Dropping it ends it at once; [`Load::end`] waits for the answers.
pub struct Load {
    begun: Instant,
    options: LoadOptions,
    ledger: SharedLedger,
    sent: Arc<Mutex<Sent>>,
    stopping: Arc<AtomicBool>,
    driver: JoinHandle<()>,
}

impl Load {
    /// Begins to vote on the runtime of `handle`.
    pub fn begin(handle: &Handle, polls: Arc<Polls>, options: LoadOptions) -> Self {
        Self::due_since(Instant::now(), handle, polls, options)
    }

    /// As [`Load::begin`], with times that count from `begun`.
    fn due_since(begun: Instant, handle: &Handle, polls: Arc<Polls>, options: LoadOptions) -> Self {
        let ledger = Ledger::new(VoterNumber(options.first_voter), options.votes_max);
        let driving = Driving {
            begun,
            polls,
            ledger: SharedLedger::new(ledger),
            sent: Arc::default(),
            stopping: Arc::default(),
        };
        Self {
            begun: driving.begun,
            options,
            ledger: driving.ledger.clone(),
            sent: driving.sent.clone(),
            stopping: driving.stopping.clone(),
            driver: handle.spawn(driving.drive(options)),
        }
    }

    /// What the ledger's times count from.
    pub fn begun(&self) -> std::time::Instant {
        self.begun.into_std()
    }

    pub fn options(&self) -> LoadOptions {
        self.options
    }

    pub fn ledger(&self) -> SharedLedger {
        self.ledger.clone()
    }

    /// So far.
    pub fn sent(&self) -> Sent {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No further votes; waits until those under way have their outcome or their patience is over.
    pub async fn end(mut self) -> Sent {
        self.stopping.store(true, Ordering::Relaxed);
        // Fails only if it panicked, and then the ledger shows what is under way for ever.
        let _ = (&mut self.driver).await;
        self.sent()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

struct Driving {
    begun: Instant,
    polls: Arc<Polls>,
    ledger: SharedLedger,
    sent: Arc<Mutex<Sent>>,
    stopping: Arc<AtomicBool>,
}

impl Driving {
    fn note(&self, what: impl FnOnce(&mut Sent)) {
        what(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn drive(self, options: LoadOptions) {
        let begun = self.begun;
        let permits = Arc::new(Semaphore::new(options.in_flight_max as usize));
        for intended in Arrivals::new(options.votes_per_s, options.pace, options.seed) {
            sleep_until(begun + intended).await;
            if self.stopping.load(Ordering::Relaxed) {
                break;
            }
            let late = begun.elapsed().saturating_sub(intended);
            self.note(|sent| sent.began(late));
            if late > LOAD_GIVE_UP {
                self.note(|sent| sent.unsent += 1);
                continue;
            }
            let Ok(permit) = permits.clone().try_acquire_owned() else {
                self.note(|sent| sent.unsent += 1);
                continue;
            };
            let Some((slot, voter, choice)) = self.open(intended, late) else {
                self.note(|sent| sent.ledger_full = true);
                break;
            };
            let (polls, ledger, sent) = (self.polls.clone(), self.ledger.clone(), self.sent.clone());
            tokio::spawn(async move {
                let report = polls.submit(voter, choice).await;
                sent.lock().unwrap_or_else(PoisonError::into_inner).unhinted_503s +=
                    u64::from(report.unhinted_503s);
                let mut ledger = ledger.lock();
                ledger.close(slot, begun.elapsed(), report.attempts, Fate::of(&report));
                drop(permit);
            });
        }
        // All permits are back when nothing is under way; it fails only for a semaphore that is closed.
        let _ = permits.acquire_many(options.in_flight_max).await;
    }

    fn open(
        &self,
        intended: Duration,
        late: Duration,
    ) -> Option<(super::Slot, VoterNumber, ostraka_core::ids::ContestantIndex)> {
        let mut ledger = self.ledger.lock();
        let choice = self.polls.choice_of(ledger.next_voter()?);
        let (slot, voter) = ledger.open(choice, intended, late)?;
        Some((slot, voter, choice))
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
