//! Each node in turn is told to stop and started again, of the same build or of another one.

use std::path::Path;
use std::thread::JoinHandle;

use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::proc::ProcessId;
use crate::rig::{Exit, Rig};

/// The round goes to its end however soon the nemesis is ended: half an upgrade is none.
pub struct Rolling {
    upgrades: bool,
    round: Option<JoinHandle<Result<Felt, Trouble>>>,
}

impl Rolling {
    pub fn restart() -> Self {
        Self {
            upgrades: false,
            round: None,
        }
    }

    /// To the build that the rig was given for it.
    pub fn upgrade() -> Self {
        Self {
            upgrades: true,
            round: None,
        }
    }
}

/// One after the other, each once the one before it is ready, as the runbook has it.
fn go_round(rig: &Rig, upgrades: bool) -> Result<Felt, Trouble> {
    let mut bites = 0;
    let mut exits = Vec::new();
    for index in rig.indexes() {
        let exit = rig.stop(index)?;
        exits.push(format!("node {index}: {exit:?}"));
        if upgrades {
            rig.upgrade(index)?;
        }
        rig.start(index)?;
        let is_of_build = !upgrades || {
            let build = rig.check_upgrade()?;
            rig.pid(index)?.is_some_and(|pid| runs(pid, build))
        };
        bites += u64::from(exit == Exit::Ended(Some(0)) && is_of_build);
    }
    Ok(Felt::new(bites, of(upgrades)).noting(exits.join(", ")))
}

fn of(upgrades: bool) -> &'static str {
    if upgrades {
        "graceful stops, each followed by the other build"
    } else {
        "graceful stops"
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    one.canonicalize()
        .is_ok_and(|one| other.canonicalize().is_ok_and(|other| one == other))
}

/// Whether a process runs this program, as the kernel says.
fn runs(pid: ProcessId, program: &Path) -> bool {
    let running = std::fs::read_link(format!("/proc/{pid}/exe"));
    running.is_ok_and(|running| is_same(&running, program))
}

impl Nemesis for Rolling {
    fn name(&self) -> &'static str {
        if self.upgrades {
            "rolling-upgrade"
        } else {
            "rolling-restart"
        }
    }

    fn begin(&mut self, rig: &Rig, _target: Target) -> Result<Felt, Trouble> {
        if self.upgrades && is_same(rig.check_upgrade()?, &rig.options().binary) {
            return Err(Trouble::missing(
                "the other build is the one that runs already, so nothing would be upgraded",
            ));
        }
        let (rig, upgrades) = (rig.clone(), self.upgrades);
        self.round = Some(std::thread::spawn(move || go_round(&rig, upgrades)));
        Ok(Felt::new(0, of(upgrades)))
    }

    fn end(&mut self, _rig: &Rig) -> Result<Felt, Trouble> {
        let round = self.round.take().ok_or_else(|| not_begun(self.name()))?;
        let ended = round.join();
        ended.unwrap_or_else(|_| Err(Trouble::failed("the thread of a rolling restart panicked")))
    }
}

impl Drop for Rolling {
    fn drop(&mut self) {
        if let Some(round) = self.round.take() {
            // What came of it nobody asks any more; its nodes are not to be touched behind the next one's back.
            let _ = round.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_program_a_process_runs_is_the_kernels_word() {
        let this = ProcessId(std::process::id());
        assert!(runs(this, &std::env::current_exe().unwrap()));
        assert!(!runs(this, Path::new("/bin/true")));
        assert!(!runs(this, Path::new("/nowhere/ostraka")));
    }
}
