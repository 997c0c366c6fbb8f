//! A log of millions of votes: how soon a killed node serves again with it, and what it costs a cluster under load that an
//! empty node catches up with it.
//!
//! A node is filled ([`stock`]) and its folder kept, so that it can be measured again. It is killed under load and started
//! ([`restart`]), then a node with an empty folder is added beside a load that goes on ([`catch_up`]). In the end both nodes
//! must show every acknowledged vote and no other, and `ostraka verify` must agree with both folders ([`books`]).

mod books;
mod campaign;
mod catch_up;
mod figures;
mod ground;
mod restart;
mod stock;
mod verdict;

pub use books::Books;
pub use campaign::Campaign;
pub use catch_up::CatchUp;
pub use figures::Figures;
pub use restart::{Restart, Spans};
pub use stock::Stock;
