//! The runtime that openraft runs on.

/// openraft's tokio runtime.
pub type OstrakaRuntime = openraft_rt_tokio::TokioRuntime;
