//! Why nobody is logged in, registered, or given a token.

use ostraka_api::{ErrorCode, FieldError};
use ostraka_replication::{Refusal, SubmitError};

use crate::identity::command::Outcome;
use crate::identity::passwords::Busy;
use crate::rate::TooOften;

/// Why nobody is logged in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Terminal.
    #[error("{0} must not be empty")]
    Missing(&'static str),
    /// Terminal. The same for an unknown user, a wrong password and an account without one.
    #[error("The username or the password is wrong.")]
    WrongCredentials,
    /// Retryable.
    #[error("There were too many logins; try again in {retry_after_s} s.")]
    TooOften { retry_after_s: u32 },
    /// Retryable.
    #[error("Too many logins are being checked at this moment; try again shortly.")]
    Busy,
}

impl LoginError {
    pub fn code(&self) -> ErrorCode {
        match self {
            LoginError::Missing(_) => ErrorCode::InvalidField,
            LoginError::WrongCredentials => ErrorCode::WrongCredentials,
            LoginError::TooOften { .. } => ErrorCode::TooManyRequests,
            LoginError::Busy => ErrorCode::Overloaded,
        }
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            LoginError::TooOften { retry_after_s } => Some(*retry_after_s),
            LoginError::Busy => Some(1),
            LoginError::Missing(_) | LoginError::WrongCredentials => None,
        }
    }
}

/// Why nobody is registered, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Terminal.
    #[error("{0}.")]
    Invalid(FieldError),
    /// Terminal.
    #[error("{0}.")]
    InvalidKey(FieldError),
    /// Terminal.
    #[error("Only an operator's token or a registration token may register users.")]
    NotPermitted,
    /// Terminal.
    #[error("Ask for another challenge: {0}.")]
    BadToken(String),
    /// Terminal.
    #[error("The registration token has registered somebody already; ask for another challenge.")]
    TokenUsed,
    /// Terminal.
    #[error("The token's own user no longer exists; log in again.")]
    CallerGone,
    /// Terminal.
    #[error("This username is taken.")]
    UsernameTaken,
    /// Terminal.
    #[error("There is an account with this email already.")]
    EmailTaken,
    /// Retryable.
    #[error("There were too many registrations; try again in {retry_after_s} s.")]
    TooOften { retry_after_s: u32 },
    /// Retryable: not registered.
    #[error("The service takes no more registrations at this moment ({0}); try again shortly.")]
    Overloaded(String),
    /// Retryable: not registered.
    #[error("The leader's disk is nearly full, so nothing is recorded until space is freed.")]
    StorageFull,
    /// Retryable: not registered.
    #[error("No leader could be reached; try again shortly.")]
    NoLeader,
    /// Retryable, at another node: not registered.
    #[error("This node is shutting down.")]
    Stopped,
    /// Unknown: registered or not. Retry with the same `Idempotency-Key`.
    #[error(
        "The registration was not answered in time and may have taken place; retry with the same Idempotency-Key."
    )]
    Unknown,
    /// Terminal: all voter numbers are given out, or nodes disagree about commands. An operator must look.
    #[error("The registration was refused by the log.")]
    Refused,
}

