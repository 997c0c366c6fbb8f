//! What the harness makes outside of its own memory, and that none of it stays.
//!
//! Everything is written down in the run's litter file, durably, **before** it is made, and removed in reverse order: when
//! the [`Bag`] is dropped, on Ctrl-C and SIGTERM, and, should the harness itself be killed, by the next one that starts or
//! by `chaos clean`. Every name carries the run's id, and nothing without it is ever touched.

mod clean;
mod file;
mod remove;
mod run;
mod signals;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

pub use clean::{Cleaned, clean, nothing_left};
pub(crate) use remove::{is_mounted, loop_devices};
pub use run::RunId;
pub use signals::leave_to_signals;

use crate::Trouble;
use crate::proc::Identity;
use file::LitterFile;

/// The environment variable that every child of a harness is started with, and that its own children inherit.
pub(crate) const CHILD_VARIABLE: &str = "CHAOS_CHILD";

/// One thing that has to be removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Litter {
    /// Processes that were started with this mark in their environment: known before they have a number.
    Child { mark: String },
    /// A network namespace, with the links that are in it.
    Namespace { name: String },
    /// A link in the root namespace.
    Link { name: String },
    /// A file system that is mounted there.
    Mount { at: PathBuf },
    /// A file that holds a file system, and the loop devices over it.
    Image { path: PathBuf },
    /// A folder with all that is in it.
    Folder { path: PathBuf },
    /// A control group; whoever is in it goes to its parent.
    ControlGroup { path: PathBuf },
}

/// The number of a thing in its run's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LitterId(u32);

/// All that one run has made and not removed yet. Clones are the same bag; the last one that is dropped empties it.
#[derive(Clone)]
pub struct Bag {
    inner: Arc<Inner>,
}

struct Inner {
    run: RunId,
    folder: PathBuf,
    state: Mutex<State>,
    /// Read while something is being made, so that whoever empties the bag does not miss it.
    making: RwLock<()>,
}

struct State {
    file: LitterFile,
    left: Vec<(LitterId, Litter)>,
    next: u32,
    /// Once the bag is being emptied nothing more is made.
    closed: bool,
}

impl Bag {
    /// Removes what dead harnesses left below `root`, then begins a run with a folder of its own there.
    ///
    /// # Errors
    /// Where `root` cannot be written to.
    pub fn open(root: &Path) -> Result<Self, Trouble> {
        std::fs::create_dir_all(root).map_err(Trouble::with_file(root))?;
        let root = root.canonicalize().map_err(Trouble::with_file(root))?;
        for cleaned in clean(&root)? {
            if let Cleaned::Removed { run, complaints, .. } = cleaned {
                for complaint in complaints {
                    eprintln!("left over from {run}: {complaint}");
                }
            }
        }
        let harness = Identity::of(crate::proc::ProcessId(std::process::id())).ok_or_else(|| {
            Trouble::missing("/proc is not mounted here, and processes are told apart by it")
        })?;
        let (run, folder) = run::begin(&root)?;
        let file = LitterFile::create(&folder, harness)?;
        Ok(Self {
            inner: Arc::new(Inner {
                run,
                folder,
                state: Mutex::new(State {
                    file,
                    left: Vec::new(),
                    next: 1,
                    closed: false,
                }),
                making: RwLock::new(()),
            }),
        })
    }

    pub fn run(&self) -> &RunId {
        &self.inner.run
    }

    /// The run's folder: logs and evidence stay in it, litter does not.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// Empties the bag and ends this process on Ctrl-C, SIGTERM and SIGHUP, with 130, 143 or 129.
    ///
    /// # Errors
    /// Where signals cannot be listened to.
    pub fn empty_on_signals(&self) -> Result<(), Trouble> {
        signals::empty_on_signals(Arc::downgrade(&self.inner))
    }

