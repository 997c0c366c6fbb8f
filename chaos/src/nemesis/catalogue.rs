//! All nemeses by their names, with what each needs of a rig.

use std::path::Path;
use std::time::Duration;

use ostraka_core::EventId;
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::{
    Bandwidth, BitFlip, Blackout, ClockJump, ClockSkew, ConnectionFlood, CpuQuota, CrashLoop, DiskError,
    DiskFull, Flap, Isolate, Kill, Loss, Lost, LostSnapshot, Nemesis, On, OneWay, Pause, PowerCut, Reset,
    Restart, Rolling, SlowDisk, SlowLinks, SlowReaders, TornTail,
};
use crate::Trouble;
use crate::rig::Fs;

/// A stream that somebody may watch.
#[derive(Clone)]
pub struct StreamOf {
    pub event: EventId,
    /// A user's token.
    pub token: String,
}

/// What a rig must have besides nodes and a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Disks of the nodes' own.
    pub disks: bool,
    /// Clocks that can be moved.
    pub clocks: bool,
    /// Snapshots after a few entries already.
    pub snapshots: bool,
    /// Another build of the service.
    pub upgrade: bool,
}

/// One nemesis as it is when nobody says otherwise.
pub struct Kind {
    pub name: &'static str,
    pub target: Target,
    /// How long it is left on.
    pub lasts: Duration,
    pub needs: Needs,
    make: fn(StreamOf) -> Box<dyn Nemesis>,
}

impl Kind {
    pub fn make(&self, stream: StreamOf) -> Box<dyn Nemesis> {
        (self.make)(stream)
    }

    /// Whether nodes on such a file system can have it, and whether there is the build that it wants.
    ///
    /// # Errors
    /// [`Trouble::Missing`] where not, with what is missing.
    pub fn check_possible(&self, fs: Fs, upgrade_to: Option<&Path>) -> Result<(), Trouble> {
        let name = self.name;
        if self.needs.disks && fs == Fs::Host {
            return Err(Trouble::missing(format!(
                "{name} needs a disk for each node: --fs xfs or --fs ext4"
            )));
        }
        match upgrade_to {
            _ if !self.needs.upgrade => Ok(()),
            Some(build) if build.is_file() => Ok(()),
            Some(build) => Err(Trouble::missing(format!(
                "{name} needs another build of the service, and there is no {}",
                build.display()
            ))),
            None => Err(Trouble::missing(format!(
                "{name} needs another build of the service: chaos run --nemesis {name} --upgrade-to BUILD"
            ))),
        }
    }
}

const NOTHING: Needs = Needs {
    disks: false,
    clocks: false,
    snapshots: false,
    upgrade: false,
};
const DISKS: Needs = Needs {
    disks: true,
    ..NOTHING
};
const CLOCKS: Needs = Needs {
    clocks: true,
    ..NOTHING
};
const SNAPSHOTS: Needs = Needs {
    snapshots: true,
    ..NOTHING
};

const UPGRADE: Needs = Needs {
    upgrade: true,
    ..NOTHING
};

const fn kind(
    name: &'static str,
    target: Target,
    lasts_s: u64,
    needs: Needs,
    make: fn(StreamOf) -> Box<dyn Nemesis>,
) -> Kind {
    Kind {
        name,
        target,
        lasts: Duration::from_secs(lasts_s),
        needs,
        make,
    }
}

/// For those that concern all nodes.
const ANYBODY: Target = Target::Node(NodeIndex(0));

