//! What the users of a run found out, gathered while they are at it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::plan::Role;
use crate::statistics::latencies;

/// After this long without any answer to anybody, the service counts as gone and the run is over.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Sentences kept of each kind: the first ones tell what is wrong, their number how often.
const SENTENCES_MAX: usize = 50;

/// Why a journey did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The service broke a promise.
    Fault(String),
    /// The service did not do what it was asked, or nobody knows whether it did. It may.
    Trouble(String),
}

impl Broken {
    pub(crate) fn sentence(&self) -> &str {
        match self {
            Self::Fault(sentence) | Self::Trouble(sentence) => sentence,
        }
    }
}

/// One role's journeys. One that the end of the run cut off is begun and neither of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Journeys {
    pub(crate) begun: u64,
    pub(crate) finished: u64,
    pub(crate) broken_off: u64,
}

/// All that was found, for the evidence.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) journeys: BTreeMap<Role, Journeys>,
    pub(crate) faults: u64,
    pub(crate) fault_sentences: Vec<String>,
    pub(crate) troubles: BTreeMap<String, u64>,
    pub(crate) logins: u64,
    /// Own votes whose trace the stream did not list because it listed as many as it can.
    pub(crate) not_listed: u64,
}

/// Where the users of a run put it down.
pub(crate) struct Findings {
    started: Instant,
    /// Milliseconds after the start at which an answer came last.
    heard_ms: AtomicU64,
    gone_ms: AtomicU64,
    found: Mutex<Found>,
    own_vote_seen: Mutex<Histogram<u64>>,
}

impl Findings {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            heard_ms: AtomicU64::new(0),
            gone_ms: AtomicU64::new(0),
            found: Mutex::default(),
            own_vote_seen: Mutex::new(latencies()),
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since_start_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn begun(&self, role: Role) {
        self.found().journeys.entry(role).or_default().begun += 1;
    }

    pub(crate) fn ended(&self, role: Role, result: &Result<(), Broken>) {
        let mut found = self.found();
        let journeys = found.journeys.entry(role).or_default();
        match result {
            Ok(()) => journeys.finished += 1,
            Err(_) => journeys.broken_off += 1,
        }
        match result {
            Ok(()) => {}
            Err(Broken::Fault(sentence)) => {
                found.faults += 1;
                if found.fault_sentences.len() < SENTENCES_MAX {
                    found.fault_sentences.push(format!("{}: {sentence}", role.name()));
                }
            }
            Err(Broken::Trouble(sentence)) => {
                let known = found.troubles.contains_key(sentence) || found.troubles.len() < SENTENCES_MAX;
                let sentence = if known { sentence } else { "something else" };
                *found.troubles.entry(sentence.to_string()).or_default() += 1;
            }
        }
    }

    pub(crate) fn logged_in(&self) {
        self.found().logins += 1;
    }

    pub(crate) fn not_listed(&self) {
        self.found().not_listed += 1;
    }

    /// From sending a vote to seeing it on the stream.
    pub(crate) fn own_vote_seen(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let mut seen = self.own_vote_seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.saturating_record(micros);
    }

    pub(crate) fn own_votes_seen(&self) -> Histogram<u64> {
        let seen = self.own_vote_seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The service answered somebody, whatever it said.
    pub(crate) fn heard(&self) {
        self.heard_ms.store(self.since_start_ms(), Ordering::Relaxed);
    }

    /// Nobody answered. True once nobody has for so long that the run should end.
    pub(crate) fn unheard(&self) -> bool {
        self.unheard_at(self.since_start_ms())
    }

    fn unheard_at(&self, now_ms: u64) -> bool {
        let heard_ms = self.heard_ms.load(Ordering::Relaxed);
        let gone = u128::from(now_ms.saturating_sub(heard_ms)) >= SILENCE_MAX.as_millis();
        if gone {
            // 0 is for never.
            self.gone_ms.store(heard_ms.max(1), Ordering::Relaxed);
        }
        gone
    }

    /// When the service was last heard of, if it went away for good: seconds after the start.
    pub(crate) fn gone_s(&self) -> Option<f64> {
        match self.gone_ms.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(ms as f64 / 1_000.0),
        }
    }

    pub(crate) fn taken(&self) -> Found {
        self.found().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn journeys_are_counted_by_how_they_ended() {
        let findings = Findings::new();
        for _ in 0..4 {
            findings.begun(Role::Voter);
        }
        findings.ended(Role::Voter, &Ok(()));
        findings.ended(Role::Voter, &Err(Broken::Fault("it lied".to_string())));
        findings.ended(Role::Voter, &Err(Broken::Trouble("503".to_string())));
        let found = findings.taken();
        let journeys = Journeys {
            begun: 4,
            finished: 1,
            broken_off: 2,
        };
        assert_eq!(found.journeys[&Role::Voter], journeys);
        assert_eq!(
            (found.faults, found.fault_sentences[0].as_str()),
            (1, "voter: it lied")
        );
        assert_eq!(found.troubles["503"], 1);
    }

    #[test]
    fn sentences_are_bounded_and_their_number_is_not() {
        let findings = Findings::new();
        for number in 0..200 {
            findings.ended(Role::Attacker, &Err(Broken::Fault(number.to_string())));
            findings.ended(Role::Attacker, &Err(Broken::Trouble(number.to_string())));
        }
        let found = findings.taken();
        assert_eq!((found.faults, found.fault_sentences.len()), (200, SENTENCES_MAX));
        assert_eq!(found.troubles.len(), SENTENCES_MAX + 1);
        assert_eq!(found.troubles.values().sum::<u64>(), 200);
    }

    #[test]
    fn a_service_is_gone_after_five_silent_seconds_and_not_before() {
        let findings = Findings::new();
        findings.heard_ms.store(2_000, Ordering::Relaxed);
        assert!(!findings.unheard_at(6_999));
        assert_eq!(findings.gone_s(), None);
        assert!(findings.unheard_at(7_000));
        assert_eq!(findings.gone_s(), Some(2.0));
    }
}