    /// Writes `litter` down and then makes it. What was half made stays written down.
    ///
    /// # Errors
    /// Those of `make`; where it cannot be written down it is not made.
    pub fn make<T>(
        &self,
        litter: Litter,
        make: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<(LitterId, T), Trouble> {
        let _making = self.inner.making.read().unwrap_or_else(PoisonError::into_inner);
        let id = self.inner.note(litter)?;
        make().map(|made| (id, made))
    }

    /// Removes one thing before its time. Nothing happens where it is gone already.
    ///
    /// # Errors
    /// Where it cannot be removed; it stays written down then.
    pub fn remove(&self, id: LitterId) -> Result<(), Trouble> {
        let found = self
            .inner
            .state()
            .left
            .iter()
            .find(|(other, _)| *other == id)
            .cloned();
        let Some((_, litter)) = found else {
            return Ok(());
        };
        remove::remove(&litter, &self.inner.folder)?;
        let mut state = self.inner.state();
        state.left.retain(|(other, _)| *other != id);
        state.file.removed(id)
    }

    /// Removes everything, the newest first, and goes on: what one cluster left is away before the next one is made.
    ///
    /// # Errors
    /// As [`Bag::empty`].
    pub fn clear(&self) -> Result<(), Trouble> {
        self.inner.remove_all()
    }

    /// Removes everything, the newest first, and takes in nothing more.
    ///
    /// # Errors
    /// Those of the things that could not be removed, in one; they stay written down for `chaos clean`.
    pub fn empty(&self) -> Result<(), Trouble> {
        self.inner.empty()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, litter: Litter) -> Result<LitterId, Trouble> {
        let mut state = self.state();
        if state.closed {
            return Err(Trouble::failed(
                "this run is over, and nothing more is made in it",
            ));
        }
        if !remove::belongs_to(&litter, &self.run, &self.folder) {
            return Err(Trouble::failed(format!(
                "{litter:?} does not carry the run's id {}, so it could not be told from others' later",
                self.run
            )));
        }
        let id = LitterId(state.next);
        state.next += 1;
        state.file.made(id, &litter)?;
        state.left.push((id, litter));
        Ok(id)
    }

    fn empty(&self) -> Result<(), Trouble> {
        self.state().closed = true;
        self.remove_all()?;
        self.state().file.finish()
    }

    fn remove_all(&self) -> Result<(), Trouble> {
        let _nobody_makes = self.making.write().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.state();
        let mut complaints = Vec::new();
        for (id, litter) in std::mem::take(&mut state.left).into_iter().rev() {
            match remove::remove(&litter, &self.folder) {
                Ok(()) => state.file.removed(id)?,
                Err(trouble) => {
                    complaints.push(trouble.to_string());
                    state.left.push((id, litter));
                }
            }
        }
        state.left.reverse();
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(Trouble::failed(complaints.join("; ")))
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(trouble) = self.empty() {
            eprintln!("{trouble}; `chaos clean` will try again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &Path) -> Litter {
        Litter::Folder {
            path: path.to_path_buf(),
        }
    }

    fn make_folder(bag: &Bag, name: &str) -> Result<(LitterId, ()), Trouble> {
        let path = bag.folder().join(name);
        bag.make(folder(&path), || {
            std::fs::create_dir(&path).map_err(Trouble::with_file(&path))
        })
    }

    #[test]
    fn what_was_made_is_removed_with_the_bag_and_what_was_not_stays() {
        let root = tempfile::tempdir().unwrap();
        let bag = Bag::open(root.path()).unwrap();
        let run = bag.folder().to_path_buf();
        let (early, ()) = make_folder(&bag, "early").unwrap();
        make_folder(&bag, "late").unwrap();
        std::fs::write(run.join("node1.log"), "kept").unwrap();
        bag.remove(early).unwrap();
        bag.remove(early).unwrap();
        assert!(!run.join("early").exists() && run.join("late").exists());
        drop(bag);
        let left: Vec<_> = std::fs::read_dir(&run)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(left, ["node1.log"]);
    }

    #[test]
    fn a_bag_that_was_cleared_takes_in_more() {
        let root = tempfile::tempdir().unwrap();
        let bag = Bag::open(root.path()).unwrap();
        let run = bag.folder().to_path_buf();
        make_folder(&bag, "first").unwrap();
        bag.clear().unwrap();
        assert!(!run.join("first").exists());
        make_folder(&bag, "second").unwrap();
        drop(bag);
        assert!(!run.join("second").exists());
    }

    #[test]
    fn nothing_is_made_that_could_not_be_told_from_others_or_after_the_end() {
        let root = tempfile::tempdir().unwrap();
        let bag = Bag::open(root.path()).unwrap();
        let foreign = root.path().join("foreign");
        assert!(bag.make(folder(&foreign), || Ok(())).is_err());
        bag.empty().unwrap();
        assert!(make_folder(&bag, "late").is_err());
    }

    /// The harness of the dead run has this process's number and another start, as after a reboot.
    #[test]
    fn the_next_start_removes_what_a_dead_harness_left_and_not_what_a_live_one_has() {
        let root = tempfile::tempdir().unwrap();
        let alive = Bag::open(root.path()).unwrap();
        make_folder(&alive, "mine").unwrap();
        let dead = root.path().canonicalize().unwrap().join("ocdead001");
        let foreign = root.path().join("foreign");
        for path in [&dead.join("left"), &foreign] {
            std::fs::create_dir_all(path).unwrap();
        }
        let line = |id: u32, path: &Path| {
            let litter = serde_json::to_string(&folder(path)).unwrap();
            format!("{{\"made\":{{\"id\":{id},\"litter\":{litter}}}}}\n")
        };
        let harness = format!(
            "{{\"harness\":{{\"pid\":{},\"start_ticks\":1}}}}\n",
            std::process::id()
        );
        let text = harness + &line(1, &foreign) + &line(2, &dead.join("left"));
        std::fs::write(dead.join("litter.jsonl"), text).unwrap();
        let _next = Bag::open(root.path()).unwrap();
        assert!(!dead.join("left").exists());
        assert!(
            foreign.exists(),
            "what lies outside of the run's folder is not its own"
        );
        assert!(alive.folder().join("mine").exists());
    }
}
