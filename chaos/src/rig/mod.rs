//! A cluster of real processes, each with a network, a disk and, where wished, a clock of its own.
//!
//! The harness stays in the root namespace and speaks to the nodes over a bridge, so that a fault of the network between
//! nodes does not cut their clients off.

mod clock;
mod disk;
mod exits;
mod http;
pub(crate) mod namespace;
mod network;
mod node;
mod options;
mod status;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

pub use clock::shim as clock_shim;
pub use disk::{Disk, Fs};
pub(crate) use exits::{Departure, Excuse, Excused};
pub use http::Answer;
pub use namespace::Namespace;
pub(crate) use network::INNER_LINK;
pub use network::Place;
pub use node::{DataFolder, Exit};
pub use options::RigOptions;
pub use status::{GroupView, NodeStatus};

use crate::limits::{CLUSTER_ADD_WAIT_S, NODE_READY_WAIT, NODES_MAX};
use crate::litter::Bag;
use crate::proc::{ProcessId, wait_until};
use crate::{Trouble, tools};
use network::Network;
use node::Node;

/// The password of the account `operator` on every rig: nothing secret, its nodes are reached from this machine only.
pub const OPERATOR_PASSWORD: &str = "correct horse battery staple";

/// Clones are the same rig. When the last one is dropped, all that it has made is removed.
#[derive(Clone)]
pub struct Rig {
    inner: Arc<Inner>,
}

struct Inner {
    options: RigOptions,
    nodes: Vec<Mutex<Node>>,
    network: Network,
    // Last: what it removes, the others use.
    bag: Bag,
}

impl Rig {
    /// Builds the network and the disks, starts the nodes and forms the cluster as the README does: the first by itself,
    /// the others added to it. Returns once all are ready.
    ///
    /// # Errors
    /// [`Trouble::Missing`] where this machine cannot do it, [`Trouble::Failed`] where a step of it fails,
    /// [`Trouble::Service`] where the nodes do not form a cluster.
    pub fn new(options: RigOptions, bag: Bag) -> Result<Self, Trouble> {
        let rig = Self::unformed(options, bag)?;
        rig.form()?;
        Ok(rig)
    }

    /// As [`Rig::new`], without starting anything.
    ///
    /// # Errors
    /// As [`Rig::new`].
    pub fn unformed(options: RigOptions, bag: Bag) -> Result<Self, Trouble> {
        tools::need_root()?;
        if options.nodes == 0 || options.nodes > NODES_MAX {
            return Err(Trouble::failed(format!(
                "a rig has 1 to {NODES_MAX} nodes, not {}",
                options.nodes
            )));
        }
        if !options.binary.is_file() {
            return Err(Trouble::missing(format!(
                "there is no {}: build it with `cargo build --release -p ostraka-node`, or name another with --binary",
                options.binary.display()
            )));
        }
        let network = Network::build(&bag, &options)?;
        let mut nodes = Vec::new();
        for index in (0..options.nodes).map(NodeIndex) {
            let disk = Disk::make(&bag, index, options.fs, options.disk_bytes)?;
            let place = network.place(index)?.clone();
            nodes.push(Mutex::new(Node::new(index, &options, &bag, disk, place)?));
        }
        Ok(Self {
            inner: Arc::new(Inner {
                options,
                nodes,
                network,
                bag,
            }),
        })
    }

    fn form(&self) -> Result<(), Trouble> {
        self.start(NodeIndex(0))?;
        for index in self.indexes().into_iter().skip(1) {
            self.node(index)?.start()?;
            self.join(index)?;
        }
        for index in self.indexes() {
            self.wait_ready(index)?;
        }
        Ok(())
    }

    /// Adds a node that was started to the cluster of the first one, and returns once it is a member.
    ///
    /// # Errors
    /// Where `ostraka cluster add` does not succeed.
    pub fn join(&self, index: NodeIndex) -> Result<(), Trouble> {
        let node = index.to_string();
        let peer = self.place(index)?.peer();
        let wait_s = CLUSTER_ADD_WAIT_S.to_string();
        let via = self.place(NodeIndex(0))?.operator();
        let who = ["--operator", &via, "--node", &node, "--peer", &peer];
        self.ostraka(&[&["cluster", "add"][..], &who, &["--wait-s", &wait_s]].concat())?;
        Ok(())
    }

    /// Runs the service's own command line to its end and gives what it printed.
    ///
    /// # Errors
    /// Where it does not exit with success, with what it said.
    pub fn ostraka(&self, arguments: &[&str]) -> Result<String, Trouble> {
        let binary = self.inner.options.binary.display().to_string();
        tools::run_service(&binary, arguments)
    }

