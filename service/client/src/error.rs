//! Why a call failed, told by what it means for a retry.

use std::time::Duration;

use ostraka_api::{ErrorClass, ProblemBody};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The service answered with a problem.
    #[error("{}: {} ({})", .problem.status, .problem.title, .problem.detail)]
    Problem {
        problem: Box<ProblemBody>,
        retry_after: Option<Duration>,
    },
    /// No endpoint was reached; the request was certainly not sent.
    #[error("{endpoint} cannot be reached: {reason}")]
    Unreachable { endpoint: String, reason: String },
    /// The request was sent, at least in part, and no whole answer came.
    #[error("{endpoint} was asked and did not answer: {reason}")]
    Unknown { endpoint: String, reason: String },
    /// An answer came that this API does not give: a proxy's page, or another release's.
    #[error("{endpoint} answered {status} with something else than the API: {reason}")]
    Protocol {
        endpoint: String,
        status: u16,
        reason: String,
    },
    /// The caller gave something that no request can carry.
    #[error("this cannot be asked: {reason}")]
    Invalid { reason: String },
}

impl ClientError {
    /// What a retry of the same request can mean.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Problem { problem, .. } => problem.class(),
            Self::Unreachable { .. } => ErrorClass::Retryable,
            Self::Unknown { .. } => ErrorClass::Unknown,
            // 4xx says "not done" whoever speaks; anything else may stand before a server that did it.
            Self::Protocol {
                status: 400..=499, ..
            }
            | Self::Invalid { .. } => ErrorClass::Terminal,
            Self::Protocol { .. } => ErrorClass::Unknown,
        }
    }

    /// How long the service asked us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Problem { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The service has no time, and does not say when it will have.
    pub(crate) fn is_unhinted_503(&self) -> bool {
        match self {
            Self::Problem {
                problem,
                retry_after: None,
            } => problem.status == 503,
            Self::Protocol { status, .. } => *status == 503,
            _ => false,
        }
    }

    /// Another endpoint may do better. Not so for a refusal that any of them would give.
    pub(crate) fn blames_endpoint(&self) -> bool {
        match self {
            Self::Problem { problem, .. } => problem.status >= 500 || problem.status == 421,
            Self::Unreachable { .. } | Self::Unknown { .. } | Self::Protocol { .. } => true,
            Self::Invalid { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ostraka_api::ErrorCode;

    fn protocol(status: u16) -> ClientError {
        ClientError::Protocol {
            endpoint: "a:1".to_owned(),
            status,
            reason: String::new(),
        }
    }

    #[test]
    fn classes() {
        let (endpoint, reason) = ("a:1".to_owned(), "r".to_owned());
        let unreachable = ClientError::Unreachable {
            endpoint: endpoint.clone(),
            reason: reason.clone(),
        };
        assert_eq!(unreachable.class(), ErrorClass::Retryable);
        assert_eq!(
            ClientError::Unknown {
                endpoint,
                reason: reason.clone()
            }
            .class(),
            ErrorClass::Unknown
        );
        assert_eq!(ClientError::Invalid { reason }.class(), ErrorClass::Terminal);
        assert_eq!(protocol(404).class(), ErrorClass::Terminal);
        assert_eq!(protocol(502).class(), ErrorClass::Unknown);
        assert_eq!(protocol(200).class(), ErrorClass::Unknown);
    }

    #[test]
    fn problems_keep_their_own_class() {
        for code in ErrorCode::ALL.iter().copied() {
            let problem = Box::new(ProblemBody::new(code, "d", "t"));
            let error = ClientError::Problem {
                problem,
                retry_after: None,
            };
            assert_eq!(error.class(), code.class());
        }
    }
}
