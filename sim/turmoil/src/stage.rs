//! What everyone in a run shares: the true time, the history in the making, the links, and who is who.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use ostraka_core::UnixMs;
use ostraka_sim_model::history::{Happening, History, Record};
use ostraka_sim_model::ids::SimMicros;
use ostraka_sim_model::plan::Plan;
use parking_lot::Mutex;

use crate::links::Links;
use crate::net::Trace;

/// What an exact clock shows when the cluster is formed: 2027-01-15 08:00:00 UTC.
pub(crate) const FORMED_AT: UnixMs = UnixMs(1_800_000_000_000);

/// Clocks before that count from so much earlier, so that none runs past it.
const FORMING_MS: i64 = 600_000;

pub(crate) const PUBLIC_PORT: u16 = 8_080;
pub(crate) const OPERATOR_PORT: u16 = 8_081;
pub(crate) const PEER_PORT: u16 = 8_082;

/// A node's place, or the one machine of all clients, which comes after the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host(pub(crate) usize);

pub(crate) type SharedStage = Arc<Stage>;

pub(crate) struct Stage {
    pub(crate) plan: Plan,
    addresses: Vec<IpAddr>,
    /// Since the simulation began, as of the last step.
    elapsed_micros: AtomicU64,
    /// Whether turmoil knows a finer time than that.
    stepping: AtomicBool,
    /// When the cluster was formed; negative until it is.
    formed_micros: AtomicI64,
    records: Mutex<Vec<Record>>,
    pub(crate) links: Mutex<Links>,
    pub(crate) trace: Mutex<Trace>,
}

impl Stage {
    /// `addresses` are those of the nodes and, last, of the clients' machine.
    pub(crate) fn new(plan: &Plan, addresses: Vec<IpAddr>) -> SharedStage {
        let nodes = usize::from(plan.knobs.nodes);
        assert_eq!(addresses.len(), nodes + 1, "every host has an address");
        Arc::new(Self {
            plan: plan.clone(),
            addresses,
            elapsed_micros: AtomicU64::new(0),
            stepping: AtomicBool::new(false),
            formed_micros: AtomicI64::new(-1),
            records: Mutex::default(),
            links: Mutex::new(Links::new(nodes, plan.seed)),
            trace: Mutex::default(),
        })
    }

    pub(crate) fn nodes(&self) -> usize {
        usize::from(self.plan.knobs.nodes)
    }

    pub(crate) fn clients_host(&self) -> Host {
        Host(self.nodes())
    }

    pub(crate) fn host_at(&self, address: IpAddr) -> Host {
        let place = self.addresses.iter().position(|known| *known == address);
        Host(place.expect("only the hosts of the run have addresses"))
    }

    pub(crate) fn host_name(host: Host) -> String {
        format!("node-{}", host.0 + 1)
    }

    /// The host that a name made by [`Stage::host_name`] stands for.
    pub(crate) fn host_named(&self, name: &str) -> Option<Host> {
        let number: usize = name.strip_prefix("node-")?.parse().ok()?;
        (1..=self.nodes()).contains(&number).then(|| Host(number - 1))
    }

    /// Runs one step of the simulation, in which time is turmoil's to tell.
    pub(crate) fn step<T>(&self, step: impl FnOnce() -> T) -> T {
        self.stepping.store(true, Ordering::Relaxed);
        let done = step();
        self.stepping.store(false, Ordering::Relaxed);
        done
    }

    pub(crate) fn set_elapsed(&self, micros: u64) {
        self.elapsed_micros.store(micros, Ordering::Relaxed);
    }

    /// Microseconds since the simulation began.
    pub(crate) fn elapsed_micros(&self) -> u64 {
        let known = self.elapsed_micros.load(Ordering::Relaxed);
        if !self.stepping.load(Ordering::Relaxed) {
            return known;
        }
        // No host is running while turmoil moves messages, and none while it drops what a host has held.
        turmoil::sim_elapsed().map_or(known, |elapsed| {
            u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX)
        })
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

    /// All that was recorded, by time. Hosts take turns within a step, so their records are not yet in order.
    pub(crate) fn take_history(&self) -> History {
        let mut records = std::mem::take(&mut *self.records.lock());
        records.sort_by_key(|record| record.at);
        History { records }
    }
}