    pub fn indexes(&self) -> Vec<NodeIndex> {
        (0..self.inner.options.nodes).map(NodeIndex).collect()
    }

    pub fn bag(&self) -> &Bag {
        &self.inner.bag
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        self.inner.bag.folder()
    }

    pub fn options(&self) -> &RigOptions {
        &self.inner.options
    }

    fn node(&self, index: NodeIndex) -> Result<MutexGuard<'_, Node>, Trouble> {
        let node = self.inner.nodes.get(usize::from(index.0));
        let node = node.ok_or_else(|| Trouble::failed(format!("this rig has no node {index}")))?;
        Ok(node.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// # Errors
    /// Where there is no such node.
    pub fn place(&self, index: NodeIndex) -> Result<&Place, Trouble> {
        self.inner.network.place(index)
    }

    /// The cluster's shared secret, from which users' tokens can be signed.
    pub fn secrets_path(&self) -> PathBuf {
        node::secrets_in(self.folder())
    }

    /// Recounts a stopped node's whole log with `ostraka verify`, and gives what it said.
    ///
    /// # Errors
    /// Where log and stored state do not agree, or the node is running.
    pub fn verify(&self, index: NodeIndex) -> Result<String, Trouble> {
        let folder = self.data(index)?;
        let folder = folder.path().display().to_string();
        self.ostraka(&["verify", "--data-dir", &folder, "--json"])
    }

    /// Takes everything down. A drop does the same, but cannot say what would not go.
    ///
    /// # Errors
    /// Where something could not be removed; it stays written down for `chaos clean`.
    pub fn take_down(self) -> Result<(), Trouble> {
        self.inner.bag.empty()
    }

    /// As [`Rig::take_down`], and another rig can be built in the same bag: a campaign has one run and one set of signals.
    ///
    /// # Errors
    /// As [`Rig::take_down`].
    pub fn clear_away(self) -> Result<(), Trouble> {
        self.inner.bag.clear()
    }

    /// A stopped node's whole vote log, as `ostraka export` writes it.
    ///
    /// # Errors
    /// Where it does not export, or the node is running.
    pub fn export(&self, index: NodeIndex) -> Result<String, Trouble> {
        let folder = self.data(index)?;
        let folder = folder.path().display().to_string();
        self.ostraka(&["export", "--data-dir", &folder])
    }

    /// Where clients reach the nodes, `host:port`.
    pub fn public_endpoints(&self) -> Vec<String> {
        self.inner.network.places().iter().map(Place::public).collect()
    }

    /// Whom a fault hits, as things are now.
    ///
    /// # Errors
    /// Where a leader is asked for and there is none for too long, or no such node.
    pub fn resolve(&self, target: Target) -> Result<NodeIndex, Trouble> {
        match target {
            Target::Node(index) => self.place(index).map(|_| index),
            Target::Leader => self.leader(),
            Target::Follower => Ok(NodeIndex((self.leader()?.0 + 1) % self.inner.options.nodes)),
        }
    }

    /// Starts a node that is down and waits until it is ready.
    ///
    /// # Errors
    /// Where it ends or does not get ready; with the end of its log.
    pub fn start(&self, index: NodeIndex) -> Result<(), Trouble> {
        self.node(index)?.start()?;
        self.wait_ready(index)
    }

    /// Starts a node and does not wait for it.
    ///
    /// # Errors
    /// Where no process can be started.
    pub fn launch(&self, index: NodeIndex) -> Result<(), Trouble> {
        self.node(index)?.start()
    }

    /// Whether there is another build to upgrade to.
    ///
    /// # Errors
    /// Where there is none.
    pub fn check_upgrade(&self) -> Result<&Path, Trouble> {
        let build = self
            .inner
            .options
            .upgrade_to
            .as_deref()
            .filter(|build| build.is_file());
        build.ok_or_else(|| Trouble::missing("another build of the service: name one with --upgrade-to"))
    }

    /// From its next start on the node runs the other build.
    ///
    /// # Errors
    /// Where there is no such node or build.
    pub fn upgrade(&self, index: NodeIndex) -> Result<(), Trouble> {
        let build = self.check_upgrade()?;
        self.node(index)?.set_binary(build);
        Ok(())
    }

    /// SIGKILL; true where it was running.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn kill(&self, index: NodeIndex) -> Result<bool, Trouble> {
        Ok(self.node(index)?.kill())
    }

