//! The vote service's routes: exactly the rows of the API contract.

mod events;
mod extract;
mod votes;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use utoipa::OpenApi;

use super::service::VoteService;

/// All routes of the service. They are to be served behind [`crate::http::Edge`].
pub fn router(service: Arc<VoteService>) -> Router {
    Router::new()
        .route("/v1/vote/submit", post(votes::submit))
        .route("/v1/vote/{vote_id}/status", get(votes::status))
        .route("/v1/event/create", post(events::create))
        .route("/v1/event/{event_id}/open", post(events::open))
        .route("/v1/event/{event_id}/close", post(events::close))
        .route("/v1/event/{event_id}/leaderboard", get(events::leaderboard))
        .route("/v1/event/{event_id}/stream", get(events::stream))
        .route("/v1/contestants/{event_id}", get(events::contestants))
        .with_state(service)
}

#[derive(OpenApi)]
#[openapi(
    paths(
        votes::submit,
        votes::status,
        events::create,
        events::open,
        events::close,
        events::leaderboard,
        events::stream,
        events::contestants
    ),
    components(schemas(
        ostraka_api::ProblemBody,
        ostraka_api::StandingsPayload,
        ostraka_api::TallyPayload
    ))
)]
struct Document;

/// This service's part of `/openapi.json`.
pub fn api_document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests;
