//! Plans and runs as files.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use ostraka_sim_model::evidence::{Failure, Maker};
use ostraka_sim_model::plan::Plan;

/// A file of these programs': a plan, or a run with its history.
pub enum Kept {
    Plan(Box<Plan>),
    Failure(Box<Failure>),
}

pub fn read(file: &Path) -> Result<Kept, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let whole: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| format!("{} is no file of this program's: {error}", file.display()))?;
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    if whole.get("history").is_some() {
        let failure = Failure::from_json(&text).map_err(|error| named(&error))?;
        return Ok(Kept::Failure(Box::new(failure)));
    }
    Plan::from_json(&text)
        .map(|plan| Kept::Plan(Box::new(plan)))
        .map_err(|error| named(&error))
}

pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, text).map_err(failed)
}

/// `file` with another end.
pub fn beside(file: &Path, end: &str) -> PathBuf {
    file.with_extension(end)
}

/// This program, as its files name it.
pub(crate) fn maker(simulator: &str) -> Maker {
    Maker {
        simulator: simulator.to_owned(),
        program: this_program(),
        commit: this_commit(),
    }
}

/// A digest of this program's own file; `unknown` where that cannot be read, which no other program is.
fn this_program() -> String {
    let bytes = std::env::current_exe().and_then(fs::read);
    bytes.map_or_else(
        |_| "unknown".to_owned(),
        |bytes| {
            let mut digest = DefaultHasher::new();
            digest.write(&bytes);
            format!("{:016x}", digest.finish())
        },
    )
}

/// The commit of the tree that this is run in, `unknown` outside of one.
fn this_commit() -> String {
    let asked = std::process::Command::new("git")
        .args(["rev-parse", "HEAD"])
        .output();
    asked
        .ok()
        .filter(|answer| answer.status.success())
        .and_then(|answer| String::from_utf8(answer.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}
