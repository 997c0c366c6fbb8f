//! `strace` on a running process, which makes system calls fail or take long, and writes down each time it did.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ostraka_sim_model::ids::NodeIndex;
use rustix::process::Signal;

use crate::children::Spawned;
use crate::limits::STRACE_WAIT;
use crate::litter::Bag;
use crate::proc::{self, ProcessId};
use crate::rig::{Namespace, Rig};
use crate::{Trouble, tools};

/// What is done to which calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tampering {
    /// Names of system calls, with commas.
    pub(crate) calls: &'static str,
    /// As behind the colon of `strace -e inject=`.
    pub(crate) with: String,
    /// Only calls about this file.
    pub(crate) only: Option<PathBuf>,
}

impl Tampering {
    pub(crate) fn fails(calls: &'static str) -> Self {
        Self {
            calls,
            with: "error=EIO".to_string(),
            only: None,
        }
    }

    pub(crate) fn slow(calls: &'static str, by: Duration) -> Self {
        Self {
            calls,
            with: format!("delay_enter={}", by.as_micros()),
            only: None,
        }
    }

    fn arguments(&self, pid: ProcessId, written: &Path) -> Vec<String> {
        let mut arguments: Vec<String> = ["-f", "-qq", "-o"].map(str::to_string).into();
        arguments.push(written.display().to_string());
        if let Some(path) = &self.only {
            arguments.extend(["-P".to_string(), path.display().to_string()]);
        }
        arguments.extend(["-e".to_string(), format!("trace={}", self.calls)]);
        arguments.extend(["-e".to_string(), format!("inject={}:{}", self.calls, self.with)]);
        arguments.extend(["-p".to_string(), pid.to_string()]);
        arguments
    }
}

/// Dropping it ends it: the kernel lets go of a process whose tracer dies.
pub(crate) struct Injection {
    strace: Spawned,
    pid: ProcessId,
    written: PathBuf,
}

impl Injection {
    /// On a node's process.
    pub(crate) fn begin(rig: &Rig, index: NodeIndex, name: &str, what: &Tampering) -> Result<Self, Trouble> {
        let namespace = &rig.place(index)?.namespace;
        Self::attach(
            rig.bag(),
            namespace,
            rig.running(index)?,
            &format!("node{index}-{name}"),
            what,
        )
    }

    /// Returns once `strace` has all threads of the process. What it writes goes into files of this name in the run's folder.
    pub(crate) fn attach(
        bag: &Bag,
        namespace: &Namespace,
        pid: ProcessId,
        name: &str,
        what: &Tampering,
    ) -> Result<Self, Trouble> {
        let written = bag.folder().join(format!("{name}.strace"));
        // Counted from here on.
        let _ = std::fs::remove_file(&written);
        let mut command = tools::command("strace");
        let complaints = bag.folder().join(format!("{name}.strace-errors"));
        let errors = std::fs::File::create(&complaints).map_err(Trouble::with_file(&complaints))?;
        command.args(what.arguments(pid, &written)).stderr(errors);
        let mut strace = Spawned::start(bag, namespace, "strace", command)?;
        let mut has_ended = false;
        proc::wait_until(STRACE_WAIT, || {
            has_ended = strace.ended().is_some();
            has_ended || proc::traced_threads(pid) == proc::threads(pid).len()
        });
        // A process that dies of its first failed call takes `strace` with it, silently: that has bitten.
        let has_bitten = bites_in(&written) > 0;
        if !has_bitten && (has_ended || proc::traced_threads(pid) == 0) {
            let said = std::fs::read_to_string(&complaints).unwrap_or_default();
            return Err(Trouble::missing(format!(
                "strace cannot attach to a process here: {}",
                said.trim()
            )));
        }
        Ok(Self { strace, pid, written })
    }

    /// How many calls were tampered with.
    pub(crate) fn bites(&self) -> u64 {
        bites_in(&self.written)
    }

    /// Lets the process go, and sees to it that it is free.
    pub(crate) fn end(mut self) -> Result<u64, Trouble> {
        proc::signal(self.strace.pid(), Signal::INT);
        self.strace.wait_ended(STRACE_WAIT);
        let (bites, pid) = (self.bites(), self.pid);
        drop(self);
        if proc::wait_until(STRACE_WAIT, || proc::traced_threads(pid) == 0) {
            Ok(bites)
        } else {
            Err(Trouble::failed(format!("process {pid} is still traced")))
        }
    }
}

fn bites_in(written: &Path) -> u64 {
    let bytes = std::fs::read(written).unwrap_or_default();
    count(&String::from_utf8_lossy(&bytes))
}

fn count(written: &str) -> u64 {
    let tampered = |line: &&str| line.ends_with("(INJECTED)") || line.ends_with("(DELAYED)");
    written.lines().filter(tampered).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_that_were_tampered_with_are_counted() {
        let written = "12 fdatasync(9) = -1 EIO (Input/output error) (INJECTED)\n12 fdatasync(9) = 0\n\
                       13 fdatasync(9) = 0 (DELAYED)\n13 fsync(4 <unfinished ...>\n";
        assert_eq!(count(written), 2);
    }

    #[test]
    fn the_command_names_calls_process_and_file() {
        let mut what = Tampering::slow("fdatasync", Duration::from_millis(50));
        what.only = Some("/x/db".into());
        let words = what.arguments(ProcessId(7), Path::new("/t")).join(" ");
        assert_eq!(
            words,
            "-f -qq -o /t -P /x/db -e trace=fdatasync -e inject=fdatasync:delay_enter=50000 -p 7"
        );
    }
}
