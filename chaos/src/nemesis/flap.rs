//! A node is isolated and reconnected, in turn, both ways.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ostraka_sim_model::plan::Target;

use super::firewall::{addresses, others};
use super::{Felt, Firewall, Nemesis, Rules, not_begun, rule};
use crate::Trouble;
use crate::limits::FLAP_PERIOD;
use crate::proc::wait_until;
use crate::rig::{Place, Rig};

const OF: &str = "packets dropped, both ways";
const NAME: &str = "flap";

pub struct Flap {
    /// Cut for this long, then whole for this long.
    pub period: Duration,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Counted, Trouble>>>,
}

#[derive(Clone, Copy, Default)]
struct Counted {
    packets: u64,
    cuts: u64,
}

impl Default for Flap {
    fn default() -> Self {
        Self {
            period: FLAP_PERIOD,
            running: None,
        }
    }
}

impl Running {
    fn finish(&mut self) -> Result<Counted, Trouble> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(counted)) => counted,
            _ => Err(Trouble::failed("the thread of a flapping link panicked")),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

fn go_on(place: &Place, peers: &[Ipv4Addr], period: Duration, stop: &AtomicBool) -> Result<Counted, Trouble> {
    let mut counted = Counted::default();
    let rules = Rules::both(rule::DROP);
    while !stop.load(Ordering::Relaxed) {
        let firewall = Firewall::between(place, peers, NAME, &rules)?;
        wait_until(period, || stop.load(Ordering::Relaxed));
        counted.packets += firewall.remove()?;
        counted.cuts += 1;
        wait_until(period, || stop.load(Ordering::Relaxed));
    }
    Ok(counted)
}

impl Nemesis for Flap {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let peers = addresses(rig, &others(rig, index))?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (place, period, stop) = (rig.place(index)?.clone(), self.period, stop.clone());
            std::thread::spawn(move || go_on(&place, &peers, period, &stop))
        };
        self.running = Some(Running {
            stop,
            thread: Some(thread),
        });
        Ok(Felt::new(0, OF).noting(format!("node {index}")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let mut running = self.running.take().ok_or_else(|| not_begun(NAME))?;
        let counted = running.finish()?;
        Ok(Felt::new(counted.packets, OF).noting(format!("{} cuts", counted.cuts)))
    }
}
