//! The edge: what every request passes on its way in and out, in one place and in no more steps than it needs. It is on
//! the path of every vote, so it is not made of middleware layers, each of which would allocate.

use std::any::Any;
use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use ostraka_api::trace::{IncomingTrace, TraceOrigin, format_amzn, format_trace_id};
use ostraka_api::{ErrorCode, IdempotencyKey};
use tower::Service;
use tracing::Instrument;

use super::lane::{Express, ExpressAnswer};
use super::log_budget::LogBudget;
use super::metrics::HttpMetrics;
use super::problem::{self, Problem};
use super::progress::Progress;
use super::remainder;
use super::route::Route;
use super::trace::{RequestContext, TRACEPARENT, TraceIds, X_AMZN_TRACE_ID, traceparent_value};
use crate::Env;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static(IdempotencyKey::HEADER);

/// What the ports of a node have in common.
#[derive(Clone)]
pub struct Edge {
    shared: Arc<Shared>,
}

struct Shared {
    trace_ids: TraceIds,
    metrics: HttpMetrics,
    log_budget: LogBudget,
}

/// A router behind the edge, and beside it what answers some requests without it.
pub struct Served {
    shared: Arc<Shared>,
    router: Router,
    express: Option<Arc<dyn Express>>,
}

impl Edge {
    pub fn new(env: &Env, metrics: HttpMetrics) -> Self {
        let shared = Shared {
            trace_ids: TraceIds::new(&env.entropy, Arc::clone(&env.clock)),
            metrics,
            log_budget: LogBudget::new(Arc::clone(&env.clock)),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Puts `router` behind the edge, with problems for paths and methods that it does not have.
    pub fn over(&self, router: Router) -> Arc<Served> {
        self.over_both(router, None)
    }

    /// As [`over`](Self::over), with `express` beside the router, which must answer the same requests in the same way.
    pub fn over_both(&self, router: Router, express: Option<Arc<dyn Express>>) -> Arc<Served> {
        let router = router
            .fallback(problem::route_not_found)
            .method_not_allowed_fallback(problem::method_not_allowed);
        Arc::new(Served {
            shared: Arc::clone(&self.shared),
            router,
            express,
        })
    }
}

impl Served {
    /// Answers one request that came over a connection. As [`handle`](Self::handle), for what has one meaning only.
    pub(super) async fn serve<B>(&self, request: Request<B>, progress: Arc<Progress>) -> Response
    where
        B: hyper::body::Body<Data = bytes::Bytes> + Send + Unpin + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let (request, remainder) = remainder::keep(request);
        let mut response = match ambiguity(&request) {
            Some(problem) => {
                let trace = self.shared.trace_ids.incoming(request.headers());
                let route = Route::of(request.uri().path());
                self.finish(problem.into_response(), route, trace)
            }
            None => self.handle(request, progress).await,
        };
        if let Some(remainder) = remainder {
            remainder.settle(&mut response).await;
        }
        response
    }

    /// Answers one request. Never fails and never panics: a handler that does is answered 500.
    pub async fn handle<B>(&self, request: Request<B>, progress: Arc<Progress>) -> Response
    where
        B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let mut request = request.map(Body::new);
        let route = Route::of(request.uri().path());
        let trace = self.shared.trace_ids.incoming(request.headers());
        request
            .extensions_mut()
            .insert(RequestContext { trace, progress });
        let mut router = self.router.clone();
        let span = tracing::debug_span!(
            "request",
            trace_id = tracing::field::Empty,
            method = %request.method(),
            route = route.path()
        );
        let answered = AssertUnwindSafe(router.call(request)).catch_unwind();
        let answered = if span.is_disabled() {
            answered.await
        } else {
            span.record("trace_id", format_trace_id(trace.context.trace_id));
            answered.instrument(span).await
        };
        let response = match answered {
            Ok(Ok(response)) => response,
            Err(panic) => after_panic(&*panic, route, trace),
        };
        self.finish(response, route, trace)
    }

    fn finish(&self, mut response: Response, route: Route, trace: IncomingTrace) -> Response {
        self.shared.metrics.response(route, response.status().as_u16());
        if let Some(problem) = response.extensions_mut().remove::<Problem>() {
            self.log_problem(&problem, route, trace);
            *response.body_mut() = Body::from(problem.body(format_trace_id(trace.context.trace_id)));
            // The router has measured the body that stood here before.
            response.headers_mut().remove(header::CONTENT_LENGTH);
        }
        dress(&mut response, trace);
        response
    }

    pub(super) fn express(&self) -> Option<&Arc<dyn Express>> {
        self.express.as_ref()
    }

    /// The lane's answer, in the span that the router's would be in: what is logged must not decide which way a request goes.
    pub(super) fn in_span(answer: ExpressAnswer, trace: IncomingTrace) -> ExpressAnswer {
        let span = tracing::debug_span!(
            "request",
            trace_id = tracing::field::Empty,
            method = "POST",
            route = Route::VoteSubmit.path()
        );
        if span.is_disabled() {
            return answer;
        }
        span.record("trace_id", format_trace_id(trace.context.trace_id));
        Box::pin(answer.instrument(span))
    }

