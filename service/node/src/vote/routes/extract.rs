//! What handlers take from a request beyond its body.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderValue;
use axum::http::request::Parts;
use ostraka_api::{ErrorCode, ResumeToken, validate};
use ostraka_core::{EventId, LogIndex};

use crate::http::{Admitted, Problem, RequestContext};
use crate::rate::TooOften;
use crate::vote::service::VoteService;

/// The event that the path names.
pub(super) struct EventPath(pub(super) EventId);

/// The vote id in the path, as it stands there.
pub(super) struct VoteIdPath(pub(super) String);

/// The `Idempotency-Key`, checked.
pub(super) struct IdempotencyKey(pub(super) Option<HeaderValue>);

/// Where an earlier stream broke off: the `Last-Event-ID` header, which a browser sends by itself, or the query's
/// `last_event_id`, for a page that opens a new `EventSource` and can set no header.
pub(super) struct ResumeFrom(pub(super) Option<LogIndex>);

/// The request's trace and connection.
pub(super) struct Context(pub(super) RequestContext);

/// The caller, who may create one more event now. Counted before the body is read: what comes too often should not even
/// cost that.
pub(super) struct Creator(pub(super) Admitted, pub(super) RequestContext);

async fn path_text<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<String, Problem> {
    match Path::<String>::from_request_parts(parts, state).await {
        Ok(Path(text)) => Ok(text),
        Err(_) => Err(Problem::new(
            ErrorCode::MalformedId,
            "The id in the path is not UTF-8.",
        )),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for EventPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_text(parts, state).await?;
        text.parse()
            .map(Self)
            .map_err(|error| Problem::new(ErrorCode::MalformedId, format!("The id in the path is {error}.")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for VoteIdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_text(parts, state).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        let malformed = |detail| Problem::new(ErrorCode::MalformedHeader, detail);
        let text = value
            .to_str()
            .map_err(|_| malformed("Idempotency-Key is not visible ASCII.".to_owned()))?;
        validate::idempotency_key(text).map_err(|error| malformed(format!("{error}.")))?;
        Ok(Self(Some(value.clone())))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ResumeFrom {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let header = parts
            .headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok());
        let pairs = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        let query = pairs
            .filter(|(name, _)| *name == "last_event_id")
            .map(|(_, value)| value);
        // The browser's header is newer than the address that the page once opened.
        let token = header.into_iter().chain(query).find_map(ResumeToken::parse);
        Ok(Self(token.map(|token| token.0)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let context = parts.extensions.remove::<RequestContext>();
        context.map(Self).ok_or(Problem::new(
            ErrorCode::Internal,
            "The routes are not served behind the edge.",
        ))
    }
}

impl FromRequestParts<Arc<VoteService>> for Creator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Arc<VoteService>) -> Result<Self, Problem> {
        let admitted = Admitted::from_request_parts(parts, service).await?;
        let Context(context) = Context::from_request_parts(parts, service).await?;
        match service.creation_limits.check(&admitted, context.progress.peer()) {
            Ok(()) => Ok(Self(admitted, context)),
            Err(TooOften { retry_after_s }) => Err(Problem::new(
                ErrorCode::TooManyRequests,
                format!("Too many events are created; try again in {retry_after_s} s."),
            )
            .retry_after_s(retry_after_s)),
        }
    }
}
