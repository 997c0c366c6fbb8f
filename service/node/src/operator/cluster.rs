//! Membership, through the operator port. Every action concerns all groups that this node hosts, so that a node is a
//! member of both logs or of neither. Who asks for a change of members names the memberships that it is meant for, so that
//! a request that comes late, behind a newer one, changes nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use ostraka_api::ErrorCode;
use ostraka_core::limits::{CATCH_UP_MS_MAX, QUORUM_SILENCE_MS_MAX};
use ostraka_replication::{Group, GroupError, GroupName, GroupStatus, MembershipId, NodeNumber, PeerAddr};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::Instrument as _;

use super::Operator;
use crate::audit::{Action, Certainty};
use crate::http::{JsonBody, Problem};

const CATCH_UP_TIMEOUT: Duration = Duration::from_millis(CATCH_UP_MS_MAX);

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub groups: Vec<GroupStatus>,
}

/// The membership of each log that a change is meant for, as a status said.
pub type Memberships = BTreeMap<GroupName, MembershipId>;

impl ClusterStatus {
    pub fn memberships(&self) -> Memberships {
        let of_group = |group: &GroupStatus| (group.name, group.membership);
        self.groups.iter().map(of_group).collect()
    }
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            let leader = group
                .leader
                .map_or("none".to_string(), |node| format!("node {node}"));
            writeln!(
                f,
                "{:?} log, seen from node {} ({}):",
                group.name, group.node, group.role
            )?;
            writeln!(f, "  leader {leader}, term {}", group.term)?;
            writeln!(
                f,
                "  log {}, committed {}, applied {}, snapshot {}, purged {}",
                group.last_log_index.0,
                group.committed_index.0,
                group.applied_index.0,
                group.snapshot_index.0,
                group.purged_index.0
            )?;
            writeln!(f, "  members as of {}", group.membership)?;
            if group.changing {
                writeln!(
                    f,
                    "  its members are being changed; the voters are those of before and after"
                )?;
            }
            for (kind, members) in [("voter", &group.voters), ("learner", &group.learners)] {
                for (node, addr) in members {
                    writeln!(f, "  {kind} {node} at {}{}", addr.0, progress(group, *node))?;
                }
            }
        }
        Ok(())
    }
}

