//! Ingest: commands gather to batches, each batch is one entry of the log, and one pass over its outcomes wakes all who
//! wait. The way of a vote allocates nothing of its own: it has a place in the batch's lists.

mod batch;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ostraka_core::batcher::{BatcherStep, BatcherView, CommandBytes, CommandTooLarge, next_step};
use ostraka_core::limits::{BATCHES_IN_FLIGHT_MAX, INGEST_BYTES_MAX, SUBMIT_MS_MAX};
use ostraka_core::{Command, Outcome};
use ostraka_replication::SubmitError;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::metrics::VoteMetrics;
use crate::log::Log;
use batch::OpenBatch;
pub use batch::Ticket;

/// Why a command has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IngestError {
    /// Retryable: not taken in.
    #[error("this node has more to do than it can hold")]
    Overloaded,
    /// Retryable, on another node: not taken in.
    #[error("this node is shutting down")]
    Stopping,
    /// Terminal.
    #[error(transparent)]
    TooLarge(#[from] CommandTooLarge),
    /// As the submission's own error says.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// What handlers and the batching task share.
struct Shared {
    queue: Mutex<Queue>,
    /// Something to decide for the batching task.
    work: Notify,
    /// The last command was answered while the node stops.
    drained: Notify,
    metrics: VoteMetrics,
}

struct Queue {
    open: OpenBatch,
    full: VecDeque<OpenBatch>,
    batches_in_flight: usize,
    /// Encoded bytes of all commands without an answer, submitted ones included.
    bytes_unanswered: usize,
    stopping: bool,
}

/// Takes commands in. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    shared: Arc<Shared>,
}

impl Ingest {
    /// Starts the batching task; it ends after [`Ingest::shutdown`].
    pub fn start(log: Arc<dyn Log>, metrics: VoteMetrics) -> Self {
        let queue = Queue {
            open: OpenBatch::new(),
            full: VecDeque::new(),
            batches_in_flight: 0,
            bytes_unanswered: 0,
            stopping: false,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            work: Notify::new(),
            drained: Notify::new(),
            metrics,
        });
        tokio::spawn(close_batches(Arc::clone(&shared), log));
        Self { shared }
    }

    /// Puts `command` into the next batch and waits for its outcome. Dropping the future forgets the answer, not the
    /// command: it may still be committed.
    pub async fn submit(&self, command: Command) -> Result<Outcome, IngestError> {
        self.enqueue(command)?.await
    }

    /// Puts `command` into the next batch at once. The ticket is a future of its outcome; dropped, it forgets the answer
    /// and not the command.
    pub fn enqueue(&self, command: Command) -> Result<Ticket, IngestError> {
        let bytes = CommandBytes::of(&command)?;
        let mut queue = self.shared.queue.lock();
        if queue.stopping {
            return Err(IngestError::Stopping);
        }
        if queue.bytes_unanswered + bytes.get() > INGEST_BYTES_MAX {
            return Err(IngestError::Overloaded);
        }
        queue.bytes_unanswered += bytes.get();
        let overflows = !queue.open.fill().fits(bytes);
        if overflows {
            let full = std::mem::replace(&mut queue.open, OpenBatch::new());
            queue.full.push_back(full);
        }
        let first = queue.open.fill().commands() == 0;
        let ticket = queue.open.add(command, bytes);
        drop(queue);
        // Only a first or an overflowing command changes what the batching task would decide before its next timer.
        if first || overflows {
            self.shared.work.notify_one();
        }
        Ok(ticket)
    }

    /// Encoded bytes of the commands without an answer.
    pub fn bytes_unanswered(&self) -> usize {
        self.shared.queue.lock().bytes_unanswered
    }

    /// Takes no more commands and waits until all are answered, or `patience` is at its end: then `false`.
    pub async fn shutdown(&self, patience: impl Future<Output = ()>) -> bool {
        self.shared.queue.lock().stopping = true;
        self.shared.work.notify_one();
        let drained = async {
            loop {
                let notified = self.shared.drained.notified();
                if self.shared.queue.lock().bytes_unanswered == 0 {
                    return;
                }
                notified.await;
            }
        };
        tokio::select! {
            biased;
            () = drained => true,
            () = patience => false,
        }
    }
}