impl RegisterError {
    pub fn code(&self) -> ErrorCode {
        match self {
            RegisterError::Invalid(_) => ErrorCode::InvalidField,
            RegisterError::InvalidKey(_) => ErrorCode::MalformedHeader,
            RegisterError::NotPermitted => ErrorCode::NotPermitted,
            RegisterError::BadToken(_) => ErrorCode::Unauthenticated,
            RegisterError::TokenUsed => ErrorCode::RegistrationTokenUsed,
            RegisterError::CallerGone => ErrorCode::UserGone,
            RegisterError::UsernameTaken => ErrorCode::UsernameTaken,
            RegisterError::EmailTaken => ErrorCode::EmailTaken,
            RegisterError::TooOften { .. } => ErrorCode::TooManyRequests,
            RegisterError::Overloaded(_) => ErrorCode::Overloaded,
            RegisterError::StorageFull => ErrorCode::StorageFull,
            RegisterError::NoLeader => ErrorCode::NoLeader,
            RegisterError::Stopped => ErrorCode::Draining,
            RegisterError::Unknown => ErrorCode::OutcomeUnknown,
            RegisterError::Refused => ErrorCode::Internal,
        }
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            RegisterError::TooOften { retry_after_s } => Some(*retry_after_s),
            RegisterError::Overloaded(_)
            | RegisterError::StorageFull
            | RegisterError::NoLeader
            | RegisterError::Stopped
            | RegisterError::Unknown => Some(1),
            RegisterError::Invalid(_)
            | RegisterError::InvalidKey(_)
            | RegisterError::NotPermitted
            | RegisterError::CallerGone
            | RegisterError::BadToken(_)
            | RegisterError::TokenUsed
            | RegisterError::UsernameTaken
            | RegisterError::EmailTaken
            | RegisterError::Refused => None,
        }
    }
}

impl From<SubmitError> for RegisterError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::NoLeader => RegisterError::NoLeader,
            SubmitError::Unknown => RegisterError::Unknown,
            SubmitError::Refused(Refusal::StorageFull) => RegisterError::StorageFull,
            SubmitError::Refused(why) => RegisterError::Overloaded(why.to_string()),
            SubmitError::Stopped(_) => RegisterError::Stopped,
        }
    }
}

impl From<Busy> for RegisterError {
    fn from(busy: Busy) -> Self {
        RegisterError::Overloaded(busy.to_string())
    }
}

impl From<TooOften> for RegisterError {
    fn from(TooOften { retry_after_s }: TooOften) -> Self {
        RegisterError::TooOften { retry_after_s }
    }
}

impl From<TooOften> for LoginError {
    fn from(TooOften { retry_after_s }: TooOften) -> Self {
        LoginError::TooOften { retry_after_s }
    }
}

impl From<Busy> for LoginError {
    fn from(Busy: Busy) -> Self {
        LoginError::Busy
    }
}

/// Why a challenge gives no token, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// Terminal.
    #[error("This is not a challenge that this service gave, or it was changed; ask for another one.")]
    Invalid,
    /// Terminal.
    #[error("The challenge has expired; ask for another one.")]
    Expired,
    /// Terminal.
    #[error(
        "The solution is wrong: the key that its counter gives is another one, or does not begin as asked."
    )]
    Wrong,
    /// Terminal.
    #[error("The challenge was solved already, here or at another node; ask for another one.")]
    Used,
    /// Retryable.
    #[error("There were too many challenges from this address; try again in {retry_after_s} s.")]
    TooOften { retry_after_s: u32 },
    /// Retryable: the challenge may still be solved.
    #[error("The service takes no more solutions at this moment ({0}); try again shortly.")]
    Overloaded(String),
    /// Retryable.
    #[error("The leader's disk is nearly full, so nothing is recorded until space is freed.")]
    StorageFull,
    /// Retryable.
    #[error("No leader could be reached; try again shortly.")]
    NoLeader,
    /// Retryable, at another node.
    #[error("This node is shutting down.")]
    Stopped,
    /// Unknown: whether the challenge counts as solved. A new one is the way on.
    #[error("The solution was not answered in time and may have been taken; ask for another challenge.")]
    Unknown,
    /// Terminal: nodes disagree about commands. An operator must look.
    #[error("The solution was refused by the log ({0:?}).")]
    Refused(Outcome),
}

