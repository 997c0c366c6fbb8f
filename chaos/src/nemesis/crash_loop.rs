//! The process is killed and started again and again, sometimes before it is ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ostraka_sim_model::ids::NodeIndex;
use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::CRASH_LOOP_PERIOD;
use crate::proc::wait_until;
use crate::rig::Rig;

const OF: &str = "processes killed";

pub struct CrashLoop {
    /// From one death to the next.
    pub period: Duration,
    running: Option<Running>,
}

struct Running {
    index: NodeIndex,
    stop: Arc<AtomicBool>,
    deaths: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), Trouble>>>,
}

impl Default for CrashLoop {
    fn default() -> Self {
        Self {
            period: CRASH_LOOP_PERIOD,
            running: None,
        }
    }
}

impl Running {
    fn finish(&mut self) -> Result<(), Trouble> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(Trouble::failed("the thread of a crash loop panicked")),
            None => Ok(()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// Dead for a quarter of each period, up for the rest.
fn go_on(
    rig: &Rig,
    index: NodeIndex,
    period: Duration,
    stop: &AtomicBool,
    deaths: &AtomicU64,
) -> Result<(), Trouble> {
    while !stop.load(Ordering::Relaxed) {
        if rig.kill(index)? {
            deaths.fetch_add(1, Ordering::Relaxed);
        }
        wait_until(period / 4, || stop.load(Ordering::Relaxed));
        rig.launch(index)?;
        wait_until(period * 3 / 4, || stop.load(Ordering::Relaxed));
    }
    Ok(())
}

impl Nemesis for CrashLoop {
    fn name(&self) -> &'static str {
        "crash-loop"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let stop = Arc::new(AtomicBool::new(false));
        let deaths = Arc::new(AtomicU64::new(0));
        let thread = {
            let (rig, period, stop, deaths) = (rig.clone(), self.period, stop.clone(), deaths.clone());
            std::thread::spawn(move || go_on(&rig, index, period, &stop, &deaths))
        };
        self.running = Some(Running {
            index,
            stop,
            deaths,
            thread: Some(thread),
        });
        Ok(Felt::new(0, OF).noting(format!("node {index}")))
    }

    fn end(&mut self, rig: &Rig) -> Result<Felt, Trouble> {
        let mut running = self.running.take().ok_or_else(|| not_begun(self.name()))?;
        running.finish()?;
        rig.launch(running.index)?;
        let deaths = running.deaths.load(Ordering::Relaxed);
        Ok(Felt::new(deaths, OF).noting(format!("node {}", running.index)))
    }
}
