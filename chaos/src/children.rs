//! Processes that the harness starts: marked, so that they are found again whatever becomes of the harness.

use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::litter::{Bag, CHILD_VARIABLE, Litter, LitterId};
use crate::proc::{self, ProcessId};
use crate::rig::namespace::Namespace;
use crate::{Trouble, tools};

static NEXT: AtomicU32 = AtomicU32::new(1);

/// A running child. Dropping it kills it, and whatever it has started itself.
pub(crate) struct Spawned {
    child: Child,
    bag: Bag,
    id: LitterId,
}

impl Spawned {
    /// Starts `command` inside `namespace`; `label` goes into its mark.
    pub(crate) fn start(
        bag: &Bag,
        namespace: &Namespace,
        label: &str,
        mut command: Command,
    ) -> Result<Self, Trouble> {
        Self::marked(bag, label, &mut command, |command| {
            namespace.inside(|| command.spawn())
        })
    }

    fn marked(
        bag: &Bag,
        label: &str,
        command: &mut Command,
        spawn: impl FnOnce(&mut Command) -> Result<std::io::Result<Child>, Trouble>,
    ) -> Result<Self, Trouble> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{label}-{number}", bag.run());
        command.env(CHILD_VARIABLE, &mark);
        let tool = command.get_program().to_string_lossy().into_owned();
        let spawn = || spawn(command)?.map_err(|error| tools::not_there(&tool, &error));
        let (id, child) = bag.make(Litter::Child { mark }, spawn)?;
        Ok(Self {
            child,
            bag: bag.clone(),
            id,
        })
    }

    /// In the harness's own namespace, for which nobody needs a right.
    #[cfg(test)]
    pub(crate) fn here(bag: &Bag, label: &str, mut command: Command) -> Result<Self, Trouble> {
        Self::marked(bag, label, &mut command, |command| Ok(command.spawn()))
    }

    pub(crate) fn pid(&self) -> ProcessId {
        ProcessId(self.child.id())
    }

    /// Its exit status where it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// SIGKILL. How it ended: a process that was quicker has an end of its own.
    pub(crate) fn kill(&mut self) -> Option<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    /// False where it still runs after `patience`.
    pub(crate) fn wait_ended(&mut self, patience: Duration) -> bool {
        proc::wait_until(patience, || self.ended().is_some())
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Err(trouble) = self.bag.remove(self.id) {
            eprintln!("{trouble}");
        }
    }
}