impl SolveError {
    pub fn code(&self) -> ErrorCode {
        match self {
            SolveError::Invalid => ErrorCode::ChallengeInvalid,
            SolveError::Expired => ErrorCode::ChallengeExpired,
            SolveError::Wrong => ErrorCode::SolutionWrong,
            SolveError::Used => ErrorCode::ChallengeUsed,
            SolveError::TooOften { .. } => ErrorCode::TooManyRequests,
            SolveError::Overloaded(_) => ErrorCode::Overloaded,
            SolveError::StorageFull => ErrorCode::StorageFull,
            SolveError::NoLeader => ErrorCode::NoLeader,
            SolveError::Stopped => ErrorCode::Draining,
            SolveError::Unknown => ErrorCode::OutcomeUnknown,
            SolveError::Refused(_) => ErrorCode::Internal,
        }
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            SolveError::TooOften { retry_after_s } => Some(*retry_after_s),
            SolveError::Overloaded(_)
            | SolveError::StorageFull
            | SolveError::NoLeader
            | SolveError::Stopped
            | SolveError::Unknown
            | SolveError::Refused(_) => Some(1),
            SolveError::Invalid | SolveError::Expired | SolveError::Wrong | SolveError::Used => None,
        }
    }
}

impl From<SubmitError> for SolveError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::NoLeader => SolveError::NoLeader,
            SubmitError::Unknown => SolveError::Unknown,
            SubmitError::Refused(Refusal::StorageFull) => SolveError::StorageFull,
            SubmitError::Refused(why) => SolveError::Overloaded(why.to_string()),
            SubmitError::Stopped(_) => SolveError::Stopped,
        }
    }
}

impl From<Busy> for SolveError {
    fn from(busy: Busy) -> Self {
        SolveError::Overloaded(busy.to_string())
    }
}

/// Why no tokens are revoked, or why it is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevokeError {
    /// Terminal.
    #[error("There is no such user.")]
    NoSuchAccount,
    /// Retryable.
    #[error("There were too many logouts; try again in {retry_after_s} s.")]
    TooOften { retry_after_s: u32 },
    /// Retryable: the tokens still count.
    #[error("The service revokes no more tokens at this moment ({0}); try again shortly.")]
    Overloaded(String),
    /// Retryable: the tokens still count.
    #[error("The leader's disk is nearly full, so nothing is recorded until space is freed.")]
    StorageFull,
    /// Retryable: the tokens still count.
    #[error("No leader could be reached; the tokens still count. Try again shortly.")]
    NoLeader,
    /// Retryable, at another node: the tokens still count.
    #[error("This node is shutting down; the tokens still count.")]
    Stopped,
    /// Unknown: revoked or not. To ask again does no harm.
    #[error("It was not answered in time whether the tokens are revoked; ask again.")]
    Unknown,
    /// Terminal: nodes disagree about commands. An operator must look.
    #[error("The revocation was refused by the log ({0:?}).")]
    Refused(Outcome),
}

impl RevokeError {
    pub fn code(&self) -> ErrorCode {
        match self {
            RevokeError::NoSuchAccount => ErrorCode::UserGone,
            RevokeError::TooOften { .. } => ErrorCode::TooManyRequests,
            RevokeError::Overloaded(_) => ErrorCode::Overloaded,
            RevokeError::StorageFull => ErrorCode::StorageFull,
            RevokeError::NoLeader => ErrorCode::NoLeader,
            RevokeError::Stopped => ErrorCode::Draining,
            RevokeError::Unknown => ErrorCode::OutcomeUnknown,
            RevokeError::Refused(_) => ErrorCode::Internal,
        }
    }

    pub fn retry_after_s(&self) -> Option<u32> {
        match self {
            RevokeError::TooOften { retry_after_s } => Some(*retry_after_s),
            RevokeError::Overloaded(_)
            | RevokeError::StorageFull
            | RevokeError::NoLeader
            | RevokeError::Stopped
            | RevokeError::Unknown => Some(1),
            RevokeError::NoSuchAccount | RevokeError::Refused(_) => None,
        }
    }
}

impl From<SubmitError> for RevokeError {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::NoLeader => RevokeError::NoLeader,
            SubmitError::Unknown => RevokeError::Unknown,
            SubmitError::Refused(Refusal::StorageFull) => RevokeError::StorageFull,
            SubmitError::Refused(why) => RevokeError::Overloaded(why.to_string()),
            SubmitError::Stopped(_) => RevokeError::Stopped,
        }
    }
}
