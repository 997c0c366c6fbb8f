//! One batch: its commands, and the answers that its members wait for.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use ostraka_core::batcher::{BatchFill, CommandBytes};
use ostraka_core::outcome::decode_outcomes;
use ostraka_core::{Batch, Command, Outcome};
use ostraka_replication::{SubmitError, Submitted};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::IngestError;

/// A batch that is being filled.
pub(super) struct OpenBatch {
    commands: Vec<Command>,
    fill: BatchFill,
    begun_at: Option<Instant>,
    slot: Arc<Slot>,
}

/// Shared by a batch's members. The result is set once, then all are woken.
struct Slot {
    result: OnceLock<Result<Vec<Outcome>, SubmitError>>,
    /// By offset in the batch. A member that went away leaves a waker behind that wakes nobody.
    wakers: Mutex<Vec<Option<Waker>>>,
}

/// A member's claim to its outcome.
pub struct Ticket {
    slot: Arc<Slot>,
    offset: usize,
}

/// The duty to answer a closed batch's members.
pub(super) struct Answers {
    slot: Arc<Slot>,
}

impl OpenBatch {
    pub(super) fn new() -> Self {
        let slot = Slot {
            result: OnceLock::new(),
            wakers: Mutex::new(Vec::new()),
        };
        Self {
            commands: Vec::new(),
            fill: BatchFill::default(),
            begun_at: None,
            slot: Arc::new(slot),
        }
    }

    pub(super) fn fill(&self) -> BatchFill {
        self.fill
    }

    pub(super) fn begun_at(&self) -> Option<Instant> {
        self.begun_at
    }

    /// Encoded bytes of the commands, without the batch's head.
    pub(super) fn command_bytes(&self) -> usize {
        self.fill.bytes() - BatchFill::default().bytes()
    }

    pub(super) fn add(&mut self, command: Command, bytes: CommandBytes) -> Ticket {
        if self.commands.is_empty() {
            // tokio's clock, which a simulator controls.
            self.begun_at = Some(Instant::now());
        }
        self.fill.add(bytes);
        self.commands.push(command);
        Ticket {
            slot: Arc::clone(&self.slot),
            offset: self.commands.len() - 1,
        }
    }

    pub(super) fn close(self) -> (Batch, Answers) {
        (
            Batch {
                commands: self.commands,
            },
            Answers { slot: self.slot },
        )
    }
}

impl Answers {
    /// Answers all members in one pass.
    pub(super) fn give(self, result: Result<Vec<Outcome>, SubmitError>) {
        self.slot.result.set(result).expect("a batch is answered once");
        // Whoever comes later finds the result set.
        let wakers = std::mem::take(&mut *self.slot.wakers.lock());
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
    }
}

impl Ticket {
    fn outcome(&self) -> Option<Result<Outcome, IngestError>> {
        let result = self.slot.result.get()?;
        Some(match result {
            Ok(outcomes) => Ok(outcomes[self.offset]),
            Err(error) => Err(error.clone().into()),
        })
    }
}

impl Future for Ticket {
    type Output = Result<Outcome, IngestError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        let mut wakers = self.slot.wakers.lock();
        // Answers are set before the wakers are taken, so under the lock one of both is seen.
        if let Some(outcome) = self.outcome() {
            return Poll::Ready(outcome);
        }
        if wakers.len() <= self.offset {
            wakers.resize(self.offset + 1, None);
        }
        match &mut wakers[self.offset] {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

/// The outcomes in a reply, one for each of `expected` commands. Bytes that are not that come from a node that runs
/// another program; what became of the commands is then unknown.
pub(super) fn read_outcomes(submitted: &Submitted, expected: usize) -> Result<Vec<Outcome>, SubmitError> {
    match decode_outcomes(&submitted.reply) {
        Ok(outcomes) if outcomes.len() == expected => Ok(outcomes),
        Ok(outcomes) => {
            let (found, index) = (outcomes.len(), submitted.index.0);
            tracing::error!(
                index,
                expected,
                found,
                "an entry's reply has another number of outcomes than its batch"
            );
            Err(SubmitError::Unknown)
        }
        Err(error) => {
            tracing::error!(index = submitted.index.0, %error, "an entry's reply cannot be read");
            Err(SubmitError::Unknown)
        }
    }
}
