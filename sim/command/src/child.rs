//! Runs in processes of their own.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::summary::Summary;

/// What a run's process said, or its last words.
pub(crate) type Told = Result<Summary, String>;

pub(crate) fn of_seed(seed: u64) -> Told {
    told(&["run", "--json", "--seed", &seed.to_string()])
}

pub(crate) fn of_plan(file: &Path) -> Told {
    told(&["replay", "--json", &file.display().to_string()])
}

fn told(arguments: &[&str]) -> Told {
    let program =
        std::env::current_exe().map_err(|error| format!("this program does not find itself: {error}"))?;
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("a process could not be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| {
        let words = String::from_utf8_lossy(&output.stderr);
        format!("{}: {}", output.status, words.trim_end())
    })
}
