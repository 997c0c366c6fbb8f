//! What the nodes say of themselves all the time: who leads, who is ready, how much is committed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ostraka_sim_model::ids::{NodeIndex, SimMicros};

use super::stage::SharedStage;
use crate::limits::POLL_PAUSE;
use crate::rig::Rig;

/// One look at one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: SimMicros,
    pub(super) node: NodeIndex,
    pub(super) ready: bool,
    /// What it takes for the leader of the vote log, and in which term; none where it does not answer.
    pub(super) vote: Option<VoteView>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VoteView {
    pub(super) leader: Option<NodeIndex>,
    pub(super) term: u64,
    pub(super) committed_index: u64,
}

/// Looks at each node every 50 ms, each by a thread of its own: one that hangs hides no other.
pub(super) struct Watchers {
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Watchers {
    pub(super) fn begin(stage: &SharedStage, rig: &Rig) -> Self {
        let mut watchers = Self {
            samples: Arc::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        for node in rig.indexes() {
            let (stage, rig) = (stage.clone(), rig.clone());
            let (samples, stop) = (watchers.samples.clone(), watchers.stop.clone());
            watchers.threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let sample = look(&stage, &rig, node);
                    samples
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(sample);
                    std::thread::sleep(POLL_PAUSE);
                }
            }));
        }
        watchers
    }

    /// All looks, by time.
    pub(super) fn end(mut self) -> Vec<Sample> {
        self.stop();
        let mut samples = std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner));
        samples.sort_by_key(|sample| sample.at);
        samples
    }
}

impl Watchers {
    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A look that panicked has shown nothing, and the others have.
            let _ = thread.join();
        }
    }
}

/// However the storm ends: they hold the rig, which else would never be taken down.
impl Drop for Watchers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn look(stage: &SharedStage, rig: &Rig, node: NodeIndex) -> Sample {
    // So that an end is written down when it comes, and not when somebody needs the node.
    rig.notice(node);
    let status = rig.status(node).ok();
    let vote = status.as_ref().and_then(|status| status.vote());
    let vote = vote.map(|vote| VoteView {
        leader: vote.leader(),
        term: vote.term,
        committed_index: vote.committed_index,
    });
    let ready = vote.is_some() && rig.is_ready(node);
    Sample {
        at: stage.now(),
        node,
        ready,
        vote,
    }
}
