//! What goes wrong, and when: begins and ends the plan's faults, and starts nodes again that are down.

mod machines;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use ostraka_sim_model::errand::Errand;
use ostraka_sim_model::history::{Happening, Life};
use ostraka_sim_model::ids::{FaultId, NodeIndex};
use ostraka_sim_model::plan::{Fault, FaultKind, Target};
use tokio::sync::mpsc::UnboundedSender;
use turmoil::Sim;

use crate::disks::Terms;
use crate::links::Ill;
use crate::machine::Machine;
use crate::stage::{Host, SharedStage, Stage};

/// A supervisor starts a node that ended by itself after so many milliseconds.
const RESTART_PAUSE_MS: u64 = 300;

pub(crate) struct Nemesis {
    stage: SharedStage,
    machines: Vec<Arc<Machine>>,
    terms: Terms,
    errands: UnboundedSender<Errand>,
    processes: Vec<Process>,
    coming: VecDeque<Fault>,
    under_way: BTreeMap<FaultId, UnderWay>,
}

/// The process of a node.
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

struct UnderWay {
    fault: Fault,
    nodes: Vec<usize>,
    pairs: Vec<(Host, Host)>,
    /// Harm that is not counted at the links.
    bites: u64,
    /// A counter of the machine's, as it stood at the beginning.
    counter: u64,
    /// For faults that come and go: when next, and whether it is there.
    turns_at_ms: u64,
    is_on: bool,
}

impl Nemesis {
    pub(crate) fn new(
        stage: SharedStage,
        machines: Vec<Arc<Machine>>,
        terms: Terms,
        errands: UnboundedSender<Errand>,
    ) -> Self {
        let process = || Process {
            up: true,
            powerless: false,
            kept_down_by: BTreeSet::new(),
            not_before_ms: 0,
            stop_asked: false,
        };
        Self {
            processes: machines.iter().map(|_| process()).collect(),
            coming: stage.plan.faults.iter().cloned().collect(),
            stage,
            machines,
            terms,
            errands,
            under_way: BTreeMap::new(),
        }
    }

    /// What is due at `now_ms` of the plan's time.
    pub(crate) fn act(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        let over: Vec<FaultId> = self
            .under_way
            .values()
            .filter(|under_way| ends_at(&under_way.fault) <= now_ms)
            .map(|under_way| under_way.fault.id)
            .collect();
        for fault in over {
            self.end(sim, fault, now_ms);
        }
        self.take_turns(sim, now_ms);
        while self.coming.front().is_some_and(|fault| fault.at_ms.0 <= now_ms) {
            let fault = self.coming.pop_front().expect("looked at above");
            self.begin(sim, fault, now_ms);
        }
        self.supervise(sim, now_ms);
    }

    /// Ends all that is not over yet: the storm is.
    pub(crate) fn calm(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        self.coming.clear();
        let all: Vec<FaultId> = self.under_way.keys().copied().collect();
        for fault in all {
            self.end(sim, fault, now_ms);
        }
        self.stage.record(Happening::StormOver);
    }

    /// Takes away processes that have ended, and starts those that may be.
    pub(crate) fn supervise(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        for place in 0..self.machines.len() {
            let machine = self.machines[place].clone();
            let name = Stage::host_name(Host(place));
            if self.processes[place].up && machine.has_ended() {
                machine.disks.lose_process();
                sim.crash(name.as_str());
                let process = &mut self.processes[place];
                process.up = false;
                let pause_ms = if process.stop_asked { 0 } else { RESTART_PAUSE_MS };
                process.not_before_ms = now_ms + pause_ms;
                process.stop_asked = false;
            }
            let process = &mut self.processes[place];
            if process.up || !process.kept_down_by.is_empty() || now_ms < process.not_before_ms {
                continue;
            }
            process.up = true;
            machine.replace_if_asked();
            if std::mem::take(&mut process.powerless) {
                self.stage.cure(sim, None, &self.pairs_with_all(place));
            }
            sim.bounce(name.as_str());
        }
    }

    /// A step of the simulation broke off: some process has panicked outside of any task.
    pub(crate) fn bury_the_dead(&mut self, sim: &mut Sim<'_>, why: &str, now_ms: u64) {
        for place in 0..self.machines.len() {
            let name = Stage::host_name(Host(place));
            if self.processes[place].up && !sim.is_host_running(name.as_str()) {
                self.machines[place].disks.lose_process();
                self.machines[place].record(Life::Failed(format!("it panicked: {why}")));
                self.processes[place].up = false;
                self.processes[place].not_before_ms = now_ms + RESTART_PAUSE_MS;
            }
        }
    }

    fn resolve(&self, target: Target) -> usize {
        let terms = self.terms.lock();
        let newest = terms.iter().max().copied().unwrap_or(0);
        let leader = terms.iter().position(|term| *term == newest).unwrap_or(0);
        match target {
            Target::Node(node) => usize::from(node.0),
            Target::Leader => leader,
            Target::Follower => (leader + 1) % self.machines.len(),
        }
    }

