//! Login and registration: reads of the local replica, commands to the log.

mod errors;
mod proofs;
mod renewing;
mod revoking;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ostraka_api::{LoginRequest, RegisterRequest, validate};
use ostraka_core::limits::{
    CHALLENGE_PER_ADDRESS_BURST, CHALLENGE_PER_ADDRESS_REFILL_MS, CHALLENGES_FORGET_MS, CHALLENGES_FREE,
    CHALLENGES_PER_PREFIX_FORGET_MS, CHALLENGES_PER_PREFIX_FREE, LOGIN_PER_ADDRESS_BURST,
    LOGIN_PER_ADDRESS_REFILL_MS, LOGIN_PER_NAME_AND_PREFIX_BURST, LOGIN_PER_NAME_AND_PREFIX_REFILL_MS,
    LOGIN_PER_NAME_BURST, LOGIN_PER_NAME_REFILL_MS, LOGIN_SLOWED_MS, LOGOUT_PER_CALLER_BURST,
    LOGOUT_PER_CALLER_REFILL_MS, MINIMUM_AGE_YEARS, READ_BARRIER_MS_MAX, REGISTER_BURST,
    REGISTER_PER_TOKEN_BURST, REGISTER_PER_TOKEN_REFILL_MS, REGISTER_REFILL_MS, SUBMIT_MS_MAX,
    TOKEN_LIFETIME_S,
};
use ostraka_core::{LogIndex, RequestKey, VoterNumber};
use ostraka_replication::env::SharedClock;
use ostraka_replication::{Machine as _, SharedMachine, SubmitError};
use sha2::{Digest, Sha256};
use time::{Date, OffsetDateTime};
use zeroize::Zeroizing;

use super::account::{Account, Email, Username};
use super::challenges::Challenges;
use super::command::{Command, Outcome, Register};
use super::machine::IdentityMachine;
use super::passwords::{Busy, PasswordSettings, Passwords};
use crate::env::SharedEntropy;
use crate::http::access::may_register;
use crate::log::Log;
use crate::pressure::{Calm, Pressure, network_prefix};
use crate::rate::{Limiter, Rate};
use crate::secrets::Secrets;
use crate::token::{Caller, Role, Tokens};
pub use errors::{LoginError, RegisterError, RevokeError, SolveError};

/// What an operator of the service may set.
#[derive(Clone, Copy, Debug)]
pub struct IdentitySettings {
    pub passwords: PasswordSettings,
    pub token_lifetime: Duration,
    /// The cookie is sent over TLS only. For where a proxy before this service speaks TLS.
    pub cookie_secure: bool,
    pub minimum_age_years: u8,
    pub login_per_name_and_prefix: Rate,
    /// Past it, logins of this name are slower.
    pub login_per_name: Rate,
    pub login_per_address: Rate,
    pub logout_per_caller: Rate,
    pub register_per_caller: Rate,
    pub register_per_address: Rate,
    pub register_per_token: Rate,
    pub challenge_per_address: Rate,
    pub challenges_per_prefix: Calm,
    pub challenges_of_all: Calm,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        IdentitySettings {
            passwords: PasswordSettings::default(),
            token_lifetime: Duration::from_secs(TOKEN_LIFETIME_S),
            cookie_secure: false,
            minimum_age_years: MINIMUM_AGE_YEARS,
            login_per_name_and_prefix: Rate::new(
                LOGIN_PER_NAME_AND_PREFIX_BURST,
                LOGIN_PER_NAME_AND_PREFIX_REFILL_MS,
            ),
            login_per_name: Rate::new(LOGIN_PER_NAME_BURST, LOGIN_PER_NAME_REFILL_MS),
            login_per_address: Rate::new(LOGIN_PER_ADDRESS_BURST, LOGIN_PER_ADDRESS_REFILL_MS),
            logout_per_caller: Rate::new(LOGOUT_PER_CALLER_BURST, LOGOUT_PER_CALLER_REFILL_MS),
            register_per_caller: Rate::new(REGISTER_BURST, REGISTER_REFILL_MS),
            register_per_address: Rate::new(REGISTER_BURST, REGISTER_REFILL_MS),
            register_per_token: Rate::new(REGISTER_PER_TOKEN_BURST, REGISTER_PER_TOKEN_REFILL_MS),
            challenge_per_address: Rate::new(CHALLENGE_PER_ADDRESS_BURST, CHALLENGE_PER_ADDRESS_REFILL_MS),
            challenges_per_prefix: Calm {
                free: CHALLENGES_PER_PREFIX_FREE,
                forget_ms: CHALLENGES_PER_PREFIX_FORGET_MS,
            },
            challenges_of_all: Calm {
                free: CHALLENGES_FREE,
                forget_ms: CHALLENGES_FORGET_MS,
            },
        }
    }
}

