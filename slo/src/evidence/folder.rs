//! The files of a folder.

use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Evidence, read};

/// What lies in a folder, by file name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folder {
    pub evidence: Vec<Evidence>,
    /// What ends in .json and cannot be read, with a sentence each.
    pub unreadable: Vec<(String, String)>,
}

/// A failed run of the simulator, which lies beside its campaign's evidence and is to be replayed.
#[derive(Deserialize)]
struct SimulatedRun {
    #[serde(rename = "plan")]
    _plan: IgnoredAny,
    #[serde(rename = "history")]
    _history: IgnoredAny,
}

/// Reads every `*.json` directly in the folder, but the plans and runs that are kept there to be replayed.
///
/// # Errors
/// Where the folder itself cannot be read.
pub fn read_folder(path: &Path) -> Result<Folder, String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut folder = Folder::default();
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    for name in names {
        if !name.ends_with(".json") || name.ends_with(".plan.json") {
            continue;
        }
        let text = match std::fs::read_to_string(path.join(&name)) {
            Ok(text) => text,
            Err(error) => {
                folder
                    .unreadable
                    .push((name, format!("it cannot be read: {error}")));
                continue;
            }
        };
        match read(&name, &text) {
            Ok(evidence) => folder.evidence.push(evidence),
            Err(_) if serde_json::from_str::<SimulatedRun>(&text).is_ok() => {}
            Err(error) => folder.unreadable.push((name, error.to_string())),
        }
    }
    Ok(folder)
}
