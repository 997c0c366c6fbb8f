//! A node's own disk: a file system in a file, mounted over a loop device, that can lose its power.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ostraka_sim_model::ids::NodeIndex;
use serde::{Deserialize, Serialize};

use crate::litter::{Bag, Litter, LitterId, is_mounted, loop_devices};
use crate::{Trouble, tools};

/// What a node's data folder lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fs {
    Xfs,
    Ext4,
    /// A folder of the machine's own disk: quicker to make, but nothing can be done to the disk.
    Host,
}

impl fmt::Display for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fs::Xfs => "xfs",
            Fs::Ext4 => "ext4",
            Fs::Host => "host",
        })
    }
}

impl FromStr for Fs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Fs::Xfs, Fs::Ext4, Fs::Host]
            .into_iter()
            .find(|fs| fs.to_string() == text)
            .ok_or_else(|| format!("{text} is none of xfs, ext4, host"))
    }
}

/// Dropping it leaves it mounted: its bag takes it away.
pub struct Disk {
    bag: Bag,
    fs: Fs,
    root: PathBuf,
    /// `None` on the machine's own disk.
    image: Option<PathBuf>,
    mount: Option<LitterId>,
}

impl Disk {
    pub(crate) fn make(bag: &Bag, index: NodeIndex, fs: Fs, bytes: u64) -> Result<Self, Trouble> {
        let mut disk = Self {
            bag: bag.clone(),
            fs,
            root: bag.folder().join(format!("node{index}")),
            image: None,
            mount: None,
        };
        let folder = Litter::Folder {
            path: disk.root.clone(),
        };
        bag.make(folder, || {
            std::fs::create_dir(&disk.root).map_err(Trouble::with_file(&disk.root))
        })?;
        if fs == Fs::Host {
            return Ok(disk);
        }
        let image = bag.folder().join(format!("node{index}.img"));
        bag.make(Litter::Image { path: image.clone() }, || {
            format(&image, fs, bytes)
        })?;
        disk.image = Some(image);
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn image(&self) -> Result<&Path, Trouble> {
        self.image.as_deref().ok_or_else(|| {
            Trouble::missing("this rig's nodes share the machine's own disk, to which nothing can be done: build it with xfs or ext4")
        })
    }

    fn mount(&mut self) -> Result<(), Trouble> {
        let image = self.image()?.to_path_buf();
        let at = Litter::Mount {
            at: self.root.clone(),
        };
        let (id, _) = self.bag.make(at, || {
            let arguments = [Path::new("-o"), Path::new("loop"), &image, &self.root];
            tools::run("mount", arguments).map_err(|trouble| {
                Trouble::missing(format!("loop-mounted disks do not work here: {trouble}"))
            })
        })?;
        self.mount = Some(id);
        Ok(())
    }

    /// The file system goes away as at a power cut: nothing that no barrier covered reaches the disk any more, the file
    /// system's own log neither. Every call on it fails from now on.
    ///
    /// # Errors
    /// [`Trouble::Missing`] on the machine's own disk, or where the file system does not know how.
    pub fn cut(&self) -> Result<(), Trouble> {
        self.image()?;
        // XFS_IOC_GOINGDOWN without flags to flush; ext4 knows it by the same number, and `-x` is for any of them.
        tools::run(
            "xfs_io",
            [
                Path::new("-x"),
                Path::new("-c"),
                Path::new("shutdown"),
                &self.root,
            ],
        )?;
        let probe = self.root.join("is-the-power-on");
        match File::create(&probe) {
            Err(_) => Ok(()),
            Ok(_) => Err(Trouble::missing(format!(
                "a file system of {} cannot be shut down here: it goes on writing",
                self.fs
            ))),
        }
    }

    /// Unmounts it and mounts it again: what the machine would do after its start.
    ///
    /// # Errors
    /// Where something still holds it, in this mount namespace or a copy of it, or where it cannot be mounted any more.
    pub fn remount(&mut self) -> Result<(), Trouble> {
        let image = self.image()?.to_path_buf();
        if let Some(id) = self.mount.take() {
            self.bag.remove(id)?;
        }
        // Were the old one alive in some other mount namespace, the new mount would only show it again.
        let gone = crate::proc::wait_until(crate::limits::PROCESS_GONE_WAIT, || {
            loop_devices(&image).is_ok_and(|devices| devices.is_empty())
        });
        if !gone {
            return Err(Trouble::failed(format!(
                "the disk {} is unmounted and still in use: by another mount namespace?",
                image.display()
            )));
        }
        self.mount()
    }

    pub fn is_mounted(&self) -> bool {
        self.image.is_none() || is_mounted(&self.root)
    }

    /// What may still be written to it.
    ///
    /// # Errors
    /// Where it does not answer.
    pub fn free_bytes(&self) -> Result<u64, Trouble> {
        let stat = rustix::fs::statvfs(&self.root).map_err(Trouble::with_file(&self.root))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// A file of the harness on this disk. Only a disk of the rig's own may be filled.
    pub(crate) fn ballast(&self) -> Result<PathBuf, Trouble> {
        self.image()?;
        Ok(self.root.join("ballast"))
    }
}

fn format(image: &Path, fs: Fs, bytes: u64) -> Result<(), Trouble> {
    let file = File::create_new(image).map_err(Trouble::with_file(image))?;
    file.set_len(bytes).map_err(Trouble::with_file(image))?;
    drop(file);
    match fs {
        Fs::Xfs => tools::run("mkfs.xfs", [Path::new("-q"), Path::new("-K"), image]),
        Fs::Ext4 => {
            let quiet = [
                "-q",
                "-F",
                "-E",
                "nodiscard,lazy_itable_init=0,lazy_journal_init=0",
            ];
            tools::run("mkfs.ext4", quiet.iter().map(Path::new).chain([image]))
        }
        Fs::Host => Ok(String::new()),
    }
    .map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_go_by_their_names() {
        for fs in [Fs::Xfs, Fs::Ext4, Fs::Host] {
            assert_eq!(fs.to_string().parse(), Ok(fs));
        }
        assert!("btrfs".parse::<Fs>().is_err());
    }
}
