//! The books: what voters were told ([`crate::load::Ledger`]) against what the log holds, by rules that share nothing with
//! the service but the form of its messages.

mod audit;
mod export;
mod place;

pub use audit::{Board, Finding, Findings, Truth, audit};
pub use export::{Exported, agreed, read};
pub use place::place_of;
#[cfg(test)]
pub(crate) use place::tests::id_of;
