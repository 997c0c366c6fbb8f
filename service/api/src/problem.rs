//! Errors on the wire: `application/problem+json` (RFC 9457) with stable types.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of an error's body (RFC 9457 section 3).
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// What a client may do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// Certainly not done. The same request may succeed later or at another node.
    Retryable,
    /// Certainly not done, and the same request fails again.
    Terminal,
    /// May be done or not. Retry with the same idempotency key to find out.
    Unknown,
}

/// Every kind of error that the service answers. Types are stable: clients may match on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorCode {
    MalformedJson,
    InvalidField,
    MalformedId,
    MalformedHeader,
    MalformedQuery,
    Unauthenticated,
    WrongCredentials,
    NotTokenUser,
    NotOwner,
    NotPermitted,
    UserGone,
    EventNotFound,
    ContestantNotFound,
    VoteNotFound,
    RouteNotFound,
    MethodNotAllowed,
    RequestTimeout,
    UsernameTaken,
    EmailTaken,
    EventAlreadyClosed,
    EventLimitReached,
    BodyTooLarge,
    UnsupportedMediaType,
    Misdirected,
    TooManyRequests,
    TooManySubmissions,
    Internal,
    Overloaded,
    Draining,
    NoLeader,
    OutcomeUnknown,
    StorageFull,
}

/// All that is fixed for one error code.
struct Spec {
    problem_type: &'static str,
    status: u16,
    title: &'static str,
    class: ErrorClass,
}

const fn spec(problem_type: &'static str, status: u16, class: ErrorClass, title: &'static str) -> Spec {
    Spec {
        problem_type,
        status,
        title,
        class,
    }
}

impl ErrorCode {
    pub const ALL: [Self; 32] = [
        Self::MalformedJson,
        Self::InvalidField,
        Self::MalformedId,
        Self::MalformedHeader,
        Self::MalformedQuery,
        Self::Unauthenticated,
        Self::WrongCredentials,
        Self::NotTokenUser,
        Self::NotOwner,
        Self::NotPermitted,
        Self::UserGone,
        Self::EventNotFound,
        Self::ContestantNotFound,
        Self::VoteNotFound,
        Self::RouteNotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::UsernameTaken,
        Self::EmailTaken,
        Self::EventAlreadyClosed,
        Self::EventLimitReached,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::Misdirected,
        Self::TooManyRequests,
        Self::TooManySubmissions,
        Self::Internal,
        Self::Overloaded,
        Self::Draining,
        Self::NoLeader,
        Self::OutcomeUnknown,
        Self::StorageFull,
    ];

