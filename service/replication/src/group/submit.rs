//! Submissions: proposed here or forwarded to the leader, again and again until answered or out of time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::ClientWriteError;
use openraft::impls::OneshotResponder;
use openraft::raft::ClientWriteResult;
use ostraka_core::LogIndex;
use ostraka_core::limits::{
    PROPOSAL_BYTES_MAX, SUBMIT_ATTEMPT_MS_MAX, SUBMIT_RETRY_MS_MAX, SUBMIT_RETRY_MS_MIN,
};
use tokio::sync::oneshot;

use super::leader::{LeaderView, LeaderWatch, hint_of};
use super::{Group, Refusal, SubmitError, Submitted};
use crate::peer::wire::{LeaderHint, ProposeAnswer};
use crate::peer::{CallError, Target};
use crate::runtime::{self, Instant};
use crate::types::{NodeNumber, PeerAddr, Proposal, Types};

impl Group {
    /// Submits from any node: proposes here if this is the leader, else forwards the bytes to it; after a change of
    /// leader submits the same bytes again, until `within` is over or this node is cut off. Safe because every command
    /// carries its own key.
    pub async fn submit(&self, body: Bytes, within: Duration) -> Result<Submitted, SubmitError> {
        if body.len() > PROPOSAL_BYTES_MAX {
            return Err(SubmitError::Refused(Refusal::TooLarge));
        }
        if *self.inner.cut_off.borrow() {
            return Err(SubmitError::NoLeader);
        }
        let under_way = AtomicBool::new(false);
        tokio::select! {
            biased;
            submitted = self.submit_again_and_again(body, within, &under_way) => submitted,
            () = self.until_cut_off() => Err(if under_way.load(Ordering::Relaxed) {
                SubmitError::Unknown
            } else {
                SubmitError::NoLeader
            }),
        }
    }

    /// `under_way`: whether an attempt may put it, or have put it, into a log.
    async fn submit_again_and_again(
        &self,
        body: Bytes,
        within: Duration,
        under_way: &AtomicBool,
    ) -> Result<Submitted, SubmitError> {
        let deadline = runtime::now() + within;
        let mut leader = self.watch_leader();
        let mut pauses = Pauses::default();
        // Whether any attempt so far may have put it into a log.
        let mut handed_over = false;
        let mut hint: LeaderHint = None;
        loop {
            let left = deadline.saturating_duration_since(runtime::now());
            if left.is_zero() {
                return Err(if handed_over {
                    SubmitError::Unknown
                } else {
                    SubmitError::NoLeader
                });
            }
            let view = leader.now();
            let asked = if view.leads {
                None
            } else {
                hint.take().or_else(|| view.leader.clone())
            };
            let asked_node = asked.as_ref().map(|(node, _)| *node);
            under_way.store(handed_over || asked.is_some() || view.leads, Ordering::Relaxed);
            let answer = match asked {
                None if view.leads => self.propose_here(body.clone(), left).await,
                None => ProposeAnswer::NotLeader(None),
                Some(asked) => self.forward(asked, body.clone(), left, &mut leader, &view).await,
            };
            match answer {
                ProposeAnswer::Applied(submitted) => return Ok(submitted),
                ProposeAnswer::NotLeader(next) => {
                    hint = LeaderView::other_than(next, self.inner.config.node, asked_node);
                    if hint.is_some() {
                        // Someone knows better: no need to wait.
                        pauses.bounded_by_hint();
                    }
                }
                ProposeAnswer::Unknown => handed_over = true,
                ProposeAnswer::Refused(refusal) if !handed_over => {
                    return Err(SubmitError::Refused(refusal));
                }
                ProposeAnswer::Refused(_) => {}
                ProposeAnswer::Stopped(sentence) if asked_node.is_none() => {
                    return Err(if handed_over {
                        SubmitError::Unknown
                    } else {
                        SubmitError::Stopped(sentence)
                    });
                }
                ProposeAnswer::Stopped(_) => {}
            }
            under_way.store(handed_over, Ordering::Relaxed);
            pauses.pause(self, &mut leader, &view, deadline).await;
        }
    }

