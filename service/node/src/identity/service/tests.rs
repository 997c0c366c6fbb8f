//! Login and registration over a log that lags, refuses and loses answers.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;

use ostraka_core::{LogIndex, UnixMs};
use ostraka_replication::Clock;

use ostraka_api::FieldError;
use ostraka_replication::Refusal;

use super::*;
use crate::identity::testing::{Bench, Fault, bench};
use crate::identity::{IdentitySettings, ensure_operator};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const AWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn operator() -> Caller {
    Caller {
        voter: VoterNumber(1),
        role: Role::Operator,
        expires_at: UnixMs(u64::MAX),
        known_to: LogIndex(0),
    }
}

fn request(name: &str, password: Option<&str>) -> RegisterRequest {
    RegisterRequest {
        username: name.to_owned(),
        email: format!("{name}@example.org"),
        date_of_birth: Date::from_ordinal_date(1990, 1).unwrap(),
        password: password.map(str::to_owned),
    }
}

async fn ready(change: impl FnOnce(&mut IdentitySettings)) -> Bench {
    let bench = bench(change);
    ensure_operator(&bench.service, Some("steady hand".to_owned()), |_| {
        panic!("a given password is not printed")
    })
    .await
    .unwrap();
    bench
}

async fn register(bench: &Bench, name: &str, password: Option<&str>) -> Result<VoterNumber, RegisterError> {
    bench
        .service
        .register(operator(), request(name, password), None, HOME)
        .await
}

async fn login(bench: &Bench, name: &str, password: &str) -> Result<(VoterNumber, String), LoginError> {
    let request = LoginRequest {
        username: name.to_owned(),
        password: password.to_owned(),
    };
    bench.service.login(request, HOME).await
}

#[tokio::test]
async fn who_is_registered_can_log_in_through_a_replica_that_lags() {
    let bench = ready(|_| {}).await;
    assert_eq!(
        register(&bench, "ann", Some("ann's secret")).await,
        Ok(VoterNumber(2))
    );
    assert!(
        bench.log.applied_index() < bench.log.committed(),
        "the replica has not seen it yet"
    );
    let (voter, token) = login(&bench, "ANN", "ann's secret").await.unwrap();
    assert_eq!(voter, VoterNumber(2));
    let caller = bench.tokens.verify(&token, bench.clock.now()).unwrap();
    assert_eq!((caller.voter, caller.role), (VoterNumber(2), Role::Voter));
    assert_eq!(
        caller.expires_at,
        UnixMs(bench.clock.now().0 + TOKEN_LIFETIME_S * 1_000)
    );
    let (voter, token) = login(&bench, "operator", "steady hand").await.unwrap();
    assert_eq!(
        bench.tokens.verify(&token, bench.clock.now()).unwrap().role,
        Role::Operator
    );
    assert_eq!(voter, VoterNumber(1));
}

#[tokio::test]
async fn wrong_credentials_all_look_the_same() {
    let bench = ready(|_| {}).await;
    register(&bench, "ann", Some("ann's secret")).await.unwrap();
    register(&bench, "bob", None).await.unwrap();
    for (name, password) in [
        ("ann", "ann's secreT"),
        ("nobody", "ann's secret"),
        ("bob", "anything"),
    ] {
        assert_eq!(
            login(&bench, name, password).await,
            Err(LoginError::WrongCredentials),
            "{name}"
        );
    }
    assert_eq!(login(&bench, "", "x").await, Err(LoginError::Missing("username")));
    assert_eq!(
        login(&bench, "ann", "").await,
        Err(LoginError::Missing("password"))
    );
}

#[tokio::test]
async fn without_a_leader_known_users_still_log_in() {
    let bench = ready(|_| {}).await;
    register(&bench, "ann", Some("ann's secret")).await.unwrap();
    bench.log.bring_replica_to(bench.log.committed());
    register(&bench, "bob", Some("bob's secret")).await.unwrap();
    bench.log.quorum.store(false, Ordering::Relaxed);
    assert!(login(&bench, "ann", "ann's secret").await.is_ok());
    assert_eq!(
        login(&bench, "bob", "bob's secret").await,
        Err(LoginError::WrongCredentials)
    );
}

