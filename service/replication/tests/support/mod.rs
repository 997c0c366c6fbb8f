//! Clusters in one process, over real sockets, each node on a runtime of its own so that it can be killed.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file is a crate of its own and uses a part"
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ostraka_core::{EntryMeta, LogIndex, UnixMs};
use ostraka_replication::env::TokioNet;
use ostraka_replication::log_store::memory::MemoryDisk;
use ostraka_replication::peer::{PeerClient, PeerServer};
use ostraka_replication::snapshot_store::SnapshotStore;
use ostraka_replication::{
    Clock, ClusterKeeper, Group, GroupConfig, GroupError, GroupName, Listener, Machine, Net, NodeNumber,
    PeerAddr, SharedMachine, SnapshotImage, SubmitError, Submitted,
};
use parking_lot::RwLock;
use tokio::runtime::Runtime;

pub const CLUSTER_KEY: [u8; 32] = [7; 32];

/// Counts each key once, and remembers where it was first applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub applied: LogIndex,
    /// Key to the index at which it counted.
    pub counted: BTreeMap<u64, u64>,
    /// Entries that carried a key that had counted before.
    pub repeats: u64,
    pub last_stamp: UnixMs,
}

/// A body that makes the machine find its state impossible.
pub const POISON: &[u8] = b"poison";

pub fn body_of(key: u64) -> Bytes {
    Bytes::copy_from_slice(&key.to_be_bytes())
}

fn key_in(body: &[u8]) -> u64 {
    // A body may be longer: the rest is ballast.
    u64::from_be_bytes(body[..8].try_into().expect("a key in front"))
}

impl Machine for Counter {
    fn apply(&mut self, meta: EntryMeta, body: &[u8]) -> Bytes {
        assert_ne!(body, POISON, "poisoned");
        assert_eq!(
            meta.index.0,
            self.applied.0 + 1,
            "entries come in order, none twice"
        );
        self.applied = meta.index;
        self.last_stamp = meta.stamped_at;
        let mut repeated = true;
        let first = *self.counted.entry(key_in(body)).or_insert_with(|| {
            repeated = false;
            meta.index.0
        });
        self.repeats += u64::from(repeated);
        Bytes::copy_from_slice(&first.to_be_bytes())
    }

    fn check(body: &[u8]) -> Result<(), String> {
        match body.len() {
            0..6 => Err("the bytes end early".to_owned()),
            _ => Ok(()),
        }
    }

    fn skip(&mut self, index: LogIndex) {
        assert!(
            index.0 == self.applied.0 + 1 || index.0 == 0,
            "entries come in order"
        );
        self.applied = index;
    }

    fn last_applied(&self) -> LogIndex {
        self.applied
    }

    fn image(&self) -> Box<dyn SnapshotImage> {
        Box::new(self.clone())
    }

    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        let mut numbers = Vec::new();
        let mut bytes = Vec::new();
        snapshot.read_to_end(&mut bytes)?;
        for number in bytes.chunks(8) {
            numbers.push(u64::from_be_bytes(number.try_into().map_err(io::Error::other)?));
        }
        let counted = numbers[3..].chunks(2).map(|pair| (pair[0], pair[1])).collect();
        *self = Self {
            applied: LogIndex(numbers[0]),
            repeats: numbers[1],
            last_stamp: UnixMs(numbers[2]),
            counted,
        };
        Ok(())
    }
}

impl SnapshotImage for Counter {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = [self.applied.0, self.repeats, self.last_stamp.0];
        let pairs = self.counted.iter().flat_map(|(key, index)| [*key, *index]);
        for number in head.into_iter().chain(pairs) {
            out.write_all(&number.to_be_bytes())?;
        }
        Ok(())
    }
}

/// Ticks once at each look.
#[derive(Default)]
pub struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> UnixMs {
        UnixMs(1_000 + self.0.fetch_add(1, Ordering::Relaxed))
    }
}

pub struct Node {
    pub number: NodeNumber,
    pub addr: PeerAddr,
    pub disk: MemoryDisk,
    pub snapshots: SnapshotStore,
    pub config: GroupConfig,
    pub key: [u8; 32],
    pub cluster: Arc<ClusterKeeper>,
    running: Option<Running>,
}

struct Running {
    group: Group,
    machine: SharedMachine<Counter>,
    runtime: Runtime,
}

impl Node {
    pub async fn new(number: u64, config: impl FnOnce(&mut GroupConfig)) -> Self {
        let free = TokioNet.bind("127.0.0.1:0").await.expect("a free port");
        let addr = PeerAddr(free.local_addr().expect("it is bound").to_string());
        let number = NodeNumber(number);
        let mut group = GroupConfig::new(GroupName::Vote, number, 42);
        config(&mut group);
        Self {
            number,
            addr,
            disk: MemoryDisk::new(),
            snapshots: SnapshotStore::in_memory(),
            config: group,
            key: CLUSTER_KEY,
            cluster: Arc::new(ClusterKeeper::in_memory()),
            running: None,
        }
    }

