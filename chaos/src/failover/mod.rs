//! What a fault costs under load: rounds of a steady stretch, a fault, its end, and a stretch to be itself again, with a vote's
//! way to its acknowledgement and to every viewer's screen measured over the window that holds the fault.
//!
//! Where the fault takes the leader away, the objectives of a failover are judged; else those of the service itself, which a
//! cluster of three is to hold without one of its followers. After each cluster every vote is recounted ([`crate::books`]).

mod amounts;
mod audience;
mod campaign;
mod costs;
mod figures;
mod leaders;
mod plan;
mod round;
mod verdict;

pub(crate) use amounts::median;
pub use amounts::{Gap, Spread, longest_gap};
pub(crate) use audience::Audience;
pub use campaign::Campaign;
pub use costs::Costs;
pub(crate) use costs::Meter;
pub use figures::{Figures, RoundFigures, Stretch, Votes};
pub(crate) use figures::{Seen, millis};
pub use plan::{Expects, Fault};
