//! CPU time of this process and of the server's, to see which of the two set the pace.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::statistics::CpuCores;

/// CPU times at one moment.
pub(crate) struct Reading {
    at: Instant,
    own: Duration,
    server: Option<Duration>,
}

impl Reading {
    pub(crate) fn take(server_pid: Option<u32>) -> Self {
        let own = clock_gettime(ClockId::ProcessCPUTime);
        Self {
            at: Instant::now(),
            own: Duration::try_from(own).unwrap_or_default(),
            server: server_pid.and_then(of_process),
        }
    }

    pub(crate) fn since(&self, before: &Self) -> CpuCores {
        let wall_s = self.at.duration_since(before.at).as_secs_f64();
        let cores = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64() / wall_s;
        CpuCores {
            generator: cores(self.own, before.own),
            server: self.server.zip(before.server).map(|(now, then)| cores(now, then)),
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
