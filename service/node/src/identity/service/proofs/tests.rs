//! A challenge from its giving to the account that comes of it, and every way in which that must fail.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ostraka_api::{ErrorCode, Purpose, Solution};
use ostraka_replication::{Clock, SubmitError};
use time::Date;

use super::*;
use crate::identity::testing::{Bench, Fault, bench, second_node};
use crate::rate::Rate;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn account(name: &str) -> RegisterRequest {
    RegisterRequest {
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        date_of_birth: Date::from_ordinal_date(1990, 1).unwrap(),
        password: None,
    }
}

fn solved(service: &IdentityService) -> SolveRequest {
    let challenge = service.challenge(ChallengeRequest::default(), HOME).unwrap();
    let solution = Work::new(&challenge.parameters).unwrap().solve().unwrap();
    SolveRequest { challenge, solution }
}

async fn token(bench: &Bench) -> String {
    let solved = solved(&bench.service);
    bench.service.solve(solved, HOME).await.unwrap().token
}

async fn register(
    bench: &Bench,
    token: &str,
    name: &str,
    key: Option<&str>,
) -> Result<VoterNumber, RegisterError> {
    bench
        .service
        .register_by_token(token, account(name), key, HOME)
        .await
}

#[tokio::test]
async fn a_solution_gives_a_token_that_registers_one() {
    let bench = bench(|_| {});
    let answer = bench.service.solve(solved(&bench.service), HOME).await.unwrap();
    assert!(answer.expires_in_s > 0);
    assert_eq!(
        register(&bench, &answer.token, "ann", None).await,
        Ok(VoterNumber(1))
    );
    assert_eq!(
        register(&bench, &answer.token, "bob", None).await,
        Err(RegisterError::TokenUsed)
    );
    bench.log.bring_replica_to(bench.log.committed());
    assert_eq!(
        register(&bench, &answer.token, "cid", None).await,
        Err(RegisterError::TokenUsed),
        "known here already"
    );
    let known = bench.machine.read().account(VoterNumber(1)).unwrap();
    assert_eq!(known.registered_by, None);
}

#[tokio::test]
async fn a_replay_fails_here_and_at_another_node() {
    let bench = bench(|_| {});
    let other = second_node(&bench);
    let solved = solved(&bench.service);
    assert!(bench.service.solve(solved.clone(), HOME).await.is_ok());
    // Neither node's replica has seen the entry: the log decides.
    assert_eq!(
        bench.service.solve(solved.clone(), HOME).await,
        Err(SolveError::Used)
    );
    assert_eq!(other.solve(solved.clone(), HOME).await, Err(SolveError::Used));
    bench.log.bring_replica_to(bench.log.committed());
    let entries = bench.log.committed();
    assert_eq!(bench.service.solve(solved, HOME).await, Err(SolveError::Used));
    assert_eq!(bench.log.committed(), entries, "what is known costs no entry");
    // The same of the token.
    let token = token(&bench).await;
    assert!(register(&bench, &token, "ann", None).await.is_ok());
    let elsewhere = other.register_by_token(&token, account("bob"), None, HOME).await;
    assert_eq!(elsewhere, Err(RegisterError::TokenUsed));
}

#[tokio::test]
async fn forged_wrong_and_late_solutions_fail() {
    let bench = bench(|_| {});
    let good = solved(&bench.service);
    let mut easier = good.clone();
    easier.challenge.parameters.key_prefix = String::new();
    assert_eq!(bench.service.solve(easier, HOME).await, Err(SolveError::Invalid));
    let wrong = SolveRequest {
        solution: Solution {
            counter: good.solution.counter + 1,
            ..good.solution.clone()
        },
        ..good.clone()
    };
    assert_eq!(bench.service.solve(wrong, HOME).await, Err(SolveError::Wrong));
    // Worked out for a challenge of another time.
    let another = bench
        .service
        .challenge(ChallengeRequest::default(), HOME)
        .unwrap();
    let precomputed = SolveRequest {
        challenge: another,
        solution: good.solution.clone(),
    };
    assert_eq!(
        bench.service.solve(precomputed, HOME).await,
        Err(SolveError::Wrong)
    );
    assert_eq!(bench.log.committed().0, 0, "none of these costs an entry");
    let end_ms = good.challenge.parameters.expires_at * 1_000;
    bench.clock.advance_ms(end_ms - bench.clock.now().0);
    assert_eq!(bench.service.solve(good, HOME).await, Err(SolveError::Expired));
}

