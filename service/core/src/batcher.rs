//! When a batch closes. Pure policy: the caller has the queue, the clock and the network.
//!
//! A batch that waits gathers company and saves a commit; a vote that waits is late. So a batch closes as soon as
//! nothing is gained by waiting: it is full, its oldest command is old enough, or nothing is in flight and nobody
//! queues. While batches are in flight, waiting costs little, since the disk is busy with them.

use crate::command::Command;
use crate::limits::{BATCH_AGE_MICROS_MAX, BATCH_BYTES_MAX, BATCH_VOTES_MAX, COMMAND_BYTES_MAX};

/// Encoded bytes of a command that fits a batch by itself; the only way to one is [`CommandBytes::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandBytes(usize);

/// Terminal: no batch can carry the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the command takes {found} bytes, the limit is {max}")]
pub struct CommandTooLarge {
    pub found: usize,
    pub max: usize,
}

impl CommandBytes {
    /// # Errors
    /// If the command is longer than `COMMAND_BYTES_MAX`.
    pub fn of(command: &Command) -> Result<CommandBytes, CommandTooLarge> {
        let found = command.encoded_len();
        if found > COMMAND_BYTES_MAX {
            return Err(CommandTooLarge {
                found,
                max: COMMAND_BYTES_MAX,
            });
        }
        Ok(CommandBytes(found))
    }

    pub fn get(self) -> usize {
        self.0
    }
}

/// How full the batch is that is being filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFill {
    commands: usize,
    bytes: usize,
}

impl Default for BatchFill {
    fn default() -> Self {
        BatchFill {
            commands: 0,
            bytes: crate::codec::BATCH_HEAD_BYTES,
        }
    }
}

impl BatchFill {
    pub fn commands(self) -> usize {
        self.commands
    }

    /// Encoded bytes, the batch's head included.
    pub fn bytes(self) -> usize {
        self.bytes
    }

    /// Whether one more command keeps the batch within its limits. Always so for an empty batch.
    pub fn fits(self, command: CommandBytes) -> bool {
        self.commands < BATCH_VOTES_MAX && self.bytes + command.0 <= BATCH_BYTES_MAX
    }

    /// # Panics
    /// If the command does not fit: ask first.
    pub fn add(&mut self, command: CommandBytes) {
        assert!(self.fits(command), "a batch stays within its limits");
        self.commands += 1;
        self.bytes += command.0;
    }
}

/// What the policy looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatcherView {
    pub fill: BatchFill,
    /// The command at the head of the queue; `None` when the queue is drained.
    pub queued_next: Option<CommandBytes>,
    /// Age in microseconds of the batch's oldest command, since it entered the queue.
    pub oldest_age_micros: u64,
    /// Batches proposed and not answered.
    pub batches_in_flight: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatcherStep {
    /// Move the head of the queue into the batch, and ask again.
    Take,
    /// Send the batch off, and begin an empty one.
    Close,
    /// Ask again when a command arrives, an answer arrives, or this many microseconds have passed.
    WaitMicros(u64),
    /// Batch and queue are empty: ask again when a command arrives.
    Idle,
}

/// The next step.
pub fn next_step(view: BatcherView) -> BatcherStep {
    let empty = view.fill.commands == 0;
    match view.queued_next {
        Some(command) if view.fill.fits(command) => BatcherStep::Take,
        Some(_) => BatcherStep::Close,
        None if empty => BatcherStep::Idle,
        None if view.fill.commands >= BATCH_VOTES_MAX || view.batches_in_flight == 0 => BatcherStep::Close,
        None => match BATCH_AGE_MICROS_MAX.checked_sub(view.oldest_age_micros) {
            None | Some(0) => BatcherStep::Close,
            Some(left) => BatcherStep::WaitMicros(left),
        },
    }
}
