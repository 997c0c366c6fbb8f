//! CPU time of this process, of the server's and of all others', to see who set the pace.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::statistics::CpuCores;

/// CPU times at one moment.
pub(crate) struct Reading {
    at: Instant,
    own: Duration,
    server: Option<Duration>,
    /// Of all processes together.
    machine: Option<Duration>,
}

impl Reading {
    pub(crate) fn take(server_pid: Option<u32>) -> Self {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            at: Instant::now(),
            own: Duration::try_from(own).unwrap_or_default(),
            server: server_pid.and_then(of_process),
            machine: of_machine(),
        }
    }

    pub(crate) fn since(&self, before: &Self) -> CpuCores {
        let wall_s = self.at.duration_since(before.at).as_secs_f64();
        let cores = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / wall_s;
        let generator = cores(self.own, before.own);
        let server = self.server.zip(before.server).map(|(now, then)| cores(now, then));
        let all = self
            .machine
            .zip(before.machine)
            .map(|(now, then)| cores(now, then));
        CpuCores {
            generator,
            server,
            // Whose the rest is can be told only if the server's part is known.
            others: all
                .zip(server)
                .map(|(all, server)| (all - server - generator).max(0.0)),
            machine: std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64),
        }
    }
}

/// User and system time of a process; none if it is gone or this is not Linux.
fn of_process(pid: u32) -> Option<Duration> {
    parse_stat(
        &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?,
        rustix::param::clock_ticks_per_second(),
    )
}

/// Time that the machine's cores were not idle; none if this is not Linux.
fn of_machine() -> Option<Duration> {
    parse_machine(
        &std::fs::read_to_string("/proc/stat").ok()?,
        rustix::param::clock_ticks_per_second(),
    )
}

/// The first line of proc_stat(5): user, nice, system, idle, iowait, irq, softirq, steal, in clock ticks. Time that the
/// host took away (steal) counts as used: it was not there to use.
fn parse_machine(stat: &str, ticks_per_s: u64) -> Option<Duration> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else {
        return None;
    };
    let ticks = user + nice + system + irq + softirq + steal;
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_s as f64))
}

/// Fields 14 and 15 of proc_pid_stat(5), in clock ticks. The second, the command's name, may hold anything but ends
/// with the last parenthesis.
fn parse_stat(stat: &str, ticks_per_s: u64) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_secs_f64(
        (user + system) as f64 / ticks_per_s as f64,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 100";
        assert_eq!(parse_stat(stat, 100), Some(Duration::from_secs(3)));
        assert_eq!(parse_stat("", 100), None);
        assert_eq!(parse_stat("7 (a) S 1", 100), None);
    }

    #[test]
    fn the_machines_work_is_all_but_idleness() {
        let stat = "cpu  100 10 50 9000 8000 5 5 30 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine(stat, 100), Some(Duration::from_secs(2)));
        assert_eq!(parse_machine("", 100), None);
        assert_eq!(parse_machine("cpu  1 2\n", 100), None);
    }

    #[test]
    fn work_shows() {
        let before = Reading::take(Some(std::process::id()));
        let until = Instant::now() + Duration::from_millis(100);
        let mut sum = 0_u64;
        while Instant::now() < until {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let cpu = Reading::take(Some(std::process::id())).since(&before);
        assert!(cpu.generator > 0.1, "{cpu:?}");
        assert!(cpu.server.is_some());
    }
}
