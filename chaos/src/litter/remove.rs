//! How each kind of litter is removed. Removing what is gone is no error.

use std::io::ErrorKind;
use std::path::Path;

use super::{CHILD_VARIABLE, Litter, RunId};
use crate::limits::{POLL_PAUSE, UNMOUNT_TRIES};
use crate::{Trouble, proc, tools};

/// Whether its name shows that it is this run's.
pub(super) fn belongs_to(litter: &Litter, run: &RunId, folder: &Path) -> bool {
    let named = |name: &str| {
        name.strip_prefix(run.as_str())
            .is_some_and(|rest| rest.starts_with('-'))
    };
    match litter {
        Litter::Child { mark: name } | Litter::Namespace { name } | Litter::Link { name } => named(name),
        Litter::Mount { at: path } | Litter::Image { path } | Litter::Folder { path } => {
            path.starts_with(folder) && path != folder
        }
        Litter::ControlGroup { path } => {
            path.starts_with("/sys/fs/cgroup")
                && path.file_name().and_then(|name| name.to_str()).is_some_and(named)
        }
    }
}

pub(super) fn remove(litter: &Litter) -> Result<(), Trouble> {
    match litter {
        Litter::Child { mark } => child(mark),
        Litter::Namespace { name } => namespace(name),
        Litter::Link { name } => link(name),
        Litter::Mount { at } => unmount(at),
        Litter::Image { path } => image(path),
        Litter::Folder { path } => match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Trouble::with_file(path)(error)),
            _ => Ok(()),
        },
        Litter::ControlGroup { path } => control_group(path),
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

pub(crate) fn is_mounted(at: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .any(|place| Path::new(&unescaped(place)) == at)
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
    if !path.exists() {
        return Ok(());
    }
    for device in loop_devices(path)? {
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
    use std::path::PathBuf;

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
            group("/sys/fs/cgroup/cpu/oc12ab34-n1"),
        ] {
            assert!(belongs_to(&own, &run, folder), "{own:?}");
        }
        for foreign in [
            link("eth0"),
            link("oc12ab345-n1"),
            mount("/"),
            mount("/somewhere/oc12ab34"),
            mount("/somewhere/oc12ab345/node1"),
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
            remove(&litter).unwrap();
        }
    }

    #[test]
    fn paths_of_mounts_are_read_as_the_kernel_writes_them() {
        assert_eq!(unescaped("/a\\040b"), "/a b");
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self")));
    }
}
