//! openraft's state machine on top of a [`Machine`](crate::machine::Machine).

use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use ostraka_core::{EntryMeta, LogIndex};
use parking_lot::{Mutex, RwLock};

use super::builder::Builder;
use super::sentence;
use crate::env::Offload;
use crate::machine::{Machine, SharedMachine, SnapshotImage};
use crate::runtime::watch;
use crate::snapshot_store::{SnapshotStore, StoredSnapshot};
use crate::types::{Entry, LogId, Reply, SnapshotMeta, StoredMembership, Types};

/// A snapshot as openraft hands it around.
pub(crate) type Snapshot = openraft::type_config::alias::SnapshotOf<Types, StoredSnapshot>;

/// A shared machine without its type.
trait SharedPort: Send + Sync {
    fn apply(&self, meta: EntryMeta, body: &[u8]) -> Bytes;
    fn skip(&self, index: LogIndex);
    fn last_applied(&self) -> LogIndex;
    fn image(&self) -> Box<dyn SnapshotImage>;
    fn restore(&self, snapshot: &mut dyn Read) -> io::Result<()>;
}

impl<M: Machine> SharedPort for RwLock<M> {
    fn apply(&self, meta: EntryMeta, body: &[u8]) -> Bytes {
        self.write().apply(meta, body)
    }

    fn skip(&self, index: LogIndex) {
        self.write().skip(index);
    }

    fn last_applied(&self) -> LogIndex {
        self.read().last_applied()
    }

    fn image(&self) -> Box<dyn SnapshotImage> {
        self.read().image()
    }

    fn restore(&self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.write().restore(snapshot)
    }
}

/// Where the machine stands in the log, as openraft sees it.
#[derive(Clone, Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
}

impl From<&SnapshotMeta> for Applied {
    fn from(meta: &SnapshotMeta) -> Self {
        Self {
            last: meta.last_log_id,
            membership: meta.last_membership.clone(),
        }
    }
}

/// The machine, driven entry by entry.
pub(crate) struct Adapter {
    machine: Arc<dyn SharedPort>,
    applied: Applied,
    applied_index: watch::Sender<LogIndex>,
    broken: watch::Sender<Option<String>>,
    snapshots: SnapshotStore,
    offload: Offload,
    stopping: Arc<AtomicBool>,
}

impl Adapter {
    /// Takes up where the newest snapshot ends. The machine is restored from it unless it is further on by itself.
    /// `stopping` is set when the group ends, and ends what is waited for.
    pub(super) async fn open<M: Machine>(
        machine: SharedMachine<M>,
        snapshots: SnapshotStore,
        offload: Offload,
        stopping: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let machine: Arc<dyn SharedPort> = machine;
        let stored = latest(&snapshots, offload).await?;
        let mut adapter = Self {
            machine,
            applied: Applied::default(),
            applied_index: watch::channel(LogIndex(0)).0,
            broken: watch::channel(None).0,
            snapshots,
            offload,
            stopping,
        };
        if let Some(stored) = stored {
            adapter.take_over(stored).await?;
        }
        Ok(adapter)
    }

    pub(super) fn applied_index(&self) -> watch::Receiver<LogIndex> {
        self.applied_index.subscribe()
    }

    pub(super) fn broken(&self) -> watch::Receiver<Option<String>> {
        self.broken.subscribe()
    }

    /// Continues from a stored snapshot.
    async fn take_over(&mut self, stored: StoredSnapshot) -> io::Result<()> {
        let applied = Applied::from(stored.meta());
        let index = LogIndex(applied.last.map_or(0, |log_id| log_id.index));
        if index > self.machine.last_applied() {
            let machine = self.machine.clone();
            self.offload
                .run(move || machine.restore(&mut stored.open()?))
                .await?;
            let reached = self.machine.last_applied();
            if reached < index {
                let sentence = format!(
                    "the snapshot up to entry {} restores only up to {}",
                    index.0, reached.0
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, sentence));
            }
        }
        self.applied = applied;
        self.applied_index.send_replace(index);
        Ok(())
    }

    /// The last index whose effect the machine holds.
    pub(super) fn held(&self) -> LogIndex {
        self.machine.last_applied()
    }

    /// `is_own`: this node proposed it and waits for its reply.
    fn apply_entry(&mut self, entry: Entry, is_own: bool) -> io::Result<Reply> {
        let index = LogIndex(entry.log_id.index);
        if is_own && index <= self.machine.last_applied() {
            // A leader has all that was ever committed, and the machine holds nothing else. Passing over what this node
            // has just proposed would acknowledge what is nowhere.
            return Err(self.stop(sentence::of_older_log(
                LogIndex(index.0 - 1),
                self.machine.last_applied(),
            )));
        }
        let reply = if index <= self.machine.last_applied() {
            // The machine keeps its own store and was ahead of the snapshot.
            Reply::default()
        } else {
            self.guarded(index, |machine| match &entry.payload {
                EntryPayload::Normal(proposal) => {
                    let meta = EntryMeta {
                        index,
                        stamped_at: proposal.stamped_at,
                    };
                    Reply(machine.apply(meta, &proposal.body))
                }
                EntryPayload::Blank | EntryPayload::Membership(_) => {
                    machine.skip(index);
                    Reply::default()
                }
            })?
        };
        if let EntryPayload::Membership(membership) = entry.payload {
            self.applied.membership = StoredMembership::new(Some(entry.log_id), membership);
        }
        self.applied.last = Some(entry.log_id);
        self.applied_index.send_replace(index);
        Ok(reply)
    }

    /// A machine that panics has found its state impossible: the group stops with its sentence and applies nothing
    /// more. Left to itself, the panic would end one task and leave the node answering.
    fn guarded<T>(&self, index: LogIndex, work: impl FnOnce(&dyn SharedPort) -> T) -> io::Result<T> {
        catch_unwind(AssertUnwindSafe(|| work(&*self.machine))).map_err(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            self.stop(format!("the state machine stopped at entry {}: {text}", index.0))
        })
    }

    /// The group applies nothing more.
    fn stop(&self, sentence: String) -> io::Error {
        self.broken.send_replace(Some(sentence.clone()));
        io::Error::other(sentence)
    }
}

impl RaftStateMachine<Types> for Adapter {
    type SnapshotData = StoredSnapshot;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            let reply = self.apply_entry(entry, responder.is_some())?;
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        let meta = SnapshotMeta {
            last_log_id: self.applied.last,
            last_membership: self.applied.membership.clone(),
        };
        Builder {
            meta,
            image: Mutex::new(Some(self.machine.image())),
            snapshots: self.snapshots.clone(),
            offload: self.offload,
            stopping: self.stopping.clone(),
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: StoredSnapshot) -> io::Result<()> {
        if snapshot.meta() != meta {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the snapshot's head and its file differ",
            ));
        }
        // First the store, then the machine: after a crash in between, the next start finds the snapshot ahead.
        let snapshots = self.snapshots.clone();
        let adopted = self.offload.run(move || Ok(snapshots.adopt(&snapshot)?)).await?;
        self.take_over(adopted).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let stored = latest(&self.snapshots, self.offload).await?;
        Ok(stored.map(|snapshot| Snapshot {
            meta: snapshot.meta().clone(),
            snapshot,
        }))
    }
}

async fn latest(snapshots: &SnapshotStore, offload: Offload) -> io::Result<Option<StoredSnapshot>> {
    let snapshots = snapshots.clone();
    offload.run(move || Ok(snapshots.latest()?)).await
}
