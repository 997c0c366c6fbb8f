//! Why something was not tested to its end: because of this machine, of the harness, or of the service.

use std::fmt::Display;
use std::path::Path;

use crate::Verdict;

/// What was asked for could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// This machine lacks a right, a tool or a feature of its kernel; the text is a sentence that names it.
    #[error("{0}")]
    Missing(String),
    /// It should have worked here and did not; the text is a sentence that says what was tried and what came of it.
    #[error("{0}")]
    Failed(String),
    /// What was asked for makes no sense; the text is a sentence that says why.
    #[error("{0}")]
    Usage(String),
    /// It could be tested, and the service did not do what it owes: it did not come back, say, or does not vouch for its own
    /// folder. A finding, and no excuse.
    #[error("{0}")]
    Service(String),
}

impl Trouble {
    pub(crate) fn missing(sentence: impl Into<String>) -> Self {
        Self::Missing(sentence.into())
    }

    pub fn failed(sentence: impl Into<String>) -> Self {
        Self::Failed(sentence.into())
    }

    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::Usage(sentence.into())
    }

    pub(crate) fn service(sentence: impl Into<String>) -> Self {
        Self::Service(sentence.into())
    }

    /// What a command that ends with it came to.
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::Missing(_) | Self::Failed(_) | Self::Usage(_) => Verdict::Inconclusive,
            Self::Service(_) => Verdict::Broken,
        }
    }

    /// For `map_err` on what was done with a file.
    pub fn with_file<E: Display>(path: &Path) -> impl FnOnce(E) -> Self {
        let path = path.display().to_string();
        move |error| Self::Failed(format!("{path} cannot be used: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_service_breaks_a_promise() {
        assert_eq!(Trouble::missing("no root").verdict(), Verdict::Inconclusive);
        assert_eq!(Trouble::failed("no disk").verdict(), Verdict::Inconclusive);
        assert_eq!(Trouble::service("it is gone").verdict(), Verdict::Broken);
    }
}