    fn pairs_with(&self, place: usize, others: usize) -> Vec<(Host, Host)> {
        (0..others)
            .filter(|other| *other != place)
            .flat_map(|other| [(Host(place), Host(other)), (Host(other), Host(place))])
            .collect()
    }

    /// With the other nodes: clients still reach the node.
    fn pairs_with_nodes(&self, place: usize) -> Vec<(Host, Host)> {
        self.pairs_with(place, self.machines.len())
    }

    fn pairs_with_all(&self, place: usize) -> Vec<(Host, Host)> {
        self.pairs_with(place, self.machines.len() + 1)
    }

    /// The process dies, as by `kill -9`. `false` if there was none.
    fn kill(&mut self, sim: &mut Sim<'_>, place: usize, fault: FaultId) -> bool {
        if !self.processes[place].up {
            return false;
        }
        let machine = &self.machines[place];
        // First the disk: what the process does while it is torn down must not reach it.
        machine.disks.lose_process();
        sim.crash(Stage::host_name(Host(place)).as_str());
        machine.record(Life::Killed);
        self.put_down(place, fault);
        true
    }

    fn cut_power(&mut self, sim: &mut Sim<'_>, place: usize, kept: u32, fault: FaultId) -> u64 {
        if !self.processes[place].up {
            return 0;
        }
        // First the network: a machine without power says goodbye to nobody.
        let pairs = self.pairs_with_all(place);
        self.stage.make_ill(sim, None, &pairs, Ill::Cut);
        let machine = &self.machines[place];
        let (lost, kept) = machine.disks.lose_power(kept);
        sim.crash(Stage::host_name(Host(place)).as_str());
        machine.record(Life::LostPower { lost, kept });
        self.put_down(place, fault);
        self.processes[place].powerless = true;
        1 + lost
    }

    fn put_down(&mut self, place: usize, fault: FaultId) {
        let process = &mut self.processes[place];
        process.up = false;
        process.stop_asked = false;
        process.not_before_ms = 0;
        process.kept_down_by.insert(fault);
    }

    /// A node that ends while this lasts stays down.
    fn keep_down(&mut self, place: usize, fault: FaultId) {
        self.processes[place].kept_down_by.insert(fault);
    }

