//! What the kernel says of processes.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use crate::limits::{POLL_PAUSE, PROCESS_GONE_WAIT};

/// A process's number. Given out again once the process is gone: see [`Identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub u32);

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which process it is, for as long as the machine is up: a number with the moment it was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: ProcessId,
    /// Ticks of the kernel's clock from the machine's start to the process's.
    pub(crate) start_ticks: u64,
}

impl Identity {
    pub(crate) fn of(pid: ProcessId) -> Option<Self> {
        let start_ticks = start_ticks(&stat(pid)?)?;
        Some(Self { pid, start_ticks })
    }

    pub(crate) fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self) && !is_zombie(self.pid)
    }
}

fn stat(pid: ProcessId) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()
}

/// The fields behind the name, which stands in brackets and may hold anything: state is the first.
fn fields(stat: &str) -> Vec<&str> {
    stat.rsplit_once(')')
        .map(|(_, rest)| rest.split_whitespace().collect())
        .unwrap_or_default()
}

fn start_ticks(stat: &str) -> Option<u64> {
    fields(stat).get(19)?.parse().ok()
}

/// User and system time that it has had; none if it is gone.
pub(crate) fn cpu_time(pid: ProcessId) -> Option<Duration> {
    cpu_ticks(&stat(pid)?).map(of_ticks)
}

fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields = fields(stat);
    let [user, system] = [fields.get(11)?, fields.get(12)?];
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// Time that all of the machine's cores had nothing to do (proc_stat(5): idle and iowait), since its start.
pub(crate) fn idle_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    Some(of_ticks(fields.get(3)? + fields.get(4)?))
}

fn state(pid: ProcessId) -> Option<char> {
    fields(&stat(pid)?).first()?.chars().next()
}

pub(crate) fn is_zombie(pid: ProcessId) -> bool {
    matches!(state(pid), Some('Z' | 'X'))
}

/// Whether every thread of it stands still.
pub(crate) fn is_stopped(pid: ProcessId) -> bool {
    let threads = threads(pid);
    !threads.is_empty()
        && threads.iter().all(|thread| {
            std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/stat"))
                .ok()
                .and_then(|stat| fields(&stat).first().map(|state| matches!(*state, "T" | "t")))
                .unwrap_or(true)
        })
}

pub(crate) fn threads(pid: ProcessId) -> Vec<ProcessId> {
    numbers_in(&format!("/proc/{pid}/task"))
}

fn numbers_in(folder: &str) -> Vec<ProcessId> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(ProcessId))
        .collect()
}

/// How many threads of it are being traced.
pub(crate) fn traced_threads(pid: ProcessId) -> usize {
    let traced = |thread: &&ProcessId| {
        std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status"))
            .is_ok_and(|status| tracer(&status).is_some_and(|tracer| tracer != 0))
    };
    threads(pid).iter().filter(traced).count()
}

fn tracer(status: &str) -> Option<u32> {
    let line = status.lines().find(|line| line.starts_with("TracerPid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// All processes that were started with this variable set to this value, by the environment they were given.
pub(crate) fn started_with(variable: &str, value: &str) -> Vec<ProcessId> {
    let wanted = format!("{variable}={value}");
    let with_it = |pid: &ProcessId| {
        std::fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
            environment
                .split(|byte| *byte == 0)
                .any(|entry| entry == wanted.as_bytes())
        })
    };
    numbers_in("/proc")
        .into_iter()
        .filter(|pid| pid.0 != std::process::id())
        .filter(with_it)
        .collect()
}

/// False where there is no such process any more.
pub(crate) fn signal(pid: ProcessId, signal: Signal) -> bool {
    i32::try_from(pid.0)
        .ok()
        .and_then(Pid::from_raw)
        .is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}

/// Waits until `condition` holds; false where it does not within `patience`.
pub(crate) fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL_PAUSE.min(deadline - Instant::now()));
    }
}

/// SIGKILL to whatever was started with this variable; true once nothing of it runs.
pub(crate) fn kill_started_with(variable: &str, value: &str) -> bool {
    wait_until(PROCESS_GONE_WAIT, || {
        let left: Vec<_> = started_with(variable, value)
            .into_iter()
            .filter(|pid| !is_zombie(*pid))
            .collect();
        for pid in &left {
            signal(*pid, Signal::KILL);
        }
        left.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 777 1 2";
        assert_eq!(fields(stat)[0], "S");
        assert_eq!(start_ticks(stat), Some(777));
        let busy = "42 (a b) S 1 42 42 0 -1 4194560 1 0 0 0 30 12 5 5 20 0 1 0 777 1 2";
        assert_eq!(cpu_ticks(busy), Some(42));
        assert_eq!(start_ticks("garbage"), None);
    }

    #[test]
    fn this_process_is_alive_and_one_with_another_start_is_not() {
        let me = Identity::of(ProcessId(std::process::id())).unwrap();
        assert!(me.is_alive());
        let other = Identity {
            start_ticks: me.start_ticks + 1,
            ..me
        };
        assert!(!other.is_alive());
    }

    #[test]
    fn the_tracer_is_read_from_the_status() {
        assert_eq!(tracer("Name:\tx\nTracerPid:\t17\n"), Some(17));
        assert_eq!(tracer("Name:\tx\n"), None);
    }
}
