//! What the programs of both simulators have in common: judging a run and keeping its file, running it again, making its plan small, and
//! exploring many seeds with a process for each. A simulator brings the run.
//!
//! Exit codes: 0 held, 10 safety broken, 11 liveness broken, 12 vacuous, 13 not deterministic; 2 for arguments or files
//! that cannot be used, and where nothing is wrong but that it could not be said or kept.

mod child;
#[cfg(test)]
#[path = "../build/commit.rs"]
mod commit;
mod explore;
mod files;
mod judged;
mod program;
mod reduce;
mod say;
mod shrink;
mod summary;
mod whole;

pub use child::{Ended, PATIENCE, ended_within};
pub use explore::{Explore, explore};
pub use files::{Kept, beside, read, write};
pub use judged::{Judged, Ran, judged, judged_anew, judged_file, replayed};
pub use program::Program;
pub use say::{complain, ended, say};
pub use shrink::shrink;
pub use summary::Summary;

/// For arguments and files that cannot be used: clap's own code for the same.
pub const EXIT_UNUSABLE: u8 = 2;
/// The same plan gave two different runs.
pub const EXIT_NOT_DETERMINISTIC: u8 = 13;
