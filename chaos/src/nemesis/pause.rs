//! SIGSTOP and SIGCONT: the process stands still and does not know it; its sockets stay open.

use ostraka_sim_model::plan::Target;
use rustix::process::Signal;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::PROCESS_GONE_WAIT;
use crate::proc::{self, ProcessId};
use crate::rig::Rig;

const OF: &str = "processes stopped with all their threads";

#[derive(Default)]
pub struct Pause {
    stopped: Option<ProcessId>,
}

impl Nemesis for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let pid = rig.running(index)?;
        stop(pid)?;
        self.stopped = Some(pid);
        Ok(Felt::new(1, OF).noting(format!("node {index}")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let pid = self.stopped.take().ok_or_else(|| not_begun(self.name()))?;
        let stood_still = proc::is_stopped(pid);
        proc::signal(pid, Signal::CONT);
        Ok(Felt::new(u64::from(stood_still), OF))
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        if let Some(pid) = self.stopped.take() {
            proc::signal(pid, Signal::CONT);
        }
    }
}

/// Returns once every thread stands still: one that is in a call to the disk finishes the call first.
pub(super) fn stop(pid: ProcessId) -> Result<(), Trouble> {
    proc::signal(pid, Signal::STOP);
    if proc::wait_until(PROCESS_GONE_WAIT, || proc::is_stopped(pid)) {
        Ok(())
    } else {
        Err(Trouble::failed(format!("process {pid} does not stop")))
    }
}
