//! Runs in processes of their own: a second run in one process would find what the first has left.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::{Program, Summary};

/// What a run's process said, or its exit code, if it had one, and last words.
pub type Told = Result<Summary, (Option<i32>, String)>;

impl Program {
    pub fn of_seed(&self, seed: u64) -> Told {
        self.told(&["run", "--json", "--seed", &seed.to_string()])
    }

    pub fn of_plan(&self, file: &Path) -> Told {
        self.told(&["replay", "--json", &file.display().to_string()])
    }

    fn told(&self, arguments: &[&str]) -> Told {
        let program = std::env::current_exe()
            .map_err(|error| (None, format!("this program does not find itself: {error}")))?;
        let output = Command::new(program)
            .args(arguments)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| (None, format!("a process could not be started: {error}")))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().last().unwrap_or_default();
        serde_json::from_str(line).map_err(|_| {
            let words = String::from_utf8_lossy(&output.stderr);
            let sentence = format!("{}: {}", output.status, words.trim_end());
            (output.status.code(), sentence)
        })
    }
}
