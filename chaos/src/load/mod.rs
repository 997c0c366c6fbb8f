//! An open-loop voting load, and the ledger of what became of each vote.
//!
//! Votes begin when a schedule says ([`Arrivals`](loadtest::arrivals::Arrivals)), however the service fares, each of a voter of its own with one
//! idempotency key for all of its tries. Every latency counts from the intended start, so a service that stalls cannot
//! hide it by slowing the load down (G. Tene, "How NOT to Measure Latency", 2013). What could not be sent is counted
//! ([`Sent`]), never left out.

mod ledger;
mod polls;
mod run;

pub use ledger::{Ballot, Fate, Ledger, SharedLedger, Slot, Tallied, Told};
pub use polls::{Polls, PollsOptions};
pub use run::{Load, LoadOptions, Sent};
