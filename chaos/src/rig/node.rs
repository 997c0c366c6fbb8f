//! One node: a process in its own namespace, on its own disk, started and ended as often as wished.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostraka_sim_model::ids::NodeIndex;
use rustix::process::Signal;

use super::clock::{self, Clock};
use super::exits::Exits;
use super::{Disk, OPERATOR_PASSWORD, Place, RigOptions};
use crate::Trouble;
use crate::children::Spawned;
use crate::limits::NODE_STOP_WAIT;
use crate::litter::Bag;
use crate::proc::{self, ProcessId};

/// How a node that was asked to stop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was not running.
    WasDown,
    /// By itself, with this code; none where a signal ended it.
    Ended(Option<i32>),
    /// It did not end in time and was killed.
    Killed,
}

/// Lines of a node's log that are looked through when it has ended.
const LAST_LINES: usize = 20;

/// Where things are in a node's data folder (`docs/data-stores.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The file that holds the entries of the vote log.
    pub fn vote_log_file(&self) -> PathBuf {
        self.0.join("vote/log/db")
    }

    pub fn vote_snapshots(&self) -> PathBuf {
        self.0.join("vote/snapshots")
    }
}

/// One secret for the cluster, made by the first node, and on no disk that faults are done to.
pub(super) fn secrets_in(folder: &Path) -> PathBuf {
    folder.join("secrets.json")
}

pub(super) struct Node {
    index: NodeIndex,
    binary: PathBuf,
    flags: Vec<String>,
    secrets: PathBuf,
    log_path: PathBuf,
    place: Place,
    disk: Disk,
    clock: Option<Clock>,
    bag: Bag,
    process: Option<Spawned>,
    exits: Exits,
}

impl Node {
    pub(super) fn new(
        index: NodeIndex,
        options: &RigOptions,
        bag: &Bag,
        disk: Disk,
        place: Place,
    ) -> Result<Self, Trouble> {
        let name = format!("node{index}");
        let clock = options
            .clocks
            .then(|| Clock::new(clock::file_of(bag.folder(), &name)));
        Ok(Self {
            index,
            binary: options.binary.clone(),
            flags: options.flags.clone(),
            secrets: secrets_in(bag.folder()),
            log_path: bag.folder().join(format!("{name}.log")),
            place,
            disk,
            clock: clock.transpose()?,
            bag: bag.clone(),
            process: None,
            exits: Exits::of(index),
        })
    }

    fn command(&self) -> Result<Command, Trouble> {
        let log = || {
            File::options()
                .create(true)
                .append(true)
                .open(&self.log_path)
                .map_err(Trouble::with_file(&self.log_path))
        };
        let mut command = Command::new(&self.binary);
        // No settings from the environment of whoever runs the harness.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OSTRAKA_") {
                command.env_remove(name);
            }
        }
        command
            .args(["serve", "--node-id", &self.index.to_string()])
            .arg("--data-dir")
            .arg(self.data().path())
            .args(["--listen", &self.place.public()])
            .args(["--operator-listen", &self.place.operator()])
            .args(["--peer-listen", &self.place.peer()])
            .arg("--secrets-file")
            .arg(&self.secrets)
            .args(&self.flags)
            .env("OSTRAKA_OPERATOR_PASSWORD", OPERATOR_PASSWORD)
            // By the environment, which an older build to upgrade from does not look at.
            .env("OSTRAKA_ALLOW_PLAINTEXT", "public,operator,peers")
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?);
        if self.index != NodeIndex(0) {
            command.args(["--bootstrap", "wait"]);
        }
        if let Some(clock) = &self.clock {
            clock.give_to(&mut command);
        }
        Ok(command)
    }

    pub(super) fn set_binary(&mut self, binary: &Path) {
        self.binary = binary.to_path_buf();
    }

    /// Nothing happens where it is running.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        if self.pid().is_some() {
            return Ok(());
        }
        self.exits.started();
        let label = format!("n{}", self.index);
        self.process = Some(Spawned::start(
            &self.bag,
            &self.place.namespace,
            &label,
            self.command()?,
        )?);
        Ok(())
    }

    /// `None` where it is down, and where it has ended by itself.
    pub(super) fn pid(&mut self) -> Option<ProcessId> {
        if let Some(status) = self.process.as_mut()?.ended() {
            self.process = None;
            let said = self.last_lines();
            self.exits.by_itself(status, said);
        }
        self.process.as_ref().map(Spawned::pid)
    }

    pub(super) fn kill(&mut self) -> bool {
        let was_up = self.pid().is_some();
        if let Some(mut process) = self.process.take() {
            let status = process.kill();
            let said = || last_lines_of(&self.log_path);
            self.exits.killed(status, said);
        }
        was_up
    }

    pub(super) fn stop(&mut self) -> Exit {
        let Some(pid) = self.pid() else {
            return Exit::WasDown;
        };
        proc::signal(pid, Signal::TERM);
        let Some(mut process) = self.process.take() else {
            return Exit::WasDown;
        };
        let said = || last_lines_of(&self.log_path);
        if process.wait_ended(NODE_STOP_WAIT) {
            let status = process.ended();
            self.exits.told(status, said);
            Exit::Ended(status.and_then(|status| status.code()))
        } else {
            // One that another fault holds cannot hear it.
            if !proc::is_stopped(pid) {
                self.exits.told(None, said);
            }
            Exit::Killed
        }
    }

    pub(super) fn exits(&mut self) -> &mut Exits {
        &mut self.exits
    }

    pub(super) fn data(&self) -> DataFolder {
        DataFolder(self.disk.root().join("data"))
    }

    pub(super) fn disk(&mut self) -> &mut Disk {
        &mut self.disk
    }

    pub(super) fn set_clock(&self, offset_s: i64) -> Result<(), Trouble> {
        let clock = self.clock.as_ref();
        clock
            .ok_or_else(|| Trouble::missing("this rig was built without clocks that can be moved"))?
            .set(offset_s)
    }

    pub(super) fn log_path(&self) -> &Path {
        &self.log_path
    }

    pub(super) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log_path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn last_words(&self) -> String {
        let lines = self.last_lines();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }

    fn last_lines(&self) -> Vec<String> {
        last_lines_of(&self.log_path)
    }
}

