//! What an operator does to accounts through the operator port.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ostraka_api::{ErrorCode, RevokeRequest};
use serde_json::json;

use super::Operator;
use crate::audit::{Action, Certainty};
use crate::http::{JsonBody, Problem};

/// Revokes every token of an account that was signed until now.
pub(super) async fn revoke(
    State(operator): State<Arc<Operator>>,
    JsonBody(RevokeRequest { user_id }): JsonBody<RevokeRequest>,
) -> Result<Json<serde_json::Value>, Problem> {
    let Some(identity) = &operator.identity else {
        let detail = "This node runs no identity service; ask one that does.";
        return Err(Problem::new(ErrorCode::Misdirected, detail));
    };
    let revoked = identity.revoke_for_operator(user_id).await.map_err(Problem::from);
    let certainty = Certainty::of(&revoked);
    operator.note(Action::TokensRevoked(user_id), certainty).await;
    revoked?;
    tracing::info!(%user_id, "the operator revoked the tokens of an account");
    Ok(Json(
        json!({"done": format!("tokens of {user_id} that were given out until now are refused; the account can log in again")}),
    ))
}
