//! The client against real sockets on loopback.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where it stands; clippy exempts only the test functions themselves"
)]

mod calls;
mod registering;
mod support;
#[cfg(feature = "tls")]
mod tls;
mod watching;
