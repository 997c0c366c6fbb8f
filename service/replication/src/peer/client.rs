//! Calls to peers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use openraft::raft::{TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse};
use ostraka_core::limits::{PEER_CALL_MS_MAX, PEER_MESSAGE_BYTES_MAX, REPLY_BYTES_MAX};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::connection::{Connection, Lane};
use super::frames::{self, FrameError, PeerBody};
use super::wire::{
    self, Hearing, MembershipAnswer, MembershipChange, ProposeAnswer, ReadIndexAnswer, Standing, WireError,
};
use super::{HEADER_CLUSTER, HEADER_FROM, HEADER_KEY, HEADER_TO, HEADER_VOTER, HEADER_WITHIN_MS, Route};
use crate::cluster::ClusterKeeper;
use crate::env::SharedNet;
use crate::runtime;
use crate::types::{GroupName, NodeNumber, PeerAddr, Types};

/// Why a call has no answer. Which of them can have had an effect is what a caller needs to know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// Retryable: nothing was sent.
    #[error("not reachable: {0}")]
    NotSent(Arc<str>),
    /// Unknown.
    #[error("no answer within {0} ms")]
    TimedOut(u128),
    /// Unknown.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Terminal until the configuration changes: the peer would not handle it, nothing was done.
    #[error("refused with {0}: {1}")]
    Refused(StatusCode, String),
    /// Unknown: the answer is not one that this version understands.
    #[error("not understood: {0}")]
    Answer(#[from] WireError),
}

/// Whom a call is for.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) group: GroupName,
    pub(crate) node: NodeNumber,
    pub(crate) addr: PeerAddr,
    /// The sender counts it as a voter. Said with Raft's own messages only.
    pub(crate) is_voter: bool,
}

/// What is called, over which connection, and whether it has left.
pub(super) struct Call<'a> {
    pub(super) lane: Lane,
    pub(super) route: Route,
    pub(super) sent: &'a AtomicBool,
}

/// Calls peers over a few lasting connections each. Shared by the groups of a node.
pub struct PeerClient {
    net: SharedNet,
    cluster_key: String,
    node: NodeNumber,
    cluster: Arc<ClusterKeeper>,
    connections: Mutex<BTreeMap<(PeerAddr, Lane), Arc<Connection>>>,
}

impl PeerClient {
    /// `node` is this node's own number. `cluster_key` is shared by all nodes of the cluster.
    pub fn new(net: SharedNet, cluster_key: [u8; 32], node: NodeNumber) -> Self {
        Self {
            net,
            cluster_key: super::hex(&cluster_key),
            node,
            cluster: Arc::new(ClusterKeeper::in_memory()),
            connections: Mutex::default(),
        }
    }

    /// With a record of the node's cluster that outlives the process. Without, a restarted node belongs to no cluster
    /// until a member speaks to it.
    #[must_use]
    pub fn of_cluster(self, cluster: Arc<ClusterKeeper>) -> Self {
        Self { cluster, ..self }
    }

    pub(crate) fn cluster(&self) -> &Arc<ClusterKeeper> {
        &self.cluster
    }

    fn connection(&self, addr: &PeerAddr, lane: Lane) -> Arc<Connection> {
        let mut connections = self.connections.lock();
        let made = || Arc::new(Connection::new(self.net.clone(), addr.clone()));
        connections
            .entry((addr.clone(), lane))
            .or_insert_with(made)
            .clone()
    }

    /// Sends a request and waits for the head of its answer, a success. `within` bounds the connecting only; it is
    /// told to the peer. `sent` is set when the request leaves.
    pub(super) async fn open(
        &self,
        target: &Target,
        call: Call<'_>,
        within: Duration,
        body: PeerBody,
    ) -> Result<Response<Incoming>, CallError> {
        let Call { lane, route, sent } = call;
        let connection = self.connection(&target.addr, lane);
        let connected = runtime::timeout(within, connection.sender()).await;
        let mut sender = connected
            .unwrap_or_else(|| Err("not connected in time".into()))
            .map_err(CallError::NotSent)?;
        let mut request = Request::post(format!(
            "http://{}{}",
            target.addr,
            super::path_of(target.group, route)
        ));
        if let Some(record) = self.cluster.known() {
            request = request.header(HEADER_CLUSTER, record.id.to_string());
        }
        if target.is_voter {
            request = request.header(HEADER_VOTER, "1");
        }
        let request = request
            .header(HEADER_KEY, &self.cluster_key)
            .header(HEADER_FROM, self.node.0)
            .header(HEADER_TO, target.node.0)
            .header(
                HEADER_WITHIN_MS,
                u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            )
            .body(body)
            .map_err(|error| CallError::NotSent(format!("{}: {error}", target.addr).into()))?;
        let sending = sender.try_send_request(request);
        sent.store(true, Ordering::Relaxed);
        let response = sending.await.map_err(|mut error| match error.take_message() {
            Some(_) => CallError::NotSent(error.error().to_string().into()),
            None => CallError::Broken(error.error().to_string()),
        })?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let sentence = frames::collect(response.into_body(), PEER_MESSAGE_BYTES_MAX)
            .await
            .map_err(CallError::from)?;
        let sentence = String::from_utf8_lossy(&sentence).into_owned();
        tracing::debug!(peer = %target.node, addr = %target.addr, %status, %sentence, "a peer refused a request");
        Err(CallError::Refused(status, sentence))
    }

