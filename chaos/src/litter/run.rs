//! A run's id and its folder.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::Trouble;

/// Names a run, and begins the name of all that it makes: `oc` and up to nine hexadecimal digits. Names of links have 15
/// bytes at most, and the nodes' want three of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The run whose folder is called so; `None` for a folder of anybody else's.
    pub(crate) fn of_folder(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("oc")?;
        let fits = (4..=9).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self(name.to_string()))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Picks an id that no folder below `root` has, and makes its folder.
pub(crate) fn begin(root: &Path) -> Result<(RunId, PathBuf), Trouble> {
    let millis = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis());
    for attempt in 0..0x1000_u128 {
        let id = format!("oc{:x}{:03x}", std::process::id(), (millis + attempt) & 0xfff);
        let folder = root.join(&id);
        match std::fs::create_dir(&folder) {
            Ok(()) => return Ok((RunId(id), folder)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Trouble::with_file(&folder)(error)),
        }
    }
    Err(Trouble::failed(format!(
        "{} holds 4,096 runs of this process number: remove old ones",
        root.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_runs_of_one_process_have_two_ids_that_are_known_again() {
        let root = tempfile::tempdir().unwrap();
        let (first, folder) = begin(root.path()).unwrap();
        let (second, _) = begin(root.path()).unwrap();
        assert_ne!(first, second);
        assert!(folder.is_dir());
        assert_eq!(RunId::of_folder(first.as_str()), Some(first.clone()));
        assert!(first.as_str().len() + "-n1".len() <= 15);
        for stranger in ["oc", "octopus", "evidence", "oc12", "oc1234567890"] {
            assert_eq!(RunId::of_folder(stranger), None, "{stranger}");
        }
    }
}
