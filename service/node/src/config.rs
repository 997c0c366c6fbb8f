//! Configuration.
pub struct Config {}
