//! The work itself: ALTCHA's argon2id proof. Pure; the service checks by it and clients solve by it.

use argon2::{Algorithm, Argon2, Params, Version};
use ostraka_core::limits::{
    CLIENT_PROOF_DIGITS_MAX, CLIENT_PROOF_MEMORY_KIB_MAX, CLIENT_PROOF_PASSES_MAX, PROOF_KEY_BYTES,
};

use crate::challenge::{ChallengeParameters, Solution};

/// The one algorithm of our challenges, as ALTCHA names it.
pub const PROOF_ALGORITHM: &str = "ARGON2ID";

/// Why a challenge cannot be worked on. Terminal for this challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("the challenge asks for another algorithm than {PROOF_ALGORITHM}")]
    Algorithm,
    #[error("the challenge asks for more work than is reasonable, or for work that argon2 does not know")]
    Cost,
    #[error("the challenge's nonce, salt or prefix is not written in hex")]
    NotHex,
    #[error("no number solves the challenge")]
    NoSolution,
}

/// A challenge, read: tries need no more parsing.
pub struct Work {
    argon2: Argon2<'static>,
    nonce: Vec<u8>,
    salt: Vec<u8>,
    prefix: String,
}

impl Work {
    /// Refuses what would take more memory or time than a client should give.
    pub fn new(parameters: &ChallengeParameters) -> Result<Self, ProofError> {
        if !parameters.algorithm.eq_ignore_ascii_case(PROOF_ALGORITHM) {
            return Err(ProofError::Algorithm);
        }
        let reasonable = parameters.memory_cost <= CLIENT_PROOF_MEMORY_KIB_MAX
            && parameters.cost <= CLIENT_PROOF_PASSES_MAX
            && parameters.key_prefix.len() <= CLIENT_PROOF_DIGITS_MAX
            && parameters.key_length == PROOF_KEY_BYTES;
        if !reasonable {
            return Err(ProofError::Cost);
        }
        let params = Params::new(
            parameters.memory_cost,
            parameters.cost,
            parameters.parallelism,
            Some(PROOF_KEY_BYTES),
        )
        .map_err(|_| ProofError::Cost)?;
        let prefix = parameters.key_prefix.to_ascii_lowercase();
        if !prefix.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(ProofError::NotHex);
        }
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            nonce: from_hex(&parameters.nonce).ok_or(ProofError::NotHex)?,
            salt: from_hex(&parameters.salt).ok_or(ProofError::NotHex)?,
            prefix,
        })
    }

    /// The key that `counter` gives, in hex: argon2id of the nonce and the counter (4 bytes, big-endian).
    pub fn derived_key(&self, counter: u32) -> Result<String, ProofError> {
        let password = [&self.nonce[..], &counter.to_be_bytes()].concat();
        let mut key = [0; PROOF_KEY_BYTES];
        self.argon2
            .hash_password_into(&password, &self.salt, &mut key)
            .map_err(|_| ProofError::Cost)?;
        Ok(to_hex(&key))
    }

    /// Whether `solution` is one. Costs one try.
    pub fn is_solved_by(&self, solution: &Solution) -> bool {
        let Ok(key) = self.derived_key(solution.counter) else {
            return false;
        };
        key.starts_with(&self.prefix) && key.eq_ignore_ascii_case(&solution.derived_key)
    }

    /// Tries one number after the other. Takes seconds of one core: not for a thread that others wait for.
    pub fn solve(&self) -> Result<Solution, ProofError> {
        for counter in 0..=u32::MAX {
            let derived_key = self.derived_key(counter)?;
            if derived_key.starts_with(&self.prefix) {
                return Ok(Solution { counter, derived_key });
            }
        }
        Err(ProofError::NoSolution)
    }
}

/// Lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads pairs of hex digits in any case.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}

#[cfg(test)]
mod tests;
