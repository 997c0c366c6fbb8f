//! How each kind of litter is removed. Removing what is gone is no error.

use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{CHILD_VARIABLE, Litter, RunId};
use crate::limits::{POLL_PAUSE, UNMOUNT_TRIES};
use crate::{Trouble, proc, tools};

/// Where control groups are.
const CONTROL_GROUPS: &str = "/sys/fs/cgroup";

/// Whether its name shows that it is this run's. What is written in a litter file may have been written by anybody, so names
/// are taken as they stand and never resolved: one that would have to be is nobody's.
pub(super) fn belongs_to(litter: &Litter, run: &RunId, folder: &Path) -> bool {
    let named = |name: &str| {
        let rest = name.strip_prefix(run.as_str());
        rest.and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_plain))
    };
    match litter {
        Litter::Child { mark: name } | Litter::Namespace { name } | Litter::Link { name } => named(name),
        Litter::Mount { at: path } | Litter::Image { path } | Litter::Folder { path } => {
            lies_below(path, folder)
        }
        Litter::ControlGroup { path } => {
            lies_below(path, Path::new(CONTROL_GROUPS))
                && path.file_name().and_then(|name| name.to_str()).is_some_and(named)
        }
    }
}

/// Of what the harness makes names: nothing that leads to another place, or that a tool would take for an option.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// Whether a path names something strictly below a folder, step by step. Bytes are compared and not [`Path`]'s components,
/// which leave out a `.` and know nothing of a `..`.
fn lies_below(path: &Path, folder: &Path) -> bool {
    let rest = path
        .as_os_str()
        .as_bytes()
        .strip_prefix(folder.as_os_str().as_bytes());
    let Some(rest) = rest.and_then(|rest| rest.strip_prefix(b"/")) else {
        return false;
    };
    rest.split(|byte| *byte == b'/')
        .all(|name| !name.is_empty() && name != b"." && name != b"..")
}

/// Removes what belongs to the run of this folder.
///
/// # Errors
/// Where it cannot be removed, or where the way to it leads out of the folder.
pub(super) fn remove(litter: &Litter, folder: &Path) -> Result<(), Trouble> {
    match litter {
        Litter::Child { mark } => child(mark),
        Litter::Namespace { name } => namespace(name),
        Litter::Link { name } => link(name),
        Litter::Mount { at } => {
            stays_inside(at, folder)?;
            unmount(at)
        }
        Litter::Image { path } => {
            stays_inside(path, folder)?;
            image(path)
        }
        Litter::Folder { path } => {
            stays_inside(path, folder)?;
            folder_with_all(path)
        }
        Litter::ControlGroup { path } => control_group(path),
    }
}

/// A link on the way to a path would have somebody else's things removed under a name of the run's.
fn stays_inside(path: &Path, folder: &Path) -> Result<(), Trouble> {
    let above = path.ancestors().skip(1).take_while(|above| *above != folder);
    for step in above {
        if is_link(step) {
            return Err(Trouble::failed(format!(
                "{} is left alone: {} on the way to it is a symbolic link",
                path.display(),
                step.display()
            )));
        }
    }
    Ok(())
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.is_symlink())
}

/// A link of that name is removed itself, and not what it leads to.
fn folder_with_all(path: &Path) -> Result<(), Trouble> {
    if let Some(place) = mounted_below(path) {
        return Err(Trouble::failed(format!(
            "{} is left alone: {} is still mounted, and what is on it would be deleted",
            path.display(),
            place.display()
        )));
    }
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Trouble::with_file(path)(error)),
        _ => Ok(()),
    }
}

fn child(mark: &str) -> Result<(), Trouble> {
    if proc::kill_started_with(CHILD_VARIABLE, mark) {
        Ok(())
    } else {
        Err(Trouble::failed(format!(
            "processes marked {mark} do not die of SIGKILL"
        )))
    }
}

fn namespace(name: &str) -> Result<(), Trouble> {
    if Path::new("/run/netns").join(name).exists() {
        tools::run("ip", ["netns", "delete", name])?;
    }
    Ok(())
}

fn link(name: &str) -> Result<(), Trouble> {
    let there = || Path::new("/sys/class/net").join(name).exists();
    if there() {
        let removed = tools::run("ip", ["link", "delete", name]);
        // The kernel takes a veth away with its other end, a moment after that one's namespace.
        if there() {
            removed?;
        }
    }
    Ok(())
}

/// Something that is mounted there, or anywhere below.
fn mounted_below(path: &Path) -> Option<PathBuf> {
    mounted_places().find(|place| place.starts_with(path))
}

pub(crate) fn is_mounted(at: &Path) -> bool {
    mounted_places().any(|place| place == at)
}

fn mounted_places() -> impl Iterator<Item = PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places: Vec<PathBuf> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|place| PathBuf::from(unescaped(place)))
        .collect();
    places.into_iter()
}

/// The kernel writes a space in a path as `\040`.
fn unescaped(place: &str) -> String {
    place
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\")
}

