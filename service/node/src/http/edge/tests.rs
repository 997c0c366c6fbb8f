use axum::http::StatusCode;
use axum::routing::get;
use http_body_util::BodyExt;
use ostraka_api::ProblemBody;
use ostraka_core::UnixMs;
use ostraka_replication::env::{BoxFuture, BoxIo};
use ostraka_replication::{Clock, Listener, Net};
use prometheus_client::registry::Registry;

use super::*;
use crate::env::Entropy;

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> UnixMs {
        UnixMs(1_700_000_000_000)
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Net for Fixed {
    fn bind<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }

    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, std::io::Result<BoxIo>> {
        Box::pin(async { Err(std::io::ErrorKind::Unsupported.into()) })
    }
}

fn served() -> Arc<Served> {
    let env = Env::new(Arc::new(Fixed), Arc::new(Fixed), Arc::new(Fixed));
    let edge = Edge::new(&env, HttpMetrics::register(&mut Registry::default()));
    let router = Router::new()
        .route("/fine", get(|| async { "fine" }))
        .route("/panics", get(panics));
    edge.over(router)
}

async fn panics() -> &'static str {
    panic!("planted")
}

async fn answer(request: axum::http::request::Builder) -> (Response<()>, Vec<u8>) {
    let response = served()
        .handle(request.body(Body::empty()).unwrap(), Arc::default())
        .await;
    let (parts, body) = response.into_parts();
    (
        Response::from_parts(parts, ()),
        body.collect().await.unwrap().to_bytes().to_vec(),
    )
}

const SENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn every_answer_carries_trace_and_safety_headers() {
    let (response, body) = answer(Request::get("/fine").header("traceparent", SENT)).await;
    assert_eq!(
        (response.status(), body.as_slice()),
        (StatusCode::OK, b"fine".as_slice())
    );
    let headers = response.headers();
    assert!(headers["traceparent"].to_str().unwrap().starts_with(&SENT[..35]));
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn an_amazon_trace_is_answered_in_both_headers() {
    let root = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1";
    let (response, _) = answer(Request::get("/fine").header("x-amzn-trace-id", root)).await;
    let headers = response.headers();
    assert!(
        headers["traceparent"]
            .to_str()
            .unwrap()
            .contains("5759e988bd862e3fe1be46a994272793")
    );
    assert!(
        headers["x-amzn-trace-id"]
            .to_str()
            .unwrap()
            .starts_with(&root[..40])
    );
}

#[tokio::test]
async fn wrong_paths_methods_and_panics_are_problems_with_the_trace_id() {
    let cases = [
        (Request::get("/none"), 404, ErrorCode::RouteNotFound),
        (Request::delete("/fine"), 405, ErrorCode::MethodNotAllowed),
        (Request::get("/panics"), 500, ErrorCode::Internal),
    ];
    for (request, status, code) in cases {
        let (response, body) = answer(request.header("traceparent", SENT)).await;
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body: ProblemBody = serde_json::from_slice(&body).unwrap();
        assert_eq!(body.code(), Some(code));
        assert_eq!(body.trace_id, SENT[3..35]);
    }
}
