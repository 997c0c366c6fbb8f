//! `ostraka cluster …`: a small HTTP client of the operator port.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use ostraka_core::limits::CLUSTER_CALL_MS_MAX;

use super::{ClusterAction, ClusterArgs};
use crate::operator::ClusterStatus;

const CLUSTER_CALL_TIMEOUT: Duration = Duration::from_millis(CLUSTER_CALL_MS_MAX);

pub(super) fn cluster(args: ClusterArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))?;
    let body = runtime.block_on(async {
        tokio::time::timeout(CLUSTER_CALL_TIMEOUT, call(&args.operator, &args.action))
            .await
            .map_err(|_| format!("{} did not answer within {CLUSTER_CALL_TIMEOUT:?}", args.operator))?
    })?;
    match args.action {
        ClusterAction::Status { json: false } => {
            let status: ClusterStatus = serde_json::from_slice(&body)
                .map_err(|error| format!("{} answered something else: {error}", args.operator))?;
            print!("{status}");
        }
        _ => println!("{}", String::from_utf8_lossy(&body)),
    }
    Ok(())
}

async fn call(operator: &str, action: &ClusterAction) -> Result<Bytes, String> {
    let (method, path, body) = action.request();
    let unreachable = |what: String| {
        format!(
            "no operator port answers at {operator} ({what}); is the node running, and is this its --operator-listen?"
        )
    };
    let stream = tokio::net::TcpStream::connect(operator)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    tokio::spawn(connection);
    let body = if method == Method::GET {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, operator)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| format!("{operator} is not an address: {error}"))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| unreachable(error.to_string()))?
        .to_bytes();
    if status == StatusCode::OK {
        Ok(body)
    } else {
        Err(refusal(status, &body))
    }
}

/// The sentence in the answer, whatever else it holds.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let sentence = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|problem| problem.get("detail")?.as_str().map(str::to_owned));
    sentence.unwrap_or_else(|| format!("the operator port answered {status}"))
}