#[tokio::test]
async fn only_operators_that_exist_register() {
    let bench = ready(|_| {}).await;
    register(&bench, "ann", None).await.unwrap();
    let as_caller = |voter, role| Caller {
        voter: VoterNumber(voter),
        role,
        expires_at: UnixMs(u64::MAX),
        known_to: LogIndex(0),
    };
    let by = |caller| bench.service.register(caller, request("bob", None), None, HOME);
    assert_eq!(
        by(as_caller(2, Role::Voter)).await,
        Err(RegisterError::NotPermitted)
    );
    assert_eq!(
        by(as_caller(2, Role::Operator)).await,
        Err(RegisterError::NotPermitted),
        "the account decides"
    );
    assert_eq!(
        by(as_caller(9, Role::Operator)).await,
        Err(RegisterError::CallerGone)
    );
    assert_eq!(by(operator()).await, Ok(VoterNumber(3)));
}

#[tokio::test]
async fn names_and_addresses_are_taken_once() {
    let bench = ready(|_| {}).await;
    register(&bench, "ann", None).await.unwrap();
    assert_eq!(
        register(&bench, "ann", None).await,
        Err(RegisterError::UsernameTaken)
    );
    assert_eq!(
        register(&bench, "Operator", None).await,
        Err(RegisterError::UsernameTaken)
    );
    let same_email = RegisterRequest {
        email: "ANN@example.org".to_owned(),
        ..request("bob", None)
    };
    let taken = bench.service.register(operator(), same_email, None, HOME).await;
    assert_eq!(taken, Err(RegisterError::EmailTaken));
}

#[tokio::test]
async fn an_idempotency_key_brings_the_first_answer_back() {
    let bench = ready(|_| {}).await;
    let with_key = |name, key| {
        bench
            .service
            .register(operator(), request(name, None), Some(key), HOME)
    };
    bench.log.faults.lock().push_back(Fault::AnswerLost);
    assert_eq!(with_key("ann", "k1").await, Err(RegisterError::Unknown));
    assert_eq!(with_key("ann", "k1").await, Ok(VoterNumber(2)));
    assert_eq!(with_key("ann", "k2").await, Err(RegisterError::UsernameTaken));
    assert!(matches!(
        with_key("ann", "two words").await,
        Err(RegisterError::InvalidKey(_))
    ));
    // Another operator's key of the same name is another key.
    let other = bench.service.request_key(VoterNumber(7), Some("k1"));
    assert_ne!(other, bench.service.request_key(VoterNumber(1), Some("k1")));
}

#[tokio::test]
async fn what_the_log_says_is_what_the_client_is_told() {
    let bench = ready(|_| {}).await;
    for (fault, expected) in [
        (SubmitError::NoLeader, RegisterError::NoLeader),
        (SubmitError::Unknown, RegisterError::Unknown),
        (
            SubmitError::Refused(Refusal::Overloaded),
            RegisterError::Overloaded(Refusal::Overloaded.to_string()),
        ),
        (
            SubmitError::Refused(Refusal::StorageFull),
            RegisterError::StorageFull,
        ),
        (SubmitError::Stopped("gone".to_owned()), RegisterError::Stopped),
    ] {
        bench.log.faults.lock().push_back(Fault::Refused(fault));
        assert_eq!(register(&bench, "ann", None).await, Err(expected));
    }
    assert_eq!(register(&bench, "ann", None).await, Ok(VoterNumber(2)));
}

