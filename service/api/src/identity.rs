//! Accounts: login and registration.

use ostraka_core::ids::VoterNumber;
use serde::{Deserialize, Serialize};
use std::fmt;
use time::Date;
use utoipa::ToSchema;

use crate::wire;

/// What a proof of work opens. A token for one purpose never passes for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    #[default]
    Register,
}

/// `POST /v1/auth/login`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginRequest {
    #[schema(example = "alice")]
    pub username: String,
    #[schema(format = Password)]
    pub password: String,
}

/// 200 of `POST /v1/auth/login`. Written `userId`, as clients know it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoginResponse {
    #[serde(rename = "userId", alias = "user_id", with = "wire::id")]
    #[schema(value_type = String, example = "u42")]
    pub user_id: VoterNumber,
    /// What `Authorization: Bearer` takes.
    pub token: String,
}

/// `POST /v1/auth/register`
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterRequest {
    #[schema(example = "alice")]
    pub username: String,
    #[schema(example = "alice@example.org")]
    pub email: String,
    #[serde(alias = "dateOfBirth", with = "wire::date")]
    #[schema(value_type = String, format = Date, example = "1990-12-31")]
    pub date_of_birth: Date,
    /// Without one the account cannot log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password)]
    pub password: Option<String>,
}

/// 201 of `POST /v1/auth/register`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterResponse {
    #[serde(alias = "userId", with = "wire::id")]
    #[schema(value_type = String, example = "u42")]
    pub user_id: VoterNumber,
}

/// `POST /v1/accounts/revoke` on the operator port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevokeRequest {
    #[serde(alias = "userId", with = "wire::id")]
    #[schema(value_type = String, example = "u42")]
    pub user_id: VoterNumber,
}

// Written by hand, so that no log line ever carries a password, a token or a person's data.
impl fmt::Debug for LoginRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoginRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for LoginResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("LoginResponse")
            .field("user_id", &self.user_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RegisterRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RegisterRequest").finish_non_exhaustive()
    }
}