/// As many as hold what a node says when it ends.
fn last_lines_of(log: &Path) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
    last.iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Fs, Namespace};
    use super::*;

    /// A node whose process is this line of a shell's.
    fn node(bag: &Bag, line: &str) -> Node {
        let index = NodeIndex(1);
        let options = RigOptions::new(3, Fs::Host, "/nowhere/ostraka".into());
        let disk = Disk::make(bag, index, Fs::Host, 0).unwrap();
        let place = Place {
            namespace: Namespace("none".to_owned()),
            address: std::net::Ipv4Addr::LOCALHOST,
        };
        let mut node = Node::new(index, &options, bag, disk, place).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", line]).stdout(Stdio::null());
        node.process = Some(Spawned::here(bag, "test", command).unwrap());
        node
    }

    fn owed(node: &mut Node) -> Vec<String> {
        let seen = node.exits().seen().iter();
        seen.filter_map(|departure| departure.owed(false)).collect()
    }

    /// Real processes, of which the harness kills or stops some and others end by themselves.
    #[test]
    fn a_node_that_goes_down_by_itself_is_not_forgotten() {
        let runs = tempfile::tempdir().unwrap();
        let with = |line: &str, act: fn(&mut Node)| {
            let bag = Bag::open(runs.path()).unwrap();
            let mut node = node(&bag, line);
            act(&mut node);
            owed(&mut node)
        };
        let gone = |node: &mut Node| {
            assert!(proc::wait_until(NODE_STOP_WAIT, || node.pid().is_none()));
        };
        let died = with("exit 3", gone);
        assert_eq!(died.len(), 1, "{died:?}");
        assert!(
            died[0].contains("node 1") || died[0].contains("node 2"),
            "{died:?}"
        );
        assert!(died[0].contains("ended by itself (exit status: 3)"), "{died:?}");
        assert_eq!(with("exec sleep 60", |node| assert!(node.kill())), [""; 0]);
        // Said before it is told to stop, so that the trap is there.
        let trapped = "trap 'exit 7' TERM; : >\"$0\"; while :; do sleep 0.05; done";
        let line = |exit: &str| {
            let ready = runs.path().join(format!("ready-{exit}"));
            let line = trapped.replace("exit 7", exit);
            (line.replace("$0", &ready.display().to_string()), ready)
        };
        for (exit, owed_count) in [("exit 7", 1), ("exit 0", 0)] {
            let bag = Bag::open(runs.path()).unwrap();
            let (line, ready) = line(exit);
            let mut node = node(&bag, &line);
            assert!(proc::wait_until(NODE_STOP_WAIT, || ready.exists()));
            node.stop();
            assert_eq!(owed(&mut node).len(), owed_count, "{exit}");
        }
    }
}
