//! Logout, and what an operator does about an account whose tokens are in wrong hands.

use std::time::Duration;

use ostraka_core::VoterNumber;
use ostraka_core::limits::READ_BARRIER_MS_MAX;

use super::IdentityService;
use super::errors::RevokeError;
use crate::identity::command::{Command, Outcome, RevokeTokens};
use crate::rate::TooOften;

impl IdentityService {
    /// Revokes every token that was signed for the account until now, in the whole cluster: its owner logs out everywhere.
    pub async fn log_out(&self, voter: VoterNumber) -> Result<(), RevokeError> {
        self.logout_per_caller.check(&voter.0.to_be_bytes())?;
        self.revoke(voter, false).await
    }

    /// The same in an operator's name.
    pub async fn revoke_for_operator(&self, voter: VoterNumber) -> Result<(), RevokeError> {
        self.revoke(voter, true).await
    }

    async fn revoke(&self, voter: VoterNumber, by_operator: bool) -> Result<(), RevokeError> {
        let lifetime_ms = self.parts.settings.token_lifetime.as_millis();
        let command = Command::RevokeTokens(RevokeTokens {
            voter,
            lifetime_ms: u64::try_from(lifetime_ms).unwrap_or(u64::MAX),
            by_operator,
        });
        let (index, outcome) = self.submit_at(&command).await?;
        match outcome {
            Outcome::Revoked => {
                // So that this node at least refuses the token once it has said so. The others have heard within a heartbeat.
                let within = Duration::from_millis(READ_BARRIER_MS_MAX);
                self.parts.log.wait_applied(index, within).await;
                Ok(())
            }
            Outcome::NoSuchAccount => Err(RevokeError::NoSuchAccount),
            Outcome::RevocationsFull => Err(RevokeError::Overloaded(
                "too many accounts have logged out".to_owned(),
            )),
            other => Err(RevokeError::Refused(other)),
        }
    }
}

impl From<TooOften> for RevokeError {
    fn from(TooOften { retry_after_s }: TooOften) -> Self {
        RevokeError::TooOften { retry_after_s }
    }
}

#[cfg(test)]
mod tests;
