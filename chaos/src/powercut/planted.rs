//! The service with a planted bug, built from a copy of the committed tree: a campaign that does not find it finds nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use crate::Trouble;

/// Where the patches are, below the repository.
const PATCHES: &str = "chaos/mutants";
/// Where copies and builds go, below the repository; ignored by git. The build folder is the one of `sim mutants`.
const FOLDER: &str = "target/mutants";

/// A bug that can be planted: a patch of `chaos/mutants`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The barrier does nothing: what sled has flushed may be in caches only.
    NoBarrier,
}

impl Mutant {
    pub fn name(self) -> &'static str {
        match self {
            Mutant::NoBarrier => "no-barrier",
        }
    }
}

impl FromStr for Mutant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mutant = Mutant::NoBarrier;
        (text == mutant.name())
            .then_some(mutant)
            .ok_or_else(|| format!("{text} is not {}", mutant.name()))
    }
}

/// Copies the committed tree of the repository that this is run in, plants the bug there, builds the service, and says where
/// it is. The tree that people work in is not touched.
///
/// # Errors
/// Where this is no repository, the patch does not apply, or it does not build.
pub fn build_planted(mutant: Mutant) -> Result<PathBuf, Trouble> {
    let name = mutant.name();
    let patch = absolute(&Path::new(PATCHES).join(format!("{name}.patch")))?;
    let folder = absolute(Path::new(FOLDER))?;
    let copy = folder.join(format!("chaos-{name}"));
    if copy.exists() {
        std::fs::remove_dir_all(&copy).map_err(Trouble::with_file(&copy))?;
    }
    std::fs::create_dir_all(&copy).map_err(Trouble::with_file(&copy))?;
    let archive = folder.join(format!("chaos-{name}.tar"));
    let archive_text = archive.display().to_string();
    run(Command::new("git").args(["archive", "--output", &archive_text, "HEAD"]))?;
    run(Command::new("tar")
        .args(["-xf", &archive_text])
        .current_dir(&copy))?;
    std::fs::remove_file(&archive).map_err(Trouble::with_file(&archive))?;
    // Without a ceiling git would take the copy for a part of the repository around it, and leave it as it is.
    run(Command::new("git")
        .args(["apply", "--whitespace=nowarn"])
        .arg(&patch)
        .env("GIT_CEILING_DIRECTORIES", &folder)
        .current_dir(&copy))?;
    println!("building the service with {name} planted in {}", copy.display());
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--profile",
            "mutant",
            "--package",
            "ostraka-node",
        ])
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .current_dir(&copy))?;
    let binary = folder.join(format!("ostraka-{name}"));
    let built = folder.join("target/mutant/ostraka");
    std::fs::copy(&built, &binary).map_err(Trouble::with_file(&built))?;
    Ok(binary)
}

fn absolute(path: &Path) -> Result<PathBuf, Trouble> {
    std::path::absolute(path).map_err(Trouble::with_file(path))
}

fn run(command: &mut Command) -> Result<(), Trouble> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Trouble::missing(format!("{program} cannot be started: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Trouble::failed(format!(
        "{program} failed ({}): {}",
        output.status,
        said.trim()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The patch is kept, and still fits the tree that it is planted in.
    #[test]
    fn every_planted_bug_has_a_patch_that_applies() {
        let mutant: Mutant = "no-barrier".parse().unwrap();
        assert!("no-such-thing".parse::<Mutant>().is_err());
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let patch = Path::new(PATCHES).join(format!("{}.patch", mutant.name()));
        let applies = Command::new("git")
            .args(["apply", "--check"])
            .arg(&patch)
            .current_dir(&repository)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&applies.stderr);
        assert!(applies.status.success(), "{said}");
    }
}