/// What the service is made of.
pub struct IdentityParts {
    pub machine: SharedMachine<IdentityMachine>,
    pub log: Arc<dyn Log>,
    pub tokens: Arc<Tokens>,
    pub secrets: Secrets,
    pub clock: SharedClock,
    pub entropy: SharedEntropy,
    pub settings: IdentitySettings,
}

/// Logs in and registers.
pub struct IdentityService {
    pub(super) parts: IdentityParts,
    pub(super) passwords: Arc<Passwords>,
    login_per_name_and_prefix: Limiter,
    login_per_name: Limiter,
    login_per_address: Limiter,
    logout_per_caller: Limiter,
    register_per_caller: Limiter,
    register_per_address: Limiter,
    register_per_token: Limiter,
    challenge_per_address: Limiter,
    pressure: Pressure,
    challenges: Challenges,
}

impl IdentityService {
    /// Takes the time of one password hash.
    pub fn new(parts: IdentityParts) -> IdentityService {
        let limiter = |rate| Limiter::new(rate, Arc::clone(&parts.clock), &*parts.entropy);
        IdentityService {
            passwords: Arc::new(Passwords::new(parts.settings.passwords, &*parts.entropy)),
            login_per_name_and_prefix: limiter(parts.settings.login_per_name_and_prefix),
            login_per_name: limiter(parts.settings.login_per_name),
            login_per_address: limiter(parts.settings.login_per_address),
            logout_per_caller: limiter(parts.settings.logout_per_caller),
            register_per_caller: limiter(parts.settings.register_per_caller),
            register_per_address: limiter(parts.settings.register_per_address),
            register_per_token: limiter(parts.settings.register_per_token),
            challenge_per_address: limiter(parts.settings.challenge_per_address),
            pressure: Pressure::new(
                parts.settings.challenges_per_prefix,
                parts.settings.challenges_of_all,
                Arc::clone(&parts.clock),
                &*parts.entropy,
            ),
            challenges: Challenges::new(&parts.secrets),
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
        self.slow_guessing(&username, client).await?;
        // For known users, too: were it for unknown ones only, the time taken would tell who has an account.
        self.catch_up().await;
        let (account, known_to) = {
            let machine = self.parts.machine.read();
            (machine.account_by_username(&username), machine.last_applied())
        };
        let stored = account.as_ref().and_then(|account| account.password_hash.clone());
        let outdated = stored.clone().filter(|stored| self.passwords.is_outdated(stored));
        let renewal = outdated.map(|stored| (stored, password.clone()));
        let right = self.passwords.verify(password, stored).await?;
        match account {
            Some(Account { voter, role, .. }) if right => {
                if let Some((stored, password)) = renewal {
                    self.renew_later(voter, &stored, password);
                }
                let (now, lifetime) = (self.parts.clock.now(), self.parts.settings.token_lifetime);
                let token = self.parts.tokens.sign_at(voter, role, known_to, now, lifetime);
                Ok((voter, token))
            }
            _ => Err(LoginError::WrongCredentials),
        }
    }

    /// Refuses who guesses from one place, and slows who guesses from many; the owner, elsewhere, gets in. The same for a
    /// name that nobody has.
    async fn slow_guessing(&self, username: &Username, client: IpAddr) -> Result<(), LoginError> {
        let name = username.key.as_bytes();
        let name_and_prefix = [&network_prefix(client)[..], name].concat();
        self.login_per_name_and_prefix.check(&name_and_prefix)?;
        if self.login_per_name.check(name).is_err() {
            // Who waits holds a connection, and those are bounded.
            tokio::time::sleep(Duration::from_millis(LOGIN_SLOWED_MS)).await;
        }
        Ok(())
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
        if !may_register(role) {
            return Err(RegisterError::NotPermitted);
        }
        self.check_fields(&request)?;
        let request_key = self.request_key(caller.voter, idempotency_key)?;
        let password_hash = self.password_hash(request.password).await?;
        let command = Command::Register(Register {
            request: request_key,
            username: Username::new(&request.username),
            email: Email::new(&request.email),
            date_of_birth: Some(request.date_of_birth),
            password_hash,
            registered_by: caller.voter,
        });
        self.registered(&command).await
    }

    fn check_fields(&self, request: &RegisterRequest) -> Result<(), RegisterError> {
        request
            .validate(self.tomorrow(), self.parts.settings.minimum_age_years)
            .map_err(RegisterError::Invalid)
    }

    async fn password_hash(&self, password: Option<String>) -> Result<Option<String>, Busy> {
        let Some(password) = password else { return Ok(None) };
        let hash = self
            .passwords
            .hash(Zeroizing::new(password), &*self.parts.entropy);
        hash.await.map(Some)
    }

    /// What the log says to a registration.
    async fn registered(&self, command: &Command) -> Result<VoterNumber, RegisterError> {
        match self.submit(command).await? {
            Outcome::Created(voter) => Ok(voter),
            Outcome::UsernameTaken => Err(RegisterError::UsernameTaken),
            Outcome::EmailTaken => Err(RegisterError::EmailTaken),
            Outcome::TokenUsed => Err(RegisterError::TokenUsed),
            Outcome::TokenExpired => Err(RegisterError::BadToken(
                "the registration token has expired".to_owned(),
            )),
            Outcome::OperatorExists
            | Outcome::Refused
            | Outcome::Granted(_)
            | Outcome::ChallengeExpired
            | Outcome::ChallengeUsed
            | Outcome::GrantsFull
            | Outcome::Revoked
            | Outcome::NoSuchAccount
            | Outcome::RevocationsFull
            | Outcome::Renewed
            | Outcome::NotRenewed => Err(RegisterError::Refused),
        }
    }

    pub(super) async fn submit(&self, command: &Command) -> Result<Outcome, SubmitError> {
        self.submit_at(command).await.map(|(_, outcome)| outcome)
    }

    /// What the log says, and at which entry.
    async fn submit_at(&self, command: &Command) -> Result<(LogIndex, Outcome), SubmitError> {
        let submitted = self
            .parts
            .log
            .submit(command.encode(), Duration::from_millis(SUBMIT_MS_MAX))
            .await?;
        // A reply that this binary cannot read comes from a newer leader; what it says is then not known here.
        let outcome = Outcome::decode(&submitted.reply).map_err(|error| {
            tracing::error!(%error, index = submitted.index.0, "identity's log gave an answer that is not understood");
            SubmitError::Unknown
        })?;
        Ok((submitted.index, outcome))
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
        hashed_key(&caller.0.to_be_bytes(), key)
    }

    /// Today is over first where UTC's tomorrow has begun.
    fn tomorrow(&self) -> Date {
        let seconds = i64::try_from(self.parts.clock.now().0 / 1_000).unwrap_or(i64::MAX);
        let today = OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date);
        today.next_day().unwrap_or(Date::MAX)
    }
}

/// The key of a request by what its caller calls it. The caller stands in the hash, so nobody can ask for the outcome of
/// another's request.
fn hashed_key(caller: &[u8], idempotency_key: &str) -> Result<RequestKey, RegisterError> {
    validate::idempotency_key(idempotency_key).map_err(RegisterError::InvalidKey)?;
    let hash = Sha256::new()
        .chain_update(caller)
        .chain_update(idempotency_key)
        .finalize();
    let first = hash.first_chunk().expect("a hash has 32 bytes");
    Ok(RequestKey(u128::from_be_bytes(*first)))
}

#[cfg(test)]
mod tests;
