//! Who is calling: the `Authorization: Bearer` header (RFC 6750 section 2.1), and on the stream's route a cookie as
//! well, because a browser's `EventSource` can send no header.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
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

/// The caller of a stream: as [`Caller`], or by cookie.
pub struct StreamCaller(pub Caller);

impl Authenticator {
    pub fn new(tokens: Arc<Tokens>, clock: SharedClock) -> Self {
        Self { tokens, clock }
    }

    fn by_header(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.verify(bearer(headers).ok_or_else(no_token)?)
    }

    fn by_header_or_cookie(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        self.verify(bearer(headers).or_else(|| cookie(headers)).ok_or_else(no_token)?)
    }

    /// Who holds the token.
    pub fn verify(&self, token: &str) -> Result<Caller, Problem> {
        self.tokens
            .verify(token, self.clock.now())
            .map_err(|error| Problem::new(ErrorCode::Unauthenticated, format!("Log in again: {error}.")))
    }
}

fn no_token() -> Problem {
    Problem::new(
        ErrorCode::Unauthenticated,
        "This needs the header \"Authorization: Bearer <token>\"; login gives a token.",
    )
}

/// The token of the header, whatever it is worth.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    bearer_of(headers.get(header::AUTHORIZATION)?.to_str().ok()?)
}

/// The token of an `Authorization` header; the scheme's name is read in any case (RFC 9110 section 11.1).
pub(super) fn bearer_of(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, token)| (name == TOKEN_COOKIE).then_some(token))
}

impl<S> FromRequestParts<S> for Caller
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Authenticator::from_ref(state).by_header(&parts.headers)
    }
}

impl<S> FromRequestParts<S> for StreamCaller
where
    Authenticator: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Authenticator::from_ref(state)
            .by_header_or_cookie(&parts.headers)
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ostraka_core::{UnixMs, VoterNumber};
    use ostraka_replication::Clock;

    use super::*;
    use crate::secrets::Secrets;
    use crate::token::Role;

    struct FixedClock;

    impl Clock for FixedClock {
        fn now(&self) -> UnixMs {
            UnixMs(1_700_000_000_000)
        }
    }

    fn authenticator() -> (Authenticator, String) {
        let tokens = Arc::new(Tokens::new(&Secrets::derive(&[7; 32], &["k1".to_owned()])));
        let token = tokens.sign(
            VoterNumber(42),
            Role::Voter,
            FixedClock.now(),
            Duration::from_secs(60),
        );
        (Authenticator::new(tokens, Arc::new(FixedClock)), token)
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_header_is_taken_in_any_case_and_nothing_else_is() {
        let (authenticator, token) = authenticator();
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let headers = headers(header::AUTHORIZATION, &format!("{scheme} {token}"));
            assert_eq!(authenticator.by_header(&headers).unwrap().voter, VoterNumber(42));
        }
        for wrong in [token.as_str(), "Basic dTpw", "Bearer", "Bearer x", ""] {
            let refused = authenticator
                .by_header(&headers(header::AUTHORIZATION, wrong))
                .unwrap_err();
            assert_eq!(refused.code, ErrorCode::Unauthenticated, "{wrong}");
        }
        assert!(authenticator.by_header(&HeaderMap::new()).is_err());
    }

    #[test]
    fn the_cookie_counts_for_streams_only() {
        let (authenticator, token) = authenticator();
        let headers = headers(header::COOKIE, &format!("a=b; {TOKEN_COOKIE}={token}; c=d"));
        assert!(authenticator.by_header(&headers).is_err());
        assert_eq!(
            authenticator.by_header_or_cookie(&headers).unwrap().voter,
            VoterNumber(42)
        );
    }
}
