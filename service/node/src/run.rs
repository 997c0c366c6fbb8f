//! The composition root.
use crate::{Config, Env};

/// A running node.
pub struct Node {}

pub async fn run(_env: Env, _config: Config) {}
