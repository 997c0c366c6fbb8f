//! The identity service: accounts, login, registration.
//!
//! Accounts live behind a log of their own. [`IdentityMachine`] applies that log to an [`AccountStore`]; the service and
//! its routes read the local replica and submit commands. The vote service knows none of this: a token's voter number
//! is all that passes between the two.

pub mod account;
pub mod command;
pub mod machine;
mod snapshot;
pub mod store;

pub use machine::IdentityMachine;
pub use store::{AccountStore, AccountsError, MemoryAccounts, SledAccounts};
