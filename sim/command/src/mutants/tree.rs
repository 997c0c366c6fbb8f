//! The scratch copy: the committed tree in a folder of its own, where mutants are planted and built. The tree that
//! people work in is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ostraka_sim_campaign::complain;

use super::patch::Patch;
use super::weave::CHOICE;

/// Below the repository, and ignored by git.
const FOLDER: &str = "target/mutants";
/// Lines of a build's last words that are told.
const LAST_WORDS: usize = 12;

pub(super) struct Tree {
    repository: PathBuf,
    /// Of this program's, with the copy, its build and the woven program in it.
    pub(super) folder: PathBuf,
    pub(super) copy: PathBuf,
    pub(super) commit: String,
}

impl Tree {
    /// Copies the tree of a commit of the repository that this is run in. Files that are the same keep their times, so
    /// that only what differs from the last copy is built again.
    pub(super) fn copy(repository: &Path, commit: &str) -> Result<Self, String> {
        let repository = repository
            .canonicalize()
            .map_err(|error| format!("{}: {error}", repository.display()))?;
        let folder = repository.join(FOLDER);
        let commit = git(
            &repository,
            &[],
            &["rev-parse", "--verify", &format!("{commit}^{{commit}}")],
        )?;
        let tree = Tree {
            copy: folder.join("tree"),
            folder,
            commit: commit.trim().to_owned(),
            repository,
        };
        let fresh = tree.folder.join("fresh");
        if fresh.exists() {
            fs::remove_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
        }
        fs::create_dir_all(&fresh).map_err(|error| format!("{}: {error}", fresh.display()))?;
        // An index of its own: the one that people stage in stays as it is.
        let index = tree.folder.join("index").display().to_string();
        let own = [("GIT_INDEX_FILE", index.as_str())];
        git(&tree.repository, &own, &["read-tree", &tree.commit])?;
        let prefix = format!("--prefix={}/", fresh.display());
        git(
            &tree.repository,
            &own,
            &["checkout-index", "--all", "--force", &prefix],
        )?;
        mirror(&fresh, &tree.copy).map_err(|error| format!("the tree cannot be copied: {error}"))?;
        Ok(tree)
    }

    /// Of other commits: their programs and what is known of them.
    pub(super) fn forget_others(&self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.folder.display());
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with("woven-") {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// What the patch changes: the copy is as before when this returns.
    pub(super) fn changes(&self, patch: &Patch) -> Result<Vec<Change>, String> {
        let planted = self.plant(patch)?;
        let change = |(path, before): &(PathBuf, String)| {
            let after = read(path)?;
            Ok(Change {
                path: path.clone(),
                before: before.clone(),
                after,
            })
        };
        planted.before.iter().map(change).collect()
    }

    /// Plants it until the answer is dropped.
    pub(super) fn plant(&self, patch: &Patch) -> Result<Planted, String> {
        let mut planted = Planted { before: Vec::new() };
        for file in patch.touched() {
            let path = self.copy.join(file);
            let text = read(&path)?;
            planted.before.push((path, text));
        }
        self.git_apply(patch)?;
        // git leaves files alone, without a word, that it takes for outside of a repository.
        let same =
            |(path, before): &&(PathBuf, String)| fs::read_to_string(path).is_ok_and(|now| now == *before);
        match planted.before.iter().find(same) {
            Some((path, _)) => Err(format!("{}: {} is as before", patch.name, path.display())),
            None => Ok(planted),
        }
    }

    /// Puts these texts in the place of what the files hold until the answer is dropped.
    pub(super) fn plant_texts(&self, texts: Vec<(PathBuf, String)>) -> Result<Planted, String> {
        let mut planted = Planted { before: Vec::new() };
        for (path, text) in texts {
            let before = read(&path)?;
            planted.before.push((path.clone(), before));
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(planted)
    }

    fn git_apply(&self, patch: &Patch) -> Result<(), String> {
        let file = self
            .repository
            .join(super::patch::FOLDER)
            .join(format!("{}.patch", patch.name));
        let ceiling = self.folder.display().to_string();
        let path = file.display().to_string();
        let arguments = ["apply", "--whitespace=nowarn", &path];
        git(&self.copy, &[("GIT_CEILING_DIRECTORIES", &ceiling)], &arguments)
            .map(drop)
            .map_err(|error| format!("{} does not apply: {error}", patch.name))
    }

    /// Builds the program in the copy, and says where it is.
    pub(super) fn build(&self) -> Result<PathBuf, String> {
        let output = self.cargo(&["build", "--profile", "mutant", "--package", "sim"], None)?;
        if !output.status.success() {
            return Err(format!("it does not build:\n{}", last_words(&output.stderr)));
        }
        Ok(self.folder.join("target/mutant/sim"))
    }

    /// Runs the judges' own tests in the copy, with the woven mutant that is named: what failed, or `None` if all passed.
    pub(super) fn test_judges(&self, mutant: Option<&str>) -> Result<Option<String>, String> {
        let arguments = [
            "test",
            "--profile",
            "mutant",
            "--package",
            "ostraka-sim-model",
            "--lib",
        ];
        let built = self.cargo(&[&arguments[..], &["--no-run"]].concat(), None)?;
        if !built.status.success() {
            return Err(format!("it does not build:\n{}", last_words(&built.stderr)));
        }
        let tested = self.cargo(&arguments, mutant)?;
        if tested.status.success() {
            return Ok(None);
        }
        let said = String::from_utf8_lossy(&tested.stdout);
        let failed = said
            .lines()
            .find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
        let failed = failed.ok_or_else(|| format!("its tests break off:\n{}", last_words(&tested.stdout)))?;
        Ok(Some(format!("the test {failed} fails")))
    }

    fn cargo(&self, arguments: &[&str], mutant: Option<&str>) -> Result<Output, String> {
        Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(arguments)
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            // The profile is incremental: each mutant changes one file of the last build.
            .env_remove("CARGO_INCREMENTAL")
            .env_remove(CHOICE)
            .envs(mutant.map(|name| (CHOICE, name)))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cargo cannot be started: {error}"))
    }
}

/// What a patch makes of one file.
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) before: String,
    pub(super) after: String,
}

