//! What the votes' path would cost if a vote cost nothing: an axum handler that answers with the same JSON, served as
//! the service serves (hyper-util, no delay, pipelined flush). The ratio to it says what authentication, consensus and
//! the disk take.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ostraka_api::{Durability, SubmitVoteResponse, VoteId, VoteStatus};
use tokio::net::{TcpListener, TcpStream};
use tower::Service;

/// The line on standard output that says where it listens.
pub(crate) const LISTENING: &str = "public   http://";

#[derive(Debug, thiserror::Error)]
pub(crate) enum EmptyServerError {
    #[error("cannot listen on {addr}: {source}; stop what listens there, or give another --listen")]
    Bind { addr: String, source: std::io::Error },
    #[error("the runtime does not start: {0}")]
    Runtime(std::io::Error),
}

/// Serves until the process is ended.
pub(crate) fn run(addr: &str) -> Result<(), EmptyServerError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(EmptyServerError::Runtime)?.block_on(async {
        let bind = |source| EmptyServerError::Bind {
            addr: addr.to_string(),
            source,
        };
        let listener = TcpListener::bind(addr).await.map_err(bind)?;
        println!("{LISTENING}{}", listener.local_addr().map_err(bind)?);
        let router = Router::new().route("/v1/vote/submit", post(submit));
        loop {
            if let Ok((stream, peer)) = listener.accept().await {
                tokio::spawn(serve(stream, peer, router.clone()));
            }
        }
    })
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(finish(router.call(request.map(Body::new)).await)) }
    });
    let connection = http1::Builder::new()
        .pipeline_flush(true)
        .header_read_timeout(None)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        eprintln!("a connection of {peer} ended early: {error}");
    }
}

/// The answer of a vote, without a vote.
async fn submit() -> impl IntoResponse {
    let vote_id: VoteId = "AAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        .parse()
        .expect("these are URL-safe characters");
    axum::Json(SubmitVoteResponse {
        vote_id,
        vote_status: VoteStatus::Processed,
        reason: None,
        durability: Durability::Volatile,
    })
}

/// As many headers as the service gives, so that as many bytes are sent and parsed.
fn finish(answered: Result<Response, Infallible>) -> Response {
    let mut response = match answered {
        Ok(response) => response,
        Err(never) => match never {},
    };
    const TRACEPARENT: &str = "00-00000000000000000000000000000001-0000000000000001-00";
    let headers = response.headers_mut();
    headers.insert("traceparent", HeaderValue::from_static(TRACEPARENT));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
