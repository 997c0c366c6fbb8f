//! The vote service's routes: exactly the rows of the API contract.

mod events;
mod extract;
mod votes;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi;

use super::service::VoteService;
use crate::http::{Route, Serve};

/// All routes of the service. They are to be served behind [`crate::http::Edge`].
pub fn router(service: Arc<VoteService>) -> Router {
    Router::new()
        .serve(Route::VoteSubmit, votes::submit)
        .serve(Route::VoteStatus, votes::status)
        .serve(Route::EventCreate, events::create)
        .serve(Route::EventOpen, events::open)
        .serve(Route::EventClose, events::close)
        .serve(Route::Leaderboard, events::leaderboard)
        .serve(Route::EventStream, events::stream)
        .serve(Route::Contestants, events::contestants)
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
