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
        let name = entry.map_err(Trouble::with_file(&root))?.file_name();
        if let Some(run) = name.to_str().and_then(RunId::of_folder)
            && let Some(cleaned) = clean_run(run, &root.join(&name))?
        {
            all.push(cleaned);
        }
    }
    Ok(all)
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
                "{litter:?} does not carry the run's id, so it is left alone"
            ));
        } else if let Err(trouble) = remove::remove(litter) {
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
