//! The routes, as HTTP requests.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use ostraka_api::SpanId;
use ostraka_api::problem::PROBLEM_MEDIA_TYPE;
use ostraka_api::trace::IncomingTrace;
use ostraka_core::limits::LOGIN_PER_NAME_AND_PREFIX_BURST;
use ostraka_core::{TraceId, VoterNumber};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;
use crate::http::progress::Progress;
use crate::identity::ensure_operator;
use crate::identity::testing::{Bench, bench};
use crate::token::Role;

async fn ready() -> (Bench, Router) {
    let bench = bench(|_| {});
    ensure_operator(&bench.service, Some("steady hand".to_owned()), |_| {})
        .await
        .unwrap();
    let authenticator = authenticator_of(&bench);
    let router = router(Arc::clone(&bench.service), authenticator);
    (bench, router)
}

fn authenticator_of(bench: &Bench) -> Authenticator {
    let revoked = Arc::clone(bench.machine.read().revoked());
    Authenticator::new(Arc::clone(&bench.tokens), revoked, Arc::clone(&bench.clock) as _)
}

async fn post_to(router: &Router, path: &str, token: Option<&str>, body: Value) -> (Response, Value) {
    let mut request = Request::post(path).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::from(body.to_string())).unwrap();
    request.extensions_mut().insert(context());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    (Response::from_parts(parts, Body::empty()), value)
}

fn context() -> RequestContext {
    let span = SpanId::new([1; 8]).expect("not zero");
    let trace = IncomingTrace::choose(None, None, TraceId([1; 16]), span);
    RequestContext {
        trace,
        progress: Arc::new(Progress::default()),
    }
}

fn ann() -> Value {
    json!({"username": "ann", "email": "ann@example.org", "dateOfBirth": "1990-12-31", "password": "ann's secret"})
}

#[tokio::test]
async fn login_answers_with_user_id_token_and_cookie() {
    let (bench, router) = ready().await;
    let credentials = json!({"username": "operator", "password": "steady hand"});
    let (response, body) = post_to(&router, "/v1/auth/login", None, credentials).await;
    assert_eq!(response.status(), 200);
    assert_eq!(body["userId"], "u1");
    let token = body["token"].as_str().unwrap();
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert_eq!(
        cookie,
        format!("ostraka_token={token}; HttpOnly; SameSite=Strict; Path=/v1; Max-Age=43200")
    );
    let secure = IdentitySettings {
        cookie_secure: true,
        ..*bench.service.settings()
    };
    assert!(
        super::cookie(token, &secure)
            .to_str()
            .unwrap()
            .ends_with("; Secure")
    );
}

/// Sends each row and compares its status; refusals must be problems.
async fn check(router: &Router, path: &str, rows: Vec<(Option<&str>, Value, u16)>) {
    for (row, (token, body, expected)) in rows.into_iter().enumerate() {
        let (response, _) = post_to(router, path, token, body).await;
        assert_eq!(response.status(), expected, "{path}, row {row}");
        let media_type = &response.headers()[header::CONTENT_TYPE];
        assert_eq!(
            media_type == PROBLEM_MEDIA_TYPE,
            expected >= 400,
            "{path}, row {row}"
        );
    }
}

fn token(bench: &Bench, voter: u32, role: Role) -> String {
    let now = ostraka_replication::Clock::now(&*bench.clock);
    bench
        .tokens
        .sign(VoterNumber(voter), role, now, std::time::Duration::from_secs(60))
}

#[tokio::test]
async fn every_row_of_register() {
    let (bench, router) = ready().await;
    let operator = token(&bench, 1, Role::Operator);
    let (plain, gone) = (token(&bench, 2, Role::Voter), token(&bench, 9, Role::Operator));
    let path = "/v1/auth/register";
    let (_, answer) = post_to(&router, path, Some(&operator), ann()).await;
    assert_eq!(answer, json!({"user_id": "u2"}));
    let with = |field: &str, value: Value| {
        let mut body = ann();
        body[field] = value;
        body
    };
    let bob =
        json!({"username": "bob", "email": "bob@example.org", "date_of_birth": "1990-12-31", "extra": 1});
    let rows = vec![
        (Some(operator.as_str()), bob, 201),
        (Some(&operator), ann(), 409),
        (Some(&operator), with("username", json!("cid")), 409),
        (Some(&operator), with("username", json!("c")), 400),
        (Some(&operator), with("username", json!(7)), 400),
        (Some(&operator), with("email", json!("ann")), 400),
        (Some(&operator), with("dateOfBirth", json!("1990-02-30")), 400),
        (Some(&operator), with("password", json!("short")), 400),
        (Some(&operator), json!({"username": "cid"}), 400),
        (Some(&operator), json!([]), 400),
        (None, ann(), 401),
        (Some("x.y.z"), ann(), 401),
        (Some(&plain), ann(), 403),
        (Some(&gone), ann(), 404),
    ];
    check(&router, path, rows).await;
}