pub(crate) fn unmount(at: &Path) -> Result<(), Trouble> {
    let mut tries_left = UNMOUNT_TRIES;
    while is_mounted(at) {
        if let Err(trouble) = tools::run("umount", [at]) {
            tries_left -= 1;
            if tries_left == 0 {
                return Err(trouble);
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }
    Ok(())
}

/// The loop devices over a file, by what `losetup` says of it.
pub(crate) fn loop_devices(path: &Path) -> Result<Vec<String>, Trouble> {
    let said = tools::run("losetup", [Path::new("-j"), path])?;
    Ok(said
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.to_string()))
        .collect())
}

fn image(path: &Path) -> Result<(), Trouble> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    // `losetup` would follow a link, and let go of the devices over another's file.
    let devices = if is_link(path) {
        Vec::new()
    } else {
        loop_devices(path)?
    };
    for device in devices {
        let detached = tools::run("losetup", ["-d", &device]);
        // Mounted ones detach themselves when they are unmounted, perhaps just now.
        if loop_devices(path)?.contains(&device) {
            detached?;
        }
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Trouble::with_file(path)(error)),
        _ => Ok(()),
    }
}

fn control_group(path: &Path) -> Result<(), Trouble> {
    let Ok(members) = std::fs::read_to_string(path.join("cgroup.procs")) else {
        return Ok(());
    };
    if let Some(parent) = path.parent() {
        for member in members.lines() {
            // One that has ended in the meantime cannot be moved, and need not be.
            let _ = std::fs::write(parent.join("cgroup.procs"), member);
        }
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Trouble::with_file(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_carries_the_runs_id_belongs_to_it() {
        let run = RunId::of_folder("oc12ab34").unwrap();
        let folder = Path::new("/somewhere/oc12ab34");
        let link = |name: &str| Litter::Link {
            name: name.to_string(),
        };
        let mount = |at: &str| Litter::Mount { at: at.into() };
        let group = |path: &str| Litter::ControlGroup { path: path.into() };
        for own in [
            link("oc12ab34-n1"),
            mount("/somewhere/oc12ab34/node1"),
            mount("/somewhere/oc12ab34/a/..b"),
            group("/sys/fs/cgroup/cpu/oc12ab34-n1"),
        ] {
            assert!(belongs_to(&own, &run, folder), "{own:?}");
        }
        for foreign in [
            link("eth0"),
            link("oc12ab345-n1"),
            link("oc12ab34-"),
            link("oc12ab34-/../../eth0"),
            link("oc12ab34-n1 type"),
            mount("/"),
            mount("/somewhere/oc12ab34"),
            mount("/somewhere/oc12ab34/"),
            mount("/somewhere/oc12ab345/node1"),
            mount("/somewhere/oc12ab34/../../victim"),
            mount("/somewhere/oc12ab34/node1/../../oc12ab34"),
            mount("/somewhere/oc12ab34/./node1"),
            mount("/somewhere/oc12ab34/."),
            mount("/somewhere/oc12ab34//node1"),
            group("/sys/fs/cgroup/../../oc12ab34-n1"),
            group("/sys/fs/cgroup/cpu"),
            group("/tmp/oc12ab34-n1"),
        ] {
            assert!(!belongs_to(&foreign, &run, folder), "{foreign:?}");
        }
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let nowhere = PathBuf::from("/nowhere/oc12ab34/x");
        for litter in [
            Litter::Child {
                mark: "oc12ab34-no-such-child".to_string(),
            },
            Litter::Namespace {
                name: "oc12ab34-n1".to_string(),
            },
            Litter::Link {
                name: "oc12ab34-n1".to_string(),
            },
            Litter::Mount { at: nowhere.clone() },
            Litter::Image {
                path: nowhere.clone(),
            },
            Litter::Folder {
                path: nowhere.clone(),
            },
            Litter::ControlGroup {
                path: nowhere.clone(),
            },
        ] {
            remove(&litter, Path::new("/nowhere/oc12ab34")).unwrap();
        }
    }

    #[test]
    fn a_link_is_no_way_out_of_the_runs_folder() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (run, victim) = (root.join("oc12ab34"), root.join("victim"));
        for folder in [&run, &victim.join("inner")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(victim.join("image"), "kept").unwrap();
        std::os::unix::fs::symlink(&victim, run.join("away")).unwrap();
        std::os::unix::fs::symlink(victim.join("image"), run.join("link.img")).unwrap();
        let folder = |name: &str| Litter::Folder { path: run.join(name) };
        let image = |name: &str| Litter::Image { path: run.join(name) };
        for out in [folder("away/inner"), image("away/image")] {
            let refused = remove(&out, &run).unwrap_err().to_string();
            assert!(refused.contains("symbolic link"), "{refused}");
        }
        // A link itself is the run's own.
        remove(&image("link.img"), &run).unwrap();
        remove(&folder("away"), &run).unwrap();
        assert!(!is_link(&run.join("away")) && !is_link(&run.join("link.img")));
        assert!(victim.join("inner").exists() && victim.join("image").exists());
    }

    /// Of a folder in which something is mounted nothing is deleted: what is on it may be anybody's.
    #[test]
    fn what_is_mounted_below_a_folder_is_seen() {
        assert!(mounted_below(Path::new("/proc")).is_some());
        assert_eq!(mounted_below(Path::new("/proc/self")), None);
    }

    #[test]
    fn paths_of_mounts_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescaped("/a\\040b"), "/a b");
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")));
    }
}