#[tokio::test]
async fn a_refusal_leaves_the_token_and_a_key_brings_the_answer_back() {
    let bench = bench(|_| {});
    let (first, second) = (token(&bench).await, token(&bench).await);
    bench.log.faults.lock().push_back(Fault::AnswerLost);
    assert_eq!(
        register(&bench, &first, "ann", Some("k1")).await,
        Err(RegisterError::Unknown)
    );
    bench.log.bring_replica_to(bench.log.committed());
    assert_eq!(
        register(&bench, &first, "ann", Some("k1")).await,
        Ok(VoterNumber(1))
    );
    assert_eq!(
        register(&bench, &first, "ann", Some("k2")).await,
        Err(RegisterError::TokenUsed)
    );
    assert_eq!(
        register(&bench, &second, "ann", None).await,
        Err(RegisterError::UsernameTaken)
    );
    let mut wrong = account("bob");
    wrong.email = "ANN@example.org".to_owned();
    let taken = bench.service.register_by_token(&second, wrong, None, HOME).await;
    assert_eq!(taken, Err(RegisterError::EmailTaken));
    assert_eq!(register(&bench, &second, "bob", None).await, Ok(VoterNumber(2)));
}

#[tokio::test]
async fn a_token_ends_and_foreign_ones_never_begin() {
    let bench = bench(|settings| settings.register_per_token = Rate::new(2, 60_000));
    let good = token(&bench).await;
    for (name, forged) in [("ann", "ostraka-register-1.AAAA"), ("bob", "x.y.z")] {
        let refused = register(&bench, forged, name, None).await.unwrap_err();
        assert_eq!(refused.code(), ErrorCode::Unauthenticated);
    }
    bench.clock.advance_ms(REGISTRATION_TOKEN_LIFETIME_S * 1_000 + 1);
    let late = register(&bench, &good, "ann", None).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::Unauthenticated, "{late}");
    // One token does not ask for whose names are taken for ever.
    let patient = token(&bench).await;
    for _ in 0..2 {
        let wrong = account("a");
        let refused = bench.service.register_by_token(&patient, wrong, None, HOME).await;
        assert!(matches!(refused, Err(RegisterError::Invalid(_))));
    }
    assert_eq!(
        register(&bench, &patient, "ann", None).await,
        Err(RegisterError::TooOften { retry_after_s: 60 })
    );
}

#[tokio::test]
async fn pressure_makes_work_harder_and_floods_are_refused() {
    let bench = bench(|settings| {
        settings.challenges_per_prefix.free = 2;
        settings.challenge_per_address = Rate::new(10, 1_000);
    });
    let challenge = || {
        bench.service.challenge(
            ChallengeRequest {
                purpose: Purpose::Register,
            },
            HOME,
        )
    };
    let works: Vec<u64> = (0..10)
        .map(|_| challenge().unwrap().parameters)
        .map(|parameters| u64::from(parameters.cost) << (4 * parameters.key_prefix.len()))
        .collect();
    assert!(works.is_sorted() && works[9] == 8 * works[0], "{works:?}");
    assert_eq!(challenge(), Err(SolveError::TooOften { retry_after_s: 1 }));
}

#[tokio::test]
async fn what_the_log_says_is_what_the_client_is_told() {
    let bench = bench(|_| {});
    let solved = solved(&bench.service);
    for (fault, expected) in [
        (SubmitError::NoLeader, SolveError::NoLeader),
        (SubmitError::Unknown, SolveError::Unknown),
        (SubmitError::Stopped("gone".to_owned()), SolveError::Stopped),
    ] {
        bench.log.faults.lock().push_back(Fault::Refused(fault));
        assert_eq!(
            bench.service.solve(solved.clone(), HOME).await,
            Err(expected.clone())
        );
        assert!(expected.retry_after_s().is_some());
    }
    let service = Arc::clone(&bench.service);
    assert!(service.solve(solved, HOME).await.is_ok());
}
