//! Ends of a node's process that the harness did not bring about, and what explains them.
//!
//! A node that was found down is started again, so that the rest can be judged; that it went down stays written here.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Instant;

use ostraka_sim_model::ids::NodeIndex;
use rustix::process::Signal;

use super::Rig;
use crate::limits::{EXCUSE_GRACE, FULL_DISK_GUARD_WAIT, NODE_HEARS_AFTER};
use crate::{Trouble, Verdict};

/// Why a node may stop: what a nemesis does to its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// The disk fails or is gone, or files were damaged: a node stops rather than go on.
    Disk,
    /// The power is gone: what a process does until it is killed, nobody would have seen.
    NoPower,
    /// The disk was filled then (`docs/runbooks/full-disk.md`): who leads refuses votes and goes on; others may stop where a write of
    /// their log fails, and so may anybody before its guard has looked.
    FullDisk { since: Instant, led: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nobody had told it to.
    ByItself(ExitStatus),
    /// On SIGTERM, and not with 0.
    Told(ExitStatus),
    /// Not even on SIGTERM.
    Lingered,
}

/// An end that the harness did not bring about.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    node: NodeIndex,
    /// When it was noticed.
    pub(crate) at: Instant,
    end: End,
    excuse: Option<Excuse>,
    /// The last lines of the node's log.
    said: Vec<String>,
}

/// How a process ends that decided so: no panic and no signal.
const PANICKED: i32 = 101;
/// What a node says when it stops for want of room.
const FULL: &str = "disk full";
/// Lines of a log that are told.
const TOLD_MAX: usize = 5;

impl Departure {
    pub(crate) fn node(&self) -> NodeIndex {
        self.node
    }

    /// Whether it led when its disk was filled.
    pub(crate) fn led_when_filled(&self) -> bool {
        matches!(self.excuse, Some(Excuse::FullDisk { led: true, .. }))
    }

    /// What of it the service owes, in a sentence; none where the harness's own fault explains it. `led`: whether the node
    /// led until then.
    pub(crate) fn owed(&self, led: bool) -> Option<String> {
        let is_orderly = match self.end {
            End::ByItself(status) | End::Told(status) => {
                status.code().is_some_and(|code| code != 0 && code != PANICKED)
            }
            End::Lingered => false,
        };
        let is_excused = match self.excuse {
            None => false,
            Some(Excuse::Disk | Excuse::NoPower) => true,
            Some(Excuse::FullDisk { since, .. }) => {
                let is_before_its_guard = self.at < since + FULL_DISK_GUARD_WAIT;
                let names_it = self.said.iter().any(|line| line.contains(FULL));
                names_it && (!led || is_before_its_guard)
            }
        };
        if (is_orderly && is_excused) || self.excuse == Some(Excuse::NoPower) {
            return None;
        }
        let but = match self.excuse {
            None => "nothing was done to its disk",
            Some(Excuse::Disk | Excuse::NoPower) => "a sick disk is no reason to end so",
            Some(Excuse::FullDisk { .. }) => "a full disk is no reason to",
        };
        let said = self.said[self.said.len().saturating_sub(TOLD_MAX)..].join(" | ");
        let node = self.node;
        let what = match self.end {
            End::ByItself(status) => format!("node {node} ended by itself ({status}), and {but}"),
            End::Told(status) => format!("node {node}, told to stop, ended with {status}"),
            End::Lingered => format!("node {node}, told to stop, did not, and was killed"),
        };
        Some(format!("{what}; it said: {said}"))
    }
}

/// An excuse, and until when a process that lived under it may still end of it.
struct Standing {
    why: Excuse,
    until: Option<Instant>,
}

/// Of one node, over all its starts.
pub(super) struct Exits {
    node: NodeIndex,
    excused: Option<Standing>,
    started: Option<Instant>,
    seen: Vec<Departure>,
}

impl Exits {
    pub(super) fn of(node: NodeIndex) -> Self {
        Self {
            node,
            excused: None,
            started: None,
            seen: Vec::new(),
        }
    }

    pub(super) fn excuse(&mut self, why: Excuse) {
        self.excused = Some(Standing { why, until: None });
    }

    /// What failed while the excuse stood may be noticed a moment later.
    pub(super) fn excuse_is_over(&mut self) {
        if let Some(excused) = &mut self.excused {
            excused.until = Some(Instant::now() + EXCUSE_GRACE);
        }
    }

