//! Plans and runs as files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ostraka_sim_model::evidence::Failure;
use ostraka_sim_model::plan::Plan;
use sha2::{Digest, Sha256};

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

/// Writes a file whole or not at all: half of one would be taken for evidence.
pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // What is no plain file (`/dev/stdout`, a pipe) takes what it is given, and has no place beside it.
    if fs::metadata(file).is_ok_and(|kind| !kind.is_file()) {
        return fs::write(file, text).map_err(failed);
    }
    let part = file.with_extension(format!("part-{}", std::process::id()));
    let written = fs::write(&part, text).and_then(|()| fs::rename(&part, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&part);
        failed(error)
    })
}

/// Finds out early that `write` would fail: what is there already stays as it is.
pub(crate) fn can_be_written(file: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{} cannot be written: {error}", file.display());
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let is_new = !file.exists();
    fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .map_err(failed)?;
    if is_new {
        // An empty file would be taken for evidence.
        fs::remove_file(file).map_err(failed)?;
    }
    Ok(())
}

/// `file` with another end.
pub fn beside(file: &Path, end: &str) -> PathBuf {
    file.with_extension(end)
}

/// The SHA-256 of this program's own file, as `sha256sum` writes it; `unknown` where that cannot be read, which no other
/// program is.
pub(crate) fn digest_of_this_program() -> String {
    static DIGEST: OnceLock<String> = OnceLock::new();
    let digest = || {
        let bytes = std::env::current_exe().and_then(fs::read).ok()?;
        let digest = Sha256::digest(bytes);
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    };
    DIGEST
        .get_or_init(|| digest().unwrap_or_else(|| "unknown".to_owned()))
        .clone()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A folder of a test's own; whatever an earlier run has left in it is gone.
    pub(crate) fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("ostraka-campaign-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_program_is_named_as_sha256sum_names_it() {
        let program = std::env::current_exe().unwrap();
        let said = std::process::Command::new("sha256sum").arg(program).output();
        let said = String::from_utf8(said.unwrap().stdout).unwrap();
        assert_eq!(
            said.split_whitespace().next(),
            Some(digest_of_this_program().as_str())
        );
    }

    #[test]
    fn what_cannot_be_written_whole_leaves_what_was_there() {
        let folder = folder("whole");
        let file = folder.join("x.json");
        assert_eq!(write(&file, "before"), Ok(()));
        // No room for the new one: its place is taken by a folder.
        let part = file.with_extension(format!("part-{}", std::process::id()));
        fs::create_dir(&part).unwrap();
        assert!(write(&file, "after").unwrap_err().contains("cannot be written"));
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        fs::remove_dir(&part).unwrap();
        assert_eq!(write(&file, "after"), Ok(()));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(write(Path::new("/dev/full"), "x").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn whether_a_file_can_be_written_is_found_out_without_writing_it() {
        let folder = folder("probe");
        let file = folder.join("new/x.json");
        assert_eq!(can_be_written(&file), Ok(()));
        assert!(!file.exists());
        fs::write(&file, "before").unwrap();
        assert_eq!(can_be_written(&file), Ok(()));
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        let below_a_file = can_be_written(&file.join("y.json")).unwrap_err();
        assert!(
            below_a_file.contains("y.json cannot be written"),
            "{below_a_file}"
        );
        let a_folder = can_be_written(&folder).unwrap_err();
        assert!(a_folder.contains("cannot be written"), "{a_folder}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
