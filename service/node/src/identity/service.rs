//! Login and registration: reads of the local replica, commands to the log.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ostraka_api::{ErrorCode, FieldError, LoginRequest, RegisterRequest, validate};
use ostraka_core::limits::{
    LOGIN_PER_ADDRESS_BURST, LOGIN_PER_ADDRESS_REFILL_MS, LOGIN_PER_USERNAME_BURST,
    LOGIN_PER_USERNAME_REFILL_MS, READ_BARRIER_MS_MAX, REGISTER_BURST, REGISTER_REFILL_MS, SUBMIT_MS_MAX,
    TOKEN_LIFETIME_S,
};
use ostraka_core::{RequestKey, VoterNumber};
use ostraka_replication::env::SharedClock;
use ostraka_replication::{Refusal, SharedMachine, SubmitError};
use sha2::{Digest, Sha256};
use time::{Date, OffsetDateTime};
use zeroize::Zeroizing;

use super::account::{Account, Email, Username};
use super::command::{Command, Outcome, Register};
use super::machine::IdentityMachine;
use super::passwords::{Busy, PasswordSettings, Passwords};
use crate::env::SharedEntropy;
use crate::log::Log;
use crate::rate::{Limiter, Rate, TooOften};
use crate::token::{Caller, Role, Tokens};

/// What an operator of the service may set.
#[derive(Clone, Copy, Debug)]
pub struct IdentitySettings {
    pub passwords: PasswordSettings,
    pub token_lifetime: Duration,
    /// The cookie is sent over TLS only. For where a proxy before this service speaks TLS.
    pub cookie_secure: bool,
    pub login_per_username: Rate,
    pub login_per_address: Rate,
    pub register_per_caller: Rate,
    pub register_per_address: Rate,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        IdentitySettings {
            passwords: PasswordSettings::default(),
            token_lifetime: Duration::from_secs(TOKEN_LIFETIME_S),
            cookie_secure: false,
            login_per_username: Rate::new(LOGIN_PER_USERNAME_BURST, LOGIN_PER_USERNAME_REFILL_MS),
            login_per_address: Rate::new(LOGIN_PER_ADDRESS_BURST, LOGIN_PER_ADDRESS_REFILL_MS),
            register_per_caller: Rate::new(REGISTER_BURST, REGISTER_REFILL_MS),
            register_per_address: Rate::new(REGISTER_BURST, REGISTER_REFILL_MS),
        }
    }
}

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
    #[error("Only an operator's token may register users.")]
    NotPermitted,
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

/// What the service is made of.
pub struct IdentityParts {
    pub machine: SharedMachine<IdentityMachine>,
    pub log: Arc<dyn Log>,
    pub tokens: Arc<Tokens>,
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
    pub settings: IdentitySettings,
}

/// Logs in and registers.
pub struct IdentityService {
    pub(super) parts: IdentityParts,
    pub(super) passwords: Passwords,
    login_per_username: Limiter,
    login_per_address: Limiter,
    register_per_caller: Limiter,
    register_per_address: Limiter,
}

impl IdentityService {
    /// Takes the time of one password hash.
    pub fn new(parts: IdentityParts) -> IdentityService {
        let limiter = |rate| Limiter::new(rate, Arc::clone(&parts.clock), &*parts.entropy);
        IdentityService {
            passwords: Passwords::new(parts.settings.passwords, &*parts.entropy),
            login_per_username: limiter(parts.settings.login_per_username),
            login_per_address: limiter(parts.settings.login_per_address),
            register_per_caller: limiter(parts.settings.register_per_caller),
            register_per_address: limiter(parts.settings.register_per_address),
            parts,
        }
    }

    pub fn settings(&self) -> &IdentitySettings {
        &self.parts.settings
    }

    /// The user's number and a token. Works while the cluster has no leader, from what this replica knows.
    pub async fn login(
        &self,
        request: LoginRequest,
        client: IpAddr,
    ) -> Result<(VoterNumber, String), LoginError> {
        let LoginRequest { username, password } = request;
        let password = Zeroizing::new(password);
        for (field, value) in [("username", username.as_str()), ("password", password.as_str())] {
            if value.is_empty() {
                return Err(LoginError::Missing(field));
            }
        }
        self.login_per_address.check_address(client)?;
        let username = Username::new(&username);
        self.login_per_username.check(username.key.as_bytes())?;
        // For known users, too: were it for unknown ones only, the time taken would tell who has an account.
        self.catch_up().await;
        let account = self.parts.machine.read().account_by_username(&username);
        let stored = account.as_ref().and_then(|account| account.password_hash.clone());
        let right = self.passwords.verify(password, stored).await?;
        match account {
            Some(Account { voter, role, .. }) if right => {
                let now = self.parts.clock.now();
                Ok((
                    voter,
                    self.parts
                        .tokens
                        .sign(voter, role, now, self.parts.settings.token_lifetime),
                ))
            }
            _ => Err(LoginError::WrongCredentials),
        }
    }

