mod creations;
mod events;
mod lane;
mod streams;
mod votes;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use ostraka_api::{Durability, ErrorCode, ProblemBody};
use ostraka_core::VoterNumber;
use ostraka_replication::{Clock, SubmitError};
use prometheus_client::registry::Registry;
use serde_json::{Value, json};

use super::*;
use crate::audit::Trail;
use crate::http::edge::Served;
use crate::http::{Authenticator, Edge, HttpMetrics};
use crate::log::Log;
use crate::secrets::Secrets;
use crate::token::{Role, Tokens};
use crate::vote::service::VoteParts;
use crate::vote::testing::{LocalLog, env};

struct App {
    log: Arc<LocalLog>,
    service: Arc<VoteService>,
    served: Arc<Served>,
    tokens: Arc<Tokens>,
}

impl App {
    fn start() -> Self {
        Self::over(LocalLog::new())
    }

    fn over(log: Arc<LocalLog>) -> Self {
        let env = env(&log);
        let secrets = Secrets::derive(&[7; 32], &["k1".to_owned()]);
        let tokens = Arc::new(Tokens::new(&secrets));
        let mut registry = Registry::default();
        let service = VoteService::start(VoteParts {
            log: Arc::clone(&log) as Arc<dyn Log>,
            machine: Arc::clone(&log.machine),
            secrets: &secrets,
            authenticator: Authenticator::new(Arc::clone(&tokens), Arc::default(), Arc::clone(&env.clock)),
            env: &env,
            audit: Trail::default(),
            durability: Durability::Volatile,
            registry: &mut registry,
        });
        let served = Edge::new(&env, HttpMetrics::register(&mut registry)).over(router(Arc::clone(&service)));
        Self {
            log,
            service,
            served,
            tokens,
        }
    }

    fn token(&self, voter: u32, role: Role) -> String {
        self.tokens.sign(
            VoterNumber(voter),
            role,
            self.log.clock.now(),
            Duration::from_secs(3_600),
        )
    }

    fn request(&self, method: &str, path: &str, voter: u32) -> axum::http::request::Builder {
        let bearer = format!("Bearer {}", self.token(voter, Role::Voter));
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", bearer)
    }

    async fn send(&self, request: Request<Body>) -> Response {
        self.served.handle(request, Arc::default()).await
    }

    async fn json(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.send(request).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn get(&self, path: &str, voter: u32) -> (StatusCode, Value) {
        self.json(self.request("GET", path, voter).body(Body::empty()).unwrap())
            .await
    }

    async fn post(&self, path: &str, voter: u32, body: Value) -> (StatusCode, Value) {
        let request = self
            .request("POST", path, voter)
            .header("content-type", "application/json");
        self.json(request.body(body.to_string().into()).unwrap()).await
    }

    /// An event with two contestants, of user 1.
    async fn event(&self, extra: Value) -> String {
        let mut body = json!({
            "user_id": "u1", "event_name": "Song",
            "contestants": [
                {"contestant_name": "A", "contestant_description": "", "contestant_image_url": "https://a.example/a.png"},
                {"contestantName": "B"},
            ],
        });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let (status, answer) = self.post("/v1/event/create", 1, body).await;
        assert_eq!(status, 200, "{answer}");
        answer["event_id"].as_str().unwrap().to_owned()
    }

    async fn vote(&self, voter: u32, contestant: &str) -> (StatusCode, Value) {
        let event = contestant.split('-').next().unwrap();
        self.post("/v1/vote/submit", voter, submission(voter, event, contestant))
            .await
    }
}

fn submission(voter: u32, event: &str, contestant: &str) -> Value {
    json!({
        "user_id": format!("u{voter}"), "event_id": event, "contestant_id": contestant,
        "client_timestamp": "2026-01-31T20:15:00Z", "meta": {"device_id": "d", "app_version": "1"},
    })
}

fn code(body: &Value) -> ErrorCode {
    let problem: ProblemBody = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(problem.trace_id.len(), 32);
    assert!(!problem.detail.is_empty());
    problem.code().unwrap()
}

#[test]
fn the_document_has_every_route() {
    let document = serde_json::to_value(api_document()).unwrap();
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        paths,
        [
            "/v1/contestants/{event_id}",
            "/v1/event/create",
            "/v1/event/{event_id}/close",
            "/v1/event/{event_id}/leaderboard",
            "/v1/event/{event_id}/open",
            "/v1/event/{event_id}/stream",
            "/v1/vote/submit",
            "/v1/vote/{vote_id}/status",
        ]
    );
}
