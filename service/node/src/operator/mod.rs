//! The operator port: health, metrics, cluster membership, accounts and backups. Never on the public address.

mod accounts;
mod backup;
mod cluster;
mod health;
mod metrics;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use ostraka_api::ErrorCode;
use ostraka_replication::{Group, PeerAddr};

use crate::audit::{Action, Actor, Certainty, Trail};
use crate::backup::take::Taker;
use crate::http::Problem;
use crate::identity::IdentityService;
pub use cluster::{ClusterStatus, Memberships};
pub use health::{Health, HealthReport};
pub use metrics::metrics_of;

/// What the operator port shows and steers.
pub struct Operator {
    pub groups: Vec<Group>,
    /// `None` on a node that runs the vote service only.
    pub identity: Option<Arc<IdentityService>>,
    pub audit: Trail,
    pub own_peer_addr: PeerAddr,
    pub health: Arc<Health>,
    pub backups: Taker,
    /// Renders the process's metrics in OpenMetrics text.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

impl Operator {
    /// Notes what was done through this port, or may have been.
    async fn note(&self, action: Action, certainty: Option<Certainty>) {
        self.audit
            .note(Actor::OperatorPort, action, certainty, None)
            .await;
    }
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
        .route("/v1/accounts/revoke", post(accounts::revoke))
        .with_state(operator)
        .layer(axum::middleware::from_fn(refuse_pages))
}

/// Whoever reaches this port is the operator, so it must be reached by nobody else; but a page in an operator's own browser
/// reaches whatever the browser does. Browsers name the page's origin with every request that is no plain look (Fetch
/// standard, section 3.2), and no tool of an operator's does.
async fn refuse_pages(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        let detail = "The operator port is for tools, not for web pages: no request may name an Origin.";
        return Problem::new(ErrorCode::NotPermitted, detail).into_response();
    }
    next.run(request).await
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