    /// The new user's number. With the same `idempotency_key` the same caller gets the first answer again.
    pub async fn register(
        &self,
        caller: Caller,
        request: RegisterRequest,
        idempotency_key: Option<&str>,
        client: IpAddr,
    ) -> Result<VoterNumber, RegisterError> {
        self.register_per_address.check_address(client)?;
        self.register_per_caller.check(&caller.voter.0.to_be_bytes())?;
        let role = self
            .role_of(caller.voter)
            .await
            .ok_or(RegisterError::CallerGone)?;
        if role != Role::Operator {
            return Err(RegisterError::NotPermitted);
        }
        request
            .validate(self.tomorrow())
            .map_err(RegisterError::Invalid)?;
        let request_key = self.request_key(caller.voter, idempotency_key)?;
        let password_hash = match request.password {
            Some(password) => Some(
                self.passwords
                    .hash(Zeroizing::new(password), &*self.parts.entropy)
                    .await?,
            ),
            None => None,
        };
        let command = Command::Register(Register {
            request: request_key,
            username: Username::new(&request.username),
            email: Email::new(&request.email),
            date_of_birth: Some(request.date_of_birth),
            password_hash,
            registered_by: caller.voter,
        });
        match self.submit(&command).await? {
            Outcome::Created(voter) => Ok(voter),
            Outcome::UsernameTaken => Err(RegisterError::UsernameTaken),
            Outcome::EmailTaken => Err(RegisterError::EmailTaken),
            Outcome::OperatorExists | Outcome::Refused => Err(RegisterError::Refused),
        }
    }

    pub(super) async fn submit(&self, command: &Command) -> Result<Outcome, SubmitError> {
        let submitted = self
            .parts
            .log
            .submit(command.encode(), Duration::from_millis(SUBMIT_MS_MAX))
            .await?;
        // A reply that this binary cannot read comes from a newer leader; what it says is then not known here.
        Outcome::decode(&submitted.reply).map_err(|error| {
            tracing::error!(%error, index = submitted.index.0, "identity's log gave an answer that is not understood");
            SubmitError::Unknown
        })
    }

    /// Brings this replica up to what the cluster had acknowledged when this was called, or says that it could not in
    /// `READ_BARRIER_MS_MAX`: without a leader, the answer comes from what is here.
    pub(super) async fn catch_up(&self) -> bool {
        let within = Duration::from_millis(READ_BARRIER_MS_MAX);
        match self.parts.log.read_index(within).await {
            Ok(index) => self.parts.log.wait_applied(index, within).await,
            Err(_) => false,
        }
    }

    /// The role that the account has, whatever the token says. Asks the cluster only if this replica has no such account.
    async fn role_of(&self, voter: VoterNumber) -> Option<Role> {
        let known = |service: &Self| {
            service
                .parts
                .machine
                .read()
                .account(voter)
                .map(|account| account.role)
        };
        if let Some(role) = known(self) {
            return Some(role);
        }
        self.catch_up().await;
        known(self)
    }

    fn request_key(
        &self,
        caller: VoterNumber,
        idempotency_key: Option<&str>,
    ) -> Result<RequestKey, RegisterError> {
        let Some(key) = idempotency_key else {
            return Ok(RequestKey(self.parts.entropy.u128()));
        };
        validate::idempotency_key(key).map_err(RegisterError::InvalidKey)?;
        // The caller stands in the hash, so nobody can ask for the outcome of another's request.
        let hash = Sha256::new()
            .chain_update(caller.0.to_be_bytes())
            .chain_update(key)
            .finalize();
        let first = hash.first_chunk().expect("a hash has 32 bytes");
        Ok(RequestKey(u128::from_be_bytes(*first)))
    }

    /// Today is over first where UTC's tomorrow has begun.
    fn tomorrow(&self) -> Date {
        let seconds = i64::try_from(self.parts.clock.now().0 / 1_000).unwrap_or(i64::MAX);
        let today = OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date);
        today.next_day().unwrap_or(Date::MAX)
    }
}

#[cfg(test)]
mod tests;
