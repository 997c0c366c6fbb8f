//! What a command came to, and its exit code.

use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// 0
    Held,
    /// 1
    Broken,
    /// 2: it could not be tested, or did not bite.
    Inconclusive,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Held => "PASS",
            Verdict::Broken => "FAIL",
            Verdict::Inconclusive => "INCONCLUSIVE",
        })
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        ExitCode::from(match verdict {
            Verdict::Held => 0,
            Verdict::Broken => 1,
            Verdict::Inconclusive => 2,
        })
    }
}

impl From<Verdict> for loadtest::evidence::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Held => Self::Pass,
            Verdict::Broken => Self::Fail,
            Verdict::Inconclusive => Self::Inconclusive,
        }
    }
}
