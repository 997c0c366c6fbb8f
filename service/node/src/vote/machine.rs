//! The vote log's state machine: core's state behind the replication seam, with the feed told of every change.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use ostraka_core::outcome::encode_outcomes;
use ostraka_core::{Batch, EntryMeta, LogIndex, State, snapshot};
use ostraka_replication::{Machine, SnapshotImage};

use super::feed::FeedHub;

/// Events, votes and tallies as the applied log has them.
pub struct VoteMachine {
    state: State,
    feed: Arc<FeedHub>,
}

impl VoteMachine {
    /// An empty machine that tells `feed` of every change.
    pub fn new(feed: Arc<FeedHub>) -> Self {
        Self {
            state: State::new(),
            feed,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn feed(&self) -> &Arc<FeedHub> {
        &self.feed
    }
}

impl Machine for VoteMachine {
    fn apply(&mut self, meta: EntryMeta, body: &[u8]) -> Bytes {
        let batch = match Batch::decode(body) {
            Ok(batch) => batch,
            // The bytes passed a checksum and a quorum, so this program is older than the one that wrote them, or the
            // log is not what it should be. To go on would be to guess.
            Err(error) => panic!("committed entry {} cannot be read: {error}", meta.index.0),
        };
        let applied = self.state.apply(meta, &batch);
        self.feed.changed(applied.changed);
        Bytes::from(encode_outcomes(&applied.outcomes))
    }

    fn check(body: &[u8]) -> Result<(), String> {
        Batch::decode(body).map(|_| ()).map_err(|error| error.to_string())
    }

    fn skip(&mut self, index: LogIndex) {
        self.state.skip(index);
    }

    fn last_applied(&self) -> LogIndex {
        self.state.last_applied()
    }

    fn image(&self) -> Box<dyn SnapshotImage> {
        Box::new(StateImage(self.state.clone()))
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.state = snapshot::read(from).map_err(|error| match error {
            snapshot::SnapshotError::Io(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })?;
        self.feed.restored();
        Ok(())
    }
}

struct StateImage(State);

impl SnapshotImage for StateImage {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        snapshot::write(&self.0, out)
    }
}
