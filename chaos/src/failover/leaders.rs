//! Who leads, as the nodes say all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ostraka_sim_model::ids::NodeIndex;

use crate::limits::POLL_PAUSE;
use crate::rig::Rig;

/// Somebody was said to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) at: Duration,
    pub(super) leader: NodeIndex,
    pub(super) term: u64,
}

/// Asks each node every 50 ms, each by a thread of its own: one that hangs hides no other. Dropping it ends that.
pub(super) struct Leaders {
    seen: Arc<Mutex<Vec<Led>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Leaders {
    /// Times count from `begun`.
    pub(super) fn begin(rig: &Rig, begun: Instant) -> Self {
        let mut leaders = Self {
            seen: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for node in rig.indexes() {
            let (rig, seen, stop) = (rig.clone(), leaders.seen.clone(), leaders.stop.clone());
            leaders.threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let status = rig.status(node).ok();
                    let vote = status.as_ref().and_then(|status| status.vote());
                    if let Some((leader, term)) = vote.and_then(|vote| Some((vote.leader()?, vote.term))) {
                        let at = begun.elapsed();
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.push(Led { at, leader, term });
                    }
                    std::thread::sleep(POLL_PAUSE);
                }
            }));
        }
        leaders
    }

    /// Everything that was said, by time.
    pub(super) fn end(mut self) -> Vec<Led> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has said nothing more, and the others have.
            let _ = thread.join();
        }
        let mut seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        seen.sort_by_key(|led| led.at);
        seen
    }
}

impl Drop for Leaders {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// When a leader of a later term than any before `fault` was first named.
pub(super) fn another_since(seen: &[Led], fault: Duration) -> Option<Led> {
    let term_before = seen
        .iter()
        .filter(|led| led.at < fault)
        .map(|led| led.term)
        .max()?;
    seen.iter()
        .copied()
        .find(|led| led.at >= fault && led.term > term_before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_term_is_another_leader() {
        let led = |at, leader, term| Led {
            at: Duration::from_millis(at),
            leader: NodeIndex(leader),
            term,
        };
        let fault = Duration::from_millis(100);
        // A node that has not heard yet names the old one.
        let seen = [led(50, 0, 3), led(120, 0, 3), led(450, 1, 4), led(460, 0, 3)];
        assert_eq!(another_since(&seen, fault), Some(seen[2]));
        assert_eq!(another_since(&seen[..2], fault), None);
        assert_eq!(
            another_since(&seen[2..], fault),
            None,
            "who led before is not known"
        );
    }
}
