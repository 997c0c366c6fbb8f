//! What this machine can do: each capability is tried for real, in a small rig of its own, and cleaned up.

mod capabilities;

use std::path::Path;

use crate::Trouble;
use crate::litter::Bag;

pub use capabilities::ALL;

/// One thing that some nemesis or rig needs.
pub struct Capability {
    pub name: &'static str,
    /// What it is needed for.
    pub serves: &'static str,
    pub(crate) attempt: fn(&Bag, &Path) -> Result<String, Trouble>,
}

impl Capability {
    /// Tries it; what was seen, or why it cannot be used here. Everything it made is removed with the bag.
    ///
    /// # Errors
    /// [`Trouble`] of either kind means that nothing which needs it can be tested here.
    pub fn attempt(&self, bag: &Bag, binary: &Path) -> Result<String, Trouble> {
        (self.attempt)(bag, binary)
    }
}
