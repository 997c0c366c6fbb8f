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

/// All that is fixed for one error code.
struct Spec {
    problem_type: &'static str,
    status: u16,
    title: &'static str,
    class: ErrorClass,
}

/// Makes the enum, the list of its variants and the total mapping from one table, so that none can lack a row.
macro_rules! error_codes {
    ($($code:ident, $slug:literal, $status:literal, $class:ident, $title:literal;)+) => {
        /// Every kind of error that the service answers. Types are stable: clients may match on them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode { $($code),+ }

        impl ErrorCode {
            /// Every code, once.
            pub const ALL: &'static [Self] = &[$(Self::$code),+];

            const fn spec(self) -> Spec {
                match self {
                    $(Self::$code => Spec {
                        problem_type: concat!("urn:ostraka:problem:", $slug),
                        status: $status,
                        title: $title,
                        class: ErrorClass::$class,
                    }),+
                }
            }
        }
    };
}

error_codes! {
    MalformedJson, "malformed-json", 400, Terminal, "Malformed JSON";
    InvalidField, "invalid-field", 400, Terminal, "Invalid field";
    MalformedId, "malformed-id", 400, Terminal, "Malformed id";
    MalformedHeader, "malformed-header", 400, Terminal, "Malformed header";
    MalformedRequest, "malformed-request", 400, Terminal, "Malformed request";
    MalformedQuery, "malformed-query", 400, Terminal, "Malformed query";
    ChallengeInvalid, "challenge-invalid", 400, Terminal, "Not a challenge of this service";
    ChallengeExpired, "challenge-expired", 400, Terminal, "Challenge expired";
    SolutionWrong, "solution-wrong", 400, Terminal, "Wrong solution";
    Unauthenticated, "unauthenticated", 401, Terminal, "No valid token";
    WrongCredentials, "wrong-credentials", 401, Terminal, "Wrong credentials";
    RegistrationTokenUsed, "registration-token-used", 401, Terminal, "Registration token used";
    NotTokenUser, "not-token-user", 403, Terminal, "Not the token's user";
    NotOwner, "not-owner", 403, Terminal, "Not the event's owner";
    NotPermitted, "not-permitted", 403, Terminal, "Not permitted";
    UserGone, "user-gone", 404, Terminal, "User no longer exists";
    EventNotFound, "event-not-found", 404, Terminal, "Event not found";
    ContestantNotFound, "contestant-not-found", 404, Terminal, "Contestant not found";
    VoteNotFound, "vote-not-found", 404, Terminal, "Vote not found";
    RouteNotFound, "route-not-found", 404, Terminal, "No such route";
    MethodNotAllowed, "method-not-allowed", 405, Terminal, "Method not allowed";
    RequestTimeout, "request-timeout", 408, Retryable, "Request too slow";
    UsernameTaken, "username-taken", 409, Terminal, "Username taken";
    EmailTaken, "email-taken", 409, Terminal, "Email taken";
    ChallengeUsed, "challenge-used", 409, Terminal, "Challenge used";
    EventAlreadyClosed, "event-already-closed", 409, Terminal, "Event already closed";
    EventLimitReached, "event-limit-reached", 409, Terminal, "Too many events";
    OwnerLimitReached, "owner-limit-reached", 409, Terminal, "Too many events of one user";
    MembersChanged, "members-changed", 409, Retryable, "The cluster's members have changed";
    ClusterActionRefused, "cluster-action-refused", 409, Terminal, "Cluster action not carried out";
    BodyTooLarge, "body-too-large", 413, Terminal, "Body too large";
    UnsupportedMediaType, "unsupported-media-type", 415, Terminal, "Unsupported media type";
    Misdirected, "misdirected", 421, Retryable, "Not served here";
    TooManyRequests, "too-many-requests", 429, Retryable, "Too many requests";
    TooManySubmissions, "too-many-submissions", 429, Terminal, "Too many submissions in this event";
    HeadTooLarge, "head-too-large", 431, Terminal, "Headers too large";
    Internal, "internal", 500, Unknown, "Internal error";
    Overloaded, "overloaded", 503, Retryable, "Overloaded";
    Draining, "draining", 503, Retryable, "Shutting down";
    NoLeader, "no-leader", 503, Retryable, "No leader";
    NodeUnreachable, "node-unreachable", 503, Retryable, "The named node does not answer";
    OutcomeUnknown, "outcome-unknown", 503, Unknown, "Outcome unknown";
    StorageFull, "storage-full", 503, Retryable, "Storage full";
    ClusterActionUnfinished, "cluster-action-unfinished", 504, Unknown, "Cluster action not finished in time";
    HttpVersion, "http-version", 505, Terminal, "HTTP version not supported";
}

impl ErrorCode {
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
            .iter()
            .copied()
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
        let codes: BTreeSet<_> = ErrorCode::ALL.iter().copied().collect();
        let types: BTreeSet<_> = ErrorCode::ALL
            .iter()
            .copied()
            .map(ErrorCode::problem_type)
            .collect();
        let titles: BTreeSet<_> = ErrorCode::ALL.iter().copied().map(ErrorCode::title).collect();
        assert_eq!(codes.len(), ErrorCode::ALL.len());
        assert_eq!(types.len(), ErrorCode::ALL.len());
        assert_eq!(titles.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn types_are_urns_and_statuses_are_errors() {
        for code in ErrorCode::ALL.iter().copied() {
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
