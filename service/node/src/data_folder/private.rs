//! Accounts and votes are nobody else's to read.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

/// Makes the folder, and what is missing above it, for its owner alone. One that is there keeps the mode that its owner gave
/// it, and a mode that lets others in is said.
pub(super) fn create_or_warn(root: &Path) -> io::Result<()> {
    if !root.is_dir() {
        return DirBuilder::new().recursive(true).mode(0o700).create(root);
    }
    let mode = fs::metadata(root)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let (folder, mode) = (root.display(), format_args!("{mode:03o}"));
        tracing::warn!(%folder, %mode, "others may look into the data folder, where accounts and votes are: chmod 700 it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_its_owners_alone_and_an_old_one_stays_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let new = dir.path().join("above/data");
        create_or_warn(&new).unwrap();
        assert_eq!(mode(&new), 0o700);
        fs::set_permissions(&new, fs::Permissions::from_mode(0o750)).unwrap();
        create_or_warn(&new).unwrap();
        assert_eq!(mode(&new), 0o750);
    }
}
