//! The same seed gives the same run, to the microsecond: three nodes on one thread, paused time, an in-memory network.

mod support;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ostraka_replication::env::{BoxFuture, Offload, SharedNet};
use ostraka_replication::log_store::memory::MemoryDisk;
use ostraka_replication::peer::{PeerClient, PeerServer};
use ostraka_replication::snapshot_store::SnapshotStore;
use ostraka_replication::{
    BoxIo, Group, GroupConfig, GroupName, Listener, Net, NodeNumber, PeerAddr, SharedMachine,
};
use parking_lot::{Mutex, RwLock};
use support::{CLUSTER_KEY, Counter, Ticks, WAIT, body_of};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

/// Pipes between names.
#[derive(Clone, Default)]
struct Pipes(Arc<Mutex<BTreeMap<String, mpsc::UnboundedSender<BoxIo>>>>);

impl Net for Pipes {
    fn bind<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().insert(addr.to_owned(), sender);
        Box::pin(async { Ok(Box::new(Ends(receiver)) as Box<dyn Listener>) })
    }

    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_micros(300)).await;
            let (near, far) = tokio::io::duplex(64 * 1024);
            let sent = self
                .0
                .lock()
                .get(addr)
                .is_some_and(|listener| listener.send(Box::new(far)).is_ok());
            if sent {
                Ok(Box::new(near) as BoxIo)
            } else {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
        })
    }
}

struct Ends(mpsc::UnboundedReceiver<BoxIo>);

impl Listener for Ends {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(io) => Ok((io, NOWHERE)),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(NOWHERE)
    }
}

struct Host {
    group: Group,
    machine: SharedMachine<Counter>,
    serving: JoinHandle<()>,
}

async fn host(number: u64, seed: u64, net: SharedNet) -> Host {
    let node = NodeNumber(number);
    let server = PeerServer::new(CLUSTER_KEY, node);
    let listener = net.bind(&format!("node-{number}:1")).await.expect("a name");
    let mut config = GroupConfig::new(GroupName::Vote, node, seed);
    config.offload = Offload::Inline;
    config.snapshot_every_entries = 25;
    let disk = MemoryDisk::new();
    disk.set_barrier_latency(Duration::from_micros(700));
    let machine = SharedMachine::new(RwLock::new(Counter::default()));
    let peers = Arc::new(PeerClient::new(net, CLUSTER_KEY, node));
    let snapshots = SnapshotStore::in_memory();
    let clock = Arc::new(Ticks::default());
    let group = Group::start(config, machine.clone(), disk.open(), snapshots, peers, clock)
        .await
        .expect("it starts");
    server.register(&group);
    let serving = tokio::spawn(async move { server.serve(listener).await });
    Host {
        group,
        machine,
        serving,
    }
}

/// What happened and when, in words.
fn run(seed: u64) -> Vec<String> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let begun = Instant::now();
        let mut trace = Vec::new();
        let net: SharedNet = Arc::new(Pipes::default());
        let mut hosts = Vec::new();
        for number in 1..=3 {
            hosts.push(host(number, seed, net.clone()).await);
        }
        hosts[0]
            .group
            .init(PeerAddr("node-1:1".to_owned()))
            .await
            .expect("a cluster of one");
        for number in 2..=3 {
            let addr = PeerAddr(format!("node-{number}:1"));
            hosts[0]
                .group
                .add(NodeNumber(number), addr, hosts[0].group.membership(), WAIT)
                .await
                .expect("it joins");
        }
        for key in 0..90 {
            if key == 60 {
                let leader = hosts
                    .iter()
                    .position(|host| host.group.is_leader())
                    .expect("somebody leads");
                let gone = hosts.remove(leader);
                gone.serving.abort();
                gone.group.shutdown().await;
            }
            let host = &hosts[key as usize % hosts.len()];
            let submitted = host.group.submit(body_of(key), WAIT).await.expect("applied");
            let read = host.group.read_index(WAIT).await.expect("a quorum");
            trace.push(format!(
                "{:?} {key}: {} {}",
                begun.elapsed(),
                submitted.index.0,
                read.0
            ));
        }
        for host in &hosts {
            trace.push(format!("{:?} {:?}", host.group.status(), *host.machine.read()));
        }
        trace
    })
}

/// A task that spins keeps paused time from advancing for ever: that is a failure, not a test that hangs.
fn run_in_time(seed: u64) -> Vec<String> {
    let (done, result) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(run(seed)));
    result
        .recv_timeout(Duration::from_secs(60))
        .expect("time stands still: some task never rests")
}

#[test]
fn a_seed_is_a_run() {
    let first = run_in_time(11);
    assert_eq!(first, run_in_time(11));
    assert_ne!(
        first,
        run_in_time(12),
        "the seed matters: it sets who is elected when"
    );
    println!("{}", first[59..64].join("\n"));
}
