//! Log stores.

use openraft::storage::RaftLogStorage;

use crate::types::Types;

/// What openraft's `RaftLogStorage<Types>` is, under our name.
pub trait LogStore: RaftLogStorage<Types> {}

impl<S: RaftLogStorage<Types>> LogStore for S {}