#[tokio::test]
async fn every_row_of_login() {
    let (_bench, router) = ready().await;
    let path = "/v1/auth/login";
    let body = |username: &str, password: &str| json!({"username": username, "password": password});
    let mut rows = vec![
        (None, body("operator", "steady hand"), 200),
        (None, json!({"username": "operator"}), 400),
        (None, json!({"username": "operator", "password": 7}), 400),
        (None, body("operator", ""), 400),
        (None, body("operator", "wrong"), 401),
        (None, body("nobody", "wrong"), 401),
    ];
    rows.extend((0..LOGIN_PER_NAME_AND_PREFIX_BURST).map(|_| (None, body("bob", "wrong"), 401)));
    rows.push((None, body("bob", "wrong"), 429));
    check(&router, path, rows).await;
    let (response, _) = post_to(&router, path, None, body("bob", "wrong")).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "6");
}

#[tokio::test]
async fn every_row_of_challenge_and_solve() {
    let (bench, router) = ready().await;
    let challenge = || {
        post_to(
            &router,
            "/v1/auth/challenge",
            None,
            json!({"purpose": "register"}),
        )
    };
    let (response, given) = challenge().await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let mut bare = Request::post("/v1/auth/challenge").body(Body::empty()).unwrap();
    bare.extensions_mut().insert(context());
    assert_eq!(
        router.clone().oneshot(bare).await.unwrap().status(),
        200,
        "no body"
    );
    let rows = vec![
        (None, json!({}), 200),
        (None, json!({"purpose": "vote"}), 400),
        (None, json!([]), 400),
    ];
    check(&router, "/v1/auth/challenge", rows).await;

    let parameters = serde_json::from_value(given["parameters"].clone()).unwrap();
    let solution = ostraka_api::Work::new(&parameters).unwrap().solve().unwrap();
    let solved = json!({"challenge": given, "solution": solution});
    let with = |pointer: &str, value: Value| {
        let mut body = solved.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let path = "/v1/auth/challenge/solve";
    let rows = vec![
        (None, with("/challenge/parameters/keyPrefix", json!("0")), 400),
        (None, with("/challenge/signature", json!("00")), 400),
        (None, with("/solution/counter", json!(solution.counter + 1)), 400),
        (None, with("/solution/counter", json!("1")), 400),
        (None, json!({"challenge": given}), 400),
    ];
    check(&router, path, rows).await;
    let (response, answer) = post_to(&router, path, None, solved.clone()).await;
    assert_eq!(response.status(), 200, "{answer}");
    check(&router, path, vec![(None, solved.clone(), 409)]).await;

    let token = answer["token"].as_str().unwrap();
    let changed = format!("{token}A");
    let other = json!({"username": "bob", "email": "bob@example.org", "date_of_birth": "1990-12-31"});
    let rows = vec![
        (Some(changed.as_str()), ann(), 401),
        (Some(token), ann(), 201),
        (Some(token), other, 401),
    ];
    check(&router, "/v1/auth/register", rows).await;
    let access = authenticator_of(&bench);
    assert!(access.verify(token).is_err(), "it opens nothing else");
}

#[tokio::test]
async fn the_same_idempotency_key_gets_the_same_user() {
    let (bench, router) = ready().await;
    let now = ostraka_replication::Clock::now(&*bench.clock);
    let token = bench.tokens.sign(
        VoterNumber(1),
        Role::Operator,
        now,
        std::time::Duration::from_secs(60),
    );
    let send = |key: &'static [u8]| {
        let mut request = Request::post("/v1/auth/register")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", key)
            .body(Body::from(ann().to_string()))
            .unwrap();
        request.extensions_mut().insert(context());
        router.clone().oneshot(request)
    };
    assert_eq!(send(b"k1").await.unwrap().status(), 201);
    assert_eq!(send(b"k1").await.unwrap().status(), 201);
    assert_eq!(send(b"k2").await.unwrap().status(), 409);
    assert_eq!(send(b"two words").await.unwrap().status(), 400);
    assert_eq!(send(b"\xff").await.unwrap().status(), 400);
    assert_eq!(
        bench.machine.read().accounts(),
        1,
        "this replica has not been asked to catch up"
    );
}

#[test]
fn the_document_lists_every_route() {
    let document = serde_json::to_value(api_document()).unwrap();
    assert!(document["paths"]["/v1/auth/login"]["post"]["responses"]["401"].is_object());
    assert!(document["paths"]["/v1/auth/register"]["post"]["security"].is_array());
    assert!(document["components"]["schemas"]["RegisterRequest"].is_object());
    assert!(document["paths"]["/v1/auth/challenge"]["post"]["responses"]["429"].is_object());
    assert!(document["paths"]["/v1/auth/challenge/solve"]["post"]["responses"]["409"].is_object());
    assert!(document["components"]["schemas"]["ChallengeParameters"].is_object());
}
