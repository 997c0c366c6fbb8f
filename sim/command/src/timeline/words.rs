//! Plain sentences for what a plan and a history hold.

use ostraka_sim_model::history::{Answer, Life, VoteStatus};
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::{Action, FaultKind, Target};

/// Whom a fault hit, if that is known, and at whom what it kept back was aimed, if at one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) node: Option<NodeIndex>,
    pub(super) far: Option<NodeIndex>,
}

fn target(target: Target, hit: Option<NodeIndex>) -> String {
    let role = match target {
        Target::Node(node) => return format!("node {node}"),
        Target::Leader => "the leader",
        Target::Follower => "a follower",
    };
    hit.map_or_else(|| role.to_owned(), |node| format!("{role} (node {node})"))
}

pub(super) fn fault(kind: &FaultKind, hit: Hit) -> String {
    let far = |whom: &Target| target(*whom, hit.far);
    let target = |whom: &Target| target(*whom, hit.node);
    match kind {
        FaultKind::Isolate { target: whom } => format!("{} is cut off from all others", target(whom)),
        FaultKind::OneWay { from, to } => {
            format!("what {} sends to {} is lost", target(from), far(to))
        }
        FaultKind::Flap {
            target: whom,
            period_ms,
        } => {
            format!("{} is cut off and back every {} ms", target(whom), period_ms.0)
        }
        FaultKind::SlowLinks {
            target: whom,
            extra_ms,
        } => {
            format!("messages to and from {} take {extra_ms} ms longer", target(whom))
        }
        FaultKind::Loss { ppm } => format!("{} % of messages are lost", f64::from(*ppm) / 10_000.0),
        FaultKind::PowerCut { target: whom, .. } => format!("{} loses power", target(whom)),
        FaultKind::Blackout { .. } => "every node loses power".to_owned(),
        FaultKind::Kill { target: whom } => format!("the process of {} is killed", target(whom)),
        FaultKind::Restart { target: whom } => format!("{} is restarted in good order", target(whom)),
        FaultKind::CrashLoop { target: whom, .. } => {
            format!("{} dies and starts again and again", target(whom))
        }
        FaultKind::Hold { target: whom } => format!("messages of {} are held up", target(whom)),
        FaultKind::DiskError { target: whom } => format!("the disk of {} reports errors", target(whom)),
        FaultKind::SlowDisk {
            target: whom,
            barrier_ms,
        } => {
            format!("the disk of {} takes {barrier_ms} ms a barrier", target(whom))
        }
        FaultKind::DiskFull { target: whom } => format!("the disk of {} is full", target(whom)),
        FaultKind::Rot { target: whom } => format!("the disks of {} rot, and are replaced", target(whom)),
        FaultKind::ClockJump { target: whom, by_ms } => {
            format!("the clock of {} jumps by {by_ms} ms", target(whom))
        }
        FaultKind::TransferLeadership { to } => format!("leadership is handed to node {to}"),
        FaultKind::LeaveAndJoin { target: whom } => {
            format!("{} leaves the cluster and joins again", target(whom))
        }
        FaultKind::Overload {
            submissions, clients, ..
        } => {
            format!("{submissions} further votes at once from {clients} connections")
        }
    }
}

pub(super) fn action(action: &Action) -> String {
    match action {
        Action::CreateEvent {
            slot, contestants, ..
        } => {
            format!("create event {} with {contestants} contestants", slot.0)
        }
        Action::OpenEvent { slot } => format!("open event {}", slot.0),
        Action::CloseEvent { slot } => format!("close event {}", slot.0),
        Action::Submit {
            slot,
            voter,
            contestant,
            tag,
        } => format!(
            "voter {voter} votes for contestant {contestant} of event {} (submission {})",
            slot.0, tag.0
        ),
        Action::Status { of } => format!("ask what became of operation {}", of.0),
        Action::Leaderboard { slot } => format!("ask for the leaderboard of event {}", slot.0),
    }
}

pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::EventCreated { event } => format!("created as {event}"),
        Answer::EventStatus { status, version, .. } => {
            format!("{status:?} since entry {version}").to_lowercase()
        }
        Answer::Vote { vote_id, status } => format!("answered: {} (vote {vote_id})", vote_status(*status)),
        Answer::Status { vote_id, status } => format!("status: {} (vote {vote_id})", vote_status(*status)),
        Answer::Board {
            standings,
            linearizable,
        } => {
            let freshness = if *linearizable {
                "up to date"
            } else {
                "perhaps stale"
            };
            format!(
                "totals {:?} at entry {} ({freshness})",
                standings.totals, standings.version
            )
        }
        Answer::Refused { status, code } => format!("refused: {status} {code}"),
        Answer::Unknown { reason } => format!("unknown: {reason}"),
        Answer::Skipped => "not asked".to_owned(),
    }
}

fn vote_status(status: VoteStatus) -> &'static str {
    match status {
        VoteStatus::Acked => "durable",
        VoteStatus::Processed => "counted",
        VoteStatus::Duplicate => "duplicate",
        VoteStatus::RejectedNotOpen => "rejected, not open yet",
        VoteStatus::RejectedClosed => "rejected, closed",
        VoteStatus::RejectedOther => "rejected",
    }
}

pub(super) fn life(life: &Life) -> String {
    match life {
        Life::Started => "starts".to_owned(),
        Life::Ready => "takes votes".to_owned(),
        Life::LostPower { lost, kept } => {
            format!("loses power ({lost} unsynced changes lost, {kept} kept by luck)")
        }
        Life::Killed => "is killed".to_owned(),
        Life::StoppedGracefully => "stops in good order".to_owned(),
        Life::Failed(sentence) => format!("stops by itself: {sentence}"),
        Life::Leads { term } => format!("leads (term {term})"),
        Life::Replaced => "gets empty disks".to_owned(),
    }
}