    pub(super) fn trace(&self, traceparent: Option<&str>, amzn_trace: Option<&str>) -> IncomingTrace {
        self.shared.trace_ids.of(traceparent, amzn_trace)
    }

    /// Writes an answer of the lane as the router's would be written.
    pub(super) fn write_express(
        &self,
        answers: &mut Vec<u8>,
        answered: Result<Vec<u8>, Problem>,
        trace: IncomingTrace,
    ) {
        let route = Route::VoteSubmit;
        let body = match answered {
            Ok(body) => body,
            Err(problem) => {
                self.shared.metrics.response(route, problem.status().as_u16());
                self.log_problem(&problem, route, trace);
                return write_problem(answers, &problem, trace, "");
            }
        };
        self.shared.metrics.response(route, 200);
        answers.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ");
        // Writing to memory does not fail.
        let _ = write!(answers, "{}\r\ntraceparent: ", body.len());
        answers.extend_from_slice(traceparent_value(trace.context).as_bytes());
        if trace.origin == TraceOrigin::Amzn {
            let _ = write!(answers, "\r\nx-amzn-trace-id: {}", format_amzn(trace.context));
        }
        answers.extend_from_slice(b"\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n");
        answers.extend_from_slice(&body);
    }

    /// Answers what is no request and ends its connection, as bytes: there is no hyper behind it any more. `why` stands
    /// in the log line, not in the answer.
    pub(super) fn refuse(&self, problem: &Problem, peer: SocketAddr, why: &dyn Display) -> Vec<u8> {
        let trace = self.shared.trace_ids.incoming(&HeaderMap::new());
        let trace_id = format_trace_id(trace.context.trace_id);
        let status = problem.status();
        self.shared.metrics.response(Route::Other, status.as_u16());
        self.log_refusal(|| {
            let (status, detail) = (status.as_u16(), problem.detail.as_ref());
            tracing::info!(%peer, status, trace_id, detail, %why, "a connection was refused");
        });
        let mut bytes = Vec::new();
        write_problem(&mut bytes, problem, trace, "connection: close\r\n");
        bytes
    }

    fn log_problem(&self, problem: &Problem, route: Route, trace: IncomingTrace) {
        self.log_refusal(|| {
            let trace_id = format_trace_id(trace.context.trace_id);
            let (route, status, detail) = (route.path(), problem.status().as_u16(), problem.detail.as_ref());
            tracing::info!(route, status, trace_id, detail, "a request was refused");
        });
    }

    /// Writes a line about something refused, unless this second has had enough of them.
    pub(super) fn log_refusal(&self, write: impl FnOnce()) {
        self.shared.log_budget.spend(write);
    }
}

/// Whether two readers could understand the head differently.
fn ambiguity<B>(request: &Request<B>) -> Option<Problem> {
    let malformed = |detail| Some(Problem::new(ErrorCode::MalformedHeader, detail));
    let count = |name| request.headers().get_all(name).iter().take(2).count();
    // RFC 9112 section 3.2: "with a 400", for HTTP/1.1.
    if request.version() == Version::HTTP_11 && count(header::HOST) != 1 {
        return malformed("A request needs the header Host, once.");
    }
    if count(header::AUTHORIZATION) > 1 {
        return malformed("There is more than one Authorization header.");
    }
    (count(IDEMPOTENCY_KEY) > 1)
        .then(|| malformed("There is more than one Idempotency-Key header."))
        .flatten()
}

/// A problem as hyper would write it; `line` goes at the end of its head.
fn write_problem(answers: &mut Vec<u8>, problem: &Problem, trace: IncomingTrace, line: &str) {
    let body = problem.body(format_trace_id(trace.context.trace_id));
    let mut response = problem.clone().into_response();
    dress(&mut response, trace);
    // Writing to memory does not fail.
    let _ = write!(answers, "HTTP/1.1 {}\r\n", problem.status());
    for (name, value) in response.headers() {
        answers.extend_from_slice(name.as_ref());
        answers.extend_from_slice(b": ");
        answers.extend_from_slice(value.as_bytes());
        answers.extend_from_slice(b"\r\n");
    }
    let _ = write!(answers, "content-length: {}\r\n{line}\r\n", body.len());
    answers.extend_from_slice(&body);
}

/// Headers that every answer has.
fn dress(response: &mut Response, trace: IncomingTrace) {
    let headers = response.headers_mut();
    headers.insert(TRACEPARENT, traceparent_value(trace.context));
    if trace.origin == TraceOrigin::Amzn
        && let Ok(value) = HeaderValue::from_str(&format_amzn(trace.context))
    {
        headers.insert(X_AMZN_TRACE_ID, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}

fn after_panic(panic: &(dyn Any + Send), route: Route, trace: IncomingTrace) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let trace_id = format_trace_id(trace.context.trace_id);
    tracing::error!(route = route.path(), trace_id, message, "a handler panicked");
    Problem::new(
        ErrorCode::Internal,
        "The service made a mistake; the trace id finds it in the log.",
    )
    .into_response()
}

#[cfg(test)]
mod tests;
