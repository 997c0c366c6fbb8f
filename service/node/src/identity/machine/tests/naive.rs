//! The machine's rules once more, without any of its code.

use super::*;

/// What the rules say, in the most obvious way: a list, searched from the front; and the one password's hash that there is, the
/// operator's.
#[derive(Default)]
pub(super) struct Naive(
    pub(super) Vec<(String, Option<String>, u128, bool)>,
    Vec<NaiveGrant>,
    Option<String>,
);

/// Nonce, request, expiry, whether it is spent. Never forgotten: that must make no difference.
type NaiveGrant = (Nonce, RequestKey, u64, bool);

impl Naive {
    fn solve(&mut self, now: u64, wanted: &SolveChallenge) -> Outcome {
        let known = self.1.iter().find(|grant| grant.0 == wanted.nonce);
        match known {
            // What is over is forgotten, and then its challenge is over, too.
            Some(grant) if now >= grant.2 => Outcome::ChallengeExpired,
            Some(grant) if grant.1 == wanted.request => Outcome::Granted(UnixMs(grant.2)),
            Some(_) => Outcome::ChallengeUsed,
            None if now >= wanted.challenge_expires_at.0 => Outcome::ChallengeExpired,
            None => {
                let until = (now + wanted.lifetime_ms).max(wanted.challenge_expires_at.0);
                self.1.push((wanted.nonce, wanted.request, until, false));
                Outcome::Granted(UnixMs(until))
            }
        }
    }

    fn renew(&mut self, wanted: &RenewPassword) -> Outcome {
        let account = self.0.iter().position(|known| known.3);
        let is_operators = account.is_some_and(|place| place + 1 == wanted.voter.0 as usize);
        if !is_operators || self.2.as_deref().map(hash_digest) != Some(wanted.replaces) {
            return Outcome::NotRenewed;
        }
        self.2 = Some(wanted.password_hash.clone());
        Outcome::Renewed
    }

    pub(super) fn apply(&mut self, now: u64, command: &Command) -> Outcome {
        let mut token = None;
        let (name, email, request, operator) = match command {
            Command::CreateOperator(c) => (c.username.shown.to_lowercase(), None, c.request.0, true),
            Command::Register(c) => (
                c.username.shown.to_lowercase(),
                Some(c.email.shown.clone()),
                c.request.0,
                false,
            ),
            Command::SolveChallenge(wanted) => return self.solve(now, wanted),
            Command::RevokeTokens(wanted) if (1..=self.0.len()).contains(&(wanted.voter.0 as usize)) => {
                return Outcome::Revoked;
            }
            Command::RevokeTokens(_) => return Outcome::NoSuchAccount,
            Command::RenewPassword(wanted) => return self.renew(wanted),
            Command::RegisterByToken(c) => {
                token = Some(c.nonce);
                let name = c.username.shown.to_lowercase();
                (name, Some(c.email.shown.clone()), c.request.0, false)
            }
        };
        for (position, known) in self.0.iter().enumerate() {
            if known.0 == name && known.2 == request {
                return Outcome::Created(VoterNumber(position as u32 + 1));
            }
        }
        if let Some(nonce) = token {
            match self.1.iter().find(|grant| grant.0 == nonce) {
                Some(grant) if now >= grant.2 => return Outcome::TokenExpired,
                Some(grant) if grant.3 => return Outcome::TokenUsed,
                Some(_) => {}
                None => return Outcome::TokenExpired,
            }
        }
        if operator && self.0.iter().any(|known| known.3) {
            return Outcome::OperatorExists;
        }
        if self.0.iter().any(|known| known.0 == name) {
            return Outcome::UsernameTaken;
        }
        if email.is_some() && self.0.iter().any(|known| known.1 == email) {
            return Outcome::EmailTaken;
        }
        self.0.push((name, email, request, operator));
        if let Command::CreateOperator(created) = command {
            self.2 = Some(created.password_hash.clone());
        }
        for grant in self.1.iter_mut().filter(|grant| Some(grant.0) == token) {
            grant.3 = true;
        }
        Outcome::Created(VoterNumber(self.0.len() as u32))
    }
}
