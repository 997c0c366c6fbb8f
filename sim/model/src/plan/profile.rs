//! What a seed is biased towards. Swarm testing: a run that does little of everything meets fewer corners than many
//! runs that each do much of something (A. Groce et al., "Swarm Testing", ISSTA 2012).

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Profile {
    /// Some of everything.
    Mixed,
    /// Few faults, if any: what a healthy cluster does, and races of clients.
    Calm,
    /// Events close while many vote.
    CloseRaces,
    /// Leaders are lost again and again.
    Failover,
    Partitions,
    /// Power cuts, failing, slow and full disks.
    Disks,
    /// Wrong clocks, and events with schedules.
    Clocks,
    /// Nodes leave and join, leadership is handed over, snapshots are taken often and logs purged.
    Membership,
    /// Many viewers and overloads.
    Crowd,
}

/// What faults are drawn from: each kind has a weight in each profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Isolate,
    OneWay,
    Flap,
    SlowLinks,
    Loss,
    PowerCut,
    Blackout,
    Kill,
    Restart,
    CrashLoop,
    Hold,
    DiskError,
    SlowDisk,
    DiskFull,
    Rot,
    ClockJump,
    TransferLeadership,
    LeaveAndJoin,
    Overload,
}

const FAMILIES: [Family; 19] = [
    Family::Isolate,
    Family::OneWay,
    Family::Flap,
    Family::SlowLinks,
    Family::Loss,
    Family::PowerCut,
    Family::Blackout,
    Family::Kill,
    Family::Restart,
    Family::CrashLoop,
    Family::Hold,
    Family::DiskError,
    Family::SlowDisk,
    Family::DiskFull,
    Family::Rot,
    Family::ClockJump,
    Family::TransferLeadership,
    Family::LeaveAndJoin,
    Family::Overload,
];

impl Profile {
    pub const ALL: [Profile; 9] = [
        Profile::Mixed,
        Profile::Calm,
        Profile::CloseRaces,
        Profile::Failover,
        Profile::Partitions,
        Profile::Disks,
        Profile::Clocks,
        Profile::Membership,
        Profile::Crowd,
    ];

    /// Least and most faults of a run.
    pub(super) fn faults(self) -> (u64, u64) {
        match self {
            Profile::Calm => (0, 1),
            Profile::CloseRaces => (0, 4),
            Profile::Crowd => (1, 5),
            Profile::Mixed => (1, 8),
            Profile::Failover | Profile::Partitions | Profile::Disks | Profile::Clocks => (2, 7),
            Profile::Membership => (2, 6),
        }
    }

    /// Kinds of faults, each with its weight.
    pub(super) fn families(self) -> Vec<(u64, Family)> {
        FAMILIES
            .iter()
            .map(|family| (if self.favours(*family) { 8 } else { 1 }, *family))
            .collect()
    }

    fn favours(self, family: Family) -> bool {
        use Family::{
            Blackout, ClockJump, CrashLoop, DiskError, DiskFull, Flap, Hold, Isolate, Kill, LeaveAndJoin,
            Loss, OneWay, Overload, PowerCut, Restart, Rot, SlowDisk, SlowLinks, TransferLeadership,
        };
        match self {
            Profile::Mixed | Profile::Calm => true,
            Profile::CloseRaces => matches!(
                family,
                TransferLeadership | Isolate | SlowLinks | ClockJump | Kill
            ),
            Profile::Failover => matches!(
                family,
                Kill | PowerCut | CrashLoop | Hold | Restart | TransferLeadership
            ),
            Profile::Partitions => matches!(family, Isolate | OneWay | Flap | Loss | SlowLinks),
            Profile::Disks => matches!(
                family,
                PowerCut | Blackout | DiskError | SlowDisk | DiskFull | Rot
            ),
            Profile::Clocks => matches!(family, ClockJump | TransferLeadership | Kill | Hold),
            Profile::Membership => matches!(family, LeaveAndJoin | TransferLeadership | Restart | Kill),
            Profile::Crowd => matches!(family, Overload | Kill | Restart | SlowLinks | Isolate),
        }
    }

    /// In percent: events with scheduled openings or closings.
    pub(super) fn scheduled_percent(self) -> u64 {
        match self {
            Profile::Clocks => 80,
            Profile::CloseRaces => 50,
            _ => 30,
        }
    }

    /// In percent: events around whose closing votes come thick and fast.
    pub(super) fn close_race_percent(self) -> u64 {
        match self {
            Profile::CloseRaces => 100,
            Profile::Clocks | Profile::Failover => 60,
            _ => 30,
        }
    }

    /// In percent: clusters that take snapshots after a few entries and keep a short log.
    pub(super) fn purging_percent(self) -> u64 {
        match self {
            Profile::Membership => 90,
            Profile::Disks | Profile::Failover => 70,
            _ => 55,
        }
    }

    /// In percent: clusters whose clocks are wrong from the start.
    pub(super) fn wrong_clocks_percent(self) -> u64 {
        match self {
            Profile::Clocks => 100,
            _ => 40,
        }
    }

    pub(super) fn viewers(self) -> (u64, u64) {
        match self {
            Profile::Crowd => (20, 40),
            _ => (2, 8),
        }
    }
}