    const fn spec(self) -> Spec {
        use ErrorClass::{Retryable, Terminal, Unknown};
        match self {
            Self::MalformedJson => spec(
                "urn:ostraka:problem:malformed-json",
                400,
                Terminal,
                "Malformed JSON",
            ),
            Self::InvalidField => spec(
                "urn:ostraka:problem:invalid-field",
                400,
                Terminal,
                "Invalid field",
            ),
            Self::MalformedId => spec("urn:ostraka:problem:malformed-id", 400, Terminal, "Malformed id"),
            Self::MalformedHeader => spec(
                "urn:ostraka:problem:malformed-header",
                400,
                Terminal,
                "Malformed header",
            ),
            Self::MalformedQuery => spec(
                "urn:ostraka:problem:malformed-query",
                400,
                Terminal,
                "Malformed query",
            ),
            Self::Unauthenticated => spec(
                "urn:ostraka:problem:unauthenticated",
                401,
                Terminal,
                "No valid token",
            ),
            Self::WrongCredentials => spec(
                "urn:ostraka:problem:wrong-credentials",
                401,
                Terminal,
                "Wrong credentials",
            ),
            Self::NotTokenUser => spec(
                "urn:ostraka:problem:not-token-user",
                403,
                Terminal,
                "Not the token's user",
            ),
            Self::NotOwner => spec(
                "urn:ostraka:problem:not-owner",
                403,
                Terminal,
                "Not the event's owner",
            ),
            Self::NotPermitted => spec(
                "urn:ostraka:problem:not-permitted",
                403,
                Terminal,
                "Not permitted",
            ),
            Self::UserGone => spec(
                "urn:ostraka:problem:user-gone",
                404,
                Terminal,
                "User no longer exists",
            ),
            Self::EventNotFound => spec(
                "urn:ostraka:problem:event-not-found",
                404,
                Terminal,
                "Event not found",
            ),
            Self::ContestantNotFound => spec(
                "urn:ostraka:problem:contestant-not-found",
                404,
                Terminal,
                "Contestant not found",
            ),
            Self::VoteNotFound => spec(
                "urn:ostraka:problem:vote-not-found",
                404,
                Terminal,
                "Vote not found",
            ),
            Self::RouteNotFound => spec(
                "urn:ostraka:problem:route-not-found",
                404,
                Terminal,
                "No such route",
            ),
            Self::MethodNotAllowed => spec(
                "urn:ostraka:problem:method-not-allowed",
                405,
                Terminal,
                "Wrong method",
            ),
            Self::RequestTimeout => spec(
                "urn:ostraka:problem:request-timeout",
                408,
                Retryable,
                "Request too slow",
            ),
            Self::UsernameTaken => spec(
                "urn:ostraka:problem:username-taken",
                409,
                Terminal,
                "Username taken",
            ),
            Self::EmailTaken => spec("urn:ostraka:problem:email-taken", 409, Terminal, "Email taken"),
            Self::EventAlreadyClosed => spec(
                "urn:ostraka:problem:event-closed",
                409,
                Terminal,
                "Event already closed",
            ),
            Self::EventLimitReached => spec(
                "urn:ostraka:problem:event-limit",
                409,
                Terminal,
                "Too many events",
            ),
            Self::BodyTooLarge => spec(
                "urn:ostraka:problem:body-too-large",
                413,
                Terminal,
                "Body too large",
            ),
            Self::UnsupportedMediaType => spec(
                "urn:ostraka:problem:unsupported-media-type",
                415,
                Terminal,
                "Unsupported media type",
            ),
            Self::Misdirected => spec(
                "urn:ostraka:problem:misdirected",
                421,
                Retryable,
                "Not served here",
            ),
            Self::TooManyRequests => spec(
                "urn:ostraka:problem:too-many-requests",
                429,
                Retryable,
                "Too many requests",
            ),
            Self::TooManySubmissions => spec(
                "urn:ostraka:problem:too-many-submissions",
                429,
                Terminal,
                "Too many submissions in this event",
            ),
            Self::Internal => spec("urn:ostraka:problem:internal", 500, Unknown, "Internal error"),
            Self::Overloaded => spec("urn:ostraka:problem:overloaded", 503, Retryable, "Overloaded"),
            Self::Draining => spec("urn:ostraka:problem:draining", 503, Retryable, "Shutting down"),
            Self::NoLeader => spec("urn:ostraka:problem:no-leader", 503, Retryable, "No leader"),
            Self::OutcomeUnknown => spec(
                "urn:ostraka:problem:outcome-unknown",
                503,
                Unknown,
                "Outcome unknown",
            ),
            Self::StorageFull => spec("urn:ostraka:problem:storage-full", 503, Retryable, "Storage full"),
        }
    }

    /// The stable `type` URI.
    pub const fn problem_type(self) -> &'static str {
        self.spec().problem_type
    }

    /// HTTP status code.
    pub const fn status(self) -> u16 {
        self.spec().status
    }

    /// A few words, the same for every occurrence.
    pub const fn title(self) -> &'static str {
        self.spec().title
    }

    pub const fn class(self) -> ErrorClass {
        self.spec().class
    }

    /// The code whose `type` this is.
    pub fn from_type(problem_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|code| code.problem_type() == problem_type)
    }
}

/// An error's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// Stable; what programs match on.
    #[serde(rename = "type")]
    #[schema(example = "urn:ostraka:problem:event-not-found")]
    pub problem_type: String,
    pub title: String,
    /// The HTTP status once more, for bodies that travel alone.
    pub status: u16,
    /// A sentence for a person: what went wrong this time and what to do.
    pub detail: String,
    /// 32 lower-case hex digits; finds this request in logs and traces.
    #[serde(alias = "traceId")]
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: String,
    /// True where the same request may succeed later (for an unknown outcome: with the same idempotency key).
    pub retryable: bool,
}