#[tokio::test]
async fn wrong_fields_are_refused_before_anything_is_done() {
    let bench = ready(|_| {}).await;
    let entries = bench.log.committed();
    let unborn = RegisterRequest {
        date_of_birth: Date::from_ordinal_date(2023, 330).unwrap(),
        ..request("ann", None)
    };
    for wrong in [
        unborn,
        request("a", None),
        request("ann", Some("short")),
        RegisterRequest {
            email: "ann".to_owned(),
            ..request("ann", None)
        },
    ] {
        let refused = bench.service.register(operator(), wrong, None, HOME).await;
        assert!(matches!(refused, Err(RegisterError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(bench.log.committed(), entries);
    // 2023-11-14 22:13 UTC is the 15th in half the world: who becomes old enough there registers.
    let born = |day| RegisterRequest {
        date_of_birth: Date::from_ordinal_date(2007, day).unwrap(),
        ..request("ann", None)
    };
    let too_young = bench.service.register(operator(), born(320), None, HOME).await;
    assert_eq!(
        too_young,
        Err(RegisterError::Invalid(FieldError::TooYoung { years: 16 }))
    );
    assert!(
        bench
            .service
            .register(operator(), born(319), None, HOME)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn an_operator_sets_the_age() {
    let bench = ready(|settings| settings.minimum_age_years = 0).await;
    let born_today = RegisterRequest {
        date_of_birth: Date::from_ordinal_date(2023, 319).unwrap(),
        ..request("ann", None)
    };
    let registered = bench.service.register(operator(), born_today, None, HOME).await;
    assert_eq!(registered, Ok(VoterNumber(2)));
}

/// Ten wrong logins a minute from anywhere once locked the owner out.
#[tokio::test(start_paused = true)]
async fn nobody_locks_the_owner_out() {
    let bench = ready(|_| {}).await;
    register(&bench, "ann", Some("ann's secret")).await.unwrap();
    let from = |address: IpAddr, password: &str| {
        let request = LoginRequest {
            username: "ann".to_owned(),
            password: password.to_owned(),
        };
        bench.service.login(request, address)
    };
    let mut refused = 0;
    for _ in 0..200 {
        refused += u32::from(matches!(
            from(HOME, "guess").await,
            Err(LoginError::TooOften { .. })
        ));
    }
    assert_eq!(refused, 190, "the guesser is refused");
    assert!(from(AWAY, "ann's secret").await.is_ok(), "the owner is not");
    // A farm of a thousand prefixes is slowed, and so is the owner meanwhile, who still gets in.
    for prefix in 0..1_000u16 {
        let [high, low] = prefix.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(10, high, low, 1));
        assert_eq!(from(address, "guess").await, Err(LoginError::WrongCredentials));
    }
    let begun = tokio::time::Instant::now();
    assert!(from(AWAY, "ann's secret").await.is_ok());
    assert_eq!(begun.elapsed(), Duration::from_millis(LOGIN_SLOWED_MS));
}

#[tokio::test]
async fn guessing_is_slowed_by_name_and_by_address() {
    let bench = ready(|settings| {
        settings.login_per_name_and_prefix = Rate::new(2, 6_000);
        settings.login_per_address = Rate::new(4, 1_000);
    })
    .await;
    for _ in 0..2 {
        assert_eq!(
            login(&bench, "ann", "guess").await,
            Err(LoginError::WrongCredentials)
        );
    }
    assert_eq!(
        login(&bench, "Ann", "guess").await,
        Err(LoginError::TooOften { retry_after_s: 6 })
    );
    assert_eq!(
        login(&bench, "bob", "guess").await,
        Err(LoginError::WrongCredentials)
    );
    assert_eq!(
        login(&bench, "cid", "guess").await,
        Err(LoginError::TooOften { retry_after_s: 1 })
    );
    let elsewhere = LoginRequest {
        username: "cid".to_owned(),
        password: "guess".to_owned(),
    };
    assert_eq!(
        bench.service.login(elsewhere, AWAY).await,
        Err(LoginError::WrongCredentials)
    );
    bench.clock.advance_ms(1_000);
    assert_eq!(
        login(&bench, "cid", "guess").await,
        Err(LoginError::WrongCredentials)
    );
}

#[tokio::test]
async fn registrations_are_limited_by_caller_and_by_address() {
    let bench = ready(|settings| {
        settings.register_per_caller = Rate::new(3, 1_000);
        settings.register_per_address = Rate::new(2, 60_000);
    })
    .await;
    let from = |name, address| {
        bench
            .service
            .register(operator(), request(name, None), None, address)
    };
    assert!(from("ann", HOME).await.is_ok());
    assert!(from("bob", HOME).await.is_ok());
    assert_eq!(
        from("cid", HOME).await,
        Err(RegisterError::TooOften { retry_after_s: 60 })
    );
    assert!(from("cid", AWAY).await.is_ok());
    assert_eq!(
        from("dan", AWAY).await,
        Err(RegisterError::TooOften { retry_after_s: 1 })
    );
}

#[test]
fn retryable_answers_say_when_and_terminal_ones_do_not() {
    use ostraka_api::ErrorClass;
    let login = [
        LoginError::Missing("username"),
        LoginError::WrongCredentials,
        LoginError::TooOften { retry_after_s: 3 },
        LoginError::Busy,
    ];
    let register = [
        RegisterError::Invalid(FieldError::EmailShape),
        RegisterError::InvalidKey(FieldError::KeyCharacters),
        RegisterError::NotPermitted,
        RegisterError::CallerGone,
        RegisterError::UsernameTaken,
        RegisterError::EmailTaken,
        RegisterError::TooOften { retry_after_s: 3 },
        RegisterError::Overloaded("x".to_owned()),
        RegisterError::NoLeader,
        RegisterError::Stopped,
        RegisterError::Unknown,
    ];
    let login = login.iter().map(|error| (error.code(), error.retry_after_s()));
    let register = register.iter().map(|error| (error.code(), error.retry_after_s()));
    for (code, retry_after_s) in login.chain(register) {
        assert_eq!(
            code.class() != ErrorClass::Terminal,
            retry_after_s.is_some(),
            "{code:?}"
        );
    }
}