/// What the batching task does next.
enum Next {
    Submit(OpenBatch),
    Wait(Option<Duration>),
    End,
}

/// The batching task: applies core's policy to the queue.
async fn close_batches(shared: Arc<Shared>, log: Arc<dyn Log>) {
    loop {
        let next = next(&mut shared.queue.lock());
        match next {
            Next::Submit(batch) => {
                shared
                    .metrics
                    .batch_commands
                    .observe(batch.fill().commands() as f64);
                shared
                    .metrics
                    .ingest_bytes
                    .set(shared.queue.lock().bytes_unanswered as i64);
                tokio::spawn(submit(batch, Arc::clone(&shared), Arc::clone(&log)));
            }
            Next::Wait(at_most) => {
                wait(&shared.work, at_most).await;
                // Whoever is ready now comes along: the answers of one batch bring the votes of the next all at once,
                // and a batch of one would make the rest of them wait for its commit.
                tokio::task::yield_now().await;
            }
            Next::End => return,
        }
    }
}

async fn wait(work: &Notify, at_most: Option<Duration>) {
    match at_most {
        None => work.notified().await,
        Some(at_most) => {
            let _ = tokio::time::timeout(at_most, work.notified()).await;
        }
    }
}

fn next(queue: &mut Queue) -> Next {
    if queue.batches_in_flight >= BATCHES_IN_FLIGHT_MAX {
        return Next::Wait(None);
    }
    if let Some(full) = queue.full.pop_front() {
        queue.batches_in_flight += 1;
        return Next::Submit(full);
    }
    let view = BatcherView {
        fill: queue.open.fill(),
        queued_next: None,
        oldest_age_micros: queue.open.age_micros(),
        batches_in_flight: queue.batches_in_flight,
    };
    match next_step(view) {
        BatcherStep::Close => {
            queue.batches_in_flight += 1;
            Next::Submit(std::mem::replace(&mut queue.open, OpenBatch::new()))
        }
        BatcherStep::WaitMicros(micros) => Next::Wait(Some(Duration::from_micros(micros))),
        BatcherStep::Idle if queue.stopping && queue.bytes_unanswered == 0 => Next::End,
        BatcherStep::Idle => Next::Wait(None),
        BatcherStep::Take => {
            unreachable!("commands go straight into the open batch: none is queued beside it")
        }
    }
}

async fn submit(batch: OpenBatch, shared: Arc<Shared>, log: Arc<dyn Log>) {
    let bytes: usize = batch.command_bytes();
    let (commands, answers) = batch.close();
    // Answers everyone and gives the room back however this ends.
    let mut landing = Landing {
        answers: Some(answers),
        bytes,
        shared,
    };
    let within = Duration::from_millis(SUBMIT_MS_MAX);
    let expected = commands.commands.len();
    let body = commands.encode().into();
    // The log keeps the time itself; the margin only guards against one that does not.
    let submitted = tokio::time::timeout(within + within / 4, log.submit(body, within));
    let result = match submitted.await {
        Ok(Ok(submitted)) => batch::read_outcomes(&submitted, expected),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(SubmitError::Unknown),
    };
    landing.land(result);
}

struct Landing {
    answers: Option<batch::Answers>,
    bytes: usize,
    shared: Arc<Shared>,
}

impl Landing {
    fn land(&mut self, result: Result<Vec<Outcome>, SubmitError>) {
        let Some(answers) = self.answers.take() else {
            return;
        };
        let bytes_unanswered = {
            let mut queue = self.shared.queue.lock();
            queue.batches_in_flight -= 1;
            queue.bytes_unanswered -= self.bytes;
            queue.bytes_unanswered
        };
        self.shared.metrics.ingest_bytes.set(bytes_unanswered as i64);
        self.shared.work.notify_one();
        answers.give(result);
        if bytes_unanswered == 0 {
            self.shared.drained.notify_waiters();
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.land(Err(SubmitError::Unknown));
    }
}

impl OpenBatch {
    fn age_micros(&self) -> u64 {
        // tokio's clock, which a simulator controls.
        self.begun_at()
            .map_or(0, |begun| Instant::now().duration_since(begun).as_micros() as u64)
    }
}

#[cfg(test)]
mod tests;
