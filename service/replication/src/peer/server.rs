//! The peer port: accepts connections, checks who asks and whom they mean, hands requests to the groups.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ostraka_core::limits::{
    PEER_ACCEPT_PAUSE_MS, PEER_CONNECTIONS_MAX, PEER_HELLO_MS_MAX, PEER_PING_ANSWER_MS_MAX, PEER_PING_MS,
    PEER_RESETS_PENDING_MAX, PEER_STREAMS_MAX,
};
use parking_lot::RwLock;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection::{CONNECTION_WINDOW_BYTES, PeerExecutor, STREAM_WINDOW_BYTES};
use super::frames::{self, PeerBody};
use super::{HEADER_CLUSTER, HEADER_FROM, HEADER_KEY, HEADER_TO, HEADER_VOTER, Route, routes};
use crate::cluster::{ClusterId, ClusterRecord};
use crate::env::{BoxIo, Listener};
use crate::group::Group;
use crate::runtime;
use crate::types::{GroupName, NodeNumber};

/// How long the port rests after an accept failed (no file handle left, most likely), so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(PEER_ACCEPT_PAUSE_MS);

/// A request that is not carried out: the status and a sentence for the other node's log.
pub(super) type Refusal = (StatusCode, String);

/// Serves the groups of this node to its peers. Cheap to clone.
#[derive(Clone)]
pub struct PeerServer {
    inner: Arc<Inner>,
}

struct Inner {
    cluster_key: String,
    node: NodeNumber,
    groups: RwLock<BTreeMap<GroupName, Group>>,
    connections: Semaphore,
}

