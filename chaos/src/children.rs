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
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{label}-{number}", bag.run());
        command.env(CHILD_VARIABLE, &mark);
        let tool = command.get_program().to_string_lossy().into_owned();
        let spawn = || {
            namespace
                .inside(|| command.spawn())?
                .map_err(|error| tools::not_there(&tool, &error))
        };
        let (id, child) = bag.make(Litter::Child { mark }, spawn)?;
        Ok(Self {
            child,
            bag: bag.clone(),
            id,
        })
    }

    pub(crate) fn pid(&self) -> ProcessId {
        ProcessId(self.child.id())
    }

    /// Its exit status where it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
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
