//! The audit trail: what operators and organizers did through this node, in a file that shows when it was tampered with.
//!
//! One action a line of JSON. Each line carries the MAC of the one before it and its own, under a key derived from the
//! cluster's secret, so that a line that was removed, changed or put elsewhere is found by `ostraka audit verify`, and a file
//! that was written anew without the secret, too (record 0072). What happens to votes and accounts stands in the logs; this is
//! about people.

mod chain;
mod file;

use std::path::Path;
use std::sync::Arc;

use ostraka_api::ErrorClass;
use ostraka_api::trace::format_trace_id;
use ostraka_api::wire::format_rfc3339;
use ostraka_core::{EventId, TraceId, VoterNumber};
use ostraka_replication::NodeNumber;
use ostraka_replication::env::{Offload, SharedClock};
use parking_lot::Mutex;

pub use chain::{Finding, Head, Verdict, verify};
pub use file::TrailError;
use file::TrailFile;

use crate::http::Problem;
use crate::secrets::SecretKey;

/// The trail's file in the data folder.
pub const TRAIL_FILE: &str = "audit.log";

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    User(VoterNumber),
    /// Whoever reaches the operator port.
    OperatorPort,
}

/// What was done, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    EventCreated(EventId),
    EventOpened(EventId),
    EventClosed(EventId),
    TokensRevoked(VoterNumber),
    ClusterFormed,
    NodeAdded(NodeNumber),
    NodeRemoved(NodeNumber),
    LeadershipHandedTo(NodeNumber),
    BackupTaken,
}

/// Whether it was done for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    Done,
    /// The answer was lost: it may have been done.
    Unknown,
}

impl Certainty {
    /// Of what was answered so. Who was refused does not fill the trail.
    pub fn of<T>(answer: &Result<T, Problem>) -> Option<Self> {
        match answer {
            Ok(_) => Some(Self::Done),
            Err(problem) if problem.code.class() == ErrorClass::Unknown => Some(Self::Unknown),
            Err(_) => None,
        }
    }
}

/// One node's trail. Cheap to clone. A simulated node has none.
#[derive(Clone, Default)]
pub struct Trail(Option<Arc<Kept>>);

struct Kept {
    file: Arc<Mutex<TrailFile>>,
    node: NodeNumber,
    clock: SharedClock,
    offload: Offload,
}

impl Trail {
    /// Goes on with the trail in the folder, or begins one. A line that a crash has cut is taken away, which is noted.
    pub fn open(
        folder: &Path,
        key: SecretKey,
        node: NodeNumber,
        clock: SharedClock,
        offload: Offload,
    ) -> Result<Self, TrailError> {
        let mut file = TrailFile::open(&folder.join(TRAIL_FILE), key)?;
        if let Some(bytes) = file.cut_bytes() {
            let (at, what) = (format_rfc3339(clock.now()), format!("{bytes} bytes"));
            let line = chain::Fields {
                at: &at,
                node: node.0,
                who: "node",
                action: "unfinished_line_removed",
                what: Some(&what),
                certainty: "done",
                trace_id: None,
            };
            // A full disk is no reason not to start.
            if let Err(error) = file.append(&line) {
                tracing::error!(%error, "it could not be noted that the audit trail's last line was unfinished");
            }
        }
        Ok(Self(Some(Arc::new(Kept {
            file: Arc::new(Mutex::new(file)),
            node,
            clock,
            offload,
        }))))
    }

    /// Notes what was done, if it was; returns when it is on disk. What is done already is not undone because it cannot be noted: then it
    /// stands in the node's own log lines.
    pub async fn note(
        &self,
        who: Actor,
        action: Action,
        certainty: Option<Certainty>,
        trace: Option<TraceId>,
    ) {
        let (Some(kept), Some(certainty)) = (&self.0, certainty) else {
            return;
        };
        let noted = Noted {
            at: format_rfc3339(kept.clock.now()),
            node: kept.node,
            who,
            action,
            certainty,
            trace,
        };
        let file = Arc::clone(&kept.file);
        let sentence = format!("{who:?} {:?} {certainty:?}", noted.action);
        let written = kept.offload.run(move || {
            let (who, what) = (noted.who(), noted.what());
            let trace_id = noted.trace.map(format_trace_id);
            let line = noted.fields(&who, what.as_deref(), trace_id.as_deref());
            file.lock().append(&line).map_err(std::io::Error::other)
        });
        if let Err(error) = written.await {
            tracing::error!(%error, sentence, "an action could not be noted in the audit trail");
        }
    }
}

struct Noted {
    at: String,
    node: NodeNumber,
    who: Actor,
    action: Action,
    certainty: Certainty,
    trace: Option<TraceId>,
}

impl Noted {
    fn who(&self) -> String {
        match self.who {
            Actor::User(user) => user.to_string(),
            Actor::OperatorPort => "operator_port".to_owned(),
        }
    }

    fn what(&self) -> Option<String> {
        match &self.action {
            Action::EventCreated(event) | Action::EventOpened(event) | Action::EventClosed(event) => {
                Some(event.to_string())
            }
            Action::TokensRevoked(user) => Some(user.to_string()),
            Action::NodeAdded(node) | Action::NodeRemoved(node) | Action::LeadershipHandedTo(node) => {
                Some(format!("node {node}"))
            }
            Action::ClusterFormed | Action::BackupTaken => None,
        }
    }

    fn fields<'a>(
        &'a self,
        who: &'a str,
        what: Option<&'a str>,
        trace_id: Option<&'a str>,
    ) -> chain::Fields<'a> {
        let action = match &self.action {
            Action::EventCreated(_) => "event_created",
            Action::EventOpened(_) => "event_opened",
            Action::EventClosed(_) => "event_closed",
            Action::TokensRevoked(_) => "tokens_revoked",
            Action::ClusterFormed => "cluster_formed",
            Action::NodeAdded(_) => "node_added",
            Action::NodeRemoved(_) => "node_removed",
            Action::LeadershipHandedTo(_) => "leadership_handed_over",
            Action::BackupTaken => "backup_taken",
        };
        chain::Fields {
            at: &self.at,
            node: self.node.0,
            who,
            action,
            what,
            certainty: match self.certainty {
                Certainty::Done => "done",
                Certainty::Unknown => "unknown",
            },
            trace_id,
        }
    }
}
