//! The commit that a program is built from, for the build scripts of both simulators' programs. Nothing else is built anew
//! when somebody commits.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program is made of. Patches and plans among it are only read when it runs.
const SOURCES: [&str; 8] = [
    "service",
    "sim",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    ":!sim/mutants",
    ":!sim/regressions",
    ":!sim/madsim/regressions",
];

/// A commit, and the files whose change makes it another one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) commit: String,
    pub(crate) watched: Vec<PathBuf>,
}

/// Of the tree at `root`: `unknown` where it is no repository's own, as an unpacked archive is, or a copy that lies within
/// another tree; with `-dirty` behind it where files that the program is made of differ from the commit's.
pub(crate) fn built(root: &Path) -> Built {
    of_repository(root).unwrap_or_else(|| Built {
        commit: "unknown".to_owned(),
        watched: Vec::new(),
    })
}

fn of_repository(root: &Path) -> Option<Built> {
    let root = root.canonicalize().ok()?;
    let top = git(&root, &["rev-parse", "--show-toplevel"])?;
    if Path::new(top.trim_end()).canonicalize().ok()? != root {
        return None;
    }
    let head = git(&root, &["rev-parse", "--verify", "HEAD"])?;
    let mut commit = head.trim_end().to_owned();
    let changed = [
        &["status", "--porcelain", "--untracked-files=no", "--"],
        &SOURCES[..],
    ]
    .concat();
    if !git(&root, &changed)?.is_empty() {
        commit.push_str("-dirty");
    }
    let sources = git(&root, &[&["ls-files", "-z", "--"], &SOURCES[..]].concat())?;
    let mut watched: Vec<PathBuf> = sources
        .split_terminator('\0')
        .map(|file| root.join(file))
        .collect();
    // Where HEAD points, and what moves when somebody commits. A file that is missing would count as changed each time;
    // a branch's first commit makes its file in a folder that is there.
    for (place, file) in [
        ("--git-dir", "HEAD"),
        ("--git-common-dir", "refs/heads"),
        ("--git-common-dir", "packed-refs"),
    ] {
        let folder = git(&root, &["rev-parse", place])?;
        watched.push(root.join(folder.trim_end()).join(file));
    }
    watched.retain(|file| file.exists());
    Some(Built { commit, watched })
}

/// Without locks, which could get in the way of whoever works in the tree, and without what a hook has set.
fn git(root: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    for set_outside in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        command.env_remove(set_outside);
    }
    let output = command
        .arg("--no-optional-locks")
        .args(arguments)
        .current_dir(root)
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What cargo reads from a build script.
#[cfg_attr(test, allow(dead_code, reason = "only build scripts tell cargo"))]
pub(crate) fn tell_cargo(root: &Path) {
    let built = built(root);
    println!("cargo::rustc-env=OSTRAKA_COMMIT={}", built.commit);
    // Where nothing else is watched, this alone: cargo would else look at the whole package.
    println!("cargo::rerun-if-changed=build.rs");
    for file in built.watched {
        println!("cargo::rerun-if-changed={}", file.display());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::tests::folder;

    fn in_folder(root: &Path, arguments: &[&str]) -> String {
        let whoever = [
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@x",
            "-c",
            "commit.gpgsign=false",
        ];
        git(root, &[&whoever, arguments].concat()).unwrap_or_else(|| panic!("git {arguments:?}"))
    }

    #[test]
    fn a_program_is_of_its_own_trees_commit() {
        let root = folder("commit");
        for (file, text) in [("service/a", "1"), ("docs/b", "2"), ("sim/mutants/c", "3")] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
            fs::write(root.join(file), text).unwrap();
        }
        assert_eq!(built(&root).commit, "unknown", "no repository");
        in_folder(&root, &["init", "-q"]);
        assert_eq!(built(&root).commit, "unknown", "no commit");
        in_folder(&root, &["add", "."]);
        in_folder(&root, &["commit", "-q", "-m", "one"]);
        let head = in_folder(&root, &["rev-parse", "HEAD"]).trim().to_owned();
        let clean = built(&root);
        assert_eq!(clean.commit, head);
        let root_of_all = root.canonicalize().unwrap();
        for (file, is_watched) in [("service/a", true), (".git/HEAD", true), ("docs/b", false)] {
            assert_eq!(
                clean.watched.contains(&root_of_all.join(file)),
                is_watched,
                "{file}"
            );
        }
        fs::write(root.join("docs/b"), "changed").unwrap();
        fs::write(root.join("sim/mutants/c"), "changed").unwrap();
        assert_eq!(built(&root).commit, head, "the program is not made of these");
        fs::write(root.join("service/a"), "changed").unwrap();
        assert_eq!(built(&root).commit, format!("{head}-dirty"));
        assert_eq!(
            built(&root.join("service")).commit,
            "unknown",
            "a copy within the tree"
        );
        fs::remove_dir_all(&root).unwrap();
    }
}
