//! The seam between the log and what it drives.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use ostraka_core::{EntryMeta, LogIndex};
use parking_lot::RwLock;

/// A deterministic state machine driven by one log. Readers share it through [`SharedMachine`].
pub trait Machine: Send + Sync + 'static {
    /// Applies one committed entry. `body` is what was submitted, unchanged. The returned bytes go to whoever
    /// submitted it, on whichever node.
    ///
    /// # Panics
    /// Only where the machine finds its own state impossible; the node then stops.
    fn apply(&mut self, meta: EntryMeta, body: &[u8]) -> Bytes;

    /// Whether [`Machine::apply`] could read `body`. The leader asks before it proposes what another node handed it: an
    /// entry that cannot be read stops every replica. Error: a clause for the other node's log.
    fn check(body: &[u8]) -> Result<(), String>;

    /// An entry without commands (a leader's blank entry, a change of membership) has passed.
    fn skip(&mut self, index: LogIndex);

    /// The last index whose effect the machine holds. 0 for a new one. A machine that keeps its own store may start
    /// ahead of the snapshot; entries at or below this are not applied again.
    fn last_applied(&self) -> LogIndex;

    /// A view of the state as it is now, cheap to take; it is written out later, while entries go on being applied.
    fn image(&self) -> Box<dyn SnapshotImage>;

    /// Replaces the state by what an image wrote. An error leaves a machine that must not be used.
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()>;
}

pub trait SnapshotImage: Send {
    /// Versioned bytes; the store around adds checksums.
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()>;
}

pub type SharedMachine<M> = Arc<RwLock<M>>;
