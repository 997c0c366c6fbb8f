//! What openraft asks of a network, on top of the [`PeerClient`].

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use hyper::StatusCode;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable};
use openraft::metrics::RaftMetrics;
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias;
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use openraft_rt::{BoxFuture, BoxStream};
use ostraka_core::limits::{PEER_CALL_MS_MAX, TRANSFER_PAUSE_MS, TRANSFER_TRIES_MAX};

use super::client::{Call, CallError, PeerClient, Target};
use super::connection::Lane;
use super::{Route, append, snapshot, wire};
use crate::env::Offload;
use crate::group::Snapshot;
use crate::runtime;
use crate::snapshot_store::StoredSnapshot;
use crate::types::{GroupName, NodeNumber, PeerAddr, RaftVote, Types};

/// Makes the clients of one group's consensus core.
pub(crate) struct PeerNetwork {
    pub(crate) client: Arc<PeerClient>,
    pub(crate) group: GroupName,
    pub(crate) node: NodeNumber,
    pub(crate) offload: Offload,
    pub(crate) voters: Arc<Voters>,
}

/// Whom the group counts as voters, for those who speak to them; and whether the others still count this node.
#[derive(Default)]
pub(crate) struct Voters {
    metrics: OnceLock<alias::WatchReceiverOf<Types, RaftMetrics<Types>>>,
    expelled: AtomicBool,
}

impl Voters {
    /// The core has started.
    pub(crate) fn learn_from(&self, metrics: alias::WatchReceiverOf<Types, RaftMetrics<Types>>) {
        let is_first = self.metrics.set(metrics).is_ok();
        assert!(is_first, "a core starts once");
    }

    /// A leader has refused to hear of this node's candidacy: it is no member.
    fn note_expelled(&self) {
        if !self.expelled.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the cluster does not count this node as a member any more: stop it, or add it again"
            );
        }
    }

    /// A leader feeds this node.
    pub(crate) fn note_fed(&self) {
        self.expelled.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_expelled(&self) -> bool {
        self.expelled.load(Ordering::Relaxed)
    }

    /// As long as nothing is known, everybody is: a new node that is taken for a voter is fed a moment later, and a voter
    /// that is taken for a new node forgets what it promised.
    fn count(&self, node: NodeNumber) -> bool {
        self.metrics.get().is_none_or(|metrics| {
            let metrics = metrics.borrow_watched();
            let membership = metrics.membership_config.membership();
            let mut voters = membership.voter_ids().peekable();
            voters.peek().is_none() || voters.any(|voter| voter == node)
        })
    }
}

impl PeerNetwork {
    fn peer(&self, node: NodeNumber, addr: &PeerAddr, purpose: Purpose) -> Peer {
        let target = Target {
            group: self.group,
            node,
            addr: addr.clone(),
            is_voter: true,
        };
        Peer {
            client: self.client.clone(),
            own: self.node,
            target,
            purpose,
            offload: self.offload,
            voters: self.voters.clone(),
        }
    }
}

impl RaftNetworkFactory<Types> for PeerNetwork {
    type Network = Peer;

    async fn new_client(&mut self, target: NodeNumber, node: &PeerAddr) -> Peer {
        self.peer(target, node, Purpose::Replication)
    }

    async fn new_heartbeat_client(&mut self, target: NodeNumber, node: &PeerAddr) -> Peer {
        self.peer(target, node, Purpose::Heartbeats)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Appends in a lasting stream.
    Replication,
    /// Single appends without entries, which must not wait behind others.
    Heartbeats,
}

/// One peer, as openraft calls it.
pub(crate) struct Peer {
    client: Arc<PeerClient>,
    own: NodeNumber,
    target: Target,
    purpose: Purpose,
    offload: Offload,
    voters: Arc<Voters>,
}

type Rpc<T> = Result<T, RPCError<Types>>;

impl Peer {
    /// How the target is counted now.
    fn look(&mut self) {
        self.target.is_voter = self.voters.count(self.target.node);
    }