    /// SIGTERM, and SIGKILL after too long.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn stop(&self, index: NodeIndex) -> Result<Exit, Trouble> {
        Ok(self.node(index)?.stop())
    }

    /// The process of a node that is up.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn pid(&self, index: NodeIndex) -> Result<Option<ProcessId>, Trouble> {
        Ok(self.node(index)?.pid())
    }

    /// The process of a node that has to be up.
    ///
    /// # Errors
    /// Where it is down.
    pub fn running(&self, index: NodeIndex) -> Result<ProcessId, Trouble> {
        self.pid(index)?
            .ok_or_else(|| Trouble::failed(format!("node {index} is down, so nothing can be done to it")))
    }

    /// What the node has said on both its outputs, over all its starts.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn log(&self, index: NodeIndex) -> Result<String, Trouble> {
        Ok(self.node(index)?.log())
    }

    /// # Errors
    /// Where there is no such node.
    pub fn log_path(&self, index: NodeIndex) -> Result<PathBuf, Trouble> {
        Ok(self.node(index)?.log_path().to_path_buf())
    }

    /// The node's data folder.
    ///
    /// # Errors
    /// Where there is no such node.
    pub fn data(&self, index: NodeIndex) -> Result<DataFolder, Trouble> {
        Ok(self.node(index)?.data())
    }

    /// Does something to a node's disk.
    ///
    /// # Errors
    /// Those of `act`.
    pub fn with_disk<T>(
        &self,
        index: NodeIndex,
        act: impl FnOnce(&mut Disk) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        act(self.node(index)?.disk())
    }

    /// Puts a node's wall clock so many seconds off, before or after it was started.
    ///
    /// # Errors
    /// [`Trouble::Missing`] where the rig was built without clocks of its own.
    pub fn set_clock(&self, index: NodeIndex, offset_s: i64) -> Result<(), Trouble> {
        self.node(index)?.set_clock(offset_s)
    }

    /// How far a node's clock is ahead of the harness's, whole seconds, by what it stamps an answer with.
    ///
    /// # Errors
    /// Where it does not answer, or without a stamp.
    pub fn clock_offset_s(&self, index: NodeIndex) -> Result<i64, Trouble> {
        let answer = http::get(self.place(index)?.public_socket(), "/")?;
        clock::offset_s(&answer)
    }

    /// `GET` on a node's operator port.
    ///
    /// # Errors
    /// Where it does not answer in time.
    pub fn operator_get(&self, index: NodeIndex, path: &str) -> Result<Answer, Trouble> {
        http::get(self.place(index)?.operator_socket(), path)
    }

    pub fn is_ready(&self, index: NodeIndex) -> bool {
        self.operator_get(index, "/readyz")
            .is_ok_and(|answer| answer.status == 200)
    }

    /// # Errors
    /// Where it ends, or is not ready after a minute; with the end of its log.
    pub fn wait_ready(&self, index: NodeIndex) -> Result<(), Trouble> {
        let mut is_gone = false;
        let done = wait_until(NODE_READY_WAIT, || {
            is_gone = self.node(index).is_ok_and(|mut node| node.pid().is_none());
            is_gone || self.is_ready(index)
        });
        if done && !is_gone {
            return Ok(());
        }
        let what = if is_gone { "ended" } else { "does not get ready" };
        let said = self.node(index)?.last_words();
        Err(Trouble::service(format!("node {index} {what}; it said: {said}")))
    }

    /// What a node says of its logs, members and leaders.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn status(&self, index: NodeIndex) -> Result<NodeStatus, Trouble> {
        status::parse(&self.operator_get(index, "/v1/cluster/status")?)
    }

    /// Who leads the vote log, as a majority of the nodes say.
    ///
    /// # Errors
    /// Where they do not agree on one in time.
    pub fn leader(&self) -> Result<NodeIndex, Trouble> {
        let mut leader = None;
        let majority = usize::from(self.inner.options.nodes / 2 + 1);
        wait_until(NODE_READY_WAIT, || {
            let said: Vec<NodeIndex> = self
                .indexes()
                .into_iter()
                .filter_map(|index| self.status(index).ok()?.vote()?.leader())
                .collect();
            leader = said
                .iter()
                .copied()
                .find(|one| said.iter().filter(|other| *other == one).count() >= majority);
            leader.is_some()
        });
        leader.ok_or_else(|| Trouble::service("no majority of the nodes agrees on a leader"))
    }

    /// Starts whatever is down and waits until all nodes are ready.
    ///
    /// # Errors
    /// Where one does not get ready.
    pub fn all_up(&self) -> Result<(), Trouble> {
        for index in self.indexes() {
            if self.pid(index)?.is_none() {
                self.launch(index)?;
            }
        }
        self.indexes()
            .into_iter()
            .try_for_each(|index| self.wait_ready(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drivers hold a rig in many threads.
    #[test]
    fn a_rig_can_be_shared() {
        fn shared<T: Send + Sync + Clone>() {}
        shared::<Rig>();
    }
}
