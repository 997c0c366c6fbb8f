//! Membership, through the operator port. Every action concerns all groups that this node hosts, so that a node is a
//! member of both logs or of neither.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use ostraka_core::limits::CATCH_UP_MS_MAX;
use ostraka_replication::{GroupError, GroupStatus, NodeNumber, PeerAddr};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Operator;

const CATCH_UP_TIMEOUT: Duration = Duration::from_millis(CATCH_UP_MS_MAX);

/// The cluster as one node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    pub groups: Vec<GroupStatus>,
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
            for (kind, members) in [("voter", &group.voters), ("learner", &group.learners)] {
                for (node, addr) in members {
                    let matched = group.replication.iter().find(|(of, _)| of == node);
                    let matched = matched.map_or(String::new(), |(_, index)| {
                        format!(", has the log up to {}", index.0)
                    });
                    writeln!(f, "  {kind} {node} at {}{matched}", addr.0)?;
                }
            }
        }
        Ok(())
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct AddNode {
    node: NodeNumber,
    peer: PeerAddr,
}

#[derive(Debug, Deserialize)]
pub(super) struct RemoveNode {
    node: NodeNumber,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransferLeader {
    to: NodeNumber,
}

/// A refused action, as problem+json.
pub(super) struct Refused(GroupError);

impl From<GroupError> for Refused {
    fn from(error: GroupError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            GroupError::Membership(_) | GroupError::NotLeader(_) => StatusCode::CONFLICT,
            GroupError::Timeout => StatusCode::GATEWAY_TIMEOUT,
            GroupError::Storage(_) | GroupError::Stopped(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let body = json!({
            "type": "urn:ostraka:problem:cluster-action-refused",
            "title": "the cluster action was not carried out",
            "status": status.as_u16(),
            "detail": self.0.to_string(),
        });
        let content_type = [(axum::http::header::CONTENT_TYPE, "application/problem+json")];
        (status, content_type, body.to_string()).into_response()
    }
}

type Done = Result<Json<serde_json::Value>, Refused>;

pub(super) async fn status(State(operator): State<Arc<Operator>>) -> Json<ClusterStatus> {
    Json(ClusterStatus {
        groups: operator
            .groups
            .iter()
            .map(ostraka_replication::Group::status)
            .collect(),
    })
}

pub(super) async fn init(State(operator): State<Arc<Operator>>) -> Done {
    for group in &operator.groups {
        group.init(operator.own_peer_addr.clone()).await?;
    }
    tracing::info!(
        peer = operator.own_peer_addr.0,
        "the operator formed a new cluster of this node"
    );
    Ok(Json(json!({"done": "a cluster of one node"})))
}

pub(super) async fn add(State(operator): State<Arc<Operator>>, Json(request): Json<AddNode>) -> Done {
    for group in &operator.groups {
        group
            .add(request.node, request.peer.clone(), CATCH_UP_TIMEOUT)
            .await?;
    }
    tracing::info!(node = %request.node, peer = request.peer.0, "the operator added a node");
    Ok(Json(
        json!({"done": format!("node {} at {} is a voter", request.node, request.peer.0)}),
    ))
}

pub(super) async fn remove(State(operator): State<Arc<Operator>>, Json(request): Json<RemoveNode>) -> Done {
    for group in &operator.groups {
        group.remove(request.node).await?;
    }
    tracing::info!(node = %request.node, "the operator removed a node");
    Ok(Json(
        json!({"done": format!("node {} is no member any more", request.node)}),
    ))
}

pub(super) async fn transfer_leader(
    State(operator): State<Arc<Operator>>,
    Json(request): Json<TransferLeader>,
) -> Done {
    for group in &operator.groups {
        group.transfer_leader(request.to).await?;
    }
    tracing::info!(to = %request.to, "the operator handed leadership over");
    Ok(Json(json!({"done": format!("node {} leads", request.to)})))
}
