//! Request bodies: bounded in bytes and time, JSON, with errors that name the field.

use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ostraka_api::{BodyError, ErrorCode, parse_object};
use ostraka_core::limits::{HTTP_BODY_BYTES_MAX, HTTP_BODY_MS_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON object of at most `BYTES_MAX` bytes, as a handler's argument.
#[derive(Debug)]
pub struct JsonBody<T, const BYTES_MAX: usize = HTTP_BODY_BYTES_MAX>(pub T);

impl<T, S, const BYTES_MAX: usize> FromRequest<S> for JsonBody<T, BYTES_MAX>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            let detail = "The body must be JSON, with the header \"Content-Type: application/json\".";
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
        }
        let body = read(request, BYTES_MAX).await?;
        parse_object(&body)
            .map(Self)
            .map_err(|error| problem_of::<T>(&error, &body))
    }
}

/// A body that may be left out: none is there where none is announced, or an empty one.
impl<T, S, const BYTES_MAX: usize> OptionalFromRequest<S> for JsonBody<T, BYTES_MAX>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if request.body().is_end_stream() {
            return Ok(None);
        }
        let whole = <Self as FromRequest<S>>::from_request(request, state).await;
        whole.map(Some)
    }
}

/// A value as a JSON answer.
pub(crate) fn json_response<T: Serialize>(value: &T) -> Response {
    json_body_response(json_body(value))
}

/// A value as the body of a JSON answer.
pub(crate) fn json_body<T: Serialize>(value: &T) -> Vec<u8> {
    let mut body = Vec::with_capacity(128);
    serde_json::to_writer(&mut body, value).expect("answers are made of what JSON can write");
    body
}

pub(crate) fn json_body_response(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    value
        .and_then(|value| value.to_str().ok())
        .is_some_and(is_json_type)
}

pub(super) fn is_json_type(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/json")
        || media_type
            .rsplit_once('+')
            .is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case("json"))
}

async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            ErrorCode::BodyTooLarge,
            format!("The body must be at most {bytes_max} bytes."),
        )
    };
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > bytes_max as u64) {
        return Err(too_large());
    }
    let whole = Limited::new(request.into_body(), bytes_max).collect();
    // A body that is there already costs no timer: the timeout looks at it first.
    match tokio::time::timeout(Duration::from_millis(HTTP_BODY_MS_MAX), whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::new(
            ErrorCode::MalformedJson,
            "The body broke off before its end.",
        )),
        Err(_) => Err(Problem::new(
            ErrorCode::RequestTimeout,
            "The body did not arrive in time.",
        )),
    }
}

/// The error with the field's path before it, found in a second reading: a good body never pays for it.
fn problem_of<T: DeserializeOwned>(error: &BodyError, body: &[u8]) -> Problem {
    let mut detail = error.to_string();
    if !matches!(error, BodyError::MalformedJson(_)) {
        let mut reader = serde_json::Deserializer::from_slice(body);
        if let Err(found) = serde_path_to_error::deserialize::<_, T>(&mut reader) {
            let path = found.path().to_string();
            if path != "." {
                detail = format!("{path}: {detail}");
            }
        }
    }
    Problem::new(error.code(), detail)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use ostraka_api::{CreateEventRequest, SubmitVoteRequest};
    use proptest::prelude::*;

    use super::*;

    fn read_as<T: DeserializeOwned>(content_type: &str, body: impl Into<Body>) -> Result<T, Problem> {
        let request = Request::post("/")
            .header("content-type", content_type)
            .body(body.into())
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime
            .block_on(<JsonBody<T> as FromRequest<()>>::from_request(request, &()))
            .map(|body| body.0)
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(body: impl Into<Body>) -> Problem {
        read_as::<T>("application/json", body).unwrap_err()
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let problem = refused::<SubmitVoteRequest>(r#"{"user_id":"u1","event_id":"e1","contestant_id":7}"#);
        assert_eq!(problem.code, ErrorCode::InvalidField);
        assert!(
            problem.detail.starts_with("contestant_id: "),
            "{}",
            problem.detail
        );
        let problem = refused::<CreateEventRequest>(
            r#"{"user_id":"u1","event_name":"x","contestants":[{"contestant_name":"a"},{"contestant_name":[]}]}"#,
        );
        assert!(
            problem.detail.starts_with("contestants[1].contestant_name: "),
            "{}",
            problem.detail
        );
        let problem =
            refused::<SubmitVoteRequest>(r#"{"user_id":"u1","event_id":"x9","contestant_id":"e1-c1"}"#);
        assert_eq!(problem.code, ErrorCode::MalformedId);
        assert!(problem.detail.starts_with("event_id: "), "{}", problem.detail);
    }

    #[test]
    fn what_is_not_json_too_large_or_too_slow_is_told_apart() {
        assert_eq!(refused::<SubmitVoteRequest>("{").code, ErrorCode::MalformedJson);
        assert_eq!(
            refused::<SubmitVoteRequest>(vec![b' '; HTTP_BODY_BYTES_MAX + 1]).code,
            ErrorCode::BodyTooLarge
        );
        let endless =
            futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 1024])));
        assert_eq!(
            refused::<SubmitVoteRequest>(Body::from_stream(endless)).code,
            ErrorCode::BodyTooLarge
        );
        let silent = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        assert_eq!(
            refused::<SubmitVoteRequest>(Body::from_stream(silent)).code,
            ErrorCode::RequestTimeout
        );
        let typed = |content_type| read_as::<SubmitVoteRequest>(content_type, "{}").unwrap_err().code;
        assert_eq!(typed("text/plain"), ErrorCode::UnsupportedMediaType);
        assert_eq!(typed("application/json; charset=utf-8"), ErrorCode::InvalidField);
    }

    proptest! {
        #[test]
        fn no_body_breaks_the_reader(body: Vec<u8>) {
            prop_assert!(read_as::<SubmitVoteRequest>("application/json", body).is_err());
        }
    }
}
