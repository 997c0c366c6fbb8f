//! What goes wrong, and when: begins and ends the plan's faults.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ostraka_sim_model::errand::Errand;
use ostraka_sim_model::history::Happening;
use ostraka_sim_model::ids::{FaultId, NodeIndex};
use ostraka_sim_model::plan::{Fault, FaultKind, Target};
use tokio::sync::mpsc::UnboundedSender;

use super::disks::Terms;
use super::links::Ill;
use super::machine::Machine;
use super::processes::{Processes, pairs_with};
use super::stage::{Host, SharedStage};

pub(crate) struct Nemesis {
    stage: SharedStage,
    machines: Vec<Arc<Machine>>,
    pub(crate) processes: Processes,
    terms: Terms,
    errands: UnboundedSender<Errand>,
    coming: VecDeque<Fault>,
    under_way: BTreeMap<FaultId, UnderWay>,
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
        Self {
            processes: Processes::new(stage.clone(), machines.clone()),
            coming: stage.plan.faults.iter().cloned().collect(),
            stage,
            machines,
            terms,
            errands,
            under_way: BTreeMap::new(),
        }
    }

    /// What is due at `now_ms` of the plan's time.
    pub(crate) fn act(&mut self, now_ms: u64) {
        let over: Vec<FaultId> = self
            .under_way
            .values()
            .filter(|under_way| under_way.fault.ends_at().0 <= now_ms)
            .map(|under_way| under_way.fault.id)
            .collect();
        for fault in over {
            self.end(fault, now_ms);
        }
        self.take_turns(now_ms);
        while let Some(fault) = self.coming.pop_front_if(|fault| fault.at_ms.0 <= now_ms) {
            self.begin(fault, now_ms);
        }
        self.processes.supervise(now_ms);
    }

    /// Ends all that is not over yet: the storm is.
    pub(crate) fn calm(&mut self, now_ms: u64) {
        self.coming.clear();
        let all: Vec<FaultId> = self.under_way.keys().copied().collect();
        for fault in all {
            self.end(fault, now_ms);
        }
        self.stage.record(Happening::StormOver);
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

    fn begin(&mut self, fault: Fault, now_ms: u64) {
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
        let hit = match &under_way.fault.kind {
            FaultKind::Isolate { .. }
            | FaultKind::OneWay { .. }
            | FaultKind::Flap { .. }
            | FaultKind::SlowLinks { .. }
            | FaultKind::Hold { .. }
            | FaultKind::Loss { .. } => self.begin_at_links(&mut under_way, now_ms),
            FaultKind::PowerCut { .. }
            | FaultKind::Blackout { .. }
            | FaultKind::Kill { .. }
            | FaultKind::Restart { .. }
            | FaultKind::CrashLoop { .. } => self.begin_at_process(&mut under_way, now_ms),
            FaultKind::DiskError { .. }
            | FaultKind::SlowDisk { .. }
            | FaultKind::DiskFull { .. }
            | FaultKind::ClockJump { .. } => Some(self.begin_at_machine(&mut under_way)),
            FaultKind::Rot { target } => {
                let target = *target;
                Some(self.let_rot(&mut under_way, target, now_ms))
            }
            FaultKind::TransferLeadership { .. }
            | FaultKind::LeaveAndJoin { .. }
            | FaultKind::Overload { .. } => self.send_errand(&under_way.fault),
        };
        let node = hit.map(|place| NodeIndex(place as u8));
        self.stage.record(Happening::FaultBegan { fault: id, node });
        self.under_way.insert(id, under_way);
    }

    /// Nobody looks at what a disk holds before it is opened again: so the process dies, and is started again.
    fn let_rot(&mut self, under_way: &mut UnderWay, target: Target, now_ms: u64) -> usize {
        let id = under_way.fault.id;
        let place = self.resolve(target);
        self.processes.kill(place, id);
        self.processes.release(place, id, now_ms);
        self.machines[place].disks.log().rot();
        under_way.nodes = vec![place];
        under_way.counter = self.counter(&under_way.fault.kind, place);
        let errand = Errand::Replace {
            node: node_at(place),
            failures: under_way.counter,
            after: Duration::from_millis(under_way.fault.for_ms.0),
        };
        self.send(errand);
        place
    }

    fn begin_at_links(&mut self, under_way: &mut UnderWay, now_ms: u64) -> Option<usize> {
        let id = under_way.fault.id;
        let nodes = self.machines.len();
        // Clients still reach a node that is cut off from the others; what slows or holds its links holds all of them.
        let all = nodes + 1;
        let (place, pairs, ill) = match &under_way.fault.kind {
            FaultKind::Isolate { target } => {
                let place = self.resolve(*target);
                (place, pairs_with(place, nodes), Ill::Cut)
            }
            FaultKind::Flap { target, period_ms } => {
                let place = self.resolve(*target);
                under_way.turns_at_ms = now_ms + period_ms.0;
                (place, pairs_with(place, nodes), Ill::Cut)
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
                (place, pairs_with(place, all), Ill::Slow(*extra_ms))
            }
            FaultKind::Hold { target } => {
                let place = self.resolve(*target);
                (place, pairs_with(place, all), Ill::Held)
            }
            FaultKind::Loss { ppm } => {
                self.stage.links.lock().begin_losses(id, *ppm);
                return None;
            }
            other => unreachable!("{other:?} is not a matter of links"),
        };
        self.stage.links.lock().make_ill(Some(id), &pairs, ill);
        under_way.pairs = pairs;
        under_way.nodes = vec![place];
        Some(place)
    }

    fn begin_at_process(&mut self, under_way: &mut UnderWay, now_ms: u64) -> Option<usize> {
        let id = under_way.fault.id;
        let (place, bites) = match under_way.fault.kind {
            FaultKind::Blackout { kept } => {
                under_way.nodes = (0..self.machines.len()).collect();
                for place in under_way.nodes.clone() {
                    under_way.bites += self.processes.cut_power(place, kept, id);
                }
                return None;
            }
            FaultKind::PowerCut { target, kept } => {
                let place = self.resolve(target);
                (place, self.processes.cut_power(place, kept, id))
            }
            FaultKind::Kill { target } => {
                let place = self.resolve(target);
                (place, u64::from(self.processes.kill(place, id)))
            }
            FaultKind::CrashLoop { target, period_ms } => {
                let place = self.resolve(target);
                under_way.turns_at_ms = now_ms + period_ms.0.div_ceil(2);
                (place, u64::from(self.processes.kill(place, id)))
            }
            FaultKind::Restart { target } => {
                let place = self.resolve(target);
                (place, u64::from(self.processes.stop(place, id)))
            }
            ref other => unreachable!("{other:?} is not a matter of processes"),
        };
        under_way.nodes = vec![place];
        under_way.bites = bites;
        (bites > 0).then_some(place)
    }

    fn begin_at_machine(&mut self, under_way: &mut UnderWay) -> usize {
        let kind = &under_way.fault.kind;
        let (FaultKind::DiskError { target }
        | FaultKind::SlowDisk { target, .. }
        | FaultKind::DiskFull { target }
        | FaultKind::ClockJump { target, .. }) = kind
        else {
            unreachable!("{kind:?} is not a matter of disks and clocks")
        };
        let place = self.resolve(*target);
        under_way.counter = self.counter(kind, place);
        let machine = &self.machines[place];
        match kind {
            FaultKind::DiskError { .. } => machine.disks.log().fail_barriers(true),
            FaultKind::DiskFull { .. } => machine.disks.log().fill(true),
            FaultKind::SlowDisk { barrier_ms, .. } => {
                machine
                    .disks
                    .set_barrier(Some(Duration::from_millis(*barrier_ms)));
            }
            FaultKind::ClockJump { by_ms, .. } => machine.clock.jump(*by_ms),
            other => unreachable!("{other:?} is not a matter of disks and clocks"),
        }
        if matches!(kind, FaultKind::DiskError { .. } | FaultKind::DiskFull { .. }) {
            self.processes.keep_down(place, under_way.fault.id);
        }
        under_way.nodes = vec![place];
        place
    }

    /// What a fault of the machine's makes grow.
    fn counter(&self, kind: &FaultKind, place: usize) -> u64 {
        let machine = &self.machines[place];
        match kind {
            FaultKind::DiskError { .. } | FaultKind::DiskFull { .. } => machine.disks.barriers_failed(),
            FaultKind::SlowDisk { .. } => machine.disks.barriers(),
            FaultKind::ClockJump { .. } => machine.clock.wrong_looks(),
            FaultKind::Rot { .. } => machine.failures(),
            _ => 0,
        }
    }

    fn send_errand(&self, fault: &Fault) -> Option<usize> {
        let resolve = |target| node_at(self.resolve(target));
        let errand = Errand::of(fault, resolve).expect("called for errands only");
        let place = errand.node().map(|node| usize::from(node.0));
        self.send(errand);
        place
    }

    fn send(&self, errand: Errand) {
        let is_taken = self.errands.send(errand).is_ok();
        assert!(is_taken, "whoever runs errands does so to the end");
    }

    fn take_turns(&mut self, now_ms: u64) {
        let due: Vec<FaultId> = self
            .under_way
            .values()
            .filter(|under_way| under_way.turns_at_ms <= now_ms)
            .map(|under_way| under_way.fault.id)
            .collect();
        for id in due {
            let under_way = self.under_way.get_mut(&id).expect("found above");
            under_way.is_on = !under_way.is_on;
            match under_way.fault.kind {
                FaultKind::Flap { period_ms, .. } => {
                    under_way.turns_at_ms = now_ms + period_ms.0;
                    let mut links = self.stage.links.lock();
                    if under_way.is_on {
                        links.make_ill(Some(id), &under_way.pairs, Ill::Cut);
                    } else {
                        links.cure(Some(id), &under_way.pairs);
                    }
                }
                FaultKind::CrashLoop { period_ms, .. } => {
                    let place = under_way.nodes[0];
                    under_way.turns_at_ms = now_ms + period_ms.0.div_ceil(2);
                    if under_way.is_on {
                        under_way.bites += u64::from(self.processes.kill(place, id));
                    } else {
                        self.processes.release(place, id, now_ms);
                    }
                }
                ref other => unreachable!("{other:?} does not come and go"),
            }
        }
    }

    fn end(&mut self, id: FaultId, now_ms: u64) {
        let under_way = self.under_way.remove(&id).expect("it is under way");
        self.stage.links.lock().cure(Some(id), &under_way.pairs);
        for place in &under_way.nodes {
            self.processes.release(*place, id, now_ms);
        }
        let mut bites = under_way.bites;
        if let [place] = under_way.nodes[..] {
            bites += self.counter(&under_way.fault.kind, place) - under_way.counter;
            let machine = &self.machines[place];
            match &under_way.fault.kind {
                FaultKind::DiskError { .. } => machine.disks.log().fail_barriers(false),
                FaultKind::DiskFull { .. } => machine.disks.log().fill(false),
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

fn node_at(place: usize) -> NodeIndex {
    NodeIndex(place as u8)
}
