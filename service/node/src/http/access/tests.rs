use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, Request, header};
use ostraka_core::UnixMs;
use ostraka_replication::Clock;

use super::super::auth::TOKEN_COOKIE;
use super::*;
use crate::secrets::Secrets;
use crate::token::Tokens;

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
    (
        Authenticator::new(tokens, Arc::default(), Arc::new(FixedClock)),
        token,
    )
}

async fn admitted(
    authenticator: &Authenticator,
    path: &str,
    headers: &HeaderMap,
) -> Result<Admitted, Problem> {
    let (mut parts, ()) = Request::get(path).body(()).unwrap().into_parts();
    parts.headers = headers.clone();
    Admitted::from_request_parts(&mut parts, authenticator).await
}

fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, value.parse().unwrap())])
}

#[tokio::test]
async fn the_header_is_taken_in_any_case_and_nothing_else_is() {
    let (authenticator, token) = authenticator();
    let path = "/v1/contestants/e1";
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let headers = headers(header::AUTHORIZATION, &format!("{scheme} {token}"));
        let admitted = admitted(&authenticator, path, &headers).await.unwrap();
        assert_eq!(admitted.voter(), VoterNumber(42));
    }
    for wrong in [token.as_str(), "Basic dTpw", "Bearer", "Bearer x", ""] {
        let headers = headers(header::AUTHORIZATION, wrong);
        let refused = admitted(&authenticator, path, &headers).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Unauthenticated, "{wrong}");
    }
    assert!(admitted(&authenticator, path, &HeaderMap::new()).await.is_err());
}

#[tokio::test]
async fn the_cookie_counts_for_streams_only() {
    let (authenticator, token) = authenticator();
    let headers = headers(header::COOKIE, &format!("a=b; {TOKEN_COOKIE}={token}; c=d"));
    for route in Route::ALL {
        let path = route.path().replace("{event_id}", "e1");
        let by_cookie = admitted(&authenticator, &path, &headers).await;
        let expected = *route == Route::EventStream;
        assert_eq!(by_cookie.is_ok(), expected, "{route:?}");
    }
}

/// A handler that forgets the table, or a route that is not in it, gets no caller.
#[tokio::test]
async fn where_no_rule_gives_a_caller_there_is_none() {
    let (authenticator, token) = authenticator();
    let headers = headers(header::AUTHORIZATION, &format!("Bearer {token}"));
    for path in ["/v1/auth/login", "/v1/something/else"] {
        let refused = admitted(&authenticator, path, &headers).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Internal, "{path}");
    }
    for route in Route::ALL {
        let by_token = authenticator.admit_bearer(*route, &token);
        assert_eq!(
            by_token.is_ok(),
            route.rule().shows == Credential::Token,
            "{route:?}"
        );
    }
}

#[test]
fn nobody_speaks_for_another_where_the_rule_says_so() {
    let (authenticator, token) = authenticator();
    for route in Route::ALL {
        let Ok(admitted) = authenticator.admit_bearer(*route, &token) else {
            continue;
        };
        assert!(admitted.speaks_for(VoterNumber(42)).is_ok());
        let for_another = admitted.speaks_for(VoterNumber(43));
        let is_bound = matches!(route.rule().own, Own::User(_));
        assert_eq!(
            for_another.map_err(|problem| problem.code),
            if is_bound {
                Err(ErrorCode::NotTokenUser)
            } else {
                Ok(())
            },
            "{route:?}"
        );
    }
}
