//! Tokens of requests: the `Authorization: Bearer` header (RFC 6750 section 2.1), and the cookie of streams, because a
//! browser's `EventSource` can send no header. Which of them a route takes, [`super::access`] says.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use ostraka_api::ErrorCode;
use ostraka_replication::env::SharedClock;

use super::problem::Problem;
use crate::revoked::Revoked;
use crate::token::{Caller, TokenError, Tokens};

/// The cookie that login sets, for the stream's route only.
pub const TOKEN_COOKIE: &str = "ostraka_token";

/// Verifies tokens against the injected clock and what is known to be revoked. Cheap to clone.
#[derive(Clone)]
pub struct Authenticator {
    tokens: Arc<Tokens>,
    revoked: Arc<Revoked>,
    clock: SharedClock,
}

impl Authenticator {
    pub fn new(tokens: Arc<Tokens>, revoked: Arc<Revoked>, clock: SharedClock) -> Self {
        Self {
            tokens,
            revoked,
            clock,
        }
    }

    /// Who holds the token.
    pub fn verify(&self, token: &str) -> Result<Caller, Problem> {
        let refused =
            |error: TokenError| Problem::new(ErrorCode::Unauthenticated, format!("Log in again: {error}."));
        let caller = self.tokens.verify(token, self.clock.now()).map_err(refused)?;
        if self.revoked.is_revoked(caller.voter, caller.known_to) {
            return Err(refused(TokenError::Revoked));
        }
        Ok(caller)
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
