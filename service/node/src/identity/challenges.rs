//! Challenges and registration tokens: made and checked without a memory of them. What must happen only once is remembered
//! by the log ([`super::grants`]).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ostraka_api::proof::{from_hex, to_hex};
use ostraka_api::{Challenge, ChallengeData, ChallengeParameters, PROOF_ALGORITHM, Purpose};
use ostraka_core::UnixMs;
use ostraka_core::limits::{
    CHALLENGE_LIFETIME_S, PROOF_DIGITS_MIN, PROOF_KEY_BYTES, PROOF_LANES, PROOF_MEMORY_KIB, PROOF_STEPS_MAX,
};
use sha2::Sha256;

use super::grants::Nonce;
use crate::env::Entropy;
use crate::secrets::Secrets;

const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 32;
/// What the claims of a registration token begin with: its form and its purpose.
const TOKEN_HEAD: &str = "ostraka-register-1.";
const TOKEN_CLAIMS_BYTES: usize = NONCE_BYTES + 8;

/// Why a challenge that was sent back cannot be used. Terminal for this challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadChallenge {
    /// This service never gave it out, or it was changed since.
    Forged,
    Expired,
}

/// Why a registration token is refused. Terminal for this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadToken {
    #[error("this is no registration token of this service")]
    Forged,
    #[error("the registration token has expired")]
    Expired,
}

/// A challenge of this service that may still be solved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownChallenge {
    pub(super) nonce: Nonce,
    pub(super) expires_at: UnixMs,
}

/// Signs challenges and registration tokens, each with a key of its own.
pub(super) struct Challenges {
    challenge_mac: Hmac<Sha256>,
    token_mac: Hmac<Sha256>,
}

impl Challenges {
    pub(super) fn new(secrets: &Secrets) -> Challenges {
        let keyed = |key: &crate::secrets::SecretKey| {
            Hmac::new_from_slice(&key.0).expect("HMAC takes a key of any length")
        };
        Challenges {
            challenge_mac: keyed(&secrets.challenge_key),
            token_mac: keyed(&secrets.registration_key),
        }
    }

    /// Work of `step` doublings above the least.
    pub(super) fn issue(&self, purpose: Purpose, step: u32, now: UnixMs, entropy: &dyn Entropy) -> Challenge {
        let step = step.min(PROOF_STEPS_MAX);
        // A digit is sixteen times the work: four steps, of which the first three are passes.
        let digits = PROOF_DIGITS_MIN + step as usize / 4;
        let random = || {
            let mut bytes = [0; NONCE_BYTES];
            entropy.fill(&mut bytes);
            to_hex(&bytes)
        };
        let parameters = ChallengeParameters {
            algorithm: PROOF_ALGORITHM.to_owned(),
            cost: 1 << (step % 4),
            data: ChallengeData { purpose },
            expires_at: now.0 / 1_000 + CHALLENGE_LIFETIME_S,
            key_length: PROOF_KEY_BYTES,
            key_prefix: "0".repeat(digits),
            memory_cost: PROOF_MEMORY_KIB,
            nonce: random(),
            parallelism: PROOF_LANES,
            salt: random(),
        };
        let mac = signed(&self.challenge_mac, &parameters).finalize().into_bytes();
        Challenge {
            parameters,
            signature: to_hex(&mac),
        }
    }

    /// Whether this service gave out `challenge` as it is, and it may still be solved. Says nothing of a solution.
    pub(super) fn check(&self, challenge: &Challenge, now: UnixMs) -> Result<KnownChallenge, BadChallenge> {
        let mac = from_hex(&challenge.signature).ok_or(BadChallenge::Forged)?;
        // `verify_slice` compares in constant time.
        signed(&self.challenge_mac, &challenge.parameters)
            .verify_slice(&mac)
            .map_err(|_| BadChallenge::Forged)?;
        let expires_at = UnixMs(challenge.parameters.expires_at.saturating_mul(1_000));
        if now >= expires_at {
            return Err(BadChallenge::Expired);
        }
        let nonce = from_hex(&challenge.parameters.nonce).and_then(|bytes| bytes.try_into().ok());
        Ok(KnownChallenge {
            nonce: Nonce(nonce.ok_or(BadChallenge::Forged)?),
            expires_at,
        })
    }

    /// The token that a solved challenge gives.
    pub(super) fn token(&self, nonce: Nonce, expires_at: UnixMs) -> String {
        let mut claims = nonce.0.to_vec();
        claims.extend_from_slice(&expires_at.0.to_be_bytes());
        let mac = self
            .token_mac
            .clone()
            .chain_update(TOKEN_HEAD)
            .chain_update(&claims)
            .finalize()
            .into_bytes();
        claims.extend_from_slice(&mac);
        TOKEN_HEAD.to_owned() + &URL_SAFE_NO_PAD.encode(claims)
    }

    /// Whether `text` has the form of a registration token; if not, it may be another one.
    pub(super) fn looks_like_token(text: &str) -> bool {
        text.starts_with(TOKEN_HEAD)
    }

    /// The challenge that `token` came of.
    pub(super) fn check_token(&self, token: &str, now: UnixMs) -> Result<Nonce, BadToken> {
        let text = token.strip_prefix(TOKEN_HEAD).ok_or(BadToken::Forged)?;
        let mut bytes = [0; TOKEN_CLAIMS_BYTES + MAC_BYTES];
        // Strict decoding: one token has one spelling.
        let length = URL_SAFE_NO_PAD
            .decode_slice(text, &mut bytes)
            .map_err(|_| BadToken::Forged)?;
        if length != bytes.len() {
            return Err(BadToken::Forged);
        }
        let (claims, mac) = bytes.split_at(TOKEN_CLAIMS_BYTES);
        self.token_mac
            .clone()
            .chain_update(TOKEN_HEAD)
            .chain_update(claims)
            .verify_slice(mac)
            .map_err(|_| BadToken::Forged)?;
        let (nonce, expires_at) = claims.split_first_chunk().expect("the claims begin with a nonce");
        let expires_at = expires_at.try_into().map(u64::from_be_bytes);
        if now >= UnixMs(expires_at.expect("the claims end with a moment")) {
            return Err(BadToken::Expired);
        }
        Ok(Nonce(*nonce))
    }
}

/// Over canonical JSON: the fields of [`ChallengeParameters`] stand in the order of their names, and serde_json puts no space.
fn signed(mac: &Hmac<Sha256>, parameters: &ChallengeParameters) -> Hmac<Sha256> {
    let canonical = serde_json::to_vec(parameters).expect("numbers and plain strings are JSON");
    mac.clone().chain_update(canonical)
}

#[cfg(test)]
mod tests;