impl PeerServer {
    /// `node` is this node's own number. `cluster_key` is shared by all nodes of the cluster.
    pub fn new(cluster_key: [u8; 32], node: NodeNumber) -> Self {
        let inner = Inner {
            cluster_key: super::hex(&cluster_key),
            node,
            groups: RwLock::default(),
            connections: Semaphore::new(PEER_CONNECTIONS_MAX),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Requests for this group are handed to it from now on. Until then they are answered with 503.
    pub fn register(&self, group: &Group) {
        self.inner.groups.write().insert(group.name(), group.clone());
    }

    /// Accepts until the future is dropped, which closes every connection.
    pub async fn serve(&self, mut listener: Box<dyn Listener>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept() => match accepted {
                    Ok((io, peer)) => {
                        let server = self.clone();
                        connections.spawn(async move {
                            tracing::debug!(%peer, "a peer has connected");
                            server.serve_connection(io).await;
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the peer port cannot accept");
                        runtime::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// Serves one connection to its end.
    pub async fn serve_connection(&self, io: BoxIo) {
        let Ok(_permit) = self.inner.connections.try_acquire() else {
            tracing::warn!(
                PEER_CONNECTIONS_MAX,
                "a peer connection is refused: too many are open"
            );
            return;
        };
        let notes = Arc::new(Notes::default());
        let service = {
            let (inner, notes) = (self.inner.clone(), notes.clone());
            service_fn(move |request| {
                let (inner, notes) = (inner.clone(), notes.clone());
                async move { Ok::<_, Infallible>(inner.answer(&notes, request).await) }
            })
        };
        let connection = http2::Builder::new(PeerExecutor)
            .timer(TokioTimer::new())
            // The header would carry the wall clock into simulated runs, and nobody reads it.
            .auto_date_header(false)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(PEER_STREAMS_MAX)
            .max_pending_accept_reset_streams(PEER_RESETS_PENDING_MAX)
            .keep_alive_interval(Duration::from_millis(PEER_PING_MS))
            .keep_alive_timeout(Duration::from_millis(PEER_PING_ANSWER_MS_MAX))
            .serve_connection(TokioIo::new(io), service);
        let mut connection = std::pin::pin!(connection);
        let hello = Duration::from_millis(PEER_HELLO_MS_MAX);
        let ended = match runtime::timeout(hello, connection.as_mut()).await {
            Some(ended) => ended,
            None if notes.greeted.load(Ordering::Relaxed) => connection.await,
            None => {
                tracing::warn!("a peer connection is closed: it did not show the cluster key in time");
                return;
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a peer connection has broken");
        }
    }
}

/// What is remembered of a connection.
#[derive(Default)]
struct Notes {
    /// It has shown the cluster key.
    greeted: AtomicBool,
    /// A refusal was logged. The next ones are most likely the same, 20 heartbeats a second.
    complained: AtomicBool,
}

impl Inner {
    async fn answer(&self, notes: &Notes, request: Request<Incoming>) -> Response<PeerBody> {
        let (group, route) = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(refusal) => return refused(notes, request.headers(), request.uri().path(), refusal),
        };
        notes.greeted.store(true, Ordering::Relaxed);
        let (head, body) = request.into_parts();
        if let Err(refusal) = check_cluster(&group, route, &head.headers).await {
            return refused(notes, &head.headers, head.uri.path(), refusal);
        }
        if let Err(refusal) = check_promises(&group, route, &head.headers) {
            return refused(notes, &head.headers, head.uri.path(), refusal);
        }
        if let Err(refusal) = check_candidate(&group, route, &head.headers) {
            return refused(notes, &head.headers, head.uri.path(), refusal);
        }
        if matches!(route, Route::Append | Route::AppendOne | Route::Snapshot) {
            group.note_fed();
        }
        let seed = group.next_seed();
        match runtime::seeded(seed, routes::answer(&group, route, &head.headers, body)).await {
            Ok(body) => Response::new(body),
            Err(refusal) => refused(notes, &head.headers, head.uri.path(), refusal),
        }
    }

    fn admit(&self, request: &Request<Incoming>) -> Result<(Group, Route), Refusal> {
        let key = request
            .headers()
            .get(HEADER_KEY)
            .map_or(&[][..], |key| key.as_bytes());
        if !same_secret(key, self.cluster_key.as_bytes()) {
            let sentence =
                "the cluster key is missing or another one: set the same key on every node of the cluster";
            return Err((StatusCode::UNAUTHORIZED, sentence.to_owned()));
        }
        if request.method() != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "peers ask by POST".to_owned()));
        }
        let to = header_number(request.headers(), HEADER_TO);
        if to != Some(self.node.0) {
            let meant = to.map_or("nobody".to_owned(), |node| format!("node {node}"));
            let sentence = format!(
                "this is node {}, the request is for {meant}: check the peer addresses",
                self.node
            );
            return Err((StatusCode::MISDIRECTED_REQUEST, sentence));
        }
        let Some((name, route)) = super::parse_path(request.uri().path()) else {
            let sentence = format!(
                "{} is not served here: the nodes differ in version",
                request.uri().path()
            );
            return Err((StatusCode::NOT_FOUND, sentence));
        };
        let group = self.groups.read().get(&name).cloned();
        let group = group.ok_or_else(|| {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                format!("{name:?} does not run here yet"),
            )
        })?;
        Ok((group, route))
    }
}

/// Refuses what comes from another cluster. A node that belongs to none yet takes on the cluster that first speaks Raft
/// with it, durably, before it takes anything else from it.
async fn check_cluster(group: &Group, route: Route, headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(named) = headers.get(HEADER_CLUSTER) else {
        return Ok(());
    };
    let theirs = named
        .to_str()
        .ok()
        .and_then(|text| text.parse::<ClusterId>().ok());
    let Some(theirs) = theirs else {
        let sentence = format!("{HEADER_CLUSTER} is not the number of a cluster");
        return Err((StatusCode::BAD_REQUEST, sentence));
    };
    let own = match group.cluster().known() {
        _ if route == Route::Standing => return Ok(()),
        Some(own) => own,
        None if !route.is_raft() => return Ok(()),
        None => {
            let joined = ClusterRecord {
                id: theirs,
                formed_here: false,
            };
            let settled = group.cluster().settle(joined, group.offload()).await;
            settled.map_err(|error| {
                let sentence = format!("the cluster's number cannot be written down: {error}");
                (StatusCode::SERVICE_UNAVAILABLE, sentence)
            })?
        }
    };
    if own.id == theirs {
        return Ok(());
    }
    if route.is_raft() {
        group.note_claim(theirs);
    }
    let node = group.status().node;
    let sentence = format!(
        "this node {node} belongs to cluster {}, the request comes from cluster {theirs}, which counts a node {node} at \
         this address as its member. If this node's data folder was emptied or is the wrong one, run `ostraka cluster \
         remove --node {node}` at a node of cluster {theirs}, start this one with an empty data folder and --bootstrap \
         wait, then add it again",
        own.id
    );
    Err((StatusCode::CONFLICT, sentence))
}

/// With its log, a node loses whom it voted for in which term, and which terms it has turned its back on. Were it to vote
/// again, or to count as one who has an entry, two leaders could be right at once, and what was acknowledged be lost
/// (Raft's durable state: D. Ongaro, J. Ousterhout, 2014, figure 2). So a node without a log promises nothing: it is no voter
/// in the eyes of anybody who knows better, and is fed only by a leader to whom it is new.
fn check_promises(group: &Group, route: Route, headers: &HeaderMap) -> Result<(), Refusal> {
    let asks_for_a_promise = match route {
        Route::Vote | Route::PreVote | Route::TransferLeader => true,
        Route::Append | Route::AppendOne | Route::Snapshot => headers.contains_key(HEADER_VOTER),
        Route::Propose | Route::ReadIndex | Route::Membership | Route::Standing | Route::Hearing => false,
    };
    if !asks_for_a_promise || group.has_log() {
        return Ok(());
    }
    let (node, name) = (group.node(), group.name());
    let sentence = format!(
        "this node {node} counts as a voter and has no {name:?} log: its data folder was emptied or is the wrong one, and with \
         the log it lost what it had promised, so it takes no part. With the right data folder, start it again. If that is \
         lost, run `ostraka cluster remove --node {node}` at another node and then `ostraka cluster add --node {node}`"
    );
    Err((StatusCode::CONFLICT, sentence))
}

/// A leader rejects candidates anyway. To one that is no member it says so: nobody else tells a node that was removed.
fn check_candidate(group: &Group, route: Route, headers: &HeaderMap) -> Result<(), Refusal> {
    if !matches!(route, Route::Vote | Route::PreVote) {
        return Ok(());
    }
    let Some(from) = header_number(headers, HEADER_FROM).map(NodeNumber) else {
        return Ok(());
    };
    if !group.is_leader() || group.status().is_member(from) {
        return Ok(());
    }
    let sentence = format!(
        "node {from} is no member of this cluster's {:?} log any more",
        group.name()
    );
    Err((StatusCode::GONE, sentence))
}

fn refused(
    notes: &Notes,
    headers: &HeaderMap,
    path: &str,
    (status, sentence): Refusal,
) -> Response<PeerBody> {
    let from = header_number(headers, HEADER_FROM);
    if notes.complained.swap(true, Ordering::Relaxed) {
        tracing::debug!(?from, path, %status, %sentence, "a peer's request is refused again");
    } else {
        tracing::warn!(?from, path, %status, %sentence, "a peer's request is refused");
    }
    let mut response = Response::new(frames::full(Bytes::from(sentence)));
    *response.status_mut() = status;
    response
}

pub(super) fn header_number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// Compares in a time that depends on the lengths only, so that a key cannot be guessed byte by byte.
fn same_secret(given: &[u8], own: &[u8]) -> bool {
    let differing = given
        .iter()
        .zip(own)
        .fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    given.len() == own.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::same_secret;

    proptest! {
        #[test]
        fn secrets_are_the_same_if_their_bytes_are(
            a in proptest::collection::vec(any::<u8>(), 0..40),
            b in proptest::collection::vec(any::<u8>(), 0..40),
            at in any::<proptest::sample::Index>(),
        ) {
            prop_assert!(same_secret(&a, &a));
            prop_assert_eq!(same_secret(&a, &b), a == b);
            if !a.is_empty() {
                let mut other = a.clone();
                other[at.index(a.len())] ^= 1;
                prop_assert!(!same_secret(&a, &other));
            }
        }
    }
}
