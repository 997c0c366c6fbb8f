//! The power-cut campaign: cut after cut at random moments under load, and after each of them every acknowledged vote must
//! still be there, counted once.

mod campaign;
mod cluster;
mod figures;
mod plan;
mod planted;

pub use campaign::Campaign;
pub use figures::{Figures, Serving, StageFigures};
pub use plan::{Mix, Stage};
pub use planted::{Mutant, build_planted};
