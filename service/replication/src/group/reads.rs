//! Read indexes: rounds to the quorum that concurrent readers share.

use std::time::Duration;

use openraft::ReadPolicy;
use openraft::errors::{LinearizableReadError, RaftError};
use ostraka_core::LogIndex;
use ostraka_core::limits::{PEER_CALL_MS_MAX, READ_INDEX_WAITERS_MAX};
use tokio::sync::{mpsc, oneshot};

use super::leader::{LeaderView, hint_of};
use super::submit::Pauses;
use super::{Group, SubmitError};
use crate::peer::Target;
use crate::peer::wire::{LeaderHint, ReadIndexAnswer};
use crate::runtime::{self, Instant};

/// Someone who waits for a round that begins after they asked.
pub(super) struct Waiter {
    deadline: Instant,
    answer: oneshot::Sender<Result<LogIndex, SubmitError>>,
}

pub(super) type ReadQueue = mpsc::Sender<Waiter>;

pub(super) fn queue() -> (ReadQueue, mpsc::Receiver<Waiter>) {
    mpsc::channel(READ_INDEX_WAITERS_MAX)
}

/// Runs one round at a time; whoever asks during one waits for the next. An answer to a question that was put before
/// the round began would not do: an entry may have been committed and read elsewhere in between.
pub(super) async fn run_rounds(group: Group, mut queue: mpsc::Receiver<Waiter>) {
    let mut waiters = Vec::new();
    while queue.recv_many(&mut waiters, READ_INDEX_WAITERS_MAX).await > 0 {
        let deadline = waiters
            .iter()
            .map(|waiter| waiter.deadline)
            .max()
            .expect("at least one was received");
        let answer = group.read_round(deadline).await;
        for waiter in waiters.drain(..) {
            // The reader may have gone.
            let _ = waiter.answer.send(answer.clone());
        }
    }
}

impl Group {
    /// An index such that a read of any machine that has applied it is linearizable (Raft's ReadIndex, §6.4 of
    /// Ongaro's thesis), from any node. Concurrent callers share one round to the quorum.
    pub async fn read_index(&self, within: Duration) -> Result<LogIndex, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let waiter = Waiter {
            deadline: runtime::now() + within,
            answer,
        };
        let asking = async {
            self.inner.reads.send(waiter).await.ok()?;
            answered.await.ok()
        };
        match runtime::timeout(within, asking).await {
            Some(Some(answer)) => answer,
            Some(None) => Err(SubmitError::Stopped(
                self.stopped().unwrap_or_else(|| "it was shut down".to_owned()),
            )),
            None => Err(SubmitError::NoLeader),
        }
    }

    async fn read_round(&self, deadline: Instant) -> Result<LogIndex, SubmitError> {
        let mut leader = self.watch_leader();
        let mut pauses = Pauses::default();
        let mut hint: LeaderHint = None;
        loop {
            let left = deadline.saturating_duration_since(runtime::now());
            if left.is_zero() {
                return Err(SubmitError::NoLeader);
            }
            let view = leader.now();
            let asked = if view.leads {
                None
            } else {
                hint.take().or_else(|| view.leader.clone())
            };
            let asked_node = asked.as_ref().map(|(node, _)| *node);
            let answer = match asked {
                None => self.confirm_here(left).await,
                Some((node, addr)) => {
                    let target = Target {
                        group: self.inner.config.name,
                        node,
                        addr,
                        is_voter: false,
                    };
                    tokio::select! {
                        biased;
                        answer = self.inner.peers.read_index(&target, left) => {
                            answer.unwrap_or(ReadIndexAnswer::Unconfirmed)
                        }
                        () = leader.differs_from(&view) => ReadIndexAnswer::Unconfirmed,
                    }
                }
            };
            match answer {
                ReadIndexAnswer::Index(index) => return Ok(index),
                ReadIndexAnswer::Stopped(sentence) if asked_node.is_none() => {
                    return Err(SubmitError::Stopped(sentence));
                }
                ReadIndexAnswer::NotLeader(next) => {
                    hint = LeaderView::other_than(next, self.inner.config.node, asked_node);
                }
                ReadIndexAnswer::Unconfirmed | ReadIndexAnswer::Stopped(_) => {}
            }
            pauses.pause(self, &mut leader, &view, deadline).await;
        }
    }

    /// Has a quorum confirm that this node leads, if it believes so.
    pub(crate) async fn confirm_here(&self, within: Duration) -> ReadIndexAnswer {
        let within = within.min(Duration::from_millis(PEER_CALL_MS_MAX));
        match runtime::timeout(within, self.raft().get_read_log_id(ReadPolicy::ReadIndex)).await {
            Some(Ok((read_log_id, _))) => ReadIndexAnswer::Index(LogIndex(read_log_id.index())),
            Some(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)))) => {
                ReadIndexAnswer::NotLeader(hint_of(forward))
            }
            Some(Err(RaftError::Fatal(fatal))) => ReadIndexAnswer::Stopped(fatal.to_string()),
            Some(Err(RaftError::APIError(LinearizableReadError::QuorumNotEnough(_)))) | None => {
                ReadIndexAnswer::Unconfirmed
            }
        }
    }
}
