//! Faults of disks and clocks, and those that somebody has to carry out from inside.

use std::time::Duration;

use ostraka_sim_model::errand::Errand;
use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::{Fault, FaultKind, Target};
use turmoil::Sim;

use super::{Nemesis, UnderWay};

impl Nemesis {
    pub(super) fn begin_at_machine(&mut self, under_way: &mut UnderWay) -> usize {
        let id = under_way.fault.id;
        let target = match &under_way.fault.kind {
            FaultKind::DiskError { target }
            | FaultKind::SlowDisk { target, .. }
            | FaultKind::DiskFull { target }
            | FaultKind::ClockJump { target, .. } => *target,
            other => unreachable!("{other:?} is not a matter of disks and clocks"),
        };
        let place = self.resolve(target);
        under_way.nodes = vec![place];
        under_way.counter = self.counter(&under_way.fault.kind, place);
        let machine = self.machines[place].clone();
        match &under_way.fault.kind {
            FaultKind::DiskError { .. } => machine.disks.fail_barriers(true),
            FaultKind::DiskFull { .. } => machine.disks.fill(true),
            FaultKind::SlowDisk { barrier_ms, .. } => {
                machine
                    .disks
                    .set_barrier(Some(Duration::from_millis(*barrier_ms)));
            }
            FaultKind::ClockJump { by_ms, .. } => machine.clock.jump(*by_ms),
            other => unreachable!("{other:?} is not a matter of disks and clocks"),
        }
        if matches!(
            under_way.fault.kind,
            FaultKind::DiskError { .. } | FaultKind::DiskFull { .. }
        ) {
            self.keep_down(place, id);
        }
        place
    }

    /// What a fault of the machine's makes grow.
    pub(super) fn counter(&self, kind: &FaultKind, place: usize) -> u64 {
        let machine = &self.machines[place];
        match kind {
            FaultKind::DiskError { .. } | FaultKind::DiskFull { .. } => machine.disks.barriers_failed(),
            FaultKind::SlowDisk { .. } => machine.disks.barriers(),
            FaultKind::ClockJump { .. } => machine.clock.wrong_looks(),
            FaultKind::Rot { .. } => machine.failures(),
            _ => 0,
        }
    }

    /// Nobody looks at what a disk holds before it is opened again: so the process dies, and is started again.
    pub(super) fn let_rot(&mut self, sim: &mut Sim<'_>, under_way: &mut UnderWay, target: Target) -> usize {
        let id = under_way.fault.id;
        let place = self.resolve(target);
        self.kill(sim, place, id);
        self.processes[place].kept_down_by.remove(&id);
        self.machines[place].disks.rot();
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

    pub(super) fn send_errand(&self, fault: &Fault) -> Option<usize> {
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
}

fn node_at(place: usize) -> NodeIndex {
    NodeIndex(place as u8)
}