impl ProblemBody {
    pub fn new(code: ErrorCode, detail: impl Into<String>, trace_id: impl Into<String>) -> Self {
        Self {
            problem_type: code.problem_type().to_owned(),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            trace_id: trace_id.into(),
            retryable: code.class() != ErrorClass::Terminal,
        }
    }

    /// The code, where this release knows the type.
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_type(&self.problem_type)
    }

    /// What may be done about it. For a type of another release: what the body says, and for a 5xx that claims to be
    /// retryable the cautious answer, that it may have been done.
    pub fn class(&self) -> ErrorClass {
        match self.code() {
            Some(code) => code.class(),
            None if self.status >= 500 => ErrorClass::Unknown,
            None if self.retryable => ErrorClass::Retryable,
            None => ErrorClass::Terminal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_listed_once_with_its_own_type_and_title() {
        let codes: BTreeSet<_> = ErrorCode::ALL.into_iter().collect();
        let types: BTreeSet<_> = ErrorCode::ALL.into_iter().map(ErrorCode::problem_type).collect();
        let titles: BTreeSet<_> = ErrorCode::ALL.into_iter().map(ErrorCode::title).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        assert_eq!(types.len(), ErrorCode::ALL.len());
        assert_eq!(titles.len(), ErrorCode::ALL.len());
        // The last variant's place says how many there are, so a variant left out of the list is found.
        assert_eq!(ErrorCode::StorageFull as usize + 1, ErrorCode::ALL.len());
    }

    #[test]
    fn types_are_urns_and_statuses_are_errors() {
        for code in ErrorCode::ALL {
            let slug = code
                .problem_type()
                .strip_prefix("urn:ostraka:problem:")
                .expect("our namespace");
            assert!(
                slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
                "{slug}"
            );
            assert!((400..600).contains(&code.status()), "{code:?}");
            assert_eq!(ErrorCode::from_type(code.problem_type()), Some(code));
        }
        assert_eq!(ErrorCode::from_type("urn:ostraka:problem:"), None);
    }

    #[test]
    fn statuses_of_the_contract() {
        use ErrorCode as C;
        let expected = [
            (400, vec![C::MalformedJson, C::InvalidField, C::MalformedId]),
            (401, vec![C::Unauthenticated, C::WrongCredentials]),
            (403, vec![C::NotTokenUser, C::NotOwner]),
            (
                404,
                vec![
                    C::UserGone,
                    C::EventNotFound,
                    C::ContestantNotFound,
                    C::VoteNotFound,
                    C::RouteNotFound,
                ],
            ),
            (409, vec![C::UsernameTaken, C::EmailTaken, C::EventAlreadyClosed]),
            (429, vec![C::TooManyRequests, C::TooManySubmissions]),
            (
                503,
                vec![
                    C::Overloaded,
                    C::Draining,
                    C::NoLeader,
                    C::OutcomeUnknown,
                    C::StorageFull,
                ],
            ),
        ];
        for (status, codes) in expected {
            for code in codes {
                assert_eq!(code.status(), status, "{code:?}");
            }
        }
    }

    #[test]
    fn an_unknown_outcome_is_never_called_undone() {
        let body = ProblemBody::new(ErrorCode::OutcomeUnknown, "x", "00");
        assert_eq!(body.class(), ErrorClass::Unknown);
        let foreign = ProblemBody {
            problem_type: "about:blank".to_owned(),
            ..body
        };
        assert_eq!(foreign.class(), ErrorClass::Unknown);
        let refused = ProblemBody {
            status: 429,
            ..foreign
        };
        assert_eq!(refused.class(), ErrorClass::Retryable);
        assert_eq!(
            ProblemBody {
                retryable: false,
                ..refused
            }
            .class(),
            ErrorClass::Terminal
        );
    }

    #[test]
    fn the_body_has_the_members_of_rfc_9457() {
        let body = ProblemBody::new(ErrorCode::EventNotFound, "There is no event e9.", "4bf9");
        let json = serde_json::to_value(&body).unwrap();
        assert_eq!(json["type"], "urn:ostraka:problem:event-not-found");
        assert_eq!(json["status"], 404);
        assert_eq!(json["title"], "Event not found");
        assert_eq!(json["trace_id"], "4bf9");
        assert_eq!(json["retryable"], false);
        assert_eq!(serde_json::from_value::<ProblemBody>(json).unwrap(), body);
    }
}