/// A mutant in the copy. Dropped, the copy is sound again.
pub(super) struct Planted {
    before: Vec<(PathBuf, String)>,
}

impl Drop for Planted {
    fn drop(&mut self) {
        for (path, text) in &self.before {
            if let Err(error) = fs::write(path, text) {
                // The next copy mends it.
                complain(format_args!("{} keeps a mutant: {error}", path.display()));
            }
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn git(folder: &Path, environment: &[(&str, &str)], arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("git cannot be started: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(last_words(&output.stderr))
    }
}

fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let lines: Vec<&str> = said.trim_end().lines().collect();
    // A compiler's first error says more than its last.
    let from = lines.iter().position(|line| line.starts_with("error"));
    let from = from.unwrap_or(lines.len().saturating_sub(LAST_WORDS));
    let upto = lines.len().min(from + LAST_WORDS);
    lines[from..upto].join("\n")
}

/// Makes `to` the same as `from`, and leaves alone what is the same already.
fn mirror(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut wanted = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        wanted.push(entry.file_name());
        if entry.file_type()?.is_dir() {
            mirror(&entry.path(), &target)?;
        } else {
            let bytes = fs::read(entry.path())?;
            if fs::read(&target).ok().as_ref() != Some(&bytes) {
                fs::write(&target, bytes)?;
            }
        }
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        // What runs leave there.
        if wanted.contains(&entry.file_name()) || entry.file_name() == "target" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_has_what_the_original_has_and_nothing_more() {
        let folder = std::env::temp_dir().join(format!("ostraka-mirror-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        for (file, text) in [
            ("from/a", "1"),
            ("from/b/c", "2"),
            ("to/a", "0"),
            ("to/old/x", "3"),
            ("to/target/y", "4"),
        ] {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        mirror(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a")).unwrap(), "1");
        assert_eq!(fs::read_to_string(to.join("b/c")).unwrap(), "2");
        assert!(!to.join("old").exists() && to.join("target/y").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_first_error_is_told() {
        let said = b"warning: x\nerror[E1]: y\n --> z\nerror: it stops here\n";
        assert_eq!(last_words(said), "error[E1]: y\n --> z\nerror: it stops here");
        assert_eq!(last_words(b"one\ntwo\n"), "one\ntwo");
    }
}
