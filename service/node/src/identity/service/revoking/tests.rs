use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ostraka_api::LoginRequest;
use ostraka_core::VoterNumber;
use ostraka_core::limits::LOGOUT_PER_CALLER_BURST;
use ostraka_replication::SubmitError;

use super::*;
use crate::http::Authenticator;
use crate::identity::ensure_operator;
use crate::identity::testing::{Bench, Fault, bench};

const OPERATOR: VoterNumber = VoterNumber(1);

async fn ready() -> (Bench, Authenticator) {
    let bench = bench(|_| {});
    ensure_operator(&bench.service, Some("a steady hand".to_owned()), |_| {})
        .await
        .unwrap();
    let revoked = Arc::clone(bench.machine.read().revoked());
    let authenticator = Authenticator::new(Arc::clone(&bench.tokens), revoked, Arc::clone(&bench.clock) as _);
    (bench, authenticator)
}

async fn token(bench: &Bench) -> String {
    let request = LoginRequest {
        username: "operator".to_owned(),
        password: "a steady hand".to_owned(),
    };
    let logged_in = bench.service.login(request, IpAddr::V4(Ipv4Addr::LOCALHOST));
    logged_in.await.unwrap().1
}

#[tokio::test]
async fn a_logout_ends_every_token_of_before_and_none_of_after() {
    let (bench, authenticator) = ready().await;
    let old = [token(&bench).await, token(&bench).await];
    bench.service.log_out(OPERATOR).await.unwrap();
    // At once, and by no clock: the new one is signed in the same millisecond.
    let new = token(&bench).await;
    for token in &old {
        let refused = authenticator.verify(token).unwrap_err();
        assert_eq!(refused.status(), 401);
        assert!(refused.detail.contains("revoked"), "{refused:?}");
    }
    assert!(authenticator.verify(&new).is_ok());
    bench.service.revoke_for_operator(OPERATOR).await.unwrap();
    assert!(authenticator.verify(&new).is_err());
}

/// A replica that lags signs what the next revocation, of which it does not know, makes void: refused, and never let through.
#[tokio::test]
async fn a_token_signed_by_a_replica_that_lags_is_refused() {
    let (bench, authenticator) = ready().await;
    bench.log.bring_replica_to(bench.log.committed());
    let known_to = bench.log.committed();
    bench.service.log_out(OPERATOR).await.unwrap();
    let now = ostraka_replication::Clock::now(&*bench.clock);
    let late = bench.tokens.sign_at(
        OPERATOR,
        crate::token::Role::Operator,
        known_to,
        now,
        Duration::from_secs(60),
    );
    assert!(authenticator.verify(&late).is_err());
}

#[tokio::test]
async fn what_cannot_be_revoked_is_told_apart() {
    let (bench, authenticator) = ready().await;
    assert_eq!(
        bench.service.log_out(VoterNumber(9)).await,
        Err(RevokeError::NoSuchAccount)
    );
    let token = token(&bench).await;
    for (fault, expected) in [
        (Fault::Refused(SubmitError::NoLeader), RevokeError::NoLeader),
        (Fault::AnswerLost, RevokeError::Unknown),
    ] {
        bench.log.faults.lock().push_back(fault);
        assert_eq!(bench.service.log_out(OPERATOR).await, Err(expected));
    }
    // The answer was lost, the revocation was not.
    bench.log.bring_replica_to(bench.log.committed());
    assert!(authenticator.verify(&token).is_err());
}

#[tokio::test]
async fn nobody_fills_the_log_with_logouts_and_an_operator_is_not_held_up() {
    let (bench, _) = ready().await;
    for _ in 0..LOGOUT_PER_CALLER_BURST {
        bench.service.log_out(OPERATOR).await.unwrap();
    }
    assert!(matches!(
        bench.service.log_out(OPERATOR).await,
        Err(RevokeError::TooOften { retry_after_s: 1.. })
    ));
    bench.service.revoke_for_operator(OPERATOR).await.unwrap();
}
