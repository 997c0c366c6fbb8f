//! A crowd of voters on plain sockets: every vote a different voter, every outcome written down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use super::http::Answer;
use super::stage::{Issuer, vote_call};

/// What a voter knows at the end.
#[derive(Clone, Debug)]
pub(crate) struct Cast {
    pub(crate) voter: u32,
    pub(crate) contestant: u32,
    /// The vote id, where an acknowledgement came. Without one the outcome is unknown.
    pub(crate) acknowledged: Option<String>,
}

/// Threads that vote until told to stop or until the node is gone.
pub(crate) struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Cast>>>,
}

impl Crowd {
    /// `next_voter` hands out numbers that no other crowd uses.
    pub(crate) fn start(
        addr: &str,
        event: &str,
        issuer: &Arc<Issuer>,
        next_voter: &Arc<AtomicU32>,
        threads: usize,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..threads)
            .map(|_| {
                let (addr, event) = (addr.to_string(), event.to_string());
                let (issuer, next_voter, stop) = (issuer.clone(), next_voter.clone(), stop.clone());
                std::thread::spawn(move || {
                    let mut casts = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let voter = next_voter.fetch_add(1, Ordering::Relaxed);
                        let cast = cast(&addr, &event, &issuer, voter);
                        let node_is_gone = cast.acknowledged.is_none();
                        casts.push(cast);
                        if node_is_gone {
                            break;
                        }
                    }
                    casts
                })
            })
            .collect();
        Self { stop, threads }
    }

    pub(crate) fn finish(self) -> Vec<Cast> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    }
}

/// One voter's vote, sent once.
pub(crate) fn cast(addr: &str, event: &str, issuer: &Issuer, voter: u32) -> Cast {
    let contestant = voter % 2;
    let answer = vote_call(&issuer.voter(voter), voter, event, contestant).try_send(addr);
    Cast {
        voter,
        contestant,
        acknowledged: answer.ok().as_ref().and_then(acknowledged),
    }
}

fn acknowledged(answer: &Answer) -> Option<String> {
    if answer.status != 200 {
        return None;
    }
    // A connection cut in the middle of an answer is no acknowledgement.
    let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    assert_eq!(body["vote_status"], "processed", "a first vote is counted");
    Some(body["vote_id"].as_str()?.to_string())
}
