//! What everyone in a run shares: the true time, the history in the making, the links, and who is who.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use madsim::time::TimeHandle;
use ostraka_core::UnixMs;
use ostraka_sim_model::history::{Happening, History, Record};
use ostraka_sim_model::ids::SimMicros;
use ostraka_sim_model::plan::Plan;
use parking_lot::Mutex;
use siphasher::sip::SipHasher13;

use super::links::Links;
use super::plants::Plant;

/// What an exact clock shows when the cluster is formed: 2027-01-15 08:00:00 UTC.
pub(crate) const FORMED_AT: UnixMs = UnixMs(1_800_000_000_000);

/// Clocks before that count from so much earlier, so that none runs past it.
const FORMING_MS: i64 = 600_000;

pub(crate) const PEER_PORT: u16 = 8_082;

/// A node's place, or the one machine of all clients, which comes after the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host(pub(crate) usize);

pub(crate) type SharedStage = Arc<Stage>;

pub(crate) struct Stage {
    pub(crate) plan: Plan,
    /// What is wrong on purpose, if anything.
    pub(crate) plant: Option<Plant>,
    /// As last looked at: while a run is taken down there is no clock any more.
    elapsed_micros: AtomicU64,
    /// When the cluster was formed; negative until it is.
    formed_micros: AtomicI64,
    records: Mutex<Vec<Record>>,
    pub(crate) links: Mutex<Links>,
    trace: Mutex<Trace>,
}

/// Of every message between hosts: who, to whom, when, how long. Two runs that differ in anything differ in it.
#[derive(Default)]
struct Trace {
    hasher: SipHasher13,
    messages: u64,
}

impl Stage {
    pub(crate) fn new(plan: &Plan, plant: Option<Plant>) -> SharedStage {
        Arc::new(Self {
            plan: plan.clone(),
            plant,
            elapsed_micros: AtomicU64::new(0),
            formed_micros: AtomicI64::new(-1),
            records: Mutex::default(),
            links: Mutex::new(Links::new(plan)),
            trace: Mutex::default(),
        })
    }

    pub(crate) fn nodes(&self) -> usize {
        usize::from(self.plan.knobs.nodes)
    }

    pub(crate) fn clients_host(&self) -> Host {
        Host(self.nodes())
    }

    pub(crate) fn peer_address(host: Host) -> String {
        format!("node-{}:{PEER_PORT}", host.0 + 1)
    }

    /// The host of an address made by [`Stage::peer_address`].
    pub(crate) fn host_of(&self, address: &str) -> Option<Host> {
        let number = address.strip_prefix("node-")?.split(':').next()?;
        let number: usize = number.parse().ok()?;
        (1..=self.nodes()).contains(&number).then(|| Host(number - 1))
    }

    /// Microseconds since the simulation began.
    pub(crate) fn elapsed_micros(&self) -> u64 {
        if let Some(time) = TimeHandle::try_current() {
            let micros = u64::try_from(time.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.elapsed_micros.store(micros, Ordering::Relaxed);
        }
        self.elapsed_micros.load(Ordering::Relaxed)
    }

    /// The cluster is whole: the plan's time begins.
    pub(crate) fn begin(&self) {
        let now = i64::try_from(self.elapsed_micros()).unwrap_or(i64::MAX);
        self.formed_micros.store(now, Ordering::Relaxed);
        self.record(Happening::Formed { true_time: FORMED_AT });
    }

    /// Microseconds of the plan's time; `None` while there is no cluster yet.
    pub(crate) fn now(&self) -> Option<SimMicros> {
        let formed = u64::try_from(self.formed_micros.load(Ordering::Relaxed)).ok()?;
        Some(SimMicros(self.elapsed_micros().saturating_sub(formed)))
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now().map_or(0, |now| now.0 / 1_000)
    }

    /// Microseconds that an exact clock is past [`FORMED_AT`].
    pub(crate) fn true_micros(&self) -> i64 {
        match self.now() {
            Some(now) => i64::try_from(now.0).unwrap_or(i64::MAX),
            None => i64::try_from(self.elapsed_micros()).unwrap_or(i64::MAX) - FORMING_MS * 1_000,
        }
    }

    pub(crate) fn record(&self, what: Happening) {
        let at = self.now().unwrap_or(SimMicros(0));
        self.records.lock().push(Record { at, what });
    }

    /// A message of `bytes` was handed to the network.
    pub(crate) fn trace(&self, from: Host, to: Host, bytes: &[u8]) {
        let mut trace = self.trace.lock();
        trace.messages += 1;
        let at = self.elapsed_micros();
        trace.hasher.write_u64(at);
        trace.hasher.write_usize(from.0);
        trace.hasher.write_usize(to.0);
        trace.hasher.write(bytes);
    }

    /// Messages so far, and their digest.
    pub(crate) fn traced(&self) -> (u64, u64) {
        let trace = self.trace.lock();
        (trace.messages, trace.hasher.finish())
    }

    pub(crate) fn take_history(&self) -> History {
        History {
            records: std::mem::take(&mut *self.records.lock()),
        }
    }
}
