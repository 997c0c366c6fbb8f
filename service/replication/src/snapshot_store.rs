//! Snapshot files.

/// Keeps the newest snapshots of one group in one folder.
pub struct SnapshotStore {}
