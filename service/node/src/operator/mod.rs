//! The operator port: health, metrics, cluster membership and backups. Never on the public address.

mod backup;
mod cluster;
mod health;
mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ostraka_replication::{Group, PeerAddr};

use crate::backup::take::Taker;
pub use cluster::{ClusterStatus, Memberships};
pub use health::{Health, HealthReport};
pub use metrics::metrics_of;

/// What the operator port shows and steers.
pub struct Operator {
    pub groups: Vec<Group>,
    pub own_peer_addr: PeerAddr,
    pub health: Arc<Health>,
    pub backups: Taker,
    /// Renders the process's metrics in OpenMetrics text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// Routes of the operator port.
pub fn router(operator: Arc<Operator>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics))
        .route("/v1/cluster/status", get(cluster::status))
        .route("/v1/cluster/init", post(cluster::init))
        .route("/v1/cluster/add", post(cluster::add))
        .route("/v1/cluster/remove", post(cluster::remove))
        .route("/v1/cluster/transfer-leader", post(cluster::transfer_leader))
        .route("/v1/cluster/backup", post(backup::backup))
        .with_state(operator)
}

async fn metrics(axum::extract::State(operator): axum::extract::State<Arc<Operator>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    (
        StatusCode::OK,
        [(header::CONTENT_TYPE, content_type)],
        (operator.metrics)(),
    )
        .into_response()
}