    /// A process that is started when the excuse is over has none.
    pub(super) fn started(&mut self) {
        self.started = Some(Instant::now());
        if self
            .excused
            .as_ref()
            .is_some_and(|excused| excused.until.is_some())
        {
            self.excused = None;
        }
    }

    pub(super) fn by_itself(&mut self, status: ExitStatus, said: Vec<String>) {
        self.saw(End::ByItself(status), said);
    }

    /// It was killed; that is the harness's doing, unless the process had ended in the moment before.
    pub(super) fn killed(&mut self, status: Option<ExitStatus>, said: impl FnOnce() -> Vec<String>) {
        let ours = Some(Signal::KILL.as_raw());
        if let Some(status) = status.filter(|status| status.signal() != ours) {
            self.by_itself(status, said());
        }
    }

    /// It was told to stop; without a status it did not.
    pub(super) fn told(&mut self, status: Option<ExitStatus>, said: impl FnOnce() -> Vec<String>) {
        match status {
            Some(status) if status.success() => {}
            Some(status) if status.signal() == Some(Signal::TERM.as_raw()) && self.is_young() => {}
            Some(status) => self.saw(End::Told(status), said()),
            None => self.saw(End::Lingered, said()),
        }
    }

    fn is_young(&self) -> bool {
        self.started
            .is_some_and(|started| started.elapsed() < NODE_HEARS_AFTER)
    }

    fn saw(&mut self, end: End, said: Vec<String>) {
        let at = Instant::now();
        let stands = |excused: &&Standing| excused.until.is_none_or(|until| at <= until);
        let excuse = self.excused.as_ref().filter(stands).map(|excused| excused.why);
        let node = self.node;
        self.seen.push(Departure {
            node,
            at,
            end,
            excuse,
            said,
        });
    }

    pub(super) fn seen(&self) -> &[Departure] {
        &self.seen
    }
}

impl Rig {
    /// From here on until it is dropped there is something that explains why this node stops.
    ///
    /// # Errors
    /// Where there is no such node.
    pub(crate) fn excuse(&self, index: NodeIndex, why: Excuse) -> Result<Excused, Trouble> {
        self.node(index)?.exits().excuse(why);
        let rig = self.clone();
        Ok(Excused { rig, index })
    }

    /// Notices whether a node has ended by itself; who is doing something to it does so then.
    pub(crate) fn notice(&self, index: NodeIndex) {
        let node = self.inner.nodes.get(usize::from(index.0));
        if let Some(Ok(mut node)) = node.map(Mutex::try_lock) {
            node.pid();
        }
    }

    /// What the service owes for nodes that stopped so far, by no doing of the harness's: a sentence each. `led`: whether
    /// the one that stopped led until then.
    pub(crate) fn owed(&self, led: impl Fn(&Departure) -> bool) -> Vec<String> {
        let mut owed = Vec::new();
        for index in self.indexes() {
            if let Ok(mut node) = self.node(index) {
                // One that is down by now is noticed by looking.
                node.pid();
                let seen = node.exits().seen().iter();
                owed.extend(seen.filter_map(|departure| departure.owed(led(departure))));
            }
        }
        owed
    }

    /// Where only one fault is done at a time: who led when its disk was filled goes on leading.
    ///
    /// # Errors
    /// [`Trouble::Service`] where a node stopped by no doing of the harness's.
    pub(crate) fn nobody_stopped(&self) -> Result<(), Trouble> {
        let owed = self.owed(Departure::led_when_filled);
        if owed.is_empty() {
            Ok(())
        } else {
            Err(Trouble::service(owed.join("; ")))
        }
    }

    /// Trouble of the harness's that came after a node's own is the service's.
    pub(crate) fn blamed_for(&self, trouble: Trouble) -> Trouble {
        match self.nobody_stopped() {
            Err(owed) if trouble.verdict() != Verdict::Broken => {
                Trouble::service(format!("{owed}; then {trouble}"))
            }
            _ => trouble,
        }
    }
}

/// See [`Rig::excuse`]. Dropped once the harm is undone.
pub(crate) struct Excused {
    rig: Rig,
    index: NodeIndex,
}

