//! `POST /v1/auth/challenge` and `…/solve`, `…/login`, `…/logout` and `…/register`.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use ostraka_api::{
    Challenge, ChallengeRequest, ErrorCode, LoginRequest, LoginResponse, ProblemBody, RegisterRequest,
    RegisterResponse, SolveRequest, SolveResponse,
};
use utoipa::OpenApi;

use super::service::{IdentityService, IdentitySettings, LoginError, RegisterError, RevokeError, SolveError};
use crate::http::auth::TOKEN_COOKIE;
use crate::http::json::json_response;
use crate::http::{Admitted, Authenticator, JsonBody, Problem, Registrar, RequestContext, Route, Serve};

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
        .serve(Route::Challenge, challenge)
        .serve(Route::Solve, solve)
        .serve(Route::Login, login)
        .serve(Route::Logout, logout)
        .serve(Route::Register, register)
        .with_state(IdentityState {
            service,
            authenticator,
        })
}

/// What these routes say of themselves, for `/openapi.json`.
pub fn api_document() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(paths(challenge, solve, login, logout, register))]
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

impl From<SolveError> for Problem {
    fn from(error: SolveError) -> Self {
        let problem = Problem::new(error.code(), error.to_string());
        Problem {
            retry_after_s: error.retry_after_s(),
            ..problem
        }
    }
}

impl From<RevokeError> for Problem {
    fn from(error: RevokeError) -> Self {
        let problem = Problem::new(error.code(), error.to_string());
        Problem {
            retry_after_s: error.retry_after_s(),
            ..problem
        }
    }
}

/// Ask for work that, once done, lets its doer register: ALTCHA's proof of work, version 2.
#[utoipa::path(
    post,
    path = "/v1/auth/challenge",
    tag = "auth",
    request_body(content = Option<ChallengeRequest>, description = "May be left out"),
    responses(
        (status = 200, body = Challenge, description = "Signed work; the more is asked for, the more of it"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn challenge(
    State(service): State<Arc<IdentityService>>,
    Extension(context): Extension<RequestContext>,
    request: Option<JsonBody<ChallengeRequest>>,
) -> Result<Response, Problem> {
    let request = request.map_or_else(ChallengeRequest::default, |JsonBody(request)| request);
    let challenge = service.challenge(request, context.progress.peer())?;
    let mut response = json_response(&challenge);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(response)
}

/// Hand in a solved challenge for a registration token. Each challenge gives one, in the whole cluster.
#[utoipa::path(
    post,
    path = "/v1/auth/challenge/solve",
    tag = "auth",
    request_body = SolveRequest,
    responses(
        (status = 200, body = SolveResponse, description = "The token that register takes, once"),
        (status = 400, body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn solve(
    State(service): State<Arc<IdentityService>>,
    Extension(context): Extension<RequestContext>,
    JsonBody(request): JsonBody<SolveRequest>,
) -> Result<Response, Problem> {
    let solved = service.solve(request, context.progress.peer()).await?;
    let mut response = json_response(&solved);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(response)
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
    let max_age_s = settings.token_lifetime.as_secs();
    cookie_for(token, max_age_s, settings)
}

fn cookie_for(token: &str, max_age_s: u64, settings: &IdentitySettings) -> HeaderValue {
    let secure = if settings.cookie_secure { "; Secure" } else { "" };
    let cookie =
        format!("{TOKEN_COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/v1; Max-Age={max_age_s}{secure}");
    let mut value = HeaderValue::try_from(cookie).expect("a token is letters, digits, '-', '_' and '.'");
    value.set_sensitive(true);
    value
}

/// Log out everywhere: every token of this user that was given out until now is refused from now on, at every node within
/// five seconds.
#[utoipa::path(
    post,
    path = "/v1/auth/logout",
    tag = "auth",
    security(("bearer" = [])),
    responses(
        (status = 204, description = "Done; the cookie is taken back as well"),
        (status = 401, body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, body = ProblemBody, content_type = "application/problem+json"),
        (status = 429, body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn logout(
    State(service): State<Arc<IdentityService>>,
    admitted: Admitted,
) -> Result<Response, Problem> {
    service.log_out(admitted.voter()).await?;
    let cookie = cookie_for("", 0, service.settings());
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Register a user, with an operator's token or with the registration token that a solved challenge gave.
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
    registrar: Registrar,
    IdempotencyKey(key): IdempotencyKey,
    JsonBody(request): JsonBody<RegisterRequest>,
) -> Result<Response, Problem> {
    let (key, client) = (key.as_deref(), context.progress.peer());
    let user_id = match registrar {
        Registrar::User(caller) => service.register(caller, request, key, client).await?,
        Registrar::Token(token) => service.register_by_token(&token, request, key, client).await?,
    };
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
