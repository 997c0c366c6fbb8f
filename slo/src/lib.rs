//! The release gate, and what is generated from the objectives: evidence in, one verdict out.

pub mod command;
pub mod decide;
pub mod evidence;
pub mod generate;
pub mod objectives;
pub mod output;
pub mod statistics;
pub mod verdict;
