//! What an operator does, through the nodes' operator ports.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use ostraka_client::Connect;
use ostraka_node::env::{GroupName, GroupStatus};
use ostraka_node::operator::{ClusterStatus, Memberships};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::machine::peer_address;
use crate::net::HostNet;
use crate::stage::{Host, OPERATOR_PORT, SharedStage, Stage};

#[derive(Clone)]
pub(crate) struct Operator {
    net: HostNet,
}

impl Operator {
    pub(crate) fn new(stage: &SharedStage) -> Self {
        Self {
            net: HostNet {
                stage: stage.clone(),
                host: stage.clients_host(),
            },
        }
    }

    /// Status and body of the answer, or why there is none.
    async fn call(
        &self,
        node: Host,
        path: &str,
        body: Option<Value>,
        within: Duration,
    ) -> Result<(u16, Bytes), String> {
        let calling = async {
            let authority = format!("{}:{OPERATOR_PORT}", Stage::host_name(node));
            let io = self
                .net
                .connect(&authority)
                .await
                .map_err(|error| error.to_string())?;
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(io)).await;
            let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
            tokio::spawn(connection);
            let method = if body.is_some() { Method::POST } else { Method::GET };
            let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(header::HOST, authority)
                .header(header::CONTENT_TYPE, "application/json")
                .body(Full::new(body))
                .expect("made of parts that are right");
            let response = sender
                .send_request(request)
                .await
                .map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        timeout(within, calling)
            .await
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
    }

    /// The vote log as `node` sees it.
    pub(crate) async fn vote_log(&self, node: Host, within: Duration) -> Option<GroupStatus> {
        self.logs(node, within)
            .await?
            .into_iter()
            .find(|group| group.name == GroupName::Vote)
    }

    /// All logs as `node` sees them.
    pub(crate) async fn logs(&self, node: Host, within: Duration) -> Option<Vec<GroupStatus>> {
        let (status, body) = self.call(node, "/v1/cluster/status", None, within).await.ok()?;
        let status: Option<ClusterStatus> = (status == 200).then(|| serde_json::from_slice(&body).ok())?;
        Some(status?.groups)
    }

    pub(crate) async fn is_ready(&self, node: Host, within: Duration) -> bool {
        matches!(self.call(node, "/readyz", None, within).await, Ok((200, _)))
    }

    /// Whether it was done; asked through `via`.
    async fn act(&self, via: Host, action: &str, body: Value, within: Duration) -> bool {
        let path = format!("/v1/cluster/{action}");
        matches!(self.call(via, &path, Some(body), within).await, Ok((200, _)))
    }

    /// The memberships that `via` knows, which a change of members is asked for over.
    pub(crate) async fn memberships(&self, via: Host, within: Duration) -> Option<Memberships> {
        let groups = self.logs(via, within).await?;
        Some(ClusterStatus { groups }.memberships())
    }

    /// The operator looks, and then asks for a change of what was seen: both within the time given.
    pub(crate) async fn add(&self, via: Host, node: Host, within: Duration) -> bool {
        let until = Instant::now() + within;
        let Some(over) = self.memberships(via, within).await else {
            return false;
        };
        let left = until.saturating_duration_since(Instant::now());
        let body = json!({"node": node.0 + 1, "peer": peer_address(node), "over": over});
        self.act(via, "add", body, left).await
    }

    /// Asks for a change of the memberships `over`, whenever they were seen.
    pub(crate) async fn remove(&self, via: Host, node: Host, over: &Memberships, within: Duration) -> bool {
        let body = json!({"node": node.0 + 1, "over": over});
        self.act(via, "remove", body, within).await
    }

    pub(crate) async fn transfer_leader(&self, via: Host, to: Host, within: Duration) -> bool {
        self.act(via, "transfer-leader", json!({"to": to.0 + 1}), within)
            .await
    }
}