impl Drop for Excused {
    fn drop(&mut self) {
        if let Ok(mut node) = self.rig.node(self.index) {
            node.exits().excuse_is_over();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn said(line: &str) -> Vec<String> {
        vec![line.to_owned()]
    }

    fn owed(exits: &Exits, led: bool) -> Vec<String> {
        let owed = exits.seen().iter().filter_map(|departure| departure.owed(led));
        owed.collect()
    }

    #[test]
    fn an_end_that_nobody_caused_is_owed_and_one_of_a_sick_disk_is_not() {
        let mut exits = Exits::of(NodeIndex(1));
        exits.by_itself(exited(1), said("state is impossible"));
        exits.by_itself(exited(0), said("bye"));
        let told = owed(&exits, false);
        assert_eq!(told.len(), 2);
        assert!(
            told[0].contains("exit status: 1") && told[0].contains("state is impossible"),
            "{told:?}"
        );
        exits.excuse(Excuse::Disk);
        exits.by_itself(exited(1), said("check the disk"));
        assert_eq!(owed(&exits, false).len(), 2);
        // A panic, a signal and a happy end are no answers to a sick disk.
        for status in [exited(101), ExitStatus::from_raw(11), exited(0)] {
            exits.by_itself(status, said("thread panicked"));
        }
        assert_eq!(owed(&exits, false).len(), 5);
        exits.excuse(Excuse::NoPower);
        exits.by_itself(exited(101), said("the disk is gone"));
        assert_eq!(owed(&exits, false).len(), 5);
    }

    #[test]
    fn an_excuse_lasts_a_moment_longer_for_the_process_that_had_it_and_for_no_other() {
        let mut exits = Exits::of(NodeIndex(0));
        exits.excuse(Excuse::Disk);
        exits.excuse_is_over();
        exits.by_itself(exited(1), said("check the disk"));
        assert_eq!(owed(&exits, false), [""; 0]);
        exits.started();
        exits.by_itself(exited(1), said("check the disk"));
        assert_eq!(owed(&exits, false).len(), 1);
        exits.excuse(Excuse::Disk);
        exits.started();
        exits.by_itself(exited(1), said("does not start with this file"));
        assert_eq!(
            owed(&exits, false).len(),
            1,
            "a start on damaged files is excused"
        );
        let long_ago = Instant::now().checked_sub(Duration::from_millis(1));
        if let Some(excused) = &mut exits.excused {
            excused.until = long_ago;
        }
        exits.by_itself(exited(1), said("check the disk"));
        assert_eq!(owed(&exits, false).len(), 2);
    }

    #[test]
    fn a_full_disk_may_stop_a_follower_that_says_so_and_no_leader() {
        let filled = |ago: Duration, line: &str| {
            let mut exits = Exits::of(NodeIndex(2));
            let since = Instant::now().checked_sub(ago).unwrap();
            exits.excuse(Excuse::FullDisk { since, led: false });
            exits.by_itself(exited(1), said(line));
            exits
        };
        let (full, other) = ("disk full: free space on /data", "cannot go on");
        let late = Duration::from_secs(3);
        assert_eq!(owed(&filled(late, full), false), [""; 0]);
        assert_eq!(owed(&filled(late, full), true).len(), 1);
        assert_eq!(owed(&filled(Duration::ZERO, full), true), [""; 0]);
        assert_eq!(owed(&filled(late, other), false).len(), 1);
    }

    #[test]
    fn what_the_harness_did_is_not_owed_and_a_bad_end_on_sigterm_is() {
        let mut exits = Exits::of(NodeIndex(0));
        exits.killed(Some(ExitStatus::from_raw(9)), || said("?"));
        exits.killed(None, || said("?"));
        exits.told(Some(exited(0)), || said("?"));
        assert_eq!(owed(&exits, false), [""; 0]);
        exits.killed(Some(exited(1)), || said("it had ended before"));
        exits.told(Some(exited(3)), || said("no way to stop"));
        exits.told(Some(ExitStatus::from_raw(11)), || said("segfault"));
        exits.told(None, || said("waiting"));
        let told = owed(&exits, false).join("\n");
        for words in ["ended by itself", "exit status: 3", "signal: 11", "was killed"] {
            assert!(told.contains(words), "{told} does not say {words}");
        }
        assert_eq!(owed(&exits, false).len(), 4);
        // Told before it could hear: only who has just been started is excused.
        exits.told(Some(ExitStatus::from_raw(15)), || said("?"));
        assert_eq!(owed(&exits, false).len(), 5);
        exits.started();
        exits.told(Some(ExitStatus::from_raw(15)), || said("?"));
        assert_eq!(owed(&exits, false).len(), 5);
    }
}
