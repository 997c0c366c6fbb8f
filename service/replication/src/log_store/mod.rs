//! Log stores.

/// What openraft's `RaftLogStorage<Types>` is, under our name, with what both stores add.
pub trait LogStore: Send + Sync + 'static {}
