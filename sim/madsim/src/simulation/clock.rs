//! A node's wall clock: off from the start, too fast or too slow, and jumping when a fault says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ostraka_core::UnixMs;
use ostraka_replication::Clock;

use super::stage::{FORMED_AT, SharedStage};

pub(crate) struct WallClock {
    stage: SharedStage,
    skew_ms: i64,
    drift_ppm: i64,
    jumped_ms: AtomicI64,
    /// Looks at the clock while it had jumped.
    wrong_looks: AtomicU64,
}

impl WallClock {
    pub(crate) fn new(stage: SharedStage, skew_ms: i64, drift_ppm: i32) -> Arc<Self> {
        Arc::new(Self {
            stage,
            skew_ms,
            drift_ppm: i64::from(drift_ppm),
            jumped_ms: AtomicI64::new(0),
            wrong_looks: AtomicU64::new(0),
        })
    }

    pub(crate) fn jump(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    pub(crate) fn wrong_looks(&self) -> u64 {
        self.wrong_looks.load(Ordering::Relaxed)
    }
}

impl Clock for WallClock {
    fn now(&self) -> UnixMs {
        let jumped_ms = self.jumped_ms.load(Ordering::Relaxed);
        if jumped_ms != 0 {
            self.wrong_looks.fetch_add(1, Ordering::Relaxed);
        }
        let micros = self.stage.true_micros();
        // Of the plan's time only: while the cluster forms, clocks are off by their skew and no more.
        let drifted = micros.max(0).saturating_mul(self.drift_ppm) / 1_000_000;
        let past_ms = micros.saturating_add(drifted).div_euclid(1_000);
        let shown = past_ms.saturating_add(self.skew_ms).saturating_add(jumped_ms);
        UnixMs(FORMED_AT.0.saturating_add_signed(shown))
    }
}
