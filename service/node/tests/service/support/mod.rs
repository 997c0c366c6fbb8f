//! What the tests of the running service share.

pub(crate) mod cluster;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod process;
pub(crate) mod stage;