    /// One request, one answer.
    pub(super) async fn call(
        &self,
        target: &Target,
        call: Call<'_>,
        within: Duration,
        body: Bytes,
    ) -> Result<Bytes, CallError> {
        let answer_bytes_max = if call.route == Route::Propose {
            REPLY_BYTES_MAX + PEER_MESSAGE_BYTES_MAX
        } else {
            PEER_MESSAGE_BYTES_MAX
        };
        let calling = async {
            let response = self.open(target, call, within, frames::full(body)).await?;
            Ok(frames::collect(response.into_body(), answer_bytes_max).await?)
        };
        runtime::timeout(within, calling)
            .await
            .unwrap_or(Err(CallError::TimedOut(within.as_millis())))
    }

    /// A small request and its answer on the control lane.
    pub(super) async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        target: &Target,
        route: Route,
        within: Duration,
        question: &Q,
    ) -> Result<A, CallError> {
        let call = Call {
            lane: Lane::Control,
            route,
            sent: &AtomicBool::new(false),
        };
        let answer = self.call(target, call, within, wire::encode(question)).await?;
        Ok(wire::decode(&answer)?)
    }

    pub(super) async fn vote(
        &self,
        target: &Target,
        route: Route,
        request: &VoteRequest<Types>,
    ) -> Result<VoteResponse<Types>, CallError> {
        self.ask(target, route, Duration::from_millis(PEER_CALL_MS_MAX), request)
            .await
    }

    pub(super) async fn transfer_leader(
        &self,
        target: &Target,
        request: &TransferLeaderRequest<Types>,
    ) -> Result<TransferLeaderResponse<Types>, CallError> {
        self.ask(
            target,
            Route::TransferLeader,
            Duration::from_millis(PEER_CALL_MS_MAX),
            request,
        )
        .await
    }

    /// Has the target propose `body` if it leads. `sent` is set when the bytes leave; until then they are certainly in
    /// nobody's log.
    pub(crate) async fn propose(
        &self,
        target: &Target,
        body: Bytes,
        within: Duration,
        sent: &AtomicBool,
    ) -> Result<ProposeAnswer, CallError> {
        let call = Call {
            lane: Lane::Propose,
            route: Route::Propose,
            sent,
        };
        let answer = self.call(target, call, within, body).await?;
        Ok(wire::decode_propose_answer(answer)?)
    }

    /// Has the target carry out a change of membership if it leads.
    pub(crate) async fn change_membership(
        &self,
        target: &Target,
        within: Duration,
        change: &MembershipChange,
    ) -> Result<MembershipAnswer, CallError> {
        self.ask(target, Route::Membership, within, change).await
    }

    /// What the target has of the group's log, and of which cluster.
    pub(crate) async fn standing(&self, target: &Target, within: Duration) -> Result<Standing, CallError> {
        self.ask(target, Route::Standing, within, &()).await
    }

    /// Whether the target hears a leader.
    pub(crate) async fn hearing(&self, target: &Target, within: Duration) -> Result<Hearing, CallError> {
        self.ask(target, Route::Hearing, within, &()).await
    }

    /// Has the target confirm that it leads.
    pub(crate) async fn read_index(
        &self,
        target: &Target,
        within: Duration,
    ) -> Result<ReadIndexAnswer, CallError> {
        let within = within.min(Duration::from_millis(PEER_CALL_MS_MAX));
        self.ask(target, Route::ReadIndex, within, &()).await
    }
}

impl From<FrameError> for CallError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Wire(error) => CallError::Answer(error),
            FrameError::Broken(error) => CallError::Broken(error),
        }
    }
}
