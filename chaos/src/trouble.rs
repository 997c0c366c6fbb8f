//! Why something could not be tested. Neither kind is a verdict on the service.

use std::fmt::Display;
use std::path::Path;

/// The harness could not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// This machine lacks a right, a tool or a feature of its kernel; the text is a sentence that names it.
    #[error("{0}")]
    Missing(String),
    /// It should have worked here and did not; the text is a sentence that says what was tried and what came of it.
    #[error("{0}")]
    Failed(String),
}

impl Trouble {
    pub(crate) fn missing(sentence: impl Into<String>) -> Self {
        Self::Missing(sentence.into())
    }

    pub fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    /// For `map_err` on what was done with a file.
    pub fn with_file<E: Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.display().to_string();
        move |error| Self::Failed(format!("{path} cannot be used: {error}"))
    }
}