/// Every nemesis there is.
pub const ALL: &[Kind] = &[
    kind("kill", Target::Leader, 3, NOTHING, |_| Box::new(Kill::default())),
    kind(
        "pause",
        Target::Leader,
        3,
        NOTHING,
        |_| Box::new(Pause::default()),
    ),
    kind("crash-loop", Target::Follower, 6, NOTHING, |_| {
        Box::new(CrashLoop::default())
    }),
    kind("restart", Target::Leader, 2, NOTHING, |_| {
        Box::new(Restart::default())
    }),
    kind("rolling-restart", ANYBODY, 8, NOTHING, |_| {
        Box::new(Rolling::restart())
    }),
    kind("rolling-upgrade", ANYBODY, 8, UPGRADE, |_| {
        Box::new(Rolling::upgrade())
    }),
    kind("isolate", Target::Leader, 4, NOTHING, |_| {
        Box::new(Isolate::default())
    }),
    kind("one-way", Target::Leader, 4, NOTHING, |_| {
        Box::new(OneWay::new(Lost::Sent, None))
    }),
    kind("one-way-in", Target::Leader, 4, NOTHING, |_| {
        Box::new(OneWay::new(Lost::Received, None))
    }),
    kind("flap", Target::Leader, 6, NOTHING, |_| Box::new(Flap::default())),
    kind("loss", Target::Leader, 5, NOTHING, |_| Box::new(Loss::default())),
    kind(
        "reset",
        Target::Leader,
        4,
        NOTHING,
        |_| Box::new(Reset::default()),
    ),
    kind("slow-links", Target::Leader, 5, NOTHING, |_| {
        Box::new(SlowLinks::default())
    }),
    kind("bandwidth", Target::Leader, 5, NOTHING, |_| {
        Box::new(Bandwidth::default())
    }),
    kind("power-cut", Target::Leader, 3, DISKS, |_| {
        Box::new(PowerCut::default())
    }),
    kind("blackout", ANYBODY, 2, DISKS, |_| Box::new(Blackout::default())),
    kind("disk-full", Target::Leader, 4, DISKS, |_| {
        Box::new(DiskFull::default())
    }),
    kind("disk-error", Target::Leader, 4, NOTHING, |_| {
        Box::new(DiskError::new(On::Barrier))
    }),
    kind("disk-error-on-write", Target::Leader, 4, NOTHING, |_| {
        Box::new(DiskError::new(On::Write))
    }),
    kind("slow-disk", Target::Leader, 5, NOTHING, |_| {
        Box::new(SlowDisk::default())
    }),
    kind("bit-flip", Target::Follower, 1, NOTHING, |_| {
        Box::new(BitFlip::default())
    }),
    kind("torn-tail", Target::Follower, 1, NOTHING, |_| {
        Box::new(TornTail::default())
    }),
    kind("lost-snapshot", Target::Follower, 1, SNAPSHOTS, |_| {
        Box::new(LostSnapshot::default())
    }),
    kind("clock-jump", Target::Leader, 3, CLOCKS, |_| {
        Box::new(ClockJump::default())
    }),
    kind("clock-skew", ANYBODY, 3, CLOCKS, |_| {
        Box::new(ClockSkew::default())
    }),
    kind("cpu-quota", Target::Leader, 5, NOTHING, |_| {
        Box::new(CpuQuota::default())
    }),
    kind("slow-readers", Target::Follower, 4, NOTHING, |stream| {
        Box::new(SlowReaders::new(stream))
    }),
    kind("connection-flood", Target::Leader, 4, NOTHING, |_| {
        Box::new(ConnectionFlood::default())
    }),
];

pub fn named(name: &str) -> Option<&'static Kind> {
    ALL.iter().find(|kind| kind.name == name)
}

/// One that somebody asked for.
///
/// # Errors
/// [`Trouble::Usage`] where there is none of that name.
pub fn asked_for(name: &str) -> Result<&'static Kind, Trouble> {
    named(name)
        .ok_or_else(|| Trouble::usage(format!("there is no nemesis {name}; `chaos nemesis` lists them")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_nemesis_that_calls_itself_so() {
        for kind in ALL {
            let stream = StreamOf {
                event: EventId(1),
                token: String::new(),
            };
            assert_eq!(kind.make(stream).name(), kind.name);
            assert_eq!(ALL.iter().filter(|other| other.name == kind.name).count(), 1);
            assert!(named(kind.name).is_some());
        }
        assert!(named("plague").is_none());
    }
}
