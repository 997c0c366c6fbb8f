//! What the programs of both simulators have in common: judging a run and keeping its file, running it again, making its plan small, and
//! exploring many seeds with a process for each. A simulator brings the run.
//!
//! Exit codes: 0 held, 10 safety broken, 11 liveness broken, 12 vacuous, 13 not deterministic; 2 for arguments or files
//! that cannot be used.

mod child;
mod explore;
mod files;
mod judged;
mod reduce;
mod say;
mod shrink;
mod summary;

use std::path::PathBuf;

pub use child::Told;
pub use explore::{Explore, explore};
pub use files::{Kept, beside, read, write};
pub use judged::{Ran, judged, replayed};
pub use say::say;
pub use shrink::shrink;
pub use summary::Summary;

/// For arguments and files that cannot be used: clap's own code for the same.
pub const EXIT_UNUSABLE: u8 = 2;
/// The same plan gave two different runs.
pub const EXIT_NOT_DETERMINISTIC: u8 = 13;

/// A simulator's program.
#[derive(Clone, Debug)]
pub struct Program {
    /// In front of the names of its files.
    pub name: &'static str,
    /// How a person starts it.
    pub command: &'static str,
    /// Where runs leave their files.
    pub evidence: PathBuf,
    /// Passes that a process makes of its seed.
    pub passes: u8,
    /// What each process of a campaign is told besides its seed.
    pub arguments: Vec<String>,
}
