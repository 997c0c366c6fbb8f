//! The two routes, as HTTP requests.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use ostraka_api::SpanId;
use ostraka_api::problem::PROBLEM_MEDIA_TYPE;
use ostraka_api::trace::IncomingTrace;
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
    ensure_operator(&bench.service, Some("operator's".to_owned()), |_| {})
        .await
        .unwrap();
    let authenticator = Authenticator::new(Arc::clone(&bench.tokens), Arc::clone(&bench.clock) as _);
    let router = router(Arc::clone(&bench.service), authenticator);
    (bench, router)
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
    let credentials = json!({"username": "operator", "password": "operator's"});
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

#[tokio::test]
async fn every_row_of_the_contract() {
    let (bench, router) = ready().await;
    let now = ostraka_replication::Clock::now(&*bench.clock);
    let token = |voter, role| {
        bench
            .tokens
            .sign(VoterNumber(voter), role, now, std::time::Duration::from_secs(60))
    };
    let (operator, plain, gone) = (
        token(1, Role::Operator),
        token(2, Role::Voter),
        token(9, Role::Operator),
    );
    let with = |change: &str, value: Value| {
        let mut body = ann();
        body[change] = value;
        body
    };
    let (login, register) = ("/v1/auth/login", "/v1/auth/register");
    let rows = [
        (register, Some(&operator), ann(), 201),
        (register, Some(&operator), ann(), 409),
        (register, Some(&operator), with("username", json!("bob")), 409),
        (register, Some(&operator), with("username", json!("b")), 400),
        (register, Some(&operator), with("username", json!(7)), 400),
        (register, Some(&operator), with("email", json!("ann")), 400),
        (
            register,
            Some(&operator),
            with("dateOfBirth", json!("1990-02-30")),
            400,
        ),
        (register, Some(&operator), json!({"username": "bob"}), 400),
        (register, Some(&operator), json!([]), 400),
        (register, None, ann(), 401),
        (register, Some(&"x.y.z".to_owned()), ann(), 401),
        (register, Some(&plain), ann(), 403),
        (register, Some(&gone), ann(), 404),
        (
            login,
            None,
            json!({"username": "ann", "password": "ann's secret"}),
            200,
        ),
        (login, None, json!({"username": "ann"}), 400),
        (login, None, json!({"username": "ann", "password": ""}), 400),
        (login, None, json!({"username": "ann", "password": "wrong"}), 401),
        (
            login,
            None,
            json!({"username": "nobody", "password": "wrong"}),
            401,
        ),
    ];
    for (row, (path, token, body, expected)) in rows.into_iter().enumerate() {
        let (response, answer) = post_to(&router, path, token.map(String::as_str), body).await;
        assert_eq!(response.status(), expected, "row {row}");
        if row == 0 {
            assert_eq!(answer, json!({"user_id": "u2"}));
        }
        if expected >= 400 {
            assert_eq!(
                response.headers()[header::CONTENT_TYPE],
                PROBLEM_MEDIA_TYPE,
                "row {row}"
            );
        }
    }
    for _ in 0..20 {
        post_to(
            &router,
            login,
            None,
            json!({"username": "bob", "password": "wrong"}),
        )
        .await;
    }
    let (response, _) = post_to(
        &router,
        login,
        None,
        json!({"username": "bob", "password": "wrong"}),
    )
    .await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[header::RETRY_AFTER], "6");
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
fn the_document_lists_both_routes() {
    let document = serde_json::to_value(api_document()).unwrap();
    assert!(document["paths"]["/v1/auth/login"]["post"]["responses"]["401"].is_object());
    assert!(document["paths"]["/v1/auth/register"]["post"]["security"].is_array());
    assert!(document["components"]["schemas"]["RegisterRequest"].is_object());
}
