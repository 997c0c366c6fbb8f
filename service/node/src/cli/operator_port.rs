//! A small HTTP client of the operator port.

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use ostraka_api::{ErrorCode, ProblemBody};

/// Why an action was not carried out.
pub(super) struct Failure {
    /// What the operator port said, if it did and this release knows it.
    pub(super) code: Option<ErrorCode>,
    pub(super) sentence: String,
}

impl From<String> for Failure {
    fn from(sentence: String) -> Self {
        Self { code: None, sentence }
    }
}

pub(super) fn unreachable(operator: &str, what: &str) -> String {
    format!(
        "no operator port answers at {operator} ({what}); is the node running, and is this its --operator-listen?"
    )
}

/// Sends a request; the body of its answer, if that is 200.
pub(super) async fn open(
    operator: &str,
    method: Method,
    path: &str,
    body: serde_json::Value,
) -> Result<Incoming, Failure> {
    let failed = |error: &dyn std::fmt::Display| unreachable(operator, &error.to_string());
    let stream = tokio::net::TcpStream::connect(operator)
        .await
        .map_err(|error| failed(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
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
        .map_err(|error| failed(&error))?;
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response.into_body());
    }
    let body = response
        .into_body()
        .collect()
        .await
        .map_err(|error| failed(&error))?
        .to_bytes();
    Err(refusal(status, &body))
}

fn refusal(status: StatusCode, body: &[u8]) -> Failure {
    match serde_json::from_slice::<ProblemBody>(body) {
        Ok(problem) => Failure {
            code: problem.code(),
            sentence: problem.detail,
        },
        Err(_) => format!("the operator port answered {status}").into(),
    }
}
