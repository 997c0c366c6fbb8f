//! Which cluster a node belongs to.
//!
//! Two clusters may share their secrets and give their nodes the same numbers and addresses, and Raft tells entries
//! apart by term and index alone: fed from two clusters, a log is a mixture that nobody notices. So each cluster has a
//! number drawn by chance when it is formed. A node takes it on with the first thing it takes from a member, keeps it
//! beside its logs for good, names it with every request, and refuses requests that name another.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::env::Offload;

/// A cluster's number, drawn by chance. As text 16 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ClusterId(pub u64);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<ClusterId> for String {
    fn from(id: ClusterId) -> Self {
        id.to_string()
    }
}

/// Terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cluster's number has 16 lower-case hex digits")]
pub struct NotAClusterId;

impl FromStr for ClusterId {
    type Err = NotAClusterId;

    fn from_str(text: &str) -> Result<Self, NotAClusterId> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 16 || !text.bytes().all(is_hex) {
            return Err(NotAClusterId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAClusterId)
    }
}

impl TryFrom<String> for ClusterId {
    type Error = NotAClusterId;

    fn try_from(text: String) -> Result<Self, NotAClusterId> {
        text.parse()
    }
}

/// What a node keeps of its cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    pub id: ClusterId,
    /// This node formed it. Only then may it go on forming it after a crash in the middle: a node that belongs to
    /// others' cluster and has no log has lost it.
    pub formed_here: bool,
}

/// Makes a record durable. Called at most once with success; may block.
pub type KeepRecord = Box<dyn Fn(&ClusterRecord) -> io::Result<()> + Send + Sync>;

/// A node's record of its cluster, for all its groups. Never changes once it is there.
pub struct ClusterKeeper {
    record: OnceLock<ClusterRecord>,
    keep: KeepRecord,
    /// Held while a record is made durable.
    writing: Mutex<()>,
}

impl fmt::Debug for ClusterKeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterKeeper({:?})", self.record.get())
    }
}

impl ClusterKeeper {
    /// `found` is what an earlier life kept.
    pub fn new(found: Option<ClusterRecord>, keep: KeepRecord) -> Self {
        Self {
            record: found.map(OnceLock::from).unwrap_or_default(),
            keep,
            writing: Mutex::new(()),
        }
    }

    /// Forgets with the value; for tests and simulated machines.
    pub fn in_memory() -> Self {
        Self::new(None, Box::new(|_| Ok(())))
    }

    pub fn known(&self) -> Option<ClusterRecord> {
        self.record.get().copied()
    }

    /// Keeps the record unless there is one. What is kept, durably.
    ///
    /// # Errors
    /// It could not be made durable, and is not kept. Retryable.
    pub async fn settle(
        self: &Arc<Self>,
        wanted: ClusterRecord,
        offload: Offload,
    ) -> io::Result<ClusterRecord> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let keeper = Arc::clone(self);
        offload.run(move || keeper.settle_blocking(wanted)).await
    }

    fn settle_blocking(&self, wanted: ClusterRecord) -> io::Result<ClusterRecord> {
        let _writing = self.writing.lock();
        if let Some(known) = self.known() {
            return Ok(known);
        }
        (self.keep)(&wanted)?;
        Ok(*self.record.get_or_init(|| wanted))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_comes_back_from_its_text(id: u64) {
            prop_assert_eq!(ClusterId(id).to_string().parse(), Ok(ClusterId(id)));
        }

        #[test]
        fn any_text_is_a_number_or_none(text: String) {
            if let Ok(id) = text.parse::<ClusterId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    const FORMED: ClusterRecord = ClusterRecord {
        id: ClusterId(1),
        formed_here: true,
    };
    const JOINED: ClusterRecord = ClusterRecord {
        id: ClusterId(2),
        formed_here: false,
    };

    #[tokio::test]
    async fn the_first_record_stays_and_is_written_once() {
        let written = Arc::new(AtomicUsize::new(0));
        let keep = {
            let written = Arc::clone(&written);
            move |_: &ClusterRecord| {
                written.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        };
        let keeper = Arc::new(ClusterKeeper::new(None, Box::new(keep)));
        assert_eq!(keeper.known(), None);
        for wanted in [FORMED, JOINED, FORMED] {
            let kept = keeper.settle(wanted, Offload::Inline).await.expect("kept");
            assert_eq!(kept, FORMED);
        }
        assert_eq!(written.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_is_not_durable_is_not_kept() {
        let keep = |_: &ClusterRecord| Err(io::Error::other("no disk"));
        let keeper = Arc::new(ClusterKeeper::new(None, Box::new(keep)));
        assert!(keeper.settle(JOINED, Offload::Inline).await.is_err());
        assert_eq!(keeper.known(), None);
    }

    #[tokio::test]
    async fn an_earlier_lifes_record_stands() {
        let keeper = Arc::new(ClusterKeeper::new(Some(JOINED), Box::new(|_| Ok(()))));
        let kept = keeper.settle(FORMED, Offload::Inline).await.expect("kept");
        assert_eq!(kept, JOINED);
    }
}
