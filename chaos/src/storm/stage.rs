//! What everyone in a storm shares: the time, the history in the making, and who signs tokens.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadtest::issuer::Issuer;
use ostraka_client::{Client, ClientConfig, TokioConnect};
use ostraka_core::ids::{UnixMs, VoterNumber};
use ostraka_sim_crowd::Known;
use ostraka_sim_model::history::{Happening, Record};
use ostraka_sim_model::ids::{NodeIndex, SimMicros, SimMs};
use ostraka_sim_model::plan::Plan;
use tokio::time::Instant;

use crate::Trouble;
use crate::limits::CROWD_PATIENCE_MS;
use crate::rig::Rig;
use crate::sample::jitter;

pub(super) type SharedStage = Arc<Stage>;

pub(super) struct Stage {
    pub(super) plan: Plan,
    pub(super) known: Known,
    /// What this machine's clock showed when time began to count.
    pub(super) formed_at: UnixMs,
    formed: Instant,
    issuer: Issuer,
    endpoints: Vec<String>,
    records: Mutex<Vec<Record>>,
}

impl Stage {
    /// The cluster is whole: the plan's time begins.
    ///
    /// # Errors
    /// Where the cluster's secrets cannot be read.
    pub(super) fn begin(plan: Plan, rig: &Rig) -> Result<SharedStage, Trouble> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let issuer = Issuer::from_file(&rig.secrets_path(), since.as_secs())
            .map_err(|error| Trouble::failed(error.to_string()))?;
        Ok(Arc::new(Self {
            plan,
            known: Known::default(),
            formed_at: UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)),
            formed: Instant::now(),
            issuer,
            endpoints: rig.public_endpoints(),
            records: Mutex::default(),
        }))
    }

    pub(super) fn now(&self) -> SimMicros {
        SimMicros(u64::try_from(self.formed.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// What the plan's time was at a moment that something else noted.
    pub(super) fn time_of(&self, moment: std::time::Instant) -> SimMicros {
        let since = moment.saturating_duration_since(self.formed.into_std());
        SimMicros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    /// When the plan's time is `at`.
    pub(super) fn moment(&self, at: SimMs) -> Instant {
        self.formed + Duration::from_millis(at.0)
    }

    pub(super) fn record(&self, what: Happening) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that records are in the order of their times.
        let at = self.now();
        records.push(Record { at, what });
    }

    pub(super) fn take_records(&self) -> Vec<Record> {
        std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn token(&self, voter: VoterNumber) -> String {
        let mut token = String::new();
        self.issuer.sign_into(voter.0, &mut token);
        token
    }

    pub(super) fn nodes(&self) -> usize {
        self.endpoints.len()
    }

    /// A client of all nodes that asks `first` first, or of that node only.
    pub(super) fn client(&self, first: NodeIndex, alone: bool) -> Client {
        let first = usize::from(first.0);
        let nodes = if alone { 1 } else { self.nodes() };
        let endpoints = (0..nodes).map(|place| self.endpoints[(first + place) % self.nodes()].clone());
        let mut config = ClientConfig::new(Arc::new(jitter));
        config.request_timeout = Duration::from_millis(CROWD_PATIENCE_MS);
        config.idle_connections_per_endpoint_max = 256;
        Client::new(Arc::new(TokioConnect), endpoints.collect(), config)
    }

    pub(super) fn node_at(&self, endpoint: &str) -> NodeIndex {
        let place = self.endpoints.iter().position(|known| known == endpoint);
        let place = place.and_then(|place| u8::try_from(place).ok());
        NodeIndex(place.expect("clients know the nodes only"))
    }
}
