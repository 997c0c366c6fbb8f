//! Which links are cut, held, slow or lossy at the moment, on whose account, and how often that did harm.
//!
//! Faults overlap, so a link is whole again only when the last fault on it has ended.

use std::collections::BTreeMap;
use std::time::Duration;

use ostraka_sim_model::ids::{FaultId, Seed};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use turmoil::Sim;

use crate::chance::{Purpose, seed_of};
use crate::stage::{Host, Stage};

/// What a fault does to the messages from one host to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ill {
    /// They are lost, and what is under way as well.
    Cut,
    /// They wait until it is over. Both ways, always.
    Held,
    /// They take this many milliseconds longer. Both ways, always.
    Slow(u32),
}

/// Who makes a link ill. `None`: a host without power, which is no news.
type Cause = Option<FaultId>;

pub(crate) struct Links {
    hosts: usize,
    /// By sender and receiver.
    ills: Vec<Vec<(Cause, Ill)>>,
    held: Vec<bool>,
    losses: Vec<(FaultId, u32)>,
    chance: StdRng,
    bites: BTreeMap<FaultId, u64>,
}

impl Links {
    pub(crate) fn new(nodes: usize, seed: Seed) -> Self {
        let hosts = nodes + 1;
        Self {
            hosts,
            ills: vec![Vec::new(); hosts * hosts],
            held: vec![false; hosts * hosts],
            losses: Vec::new(),
            chance: StdRng::seed_from_u64(seed_of(seed, Purpose::Losses)),
            bites: BTreeMap::new(),
        }
    }

    fn place(&self, from: Host, to: Host) -> usize {
        from.0 * self.hosts + to.0
    }

    fn bite(&mut self, cause: Cause, times: u64) {
        if let Some(fault) = cause {
            *self.bites.entry(fault).or_default() += times;
        }
    }

    /// Harm that was not done by a link.
    pub(crate) fn note_bite(&mut self, fault: FaultId) {
        self.bite(Some(fault), 1);
    }

    pub(crate) fn bites(&self, fault: FaultId) -> u64 {
        self.bites.get(&fault).copied().unwrap_or(0)
    }

    /// A message was sent.
    pub(crate) fn sent(&mut self, from: Host, to: Host) {
        for at in 0..self.ills[self.place(from, to)].len() {
            let (cause, _) = self.ills[self.place(from, to)][at];
            self.bite(cause, 1);
        }
    }

    /// A connection was tried. `true` if neither side can have heard of the other.
    pub(crate) fn attempt(&mut self, from: Host, to: Host) -> bool {
        let is_cut = |links: &Self, from, to| {
            links.ills[links.place(from, to)]
                .iter()
                .any(|(_, ill)| *ill == Ill::Cut)
        };
        let cut = is_cut(self, from, to) || is_cut(self, to, from);
        if cut {
            self.sent(from, to);
        }
        cut
    }

    /// Draws whether a message between nodes is lost on its way.
    pub(crate) fn loses(&mut self, from: Host, to: Host) -> bool {
        let clients = self.hosts - 1;
        if self.losses.is_empty() || from.0 == clients || to.0 == clients {
            return false;
        }
        let (fault, ppm) = self.losses[self.losses.len() - 1];
        let lost = self.chance.random_range(0..1_000_000) < ppm;
        if lost {
            self.bite(Some(fault), 1);
        }
        lost
    }

    pub(crate) fn begin_losses(&mut self, fault: FaultId, ppm: u32) {
        self.losses.push((fault, ppm));
    }

    pub(crate) fn end_losses(&mut self, fault: FaultId) {
        self.losses.retain(|(other, _)| *other != fault);
    }

    fn worst(&self, from: Host, to: Host) -> Condition {
        let ills = &self.ills[self.place(from, to)];
        let mut condition = Condition::default();
        for (_, ill) in ills {
            match ill {
                Ill::Cut => condition.cut = true,
                Ill::Held => condition.held = true,
                Ill::Slow(extra_ms) => condition.extra_ms += extra_ms,
            }
        }
        condition
    }
}

#[derive(Default)]
struct Condition {
    cut: bool,
    held: bool,
    extra_ms: u32,
}

impl Stage {
    /// Makes the messages of each pair ill, in that direction.
    pub(crate) fn make_ill(&self, sim: &mut Sim<'_>, cause: Cause, pairs: &[(Host, Host)], ill: Ill) {
        for &(from, to) in pairs {
            let under_way = match ill {
                Ill::Cut => self.under_way(sim, from, to),
                Ill::Held | Ill::Slow(_) => 0,
            };
            let mut links = self.links.lock();
            links.bite(cause, under_way);
            let place = links.place(from, to);
            links.ills[place].push((cause, ill));
        }
        self.renew(sim, pairs);
    }

    /// Takes back what `cause` has done to each pair.
    pub(crate) fn cure(&self, sim: &mut Sim<'_>, cause: Cause, pairs: &[(Host, Host)]) {
        for &(from, to) in pairs {
            let mut links = self.links.lock();
            let place = links.place(from, to);
            links.ills[place].retain(|(other, _)| *other != cause);
        }
        self.renew(sim, pairs);
    }

    /// Messages that are on their way.
    fn under_way(&self, sim: &Sim<'_>, from: Host, to: Host) -> u64 {
        let (from, to) = (self.name_of(from), self.name_of(to));
        let (from, to) = (sim.lookup(from), sim.lookup(to));
        let mut messages = 0;
        sim.links(|links| {
            for sent in links.flatten() {
                let (source, destination) = sent.pair();
                messages += u64::from(source.ip() == from && destination.ip() == to);
            }
        });
        messages
    }

    fn name_of(&self, host: Host) -> String {
        if host == self.clients_host() {
            crate::drive::CLIENTS.to_owned()
        } else {
            Stage::host_name(host)
        }
    }

    /// Tells turmoil what the links of these pairs are like now.
    fn renew(&self, sim: &mut Sim<'_>, pairs: &[(Host, Host)]) {
        for &(from, to) in pairs {
            let (there, back, was_held) = {
                let mut links = self.links.lock();
                let (there, back) = (links.worst(from, to), links.worst(to, from));
                let place = links.place(Host(from.0.min(to.0)), Host(from.0.max(to.0)));
                let held = (there.held || back.held) && !there.cut && !back.cut;
                (there, back, std::mem::replace(&mut links.held[place], held))
            };
            let (a, b) = (self.name_of(from), self.name_of(to));
            let is_held = (there.held || back.held) && !there.cut && !back.cut;
            if was_held && !is_held {
                sim.release(a.as_str(), b.as_str());
            }
            for (cut, from, to) in [(there.cut, &a, &b), (back.cut, &b, &a)] {
                if cut {
                    sim.partition_oneway(from.as_str(), to.as_str());
                } else if !is_held {
                    sim.repair_oneway(from.as_str(), to.as_str());
                }
            }
            if is_held && !was_held {
                sim.hold(a.as_str(), b.as_str());
            }
            let knobs = &self.plan.knobs;
            let extra_ms = there.extra_ms.max(back.extra_ms);
            let latency = |ms: u32| Duration::from_millis(u64::from(ms) + u64::from(extra_ms));
            // The first sets both bounds, the second widens them.
            sim.set_link_latency(a.as_str(), b.as_str(), latency(knobs.link_latency_ms_min));
            sim.set_link_max_message_latency(a.as_str(), b.as_str(), latency(knobs.link_latency_ms_max));
        }
    }
}
