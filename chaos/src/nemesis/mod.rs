//! What goes wrong: one fault a file, each of which says how often it bit.
//!
//! A nemesis is made, begun on a target, and ended; what it has done is undone by its end. Should a run break off, its drop
//! lets go of what it holds (rules, tracers, threads, stopped processes). Its names are those of the simulator's faults where both know the fault (`docs/simulation.md`).

mod bandwidth;
mod bit_flip;
mod catalogue;
mod clock_jump;
mod clock_skew;
mod connection_flood;
mod cpu_quota;
mod crash_loop;
mod damage;
mod disk_error;
mod disk_full;
mod firewall;
mod flap;
mod injection;
mod isolate;
mod kill;
mod loss;
mod lost_snapshot;
mod one_way;
mod pause;
mod power_cut;
mod reset;
mod restart;
mod rolling;
mod slow_disk;
mod slow_links;
mod slow_readers;
mod torn_tail;

use std::fmt;

use ostraka_sim_model::plan::Target;
use serde::Serialize;

pub use bandwidth::Bandwidth;
pub use bit_flip::BitFlip;
pub use catalogue::{ALL, Kind, Needs, StreamOf, asked_for, named};
pub use clock_jump::ClockJump;
pub use clock_skew::ClockSkew;
pub use connection_flood::ConnectionFlood;
pub use cpu_quota::CpuQuota;
pub use crash_loop::CrashLoop;
pub use disk_error::{DiskError, On};
pub use disk_full::DiskFull;
pub use flap::Flap;
pub use isolate::Isolate;
pub use kill::Kill;
pub use loss::Loss;
pub use lost_snapshot::LostSnapshot;
pub use one_way::{Lost, OneWay};
pub use pause::Pause;
pub use power_cut::{Blackout, PowerCut};
pub(crate) use power_cut::{Cut, First};
pub use reset::Reset;
pub use restart::Restart;
pub use rolling::Rolling;
pub use slow_disk::SlowDisk;
pub use slow_links::SlowLinks;
pub use slow_readers::SlowReaders;
pub use torn_tail::TornTail;

pub(crate) use firewall::{Firewall, Rules, rule};
pub(crate) use injection::{Injection, Tampering};
pub(crate) use slow_links::Delaying;

use crate::Trouble;
use crate::rig::Rig;

/// One way to do harm.
pub trait Nemesis: Send {
    fn name(&self) -> &'static str;

    /// Begins to do harm, and says what was felt of it at once.
    ///
    /// # Errors
    /// [`Trouble::Missing`] where it cannot be tested on this machine or this rig; nothing has been done then.
    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble>;

    /// Ends it and undoes it: processes that it took down are started again, though perhaps not ready yet. Says what was
    /// felt from the beginning on.
    ///
    /// # Errors
    /// Where it cannot be undone.
    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble>;
}

/// How often a nemesis bit, counted where the harm is done and not where it was ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Felt {
    pub bites: u64,
    /// What is counted, in the plural.
    pub of: &'static str,
    /// What else was seen.
    pub note: String,
}

impl Felt {
    pub(crate) fn new(bites: u64, of: &'static str) -> Self {
        Self {
            bites,
            of,
            note: String::new(),
        }
    }

    #[must_use]
    pub(crate) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Whether it did any harm; a run in which it did not proves nothing.
    pub fn bit(&self) -> bool {
        self.bites > 0
    }
}

impl fmt::Display for Felt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.bites, self.of)?;
        if !self.note.is_empty() {
            write!(f, " ({})", self.note)?;
        }
        Ok(())
    }
}

/// For an end without a beginning.
fn not_begun(name: &str) -> Trouble {
    Trouble::failed(format!("{name} has not begun, so it cannot end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_felt_is_a_sentence() {
        let felt = Felt::new(3, "packets dropped").noting("both ways");
        assert_eq!(felt.to_string(), "3 packets dropped (both ways)");
        assert!(felt.bit());
        assert!(!Felt::new(0, "packets dropped").bit());
    }
}
