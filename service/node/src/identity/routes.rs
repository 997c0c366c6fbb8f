//! `POST /v1/auth/login` and `POST /v1/auth/register`.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use ostraka_api::{ErrorCode, LoginRequest, LoginResponse, ProblemBody, RegisterRequest, RegisterResponse};
use utoipa::OpenApi;

use super::service::{IdentityService, IdentitySettings, LoginError, RegisterError};
use crate::http::auth::TOKEN_COOKIE;
use crate::http::json::json_response;
use crate::http::{Authenticator, JsonBody, Problem, RequestContext};
use crate::token::Caller;

#[derive(Clone)]
struct IdentityState {
    service: Arc<IdentityService>,
    authenticator: Authenticator,
}

impl FromRef<IdentityState> for Arc<IdentityService> {
    fn from_ref(state: &IdentityState) -> Self {
        Arc::clone(&state.service)
    }
}

impl FromRef<IdentityState> for Authenticator {
    fn from_ref(state: &IdentityState) -> Self {
        state.authenticator.clone()
    }
}

/// Identity's public routes.
pub fn router(service: Arc<IdentityService>, authenticator: Authenticator) -> Router {
    Router::new()
        .route("/v1/auth/login", post(login))
        .route("/v1/auth/register", post(register))
        .with_state(IdentityState {
            service,
            authenticator,
        })
}

/// What these routes say of themselves, for `/openapi.json`.
pub fn api_document() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(login, register))]
    struct Identity;
    Identity::openapi()
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        let problem = Problem::new(error.code(), error.to_string());
        Problem {
            retry_after_s: error.retry_after_s(),
            ..problem
        }
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        let problem = Problem::new(error.code(), error.to_string());
        Problem {
            retry_after_s: error.retry_after_s(),
            ..problem
        }
    }
}

/// Log in with username and password.
#[utoipa::path(
    post,
    path = "/v1/auth/login",
    tag = "auth",
    request_body = LoginRequest,
    responses(
        (status = 200, body = LoginResponse, description = "A token; also set as a cookie for the stream"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn login(
    State(service): State<Arc<IdentityService>>,
    Extension(context): Extension<RequestContext>,
    JsonBody(request): JsonBody<LoginRequest>,
) -> Result<Response, Problem> {
    let (user_id, token) = service.login(request, context.progress.peer()).await?;
    let cookie = cookie(&token, service.settings());
    let mut response = json_response(&LoginResponse { user_id, token });
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Scripts cannot read it, other sites cannot have it sent, and it ends when the token does.
fn cookie(token: &str, settings: &IdentitySettings) -> HeaderValue {
    let secure = if settings.cookie_secure { "; Secure" } else { "" };
    let max_age_s = settings.token_lifetime.as_secs();
    let cookie =
        format!("{TOKEN_COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/v1; Max-Age={max_age_s}{secure}");
    let mut value = HeaderValue::try_from(cookie).expect("a token is letters, digits, '-', '_' and '.'");
    value.set_sensitive(true);
    value
}

/// Register a user; an operator's token is needed.
#[utoipa::path(
    post,
    path = "/v1/auth/register",
    tag = "auth",
    security(("bearer" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "A retry with the same key gets the first answer")),
    request_body = RegisterRequest,
    responses(
        (status = 201, body = RegisterResponse),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 403, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn register(
    State(service): State<Arc<IdentityService>>,
    Extension(context): Extension<RequestContext>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Result<Response, Problem> {
    let user_id = service
        .register(caller, request, key.as_deref(), context.progress.peer())
        .await?;
    let response = json_response(&RegisterResponse { user_id });
    Ok((StatusCode::CREATED, response).into_response())
}

struct IdempotencyKey(Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned);
        let key = parts
            .headers
            .get("idempotency-key")
            .map(text)
            .transpose()
            .map_err(|_| {
                Problem::new(
                    ErrorCode::MalformedHeader,
                    "Idempotency-Key may hold only visible ASCII characters.",
                )
            })?;
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests;
