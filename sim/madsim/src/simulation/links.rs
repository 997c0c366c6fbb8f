//! Which links are cut, held, slow or lossy at the moment, on whose account, and how often that did harm.
//!
//! Faults overlap, so a link is whole again only when the last fault on it has ended.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use ostraka_sim_model::ids::FaultId;
use ostraka_sim_model::plan::Plan;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::chance::{Purpose, seed_of};
use super::stage::Host;

/// What a fault does to the messages from one host to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ill {
    /// They are lost, and sent again until one arrives.
    Cut,
    /// They wait until it is over.
    Held,
    /// They take this many milliseconds longer.
    Slow(u32),
}

/// What becomes of a message that is sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    Arrives(Duration),
    Waits,
    Lost,
}

/// Who makes a link ill. `None`: a host without power, which is no news.
type Cause = Option<FaultId>;

pub(crate) struct Links {
    hosts: usize,
    /// By sender and receiver.
    ills: Vec<Vec<(Cause, Ill)>>,
    losses: Vec<(FaultId, u32)>,
    latency_micros: RangeInclusive<u64>,
    chance: StdRng,
    bites: BTreeMap<FaultId, u64>,
}

impl Links {
    pub(crate) fn new(plan: &Plan) -> Self {
        let knobs = &plan.knobs;
        let hosts = usize::from(knobs.nodes) + 1;
        let (least, most) = (knobs.link_latency_ms_min, knobs.link_latency_ms_max);
        Self {
            hosts,
            ills: vec![Vec::new(); hosts * hosts],
            losses: Vec::new(),
            latency_micros: u64::from(least) * 1_000..=u64::from(most) * 1_000,
            chance: StdRng::seed_from_u64(seed_of(plan.seed, Purpose::Network)),
            bites: BTreeMap::new(),
        }
    }

    fn place(&self, from: Host, to: Host) -> usize {
        from.0 * self.hosts + to.0
    }

    fn bite(&mut self, cause: Cause) {
        if let Some(fault) = cause {
            *self.bites.entry(fault).or_default() += 1;
        }
    }

    /// Harm that was not done by a link.
    pub(crate) fn note_bite(&mut self, fault: FaultId) {
        self.bite(Some(fault));
    }

    pub(crate) fn bites(&self, fault: FaultId) -> u64 {
        self.bites.get(&fault).copied().unwrap_or(0)
    }

    pub(crate) fn make_ill(&mut self, cause: Cause, pairs: &[(Host, Host)], ill: Ill) {
        for (from, to) in pairs {
            let place = self.place(*from, *to);
            self.ills[place].push((cause, ill));
        }
    }

    pub(crate) fn cure(&mut self, cause: Cause, pairs: &[(Host, Host)]) {
        for (from, to) in pairs {
            let place = self.place(*from, *to);
            self.ills[place].retain(|(by, _)| *by != cause);
        }
    }

    pub(crate) fn begin_losses(&mut self, fault: FaultId, ppm: u32) {
        self.losses.push((fault, ppm));
    }

    pub(crate) fn end_losses(&mut self, fault: FaultId) {
        self.losses.retain(|(other, _)| *other != fault);
    }

    /// What becomes of a message; whatever harms it has bitten once more.
    pub(crate) fn send(&mut self, from: Host, to: Host) -> Passage {
        let ills = self.ills[self.place(from, to)].clone();
        let mut slow_ms = 0;
        let mut passage = None;
        for (cause, ill) in ills {
            self.bite(cause);
            match ill {
                Ill::Cut => passage = Some(Passage::Lost),
                Ill::Held => passage = passage.or(Some(Passage::Waits)),
                Ill::Slow(ms) => slow_ms += u64::from(ms),
            }
        }
        if let Some(passage) = passage {
            return passage;
        }
        if self.loses(from, to) {
            return Passage::Lost;
        }
        let micros = self.chance.random_range(self.latency_micros.clone());
        Passage::Arrives(Duration::from_micros(micros) + Duration::from_millis(slow_ms))
    }

    /// Draws whether a message between nodes is lost on its way.
    fn loses(&mut self, from: Host, to: Host) -> bool {
        let clients = self.hosts - 1;
        let Some((fault, ppm)) = self.losses.last().copied() else {
            return false;
        };
        if from.0 == clients || to.0 == clients {
            return false;
        }
        let lost = self.chance.random_range(0..1_000_000) < ppm;
        if lost {
            self.bite(Some(fault));
        }
        lost
    }
}
