//! The longer commands, one a file.

pub(crate) mod failover;
pub(crate) mod powercut;
pub(crate) mod scale;
pub(crate) mod storm;
