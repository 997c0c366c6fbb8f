//! Removes what harnesses that are gone have left.

use std::path::Path;

use super::{RunId, file, remove};
use crate::Trouble;

/// What became of one run's litter.
#[derive(Debug)]
pub enum Cleaned {
    /// Its harness is gone; so is what it had made, but for what the complaints speak of.
    Removed {
        run: RunId,
        things: usize,
        complaints: Vec<String>,
    },
    /// Its harness is running.
    InUse { run: RunId },
}

/// Goes through the runs below `root`. A run without litter is not mentioned.
///
/// # Errors
/// Where a folder or a litter file cannot be read.
pub fn clean(root: &Path) -> Result<Vec<Cleaned>, Trouble> {
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Trouble::with_file(root)(error)),
    };
    let root = root.canonicalize().map_err(Trouble::with_file(root))?;
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Trouble::with_file(&root))?;
        // Of a link of that name, what it leads to is not this harness's making.
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        if let Some(run) = name.to_str().and_then(RunId::of_folder)
            && let Some(cleaned) = clean_run(run, &root.join(&name))?
        {
            all.push(cleaned);
        }
    }
    Ok(all)
}

/// What is said where nothing was found: runs are known by the folder in which they were made.
pub fn nothing_left(root: &Path) -> String {
    format!(
        "nothing was left in {}; runs of another --runs are found with the same --runs",
        root.display()
    )
}

fn clean_run(run: RunId, folder: &Path) -> Result<Option<Cleaned>, Trouble> {
    let Some((path, found)) = file::read(folder)? else {
        return Ok(None);
    };
    if found.harness.is_some_and(crate::proc::Identity::is_alive) {
        return Ok(Some(Cleaned::InUse { run }));
    }
    let mut complaints = Vec::new();
    for litter in found.left.iter().rev() {
        if !remove::belongs_to(litter, &run, folder) {
            complaints.push(format!(
                "{litter:?} does not carry the run's id or leads out of its folder, so it is left alone"
            ));
        } else if let Err(trouble) = remove::remove(litter, folder) {
            complaints.push(trouble.to_string());
        }
    }
    if complaints.is_empty()
        && let Err(error) = std::fs::remove_file(&path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        complaints.push(format!("{}: {error}", path.display()));
    }
    Ok(Some(Cleaned::Removed {
        run,
        things: found.left.len(),
        complaints,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::litter::Litter;

    fn litter_file(run: &Path, litter: &[Litter]) {
        std::fs::create_dir_all(run).unwrap();
        let mut text = "{\"harness\":{\"pid\":4294967295,\"start_ticks\":1}}\n".to_owned();
        for (id, litter) in litter.iter().enumerate() {
            let litter = serde_json::to_string(litter).unwrap();
            text += &format!("{{\"made\":{{\"id\":{id},\"litter\":{litter}}}}}\n");
        }
        std::fs::write(run.join("litter.jsonl"), text).unwrap();
    }

    #[test]
    fn a_litter_file_that_lies_has_nothing_of_others_removed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (run, victim) = (root.join("ocdead123"), root.join("victim"));
        std::fs::create_dir_all(victim.join("inner")).unwrap();
        let folder = |path: &str| Litter::Folder { path: run.join(path) };
        std::fs::create_dir_all(run.join("own")).unwrap();
        litter_file(
            &run,
            &[folder("../victim"), folder("./own/../../victim"), folder("own")],
        );
        let cleaned = clean(&root).unwrap();
        let [Cleaned::Removed { complaints, .. }] = cleaned.as_slice() else {
            panic!("{cleaned:?}");
        };
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(victim.join("inner").exists());
        assert!(!run.join("own").exists());
        assert!(
            run.join("litter.jsonl").exists(),
            "what was left alone stays written down"
        );
    }

    #[test]
    fn a_runs_folder_that_is_a_link_is_nobodys() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let elsewhere = root.join("elsewhere");
        let link = root.join("ocdead123");
        litter_file(
            &elsewhere,
            &[Litter::Folder {
                path: link.join("own"),
            }],
        );
        std::fs::create_dir(elsewhere.join("own")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(clean(&root).unwrap().is_empty());
        assert!(elsewhere.join("own").exists());
    }

    #[test]
    fn where_nothing_was_left_is_said() {
        assert!(nothing_left(Path::new("target/chaos")).contains("in target/chaos;"));
    }
}