    async fn ask_for_vote(&self, route: Route, request: &VoteRequest<Types>) -> Rpc<VoteResponse<Types>> {
        let answer = self.client.vote(&self.target, route, request).await;
        if let Err(CallError::Refused(StatusCode::GONE, _)) = &answer {
            self.voters.note_expelled();
        }
        answer.map_err(|error| self.rpc_error(RPCTypes::Vote, error))
    }

    fn rpc_error(&self, action: RPCTypes, error: CallError) -> RPCError<Types> {
        match error {
            CallError::NotSent(_) | CallError::Refused(..) => Unreachable::new(&error).into(),
            CallError::Broken(_) | CallError::Answer(_) => NetworkError::new(&error).into(),
            CallError::TimedOut(ms) => RPCError::Timeout(Timeout {
                action,
                id: self.own,
                target: self.target.node,
                timeout: Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)),
            }),
        }
    }
}

impl RaftNetworkV2<Types> for Peer {
    type SnapshotData = StoredSnapshot;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Rpc<AppendEntriesResponse<Types>> {
        let call = Call {
            lane: Lane::Control,
            route: Route::AppendOne,
            sent: &AtomicBool::new(false),
        };
        let within = Duration::from_millis(PEER_CALL_MS_MAX);
        self.look();
        let answer = self
            .client
            .call(&self.target, call, within, wire::encode_append(&request))
            .await;
        let answer = answer.and_then(|bytes| Ok(wire::decode(&bytes)?));
        answer.map_err(|error| self.rpc_error(RPCTypes::AppendEntries, error))
    }

    fn stream_append<'s, S>(
        &'s mut self,
        requests: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Rpc<BoxStream<'s, Rpc<StreamAppendResult<Types>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        if self.purpose == Purpose::Heartbeats {
            return openraft::network::stream_append_sequential(self, requests, option);
        }
        self.look();
        Box::pin(async move {
            let this = &*self;
            let answers = append::open(&this.client, &this.target, requests).await;
            let answers = answers.map_err(|error| this.rpc_error(RPCTypes::AppendEntries, error))?;
            let answers =
                answers.map(|answer| answer.map_err(|error| this.rpc_error(RPCTypes::AppendEntries, error)));
            Ok(Box::pin(answers) as BoxStream<'s, _>)
        })
    }

    async fn vote(&mut self, request: VoteRequest<Types>, _: RPCOption) -> Rpc<VoteResponse<Types>> {
        self.ask_for_vote(Route::Vote, &request).await
    }

    async fn pre_vote(&mut self, request: VoteRequest<Types>, _: RPCOption) -> Rpc<VoteResponse<Types>> {
        self.ask_for_vote(Route::PreVote, &request).await
    }

    async fn full_snapshot(
        &mut self,
        vote: RaftVote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        self.look();
        let sending = snapshot::send(&self.client, &self.target, vote, snapshot, self.offload);
        tokio::select! {
            biased;
            closed = cancel => Err(closed.into()),
            sent = sending => sent.map_err(|error| self.rpc_error(RPCTypes::InstallSnapshot, error).into()),
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types>,
        _: RPCOption,
    ) -> Rpc<TransferLeaderResponse<Types>> {
        // The core asks once and leads no more; who hears it twice has moved on to a later term and does nothing.
        let mut answer = self.client.transfer_leader(&self.target, &request).await;
        for _ in 0..TRANSFER_TRIES_MAX {
            if !matches!(answer, Err(CallError::NotSent(_) | CallError::Broken(_))) {
                break;
            }
            runtime::sleep(Duration::from_millis(TRANSFER_PAUSE_MS)).await;
            answer = self.client.transfer_leader(&self.target, &request).await;
        }
        answer.map_err(|error| self.rpc_error(RPCTypes::TransferLeader, error))
    }
}
