//! Barriers, or writes of the vote log, fail with EIO: the node must stop by itself rather than go on.

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::injection::{Injection, Tampering};
use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::rig::{Excuse, Excused, Rig};

const OF: &str = "system calls that failed with EIO";

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Every fsync and fdatasync of the process.
    Barrier,
    /// Every write to the vote log's file.
    Write,
}

pub struct DiskError {
    pub on: On,
    injected: Option<(NodeIndex, Injection, Excused)>,
}

impl DiskError {
    pub fn new(on: On) -> Self {
        Self { on, injected: None }
    }
}

impl Nemesis for DiskError {
    fn name(&self) -> &'static str {
        match self.on {
            On::Barrier => "disk-error",
            On::Write => "disk-error-on-write",
        }
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let what = match self.on {
            On::Barrier => Tampering::fails("fsync,fdatasync"),
            On::Write => Tampering {
                only: Some(rig.data(index)?.vote_log_file()),
                ..Tampering::fails("write,pwrite64,writev,pwritev,pwritev2")
            },
        };
        let excused = rig.excuse(index, Excuse::Disk)?;
        let injection = Injection::begin(rig, index, self.name(), &what)?;
        let felt = Felt::new(injection.bites(), OF).noting(format!("node {index}"));
        self.injected = Some((index, injection, excused));
        Ok(felt)
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let (index, injection, excused) = self.injected.take().ok_or_else(|| not_begun(self.name()))?;
        let bites = injection.end()?;
        let stopped = rig.pid(index)?.is_none();
        // Whoever is started from here on has a sound disk.
        drop(excused);
        rig.launch(index)?;
        let what = if stopped { "stopped by itself" } else { "went on" };
        Ok(Felt::new(bites, OF).noting(format!("node {index} {what}")))
    }
}
