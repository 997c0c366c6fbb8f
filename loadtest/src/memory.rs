//! What a process takes of the machine's memory.

/// `VmRSS` of proc_pid_status(5); none where the process is not this run's own, is gone, or this is not Linux.
pub(crate) fn resident_kib(pid: Option<u32>) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid?)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_process() {
        let before = resident_kib(Some(std::process::id())).unwrap();
        let held = std::hint::black_box(vec![7_u8; 64 << 20]);
        let after = resident_kib(Some(std::process::id())).unwrap();
        assert!(after > before + 32 * 1_024, "{before} {after}");
        drop(held);
        assert_eq!(resident_kib(None), None);
        assert_eq!(resident_kib(Some(u32::MAX)), None);
    }
}
