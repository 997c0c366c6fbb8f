//! Registration with a proof of work: a challenge, its solution, and the registration that its token opens.

use std::net::IpAddr;

use ostraka_api::{Challenge, ChallengeRequest, RegisterRequest, SolveRequest, SolveResponse, Work};
use ostraka_core::limits::{PROOF_STEPS_MAX, REGISTRATION_TOKEN_LIFETIME_S};
use ostraka_core::{RequestKey, UnixMs, VoterNumber};

use super::errors::SolveError;
use super::{IdentityService, RegisterError, hashed_key};
use crate::identity::account::{Email, Username};
use crate::identity::challenges::{BadChallenge, BadToken, Challenges};
use crate::identity::command::{Command, Outcome, RegisterByToken, SolveChallenge};
use crate::identity::grants::Nonce;
use crate::rate::TooOften;

impl IdentityService {
    /// Work for whoever wants to register; more of it the more is asked for.
    pub fn challenge(&self, request: ChallengeRequest, client: IpAddr) -> Result<Challenge, SolveError> {
        self.challenge_per_address.check_address(client)?;
        let step = self.pressure.count(client).min(PROOF_STEPS_MAX);
        let (now, entropy) = (self.parts.clock.now(), &*self.parts.entropy);
        Ok(self.challenges.issue(request.purpose, step, now, entropy))
    }

    /// The registration token that a solved challenge gives, once in the whole cluster.
    pub async fn solve(&self, request: SolveRequest, client: IpAddr) -> Result<SolveResponse, SolveError> {
        self.challenge_per_address.check_address(client)?;
        let SolveRequest { challenge, solution } = request;
        let known = self
            .challenges
            .check(&challenge, self.parts.clock.now())
            .map_err(|bad| match bad {
                BadChallenge::Forged => SolveError::Invalid,
                BadChallenge::Expired => SolveError::Expired,
            })?;
        // The log decides; this replica only spares it and the hash what it knows already.
        if self.parts.machine.read().grant(&known.nonce).is_some() {
            return Err(SolveError::Used);
        }
        let work = Work::new(&challenge.parameters).map_err(|_| SolveError::Invalid)?;
        if !self.passwords.gated(move || work.is_solved_by(&solution)).await? {
            return Err(SolveError::Wrong);
        }
        let command = Command::SolveChallenge(SolveChallenge {
            request: RequestKey(self.parts.entropy.u128()),
            nonce: known.nonce,
            challenge_expires_at: known.expires_at,
            lifetime_ms: REGISTRATION_TOKEN_LIFETIME_S * 1_000,
        });
        match self.submit(&command).await? {
            Outcome::Granted(expires_at) => Ok(self.granted(known.nonce, expires_at)),
            Outcome::ChallengeExpired => Err(SolveError::Expired),
            Outcome::ChallengeUsed => Err(SolveError::Used),
            Outcome::GrantsFull => Err(SolveError::Overloaded(
                "too many registrations are under way".to_owned(),
            )),
            other => Err(SolveError::Refused(other)),
        }
    }

    fn granted(&self, nonce: Nonce, expires_at: UnixMs) -> SolveResponse {
        let left_ms = expires_at.0.saturating_sub(self.parts.clock.now().0);
        SolveResponse {
            token: self.challenges.token(nonce, expires_at),
            expires_in_s: left_ms / 1_000,
        }
    }

    /// Whether this Bearer asks to be read by [`register_by_token`](Self::register_by_token).
    pub fn is_registration_token(bearer: &str) -> bool {
        Challenges::looks_like_token(bearer)
    }

    /// The new user's number. The token is spent with it, in the whole cluster; a refusal leaves it. With the same
    /// `idempotency_key` the same token gets the first answer again.
    pub async fn register_by_token(
        &self,
        token: &str,
        request: RegisterRequest,
        idempotency_key: Option<&str>,
        client: IpAddr,
    ) -> Result<VoterNumber, RegisterError> {
        self.register_per_address.check_address(client)?;
        let nonce = self
            .challenges
            .check_token(token, self.parts.clock.now())
            .map_err(|bad| match bad {
                BadToken::Forged | BadToken::Expired => RegisterError::BadToken(bad.to_string()),
            })?;
        self.register_per_token.check(&nonce.0)?;
        self.check_fields(&request)?;
        let request_key = match idempotency_key {
            // The token's nonce stands in the hash: nobody else can ask for this outcome.
            Some(key) => hashed_key(&nonce.0, key)?,
            None => RequestKey(self.parts.entropy.u128()),
        };
        let is_spent = |grant: crate::identity::grants::Grant| grant.spent;
        // Spares the hash; with a key, the log looks whether this is the request that spent it.
        let spent = self.parts.machine.read().grant(&nonce).is_some_and(is_spent);
        if spent && idempotency_key.is_none() {
            return Err(RegisterError::TokenUsed);
        }
        let password_hash = self.password_hash(request.password).await?;
        let command = Command::RegisterByToken(RegisterByToken {
            request: request_key,
            nonce,
            username: Username::new(&request.username),
            email: Email::new(&request.email),
            date_of_birth: Some(request.date_of_birth),
            password_hash,
        });
        self.registered(&command).await
    }
}

impl From<TooOften> for SolveError {
    fn from(TooOften { retry_after_s }: TooOften) -> Self {
        SolveError::TooOften { retry_after_s }
    }
}

#[cfg(test)]
mod tests;
