//! The identity service: accounts, login, registration.
//!
//! Accounts live behind a log of their own. [`IdentityMachine`] applies that log to an [`AccountStore`]; the service and
//! its routes read the local replica and submit commands. The vote service knows none of this: a token's voter number
//! is all that passes between the two.

pub mod account;
pub mod bootstrap;
mod challenges;
pub mod command;
pub mod grants;
pub mod machine;
pub mod passwords;
pub mod revocations;
pub mod routes;
pub mod service;
pub(crate) mod snapshot;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;

pub use bootstrap::ensure_operator;
pub use machine::IdentityMachine;
pub use passwords::{PasswordCost, PasswordSettings};
pub use routes::{api_document, router};
pub use service::{IdentityParts, IdentityService, IdentitySettings};
pub use store::{
    AccountStore, AccountsError, CheckedAccounts, Effects, MemoryAccounts, Remembered, SledAccounts,
};
