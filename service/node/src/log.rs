//! The part of a group that the services need: what they are tested against is this and no more.

use std::time::Duration;

use bytes::Bytes;
use ostraka_core::LogIndex;
use ostraka_replication::env::BoxFuture;
use ostraka_replication::runtime::watch;
use ostraka_replication::{Group, SubmitError, Submitted};

/// A replicated log. Meaning and errors are those of [`Group`]'s methods of the same names.
pub trait Log: Send + Sync + 'static {
    fn submit(&self, body: Bytes, within: Duration) -> BoxFuture<'_, Result<Submitted, SubmitError>>;
    fn read_index(&self, within: Duration) -> BoxFuture<'_, Result<LogIndex, SubmitError>>;
    fn wait_applied(&self, index: LogIndex, within: Duration) -> BoxFuture<'_, bool>;
    fn applied_index(&self) -> LogIndex;
    fn is_leader(&self) -> bool;
    /// The cluster does not count this node as a member any more: what it shows is old, and gets older.
    fn is_expelled(&self) -> bool;
    /// Whether no leader with a quorum was heard for a while, as it changes.
    fn cut_off(&self) -> watch::Receiver<bool>;
}

impl Log for Group {
    fn submit(&self, body: Bytes, within: Duration) -> BoxFuture<'_, Result<Submitted, SubmitError>> {
        Box::pin(Group::submit(self, body, within))
    }

    fn read_index(&self, within: Duration) -> BoxFuture<'_, Result<LogIndex, SubmitError>> {
        Box::pin(Group::read_index(self, within))
    }

    fn wait_applied(&self, index: LogIndex, within: Duration) -> BoxFuture<'_, bool> {
        Box::pin(Group::wait_applied(self, index, within))
    }

    fn applied_index(&self) -> LogIndex {
        Group::applied_index(self)
    }

    fn is_leader(&self) -> bool {
        Group::is_leader(self)
    }

    fn is_expelled(&self) -> bool {
        Group::is_expelled(self)
    }

    fn cut_off(&self) -> watch::Receiver<bool> {
        Group::cut_off(self)
    }
}
