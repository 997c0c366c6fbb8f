//! Three nodes on loopback, formed as the README says: one starts by itself, the others wait and are added.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::http::Call;
use super::process::{NodeOptions, NodeProcess, OPERATOR_PASSWORD, run_ostraka};
use super::stage::{Issuer, create_event, login};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Cluster {
    /// `None` while a node is down.
    pub(crate) nodes: Vec<Option<NodeProcess>>,
    pub(crate) options: Vec<NodeOptions>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) event: String,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn of_three(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = |node: u64| dir.path().join(format!("node{node}"));
        let first = NodeProcess::start(NodeOptions::new(1, &data_dir(1)).with(flags));
        let operator = login(&first.options.public, "operator", OPERATOR_PASSWORD);
        let secrets = data_dir(1).join("secrets.json");
        let mut nodes = vec![Some(first)];
        for number in [2, 3] {
            let options = NodeOptions::new(number, &data_dir(number)).with(flags).with(&[
                "--bootstrap",
                "wait",
                "--secrets-file",
                secrets.to_str().unwrap(),
            ]);
            let node = NodeProcess::start(options);
            let via = nodes[0].as_ref().unwrap().options.operator.clone();
            add_to_cluster(&via, number, &node);
            nodes.push(Some(node));
        }
        let addr = nodes[0].as_ref().unwrap().options.public.clone();
        let event = create_event(&addr, &operator, &["Ada", "Bo"]);
        let options = nodes.iter().flatten().map(|node| node.options.clone()).collect();
        let issuer = Arc::new(Issuer::of(&secrets));
        let cluster = Self {
            nodes,
            options,
            issuer,
            event,
            _dir: dir,
        };
        (0..3).for_each(|place| cluster.wait_ready(place));
        cluster
    }

    pub(crate) fn public(&self, place: usize) -> &str {
        &self.options[place].public
    }

    pub(crate) fn alive(&self) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|place| self.nodes[*place].is_some())
            .collect()
    }

    /// What the node says of its groups; `None` when it does not answer.
    pub(crate) fn status(&self, place: usize) -> Option<Value> {
        let answer = Call::get("/v1/cluster/status")
            .try_send(&self.options[place].operator)
            .ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    fn vote_group(&self, place: usize) -> Option<Value> {
        let status = self.status(place)?;
        status["groups"]
            .as_array()?
            .iter()
            .find(|group| group["name"] == "Vote")
            .cloned()
    }

    /// The place of the vote log's leader, as the living agree on it.
    pub(crate) fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said: Vec<Option<u64>> = self
                .alive()
                .iter()
                .map(|place| self.vote_group(*place).and_then(|group| group["leader"].as_u64()))
                .collect();
            if let Some(Some(leader)) = said.first()
                && said.iter().all(|other| other == &said[0])
                && self.alive().contains(&(*leader as usize - 1))
            {
                return *leader as usize - 1;
            }
            assert!(
                Instant::now() < deadline,
                "the nodes do not agree on a leader: {said:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn kill_nine(&mut self, place: usize) {
        self.nodes[place].take().expect("it is up").kill_nine();
    }

    pub(crate) fn start(&mut self, place: usize) {
        self.nodes[place] = Some(NodeProcess::start(self.options[place].clone()));
        self.wait_ready(place);
    }

    pub(crate) fn wait_ready(&self, place: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = Call::get("/readyz").try_send(&self.options[place].operator);
            if answer.as_ref().is_ok_and(|answer| answer.status == 200) {
                return;
            }
            let log = self.nodes[place]
                .as_ref()
                .map(NodeProcess::log)
                .unwrap_or_default();
            assert!(
                Instant::now() < deadline,
                "node {} does not get ready: {answer:?}\n{log}",
                place + 1
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until all living nodes have applied the same index of the vote log.
    pub(crate) fn wait_converged(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let applied: Vec<Option<u64>> = self
                .alive()
                .iter()
                .map(|place| {
                    self.vote_group(*place)
                        .and_then(|group| group["applied_index"].as_u64())
                })
                .collect();
            if applied[0].is_some() && applied.iter().all(|other| other == &applied[0]) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "the nodes do not converge: {applied:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Adds a started node to the cluster of the operator port `via`, as an operator does.
pub(crate) fn add_to_cluster(via: &str, number: u64, node: &NodeProcess) {
    let (number, peer) = (number.to_string(), &node.options.peer);
    let add = [
        "cluster",
        "--operator",
        via,
        "add",
        "--node",
        &number,
        "--peer",
        peer,
    ];
    let (status, stdout, stderr) = run_ostraka(&add);
    assert!(status.success(), "{stdout}{stderr}\n{}", node.log());
}