    fn begin(&mut self, sim: &mut Sim<'_>, fault: Fault, now_ms: u64) {
        let id = fault.id;
        let mut under_way = UnderWay {
            nodes: Vec::new(),
            pairs: Vec::new(),
            bites: 0,
            counter: 0,
            turns_at_ms: u64::MAX,
            is_on: true,
            fault,
        };
        let kind = under_way.fault.kind.clone();
        let hit = match &kind {
            FaultKind::Isolate { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Flap { .. }
            | FaultKind::SlowLinks { .. }
            | FaultKind::Hold { .. }
            | FaultKind::Loss { .. } => self.begin_at_links(sim, &mut under_way, now_ms),
            FaultKind::PowerCut { .. }
            | FaultKind::Blackout { .. }
            | FaultKind::Kill { .. }
            | FaultKind::Restart { .. }
            | FaultKind::CrashLoop { .. } => self.begin_at_process(sim, &mut under_way, now_ms),
            FaultKind::DiskError { .. }
            | FaultKind::SlowDisk { .. }
            | FaultKind::DiskFull { .. }
            | FaultKind::ClockJump { .. } => Some(self.begin_at_machine(&mut under_way)),
            FaultKind::Rot { target } => Some(self.let_rot(sim, &mut under_way, *target)),
            FaultKind::TransferLeadership { .. }
            | FaultKind::LeaveAndJoin { .. }
            | FaultKind::Overload { .. } => self.send_errand(&under_way.fault),
        };
        let node = hit.map(|place| NodeIndex(place as u8));
        self.stage.record(Happening::FaultBegan { fault: id, node });
        self.under_way.insert(id, under_way);
    }

    fn begin_at_links(&mut self, sim: &mut Sim<'_>, under_way: &mut UnderWay, now_ms: u64) -> Option<usize> {
        let id = under_way.fault.id;
        let (place, pairs, ill) = match &under_way.fault.kind {
            FaultKind::Isolate { target } => {
                let place = self.resolve(*target);
                (place, self.pairs_with_nodes(place), Ill::Cut)
            }
            FaultKind::Flap { target, period_ms } => {
                let place = self.resolve(*target);
                under_way.turns_at_ms = now_ms + period_ms.0;
                (place, self.pairs_with_nodes(place), Ill::Cut)
            }
            FaultKind::OneWay { from, to } => {
                let (from, to) = (self.resolve(*from), self.resolve(*to));
                let pairs = if from == to {
                    Vec::new()
                } else {
                    vec![(Host(from), Host(to))]
                };
                (from, pairs, Ill::Cut)
            }
            FaultKind::SlowLinks { target, extra_ms } => {
                let place = self.resolve(*target);
                (place, self.pairs_with_all(place), Ill::Slow(*extra_ms))
            }
            FaultKind::Hold { target } => {
                let place = self.resolve(*target);
                (place, self.pairs_with_all(place), Ill::Held)
            }
            FaultKind::Loss { ppm } => {
                self.stage.links.lock().begin_losses(id, *ppm);
                return None;
            }
            other => unreachable!("{other:?} is not a matter of links"),
        };
        self.stage.make_ill(sim, Some(id), &pairs, ill);
        under_way.pairs = pairs;
        under_way.nodes = vec![place];
        Some(place)
    }

    fn begin_at_process(
        &mut self,
        sim: &mut Sim<'_>,
        under_way: &mut UnderWay,
        now_ms: u64,
    ) -> Option<usize> {
        let id = under_way.fault.id;
        let kind = under_way.fault.kind.clone();
        let (place, bites) = match kind {
            FaultKind::Blackout { kept } => {
                under_way.nodes = (0..self.machines.len()).collect();
                for place in under_way.nodes.clone() {
                    under_way.bites += self.cut_power(sim, place, kept, id);
                }
                return None;
            }
            FaultKind::PowerCut { target, kept } => {
                let place = self.resolve(target);
                (place, self.cut_power(sim, place, kept, id))
            }
            FaultKind::Kill { target } => {
                let place = self.resolve(target);
                (place, u64::from(self.kill(sim, place, id)))
            }
            FaultKind::CrashLoop { target, period_ms } => {
                let place = self.resolve(target);
                under_way.turns_at_ms = now_ms + period_ms.0.div_ceil(2);
                (place, u64::from(self.kill(sim, place, id)))
            }
            FaultKind::Restart { target } => {
                let place = self.resolve(target);
                let up = self.processes[place].up;
                if up {
                    self.keep_down(place, id);
                    self.processes[place].stop_asked = true;
                    self.machines[place].ask_to_stop();
                }
                (place, u64::from(up))
            }
            other => unreachable!("{other:?} is not a matter of processes"),
        };
        under_way.nodes = vec![place];
        under_way.bites = bites;
        (bites > 0).then_some(place)
    }

    fn take_turns(&mut self, sim: &mut Sim<'_>, now_ms: u64) {
        let due: Vec<FaultId> = self
            .under_way
            .values()
            .filter(|under_way| under_way.turns_at_ms <= now_ms)
            .map(|under_way| under_way.fault.id)
            .collect();
        for id in due {
            let mut under_way = self.under_way.remove(&id).expect("found above");
            under_way.is_on = !under_way.is_on;
            match under_way.fault.kind {
                FaultKind::Flap { period_ms, .. } => {
                    under_way.turns_at_ms = now_ms + period_ms.0;
                    if under_way.is_on {
                        self.stage.make_ill(sim, Some(id), &under_way.pairs, Ill::Cut);
                    } else {
                        self.stage.cure(sim, Some(id), &under_way.pairs);
                    }
                }
                FaultKind::CrashLoop { period_ms, .. } => {
                    let place = under_way.nodes[0];
                    under_way.turns_at_ms = now_ms + period_ms.0.div_ceil(2);
                    if under_way.is_on {
                        under_way.bites += u64::from(self.kill(sim, place, id));
                    } else {
                        self.processes[place].kept_down_by.remove(&id);
                    }
                }
                ref other => unreachable!("{other:?} does not come and go"),
            }
            self.under_way.insert(id, under_way);
        }
    }

    fn end(&mut self, sim: &mut Sim<'_>, id: FaultId, now_ms: u64) {
        let under_way = self.under_way.remove(&id).expect("it is under way");
        self.stage.cure(sim, Some(id), &under_way.pairs);
        for place in &under_way.nodes {
            self.processes[*place].kept_down_by.remove(&id);
            let process = &mut self.processes[*place];
            process.not_before_ms = process.not_before_ms.min(now_ms);
        }
        let mut bites = under_way.bites;
        if let [place] = under_way.nodes[..] {
            bites += self.counter(&under_way.fault.kind, place) - under_way.counter;
            let machine = &self.machines[place];
            match &under_way.fault.kind {
                FaultKind::DiskError { .. } => machine.disks.fail_barriers(false),
                FaultKind::DiskFull { .. } => machine.disks.fill(false),
                FaultKind::SlowDisk { .. } => machine.disks.set_barrier(None),
                FaultKind::ClockJump { by_ms, .. } => machine.clock.jump(-by_ms),
                _ => {}
            }
        }
        let mut links = self.stage.links.lock();
        links.end_losses(id);
        bites += links.bites(id);
        drop(links);
        self.stage.record(Happening::FaultEnded { fault: id, bites });
    }
}

fn ends_at(fault: &Fault) -> u64 {
    fault.at_ms.0.saturating_add(fault.for_ms.0)
}
