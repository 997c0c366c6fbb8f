//! Which node's process runs, what keeps it down, and the supervisor that starts it again.

use std::collections::BTreeSet;
use std::sync::Arc;

use ostraka_sim_model::history::Life;
use ostraka_sim_model::ids::FaultId;

use super::links::Ill;
use super::machine::Machine;
use super::stage::{Host, SharedStage};

/// A supervisor starts a node that ended by itself after so many milliseconds.
const RESTART_PAUSE_MS: u64 = 300;

pub(crate) struct Processes {
    stage: SharedStage,
    machines: Vec<Arc<Machine>>,
    all: Vec<Process>,
}

#[derive(Default)]
struct Process {
    up: bool,
    /// Its links are cut since its power went.
    powerless: bool,
    /// Faults that keep it from being started again.
    kept_down_by: BTreeSet<FaultId>,
    /// Not started before.
    not_before_ms: u64,
    stop_asked: bool,
}

impl Processes {
    pub(crate) fn new(stage: SharedStage, machines: Vec<Arc<Machine>>) -> Self {
        Self {
            stage,
            all: machines.iter().map(|_| Process::default()).collect(),
            machines,
        }
    }

    /// Takes away processes that have ended, and starts those that may be.
    pub(crate) fn supervise(&mut self, now_ms: u64) {
        for (place, process) in self.all.iter_mut().enumerate() {
            let machine = &self.machines[place];
            if process.up && machine.has_ended() {
                machine.disks.lose_process();
                machine.take_away();
                process.up = false;
                let pause_ms = if process.stop_asked { 0 } else { RESTART_PAUSE_MS };
                process.not_before_ms = now_ms + pause_ms;
                process.stop_asked = false;
            }
            if process.up || !process.kept_down_by.is_empty() || now_ms < process.not_before_ms {
                continue;
            }
            process.up = true;
            machine.replace_if_asked();
            if std::mem::take(&mut process.powerless) {
                let pairs = pairs_with(place, self.machines.len() + 1);
                self.stage.links.lock().cure(None, &pairs);
            }
            machine.start();
        }
    }

    /// The process dies, as by `kill -9`. `false` if there was none.
    pub(crate) fn kill(&mut self, place: usize, fault: FaultId) -> bool {
        if !self.all[place].up {
            return false;
        }
        let machine = &self.machines[place];
        // First the disk: what the process does while it is torn down must not reach it.
        machine.disks.lose_process();
        machine.take_away();
        machine.record(Life::Killed);
        self.put_down(place, fault);
        true
    }

    /// How often it did harm: the node itself, and each change that its disk has lost.
    pub(crate) fn cut_power(&mut self, place: usize, kept: u32, fault: FaultId) -> u64 {
        if !self.all[place].up {
            return 0;
        }
        // First the network: a machine without power says goodbye to nobody.
        let pairs = pairs_with(place, self.machines.len() + 1);
        self.stage.links.lock().make_ill(None, &pairs, Ill::Cut);
        let machine = &self.machines[place];
        machine.lose_power();
        let (lost, kept) = machine.disks.lose_power(kept);
        machine.take_away();
        machine.record(Life::LostPower { lost, kept });
        self.put_down(place, fault);
        self.all[place].powerless = true;
        1 + lost
    }

    /// Tells it to stop. `false` if there was nobody to tell.
    pub(crate) fn stop(&mut self, place: usize, fault: FaultId) -> bool {
        let process = &mut self.all[place];
        if process.up {
            process.kept_down_by.insert(fault);
            process.stop_asked = true;
            self.machines[place].ask_to_stop();
        }
        process.up
    }

    fn put_down(&mut self, place: usize, fault: FaultId) {
        let process = &mut self.all[place];
        process.up = false;
        process.stop_asked = false;
        process.not_before_ms = 0;
        process.kept_down_by.insert(fault);
    }

    /// A node that ends while this lasts stays down.
    pub(crate) fn keep_down(&mut self, place: usize, fault: FaultId) {
        self.all[place].kept_down_by.insert(fault);
    }

    /// The fault keeps it down no longer, and nothing makes it wait past `now_ms`.
    pub(crate) fn release(&mut self, place: usize, fault: FaultId, now_ms: u64) {
        let process = &mut self.all[place];
        process.kept_down_by.remove(&fault);
        process.not_before_ms = process.not_before_ms.min(now_ms);
    }
}

/// Both ways between `place` and every one of the first `others` hosts.
pub(crate) fn pairs_with(place: usize, others: usize) -> Vec<(Host, Host)> {
    (0..others)
        .filter(|other| *other != place)
        .flat_map(|other| [(Host(place), Host(other)), (Host(other), Host(place))])
        .collect()
}