/// How far a follower is, as its leader knows. What one that does not answer once had says nothing about what it has.
fn progress(group: &GroupStatus, node: NodeNumber) -> String {
    fn of<T: Copy>(all: &[(NodeNumber, T)], node: NodeNumber) -> Option<T> {
        let found = all.iter().find(|(of, _)| *of == node);
        found.map(|(_, value)| *value)
    }
    match (of(&group.replication, node), of(&group.silence_ms, node)) {
        (None, _) => String::new(),
        (Some(_), Some(None)) if node != group.node => ", has not answered".to_owned(),
        (Some(_), Some(Some(ms))) if node != group.node && ms > QUORUM_SILENCE_MS_MAX => {
            format!(", has not answered for {:.1} s", ms as f64 / 1_000.0)
        }
        (Some(index), _) => format!(", has the log up to {}", index.0),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct AddNode {
    node: NodeNumber,
    peer: PeerAddr,
    over: Memberships,
}

#[derive(Debug, Deserialize)]
pub(super) struct RemoveNode {
    node: NodeNumber,
    over: Memberships,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransferLeader {
    to: NodeNumber,
}

/// Why an action was not carried out.
fn refused(error: &GroupError) -> Problem {
    let code = match error {
        GroupError::Membership(_) | GroupError::NotLeader(_) => ErrorCode::ClusterActionRefused,
        GroupError::MembersChanged(_) => ErrorCode::MembersChanged,
        GroupError::Unreachable(_) => ErrorCode::NodeUnreachable,
        GroupError::Timeout => ErrorCode::ClusterActionUnfinished,
        GroupError::Storage(_) | GroupError::Stopped(_) => ErrorCode::Internal,
    };
    let sentence = match error {
        // Its address there is for the nodes; an operator may ask any of them.
        GroupError::NotLeader(_) => "leadership is changing hands; ask again".to_owned(),
        GroupError::Timeout => {
            "not finished in time, and it may still happen; look at `ostraka cluster status`, and ask again for what is \
             missing"
                .to_owned()
        }
        error => error.to_string(),
    };
    Problem::new(code, sentence)
}

/// A log that is not named has had no members when the operator looked.
fn meant(over: &Memberships, group: &Group) -> MembershipId {
    over.get(&group.name()).copied().unwrap_or_default()
}

type Done = Result<Json<serde_json::Value>, Problem>;

/// Goes on when the operator has hung up: half of it would leave a node in one log and not in the other.
async fn to_its_end(action: impl Future<Output = Done> + Send + 'static) -> Done {
    let done = tokio::spawn(action.in_current_span()).await;
    done.unwrap_or_else(|ended| Err(Problem::new(ErrorCode::Internal, ended.to_string())))
}

/// The action and its line in the audit trail, both to their end.
async fn noted<F>(operator: Arc<Operator>, action: impl FnOnce(Arc<Operator>) -> F, what: Action) -> Done
where
    F: Future<Output = Done> + Send + 'static,
{
    let acting = action(Arc::clone(&operator));
    to_its_end(async move {
        let done = acting.await;
        operator.note(what, Certainty::of(&done)).await;
        done
    })
    .await
}

pub(super) async fn status(State(operator): State<Arc<Operator>>) -> Json<ClusterStatus> {
    Json(ClusterStatus {
        groups: operator
            .groups
            .iter()
            .map(ostraka_replication::Group::status)
            .collect(),
    })
}

/// Forms what is not formed yet, so that a crash between the logs can be made good.
pub(super) async fn init(State(operator): State<Arc<Operator>>) -> Done {
    noted(operator, form, Action::ClusterFormed).await
}

async fn form(operator: Arc<Operator>) -> Done {
    let is_new = |group: &&Group| !group.status().has_members();
    let new: Vec<&Group> = operator.groups.iter().filter(is_new).collect();
    if new.is_empty() {
        let sentence = "this node already belongs to a cluster; `ostraka cluster status` shows it";
        return Err(refused(&GroupError::Membership(sentence.to_owned())));
    }
    for group in new {
        let formed = group.init(operator.own_peer_addr.clone()).await;
        formed.map_err(|error| refused(&error))?;
    }
    tracing::info!(
        peer = operator.own_peer_addr.0,
        "the operator formed a new cluster of this node"
    );
    Ok(Json(json!({"done": "a cluster of one node"})))
}

/// All logs are asked about before any is changed, and a failure half-way is undone.
pub(super) async fn add(State(operator): State<Arc<Operator>>, JsonBody(request): JsonBody<AddNode>) -> Done {
    let action = Action::NodeAdded(request.node);
    noted(operator, |operator| take_in(operator, request), action).await
}

async fn take_in(operator: Arc<Operator>, AddNode { node, peer, over }: AddNode) -> Done {
    for group in &operator.groups {
        let checked = group.check_add(node, peer.clone()).await;
        checked.map_err(|error| refused(&error))?;
    }
    let mut added = Vec::new();
    for group in &operator.groups {
        let was_voter = group.status().voters.iter().any(|(voter, _)| *voter == node);
        let over = meant(&over, group);
        match group.add(node, peer.clone(), over, CATCH_UP_TIMEOUT).await {
            Err(error) => return Err(undone(&error, group.name(), node, &added).await),
            Ok(with_it) if !was_voter => added.push((group, with_it)),
            Ok(_) => {}
        }
    }
    tracing::info!(%node, peer = peer.0, "the operator added a node");
    Ok(Json(
        json!({"done": format!("node {node} at {} is a voter", peer.0)}),
    ))
}

/// Takes a node out of the logs to which it was added before the log `failed` did not take it.
async fn undone(
    error: &GroupError,
    failed: GroupName,
    node: NodeNumber,
    added: &[(&Group, MembershipId)],
) -> Problem {
    let mut problem = refused(error);
    let mut sentence = format!("{failed:?} log: {}", problem.detail);
    if *error == GroupError::Timeout {
        sentence.push_str(&format!(
            ", where it may be a learner or a voter: run `ostraka cluster remove --node {node}`"
        ));
    }
    for (group, with_it) in added {
        let name = group.name();
        match group.remove(node, *with_it).await {
            Ok(_) => sentence.push_str(&format!("; of the {name:?} log it is no member any more")),
            Err(error) => sentence.push_str(&format!(
                "; it is still a member of the {name:?} log ({error}): run `ostraka cluster remove --node {node}`"
            )),
        }
    }
    problem.detail = sentence.into();
    problem
}

/// Out of each log of which it is a member: it may be of one only, after an addition that failed half-way.
pub(super) async fn remove(
    State(operator): State<Arc<Operator>>,
    JsonBody(request): JsonBody<RemoveNode>,
) -> Done {
    let action = Action::NodeRemoved(request.node);
    noted(operator, |operator| take_out(operator, request), action).await
}

async fn take_out(operator: Arc<Operator>, RemoveNode { node, over }: RemoveNode) -> Done {
    let is_member = |group: &&Group| group.status().is_member(node);
    let members: Vec<&Group> = operator.groups.iter().filter(is_member).collect();
    if members.is_empty() {
        let sentence = format!("node {node} is not in the cluster");
        return Err(refused(&GroupError::Membership(sentence)));
    }
    let mut left = Vec::new();
    for group in members {
        match group.remove(node, meant(&over, group)).await {
            Ok(_) => left.push(group.name()),
            Err(error) => return Err(half_removed(&error, group.name(), node, &left)),
        }
    }
    tracing::info!(%node, "the operator removed a node");
    Ok(Json(
        json!({"done": format!("node {node} is no member any more")}),
    ))
}

/// A node that is a member of one log only is asked to leave again: what it has left, it has left.
fn half_removed(error: &GroupError, failed: GroupName, node: NodeNumber, left: &[GroupName]) -> Problem {
    let mut problem = refused(error);
    let mut sentence = format!("{failed:?} log: {}", problem.detail);
    for name in left {
        sentence.push_str(&format!(
            "; of the {name:?} log it is no member any more: run `ostraka cluster remove --node {node}` again"
        ));
    }
    problem.detail = sentence.into();
    problem
}

pub(super) async fn transfer_leader(
    State(operator): State<Arc<Operator>>,
    JsonBody(request): JsonBody<TransferLeader>,
) -> Done {
    let action = Action::LeadershipHandedTo(request.to);
    noted(operator, |operator| hand_over(operator, request), action).await
}

async fn hand_over(operator: Arc<Operator>, TransferLeader { to }: TransferLeader) -> Done {
    for group in &operator.groups {
        let handed_over = group.transfer_leader(to).await;
        handed_over.map_err(|error| refused(&error))?;
    }
    tracing::info!(%to, "the operator handed leadership over");
    Ok(Json(json!({"done": format!("node {to} leads")})))
}
