//! Errors as answers: `application/problem+json` (RFC 9457).

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ostraka_api::problem::PROBLEM_MEDIA_TYPE;
use ostraka_api::{ErrorCode, ProblemBody};
use ostraka_core::limits::UNAVAILABLE_RETRY_AFTER_S;

/// An error that a client is told. Its body is written at the edge, where the request's trace id is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub code: ErrorCode,
    /// One sentence for a person: what went wrong this time, and what to do.
    pub detail: Cow<'static, str>,
    /// Seconds after which another attempt makes sense.
    pub retry_after_s: Option<u32>,
}

impl Problem {
    /// Whoever is sent away for now (503) is told when to come back, also where nobody knows better.
    pub fn new(code: ErrorCode, detail: impl Into<Cow<'static, str>>) -> Self {
        let is_for_now = code.status() == StatusCode::SERVICE_UNAVAILABLE;
        Self {
            code,
            detail: detail.into(),
            retry_after_s: is_for_now.then_some(UNAVAILABLE_RETRY_AFTER_S),
        }
    }

    #[must_use]
    pub fn retry_after_s(self, seconds: u32) -> Self {
        Self {
            retry_after_s: Some(seconds),
            ..self
        }
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).expect("every error code has a valid status")
    }

    /// The body, with the trace id that finds the request in logs.
    pub(super) fn body(&self, trace_id: String) -> Vec<u8> {
        let body = ProblemBody::new(self.code, self.detail.as_ref(), trace_id);
        serde_json::to_vec(&body).expect("a problem is plain strings and numbers")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status() == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 15.5.2: a 401 names the scheme.
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(r#"Bearer realm="ostraka""#),
            );
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// For paths that no route has.
pub(super) async fn route_not_found() -> Problem {
    Problem::new(
        ErrorCode::RouteNotFound,
        "There is nothing at this path; /openapi.json lists what there is.",
    )
}

/// For routes that do not have the method.
pub(super) async fn method_not_allowed() -> Problem {
    Problem::new(
        ErrorCode::MethodNotAllowed,
        "This path exists, but not with this method; the Allow header says which.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_sent_away_for_now_is_told_when_to_come_back() {
        let codes = ErrorCode::ALL.iter().filter(|code| code.status() == 503);
        let answers: Vec<_> = codes
            .map(|code| Problem::new(*code, "Not now.").into_response())
            .collect();
        assert!(!answers.is_empty());
        for answer in answers {
            assert!(answer.headers().contains_key(header::RETRY_AFTER), "{answer:?}");
        }
    }

    #[test]
    fn headers_say_when_to_come_back_and_how_to_authenticate() {
        let response = Problem::new(ErrorCode::Overloaded, "Too much.")
            .retry_after_s(2)
            .into_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let response = Problem::new(ErrorCode::Unauthenticated, "No token.").into_response();
        assert_eq!(
            response.headers()[header::WWW_AUTHENTICATE],
            r#"Bearer realm="ostraka""#
        );
    }
}
