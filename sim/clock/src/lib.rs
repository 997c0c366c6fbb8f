//! Stops the machine's clocks for a simulated run, which has a time of its own.
//!
//! Whatever takes its time from the runtime sees simulated time. A library that asks the operating system instead would
//! let real time into the run, and the same seed would not give the same bytes on a slower machine: h2 forgets a stream
//! that was reset after one second of `std::time::Instant`. While a [`Stopped`] lives, the clocks of this process
//! stand still, so there is no real time to be seen.
//!
//! Linked into a program, the function below takes the place of libc's (as madsim's and mad-turmoil's do); while no clock
//! is stopped it asks the kernel.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

static STOPPED: AtomicBool = AtomicBool::new(false);
/// Seconds and nanoseconds that stopped clocks show: those since the machine's start, and the calendar's.
static MONOTONIC: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];
static CALENDAR: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];

/// All clocks of this process stand still until this is dropped.
#[derive(Debug)]
pub struct Stopped(());

/// Stops the clocks.
///
/// # Panics
/// If they are stopped already: one run a process.
#[must_use]
pub fn stop() -> Stopped {
    for (clock, shown) in [
        (libc::CLOCK_MONOTONIC, &MONOTONIC),
        (libc::CLOCK_REALTIME, &CALENDAR),
    ] {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `now` is a timespec of ours.
        let done = unsafe { ask_kernel(clock, &raw mut now) };
        assert_eq!(done, 0, "every Linux has this clock");
        shown[0].store(now.tv_sec, Ordering::Relaxed);
        shown[1].store(now.tv_nsec, Ordering::Relaxed);
    }
    let was_stopped = STOPPED.swap(true, Ordering::Release);
    assert!(!was_stopped, "the clocks are stopped already");
    Stopped(())
}

impl Drop for Stopped {
    fn drop(&mut self) {
        STOPPED.store(false, Ordering::Release);
    }
}

/// What a stopped clock shows; `None` for one that goes on: the processor's time, which nobody simulates.
fn shown(clock: libc::clockid_t) -> Option<libc::timespec> {
    if !STOPPED.load(Ordering::Acquire) {
        return None;
    }
    let shown = match clock {
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => &CALENDAR,
        libc::CLOCK_MONOTONIC
        | libc::CLOCK_MONOTONIC_RAW
        | libc::CLOCK_MONOTONIC_COARSE
        | libc::CLOCK_BOOTTIME => &MONOTONIC,
        _ => return None,
    };
    Some(libc::timespec {
        tv_sec: shown[0].load(Ordering::Relaxed),
        tv_nsec: shown[1].load(Ordering::Relaxed),
    })
}

/// # Safety
/// `out` points at a timespec that may be written.
unsafe fn ask_kernel(clock: libc::clockid_t, out: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the arguments of the call are those of clock_gettime(2), whose safety is the caller's.
    let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, out) };
    if done == 0 { 0 } else { -1 }
}

/// Takes the place of libc's.
///
/// # Safety
/// As of clock_gettime(2): `out` points at a timespec that may be written.
#[unsafe(no_mangle)]
#[inline(never)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, out: *mut libc::timespec) -> libc::c_int {
    match shown(clock) {
        Some(now) => {
            // SAFETY: the caller's promise.
            unsafe { out.write(now) };
            0
        }
        // SAFETY: the caller's promise.
        None => unsafe { ask_kernel(clock, out) },
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::{Duration, Instant, SystemTime};

    use super::*;

    #[test]
    fn clocks_stand_still_until_they_are_let_go() {
        let before = Instant::now();
        sleep(Duration::from_millis(2));
        assert!(Instant::now() > before, "they go while nobody stops them");
        let stopped = stop();
        let (instant, calendar) = (Instant::now(), SystemTime::now());
        sleep(Duration::from_millis(20));
        assert_eq!((Instant::now(), SystemTime::now()), (instant, calendar));
        drop(stopped);
        assert!(Instant::now() >= instant + Duration::from_millis(20));
        assert!(SystemTime::now() > calendar);
    }
}
