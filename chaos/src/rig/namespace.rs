//! A network namespace, and doing something inside it.

use std::fmt;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Trouble;

/// The name of a network namespace, as `ip netns` knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace(pub(crate) String);

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Namespace {
    /// Runs `act` on a thread of its own that is in this namespace; what it starts and opens belongs there.
    ///
    /// `ip netns exec` would do, but it gives its child a copy of all mounts, and a disk that is mounted anywhere cannot lose
    /// its power.
    ///
    /// # Errors
    /// Where there is no such namespace, or no right to enter it.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> Result<T, Trouble> {
        let path = Path::new("/run/netns").join(&self.0);
        let file = File::open(&path).map_err(Trouble::with_file(&path))?;
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(Trouble::with_file(&path))?;
                Ok(act())
            });
            there
                .join()
                .unwrap_or_else(|_| Err(Trouble::failed(format!("a thread inside {self} panicked"))))
        })
    }
}
