//! A history: what clients did and were told, what viewers saw, what the nodes wrote to their disks, in order of
//! simulated time. All that checkers may look at.

use ostraka_core::{EventId, LogIndex, UnixMs};
use serde::{Deserialize, Serialize};

use crate::ids::{FaultId, NodeIndex, OperationId, SimMicros, ViewerIndex};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub at: SimMicros,
    pub what: Happening,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happening {
    /// The cluster is whole: every node of the plan is a voter of both logs. The plan's times count from here, so this
    /// stands at time 0 (as does whatever came before it). `true_time` is what an exact clock shows at this moment.
    Formed {
        true_time: UnixMs,
    },
    /// The client of the plan's operation sends its request.
    Invoked {
        operation: OperationId,
    },
    Answered {
        operation: OperationId,
        answer: Answer,
    },
    /// What the voter of an overload's submission `place` was told (`names::overload_voter`).
    CrowdAnswered {
        fault: FaultId,
        place: u32,
        answer: Answer,
    },
    /// What a viewer's stream said.
    Saw {
        viewer: ViewerIndex,
        sight: Sight,
    },
    /// `node`: whom it hit. None: it hits no single node, or the one it was meant for is down already.
    FaultBegan {
        fault: FaultId,
        node: Option<NodeIndex>,
    },
    /// `bites`: how often it did harm (messages lost or held up, nodes that lost power, barriers that failed or were slow,
    /// clocks moved, submissions refused, ...). 0: it did none.
    FaultEnded {
        fault: FaultId,
        bites: u64,
    },
    Node {
        node: NodeIndex,
        life: Life,
    },
    /// An entry of the vote log, as a barrier of this node's disk covered it.
    Durable {
        node: NodeIndex,
        entry: LoggedEntry,
    },
    /// This node's disk dropped every entry from `from` on (a follower whose leader knows better).
    Truncated {
        node: NodeIndex,
        from: LogIndex,
    },
    /// A snapshot of the vote state, as this node's disk holds it.
    Snapshot {
        node: NodeIndex,
        index: LogIndex,
        digest: u64,
        bytes: u64,
    },
    /// Faults are over from here on.
    StormOver,
    /// What a node says of itself when all has healed, or at the end of the time for it: one for each node that runs.
    Settled {
        node: NodeIndex,
        applied: LogIndex,
        boards: Vec<Standings>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedEntry {
    pub index: LogIndex,
    pub term: u64,
    pub stamped_at: UnixMs,
    /// The encoded batch (core's codec); empty for entries that are none (a leader's blank entry, a membership).
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    Started,
    /// The public port answers.
    Ready,
    /// Changes no barrier had covered: `lost` are gone, `kept` had reached the disk by luck.
    LostPower {
        lost: u64,
        kept: u64,
    },
    Killed,
    StoppedGracefully,
    /// By itself, with its sentence.
    Failed(String),
    /// Its disks were taken away, and it has got empty ones.
    Replaced,
    Leads {
        term: u64,
    },
}

impl Life {
    /// The end of a node's `run`. One that ends well without having been asked to has stopped by itself all the same.
    pub fn of_end(ended: Result<(), String>, was_asked: bool) -> Self {
        match ended {
            Ok(()) if was_asked => Life::StoppedGracefully,
            Ok(()) => Life::Failed("it ended well, and nobody had asked it to".to_owned()),
            Err(sentence) => Life::Failed(sentence),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    EventCreated {
        event: EventId,
    },
    EventStatus {
        event: EventId,
        status: Status,
        version: u64,
    },
    Vote {
        vote_id: String,
        status: VoteStatus,
    },
    /// The status endpoint's answer.
    Status {
        vote_id: String,
        status: VoteStatus,
    },
    /// `linearizable`: the node had a quorum's word; else it shows what it knows and says that it may be stale.
    Board {
        standings: Standings,
        linearizable: bool,
    },
    /// Certainly not done: refused with this HTTP status and problem code (`storage-full`: the type's last part).
    Refused {
        status: u16,
        code: String,
    },
    /// Perhaps done, perhaps not, perhaps later.
    Unknown {
        reason: String,
    },
    /// Not sent: what it asks about was never known.
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    Scheduled,
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VoteStatus {
    Acked,
    Processed,
    Duplicate,
    RejectedNotOpen,
    RejectedClosed,
    RejectedOther,
}

/// Totals at a version, by contestant in the order of creation; a total is `None` while results are hidden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standings {
    pub event: EventId,
    pub status: Status,
    pub version: u64,
    pub totals: Vec<Option<u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    Connected {
        node: NodeIndex,
        resumed_from: Option<u64>,
    },
    Snapshot(Standings),
    /// Contestant and total, of those that changed since `previous_version`.
    Tally {
        event: EventId,
        status: Status,
        version: u64,
        previous_version: u64,
        totals: Vec<(u16, u64)>,
    },
    Closed(Standings),
    Disconnected,
}
