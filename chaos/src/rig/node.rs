//! One node: a process in its own namespace, on its own disk, started and ended as often as wished.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ostraka_sim_model::ids::NodeIndex;
use rustix::process::Signal;

use super::clock::{self, Clock};
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
        if self.process.as_mut()?.ended().is_some() {
            self.process = None;
        }
        self.process.as_ref().map(Spawned::pid)
    }

    pub(super) fn kill(&mut self) -> bool {
        let was_up = self.pid().is_some();
        self.process = None;
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
        if process.wait_ended(NODE_STOP_WAIT) {
            Exit::Ended(process.ended().and_then(|status| status.code()))
        } else {
            Exit::Killed
        }
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
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}
