//! Health: alive is one thing, ready for traffic another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ostraka_replication::{Group, GroupName};
use serde::Serialize;

use super::Operator;

/// What the node knows of its own fitness. Flags are set by the tasks that find out, read by `/readyz`.
#[derive(Debug, Default)]
pub struct Health {
    draining: AtomicBool,
    storage_full: Arc<AtomicBool>,
    identity_recovered: AtomicBool,
    vote_recovered: AtomicBool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    pub status: &'static str,
    /// Sentences; empty when ready.
    pub reasons: Vec<String>,
}

impl Health {
    /// From now on the node takes no new traffic: it is shutting down.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn storage_full(&self) -> &Arc<AtomicBool> {
        &self.storage_full
    }

    /// The group's replica has applied all that was committed when it started.
    pub fn set_recovered(&self, group: GroupName) {
        self.recovered(group).store(true, Ordering::Relaxed);
    }

    fn recovered(&self, group: GroupName) -> &AtomicBool {
        match group {
            GroupName::Identity => &self.identity_recovered,
            GroupName::Vote => &self.vote_recovered,
        }
    }

    /// Why the node should not get traffic.
    async fn reasons(&self, groups: &[Group]) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.draining.load(Ordering::Relaxed) {
            reasons.push("the node is shutting down".to_string());
        }
        if self.storage_full.load(Ordering::Relaxed) {
            reasons.push(
                "the disk of the data folder is nearly full: votes are refused, reads go on".to_string(),
            );
        }
        for group in groups {
            let name = group.name();
            if let Some(out_of_touch) = group.out_of_touch().await {
                reasons.push(format!("{name:?}: {out_of_touch}"));
            }
            if !self.recovered(name).load(Ordering::Relaxed) {
                reasons.push(format!(
                    "{name:?}: still applying the log that was there at the start"
                ));
            }
        }
        reasons
    }
}

/// Alive: the process answers.
pub(super) async fn healthz() -> Json<HealthReport> {
    Json(HealthReport {
        status: "alive",
        reasons: Vec::new(),
    })
}

/// Ready: 200, or 503 with the reasons.
pub(super) async fn readyz(State(operator): State<Arc<Operator>>) -> (StatusCode, Json<HealthReport>) {
    let reasons = operator.health.reasons(&operator.groups).await;
    if reasons.is_empty() {
        (
            StatusCode::OK,
            Json(HealthReport {
                status: "ready",
                reasons,
            }),
        )
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(HealthReport {
                status: "not ready",
                reasons,
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_draining_node_and_a_full_disk_are_reasons() {
        let health = Health::default();
        assert_eq!(health.reasons(&[]).await, Vec::<String>::new());
        health.start_draining();
        health.storage_full().store(true, Ordering::Relaxed);
        assert_eq!(health.reasons(&[]).await.len(), 2);
    }
}