    /// Asks the leader to propose. Given up when the leader changes meanwhile.
    async fn forward(
        &self,
        (node, addr): (NodeNumber, PeerAddr),
        body: Bytes,
        left: Duration,
        leader: &mut LeaderWatch,
        view: &LeaderView,
    ) -> ProposeAnswer {
        let target = Target {
            group: self.inner.config.name,
            node,
            addr,
            is_voter: false,
        };
        let within = left.min(Duration::from_millis(SUBMIT_ATTEMPT_MS_MAX));
        let sent = AtomicBool::new(false);
        let answer = tokio::select! {
            biased;
            answer = self.inner.peers.propose(&target, body, within, &sent) => Some(answer),
            () = leader.differs_from(view) => None,
        };
        match answer {
            Some(Ok(answer)) => answer,
            Some(Err(CallError::NotSent(_) | CallError::Refused(..))) => ProposeAnswer::NotLeader(None),
            Some(Err(_)) => ProposeAnswer::Unknown,
            None if sent.load(Ordering::Relaxed) => ProposeAnswer::Unknown,
            None => ProposeAnswer::NotLeader(None),
        }
    }

    /// Whether what another node handed over can be applied.
    pub(crate) fn check(&self, body: &[u8]) -> Result<(), String> {
        (self.inner.check)(body)
    }

    /// Proposes on this node, if it leads.
    pub(crate) async fn propose_here(&self, body: Bytes, within: Duration) -> ProposeAnswer {
        let mut leader = self.watch_leader();
        let view = leader.now();
        if !view.leads {
            return match self.stopped() {
                Some(sentence) => ProposeAnswer::Stopped(sentence),
                None => ProposeAnswer::NotLeader(view.leader),
            };
        }
        if self.inner.config.storage_full.load(Ordering::Relaxed) {
            return ProposeAnswer::Refused(Refusal::StorageFull);
        }
        let Some(reservation) = self.inner.budget.reserve(body.len()) else {
            return ProposeAnswer::Refused(Refusal::Overloaded);
        };
        let proposal = Proposal {
            stamped_at: self.inner.clock.now(),
            body,
        };
        let (responder, receiver) = OneshotResponder::<Types, ClientWriteResult<Types>>::new_pair();
        let handing = self.raft().client_write_ff(proposal, Some(responder));
        match runtime::timeout(within, handing).await {
            Some(Ok(())) => {}
            Some(Err(fatal)) => return ProposeAnswer::Stopped(fatal.to_string()),
            None => {
                return ProposeAnswer::Refused(Refusal::Overloaded);
            }
        }
        // The room is taken until the core lets go of the proposal, however long the caller waits for it. The core
        // answers or drops every responder when it steps down or ends, so this ends too.
        let (answer_sender, answer) = oneshot::channel();
        runtime::spawn(async move {
            let result = receiver.await;
            drop(reservation);
            // The caller may have stopped waiting.
            let _ = answer_sender.send(result.map_or(ProposeAnswer::Unknown, answer_of));
        });
        tokio::select! {
            biased;
            answer = answer => answer.unwrap_or(ProposeAnswer::Unknown),
            () = leader.differs_from(&view) => ProposeAnswer::Unknown,
            () = self.until_cut_off() => ProposeAnswer::Unknown,
            () = runtime::sleep(within) => ProposeAnswer::Unknown,
        }
    }
}

fn answer_of(result: ClientWriteResult<Types>) -> ProposeAnswer {
    match result {
        Ok(written) => ProposeAnswer::Applied(Submitted {
            index: LogIndex(written.log_id.index),
            reply: written.data.0,
        }),
        Err(ClientWriteError::ForwardToLeader(forward)) => ProposeAnswer::NotLeader(hint_of(forward)),
        Err(_) => ProposeAnswer::Unknown,
    }
}

/// Waits between attempts: doubling, jittered, ended early by a change of leader.
#[derive(Default)]
pub(super) struct Pauses {
    doublings: u32,
    skip: bool,
}

impl Pauses {
    fn bounded_by_hint(&mut self) {
        // Two nodes that point at each other must not be asked in a tight loop.
        self.skip = self.doublings < 3;
    }

    pub(super) async fn pause(
        &mut self,
        group: &Group,
        leader: &mut LeaderWatch,
        view: &LeaderView,
        deadline: Instant,
    ) {
        let ms = (SUBMIT_RETRY_MS_MIN << self.doublings.min(16)).min(SUBMIT_RETRY_MS_MAX);
        self.doublings += 1;
        if std::mem::take(&mut self.skip) {
            return;
        }
        let jittered = Duration::from_micros(ms * 500 + group.next_seed() % (ms * 500));
        let until = (runtime::now() + jittered).min(deadline);
        tokio::select! {
            biased;
            () = leader.differs_from(view) => {}
            () = runtime::sleep_until(until) => {}
        }
    }
}
