//! Proof of work: a challenge, its solution, and the token that comes of it. On the wire as ALTCHA's protocol, version 2,
//! has it (altcha.org), so that its widgets solve these challenges.

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

use crate::identity::Purpose;

/// `POST /v1/auth/challenge`. The body may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeRequest {
    #[serde(default)]
    pub purpose: Purpose,
}

/// 200 of `POST /v1/auth/challenge`: work to do, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Challenge {
    pub parameters: ChallengeParameters,
    /// HMAC-SHA-256 of the parameters as canonical JSON (keys in order, no spaces), in hex.
    pub signature: String,
}

/// What is to be worked out. Fields stand in the order of their names on the wire, which the signature's canonical JSON has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeParameters {
    #[schema(example = "ARGON2ID")]
    pub algorithm: String,
    /// Passes.
    pub cost: u32,
    pub data: ChallengeData,
    /// Seconds since the Unix epoch; signed with the rest.
    #[serde(rename = "expiresAt", alias = "expires_at")]
    pub expires_at: u64,
    /// Bytes of the derived key.
    #[serde(rename = "keyLength", alias = "key_length")]
    pub key_length: usize,
    /// Hex digits that the derived key must begin with.
    #[serde(rename = "keyPrefix", alias = "key_prefix")]
    #[schema(example = "00")]
    pub key_prefix: String,
    /// KiB.
    #[serde(rename = "memoryCost", alias = "memory_cost")]
    pub memory_cost: u32,
    /// 16 bytes in hex.
    pub nonce: String,
    /// Lanes.
    pub parallelism: u32,
    /// 16 bytes in hex.
    pub salt: String,
}

/// What a challenge is for; signed with the rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChallengeData {
    pub purpose: Purpose,
}

/// `POST /v1/auth/challenge/solve`: the challenge as it was given, and its solution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SolveRequest {
    pub challenge: Challenge,
    pub solution: Solution,
}

/// The number that makes the key begin as asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Solution {
    pub counter: u32,
    /// The key that comes of it, in hex.
    #[serde(rename = "derivedKey", alias = "derived_key")]
    pub derived_key: String,
}

/// 200 of `POST /v1/auth/challenge/solve`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SolveResponse {
    /// What `Authorization: Bearer` of `POST /v1/auth/register` takes, once.
    pub token: String,
    /// Seconds that the token is valid from now.
    #[serde(alias = "expiresInS")]
    pub expires_in_s: u64,
}

// Written by hand, so that no log line ever carries a token.
impl fmt::Debug for SolveResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SolveResponse")
            .field("expires_in_s", &self.expires_in_s)
            .finish_non_exhaustive()
    }
}