    pub async fn try_start(&mut self) -> Result<(), GroupError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let machine = SharedMachine::new(RwLock::new(Counter::default()));
        let (config, shared, disk) = (self.config.clone(), machine.clone(), self.disk.clone());
        let (snapshots, addr, key) = (self.snapshots.clone(), self.addr.0.clone(), self.key);
        let cluster = self.cluster.clone();
        let starting = runtime.spawn(async move {
            let net = Arc::new(TokioNet);
            let server = PeerServer::new(key, config.node);
            let listener = bind(&net, &addr).await;
            let serving = server.clone();
            tokio::spawn(async move { serving.serve(listener).await });
            let peers = Arc::new(PeerClient::new(net, key, config.node).of_cluster(cluster));
            let group = Group::start(
                config,
                shared,
                disk.open(),
                snapshots,
                peers,
                Arc::new(Ticks::default()),
            )
            .await?;
            server.register(&group);
            Ok(group)
        });
        let started = starting.await.expect("does not panic");
        match started {
            Ok(group) => {
                self.running = Some(Running {
                    group,
                    machine,
                    runtime,
                });
                Ok(())
            }
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    pub async fn start(&mut self) {
        self.try_start().await.expect("it starts");
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the node runs")
    }

    pub fn runs(&self) -> bool {
        self.running.is_some()
    }

    pub fn group(&self) -> Group {
        self.running().group.clone()
    }

    /// Makes the machine large behind the log's back.
    pub fn grow(&self, keys: u64) {
        let mut machine = self.running().machine.write();
        machine.counted.extend((0..keys).map(|key| (1_000_000 + key, 1)));
    }

    pub fn counter(&self) -> Counter {
        self.running().machine.read().clone()
    }

    /// Runs something on the node's own runtime, so that it dies with the node. `None` if it did.
    pub fn run<F>(&self, future: F) -> impl Future<Output = Option<F::Output>> + Send + use<F>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let task = self.running().runtime.spawn(future);
        async move { task.await.ok() }
    }

    pub fn submit(&self, key: u64, within: Duration) -> impl Future<Output = Submission> + Send + use<> {
        let group = self.group();
        let submitting = self.run(async move { group.submit(body_of(key), within).await });
        async move { submitting.await.unwrap_or(Err(SubmitError::Unknown)) }
    }

    /// The process is gone at once, and what no barrier covered with it.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            self.disk.crash();
            // On a thread of its own: a runtime may not wait for another. Sockets are closed when it returns.
            let ending = std::thread::spawn(move || running.runtime.shutdown_timeout(WAIT));
            ending.join().expect("does not panic");
        }
    }
}

/// The sockets of a killed node close only when its last thread has ended.
async fn bind(net: &TokioNet, addr: &str) -> Box<dyn Listener> {
    for _ in 0..500 {
        if let Ok(listener) = net.bind(addr).await {
            return listener;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{addr} stays in use");
}

pub type Submission = Result<Submitted, SubmitError>;

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

pub struct Cluster {
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// Nodes 1 to `len`, all voters, node 1 formed the cluster.
    pub async fn of(len: u64, config: impl Fn(&mut GroupConfig)) -> Self {
        let mut nodes = Vec::new();
        for number in 1..=len {
            let mut node = Node::new(number, &config).await;
            node.start().await;
            nodes.push(node);
        }
        let cluster = Self { nodes };
        let first = cluster.nodes[0].group();
        first
            .init(cluster.nodes[0].addr.clone())
            .await
            .expect("a cluster of one");
        for node in &cluster.nodes[1..] {
            first
                .add(node.number, node.addr.clone(), first.membership(), WAIT)
                .await
                .expect("it joins");
        }
        cluster
    }

    /// The place of the leader that a running majority agrees on.
    pub async fn leader(&self) -> usize {
        let mut found = None;
        wait_until("a leader", || {
            let running: Vec<&Node> = self.nodes.iter().filter(|node| node.runs()).collect();
            let leading = self
                .nodes
                .iter()
                .position(|node| node.runs() && node.group().is_leader());
            let agreed = leading.is_some_and(|leader| {
                let number = Some(self.nodes[leader].number);
                running
                    .iter()
                    .filter(|node| node.group().status().leader == number)
                    .count()
                    * 2
                    > running.len()
            });
            found = leading;
            agreed
        })
        .await;
        found.expect("just found")
    }

    /// The place of a running node that does not lead.
    pub async fn follower(&self) -> usize {
        let leader = self.leader().await;
        (0..self.nodes.len())
            .find(|place| *place != leader && self.nodes[*place].runs())
            .expect("another node runs")
    }

    /// Waits until all running machines are the same, and returns what they are.
    pub async fn settled(&self) -> Counter {
        let leader = self.leader().await;
        let last = self.nodes[leader]
            .group()
            .read_index(WAIT)
            .await
            .expect("a quorum");
        for node in self.nodes.iter().filter(|node| node.runs()) {
            assert!(
                node.group().wait_applied(last, WAIT).await,
                "node {} lags",
                node.number
            );
        }
        wait_until("equal machines", || {
            let mut counters = self.nodes.iter().filter(|node| node.runs()).map(Node::counter);
            let first = counters.next();
            counters.all(|counter| Some(counter) == first)
        })
        .await;
        self.nodes[leader].counter()
    }
}

/// Far longer than anything may take, for machines under load.
pub const WAIT: Duration = Duration::from_secs(20);

pub async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + WAIT;
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "waited too long for {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
