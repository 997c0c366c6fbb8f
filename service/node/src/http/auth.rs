//! Tokens of requests: the `Authorization: Bearer` header (RFC 6750 section 2.1), and the cookie of streams, because a
//! browser's `EventSource` can send no header. Which of them a route takes, [`super::access`] says.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use ostraka_api::ErrorCode;
use ostraka_replication::env::SharedClock;

use super::problem::Problem;
use crate::token::{Caller, Tokens};

/// The cookie that login sets, for the stream's route only.
pub const TOKEN_COOKIE: &str = "ostraka_token";

/// Verifies tokens against the injected clock. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    tokens: Arc<Tokens>,
    clock: SharedClock,
}

impl Authenticator {
    pub fn new(tokens: Arc<Tokens>, clock: SharedClock) -> Self {
        Self { tokens, clock }
    }

    /// Who holds the token.
    pub fn verify(&self, token: &str) -> Result<Caller, Problem> {
        self.tokens
            .verify(token, self.clock.now())
            .map_err(|error| Problem::new(ErrorCode::Unauthenticated, format!("Log in again: {error}.")))
    }
}

/// The token of the header, whatever it is worth.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The token of an `Authorization` header; the scheme's name is read in any case (RFC 9110 section 11.1).
pub(super) fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The token of the cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, token)| (name == TOKEN_COOKIE).then_some(token))
}
