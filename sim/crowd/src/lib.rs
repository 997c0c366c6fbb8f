//! The people of a plan, as far as they are the same on a simulated network and on a real one: what an operation asks of the
//! service's API, what its answer is in a history, and what a stream shows to a viewer.
//!
//! Nothing here keeps time, makes a connection or draws a random number: whoever drives the plan does.

mod answers;
mod boards;
mod known;
mod request;
mod sights;

pub use answers::{failed, standings, voted};
pub use boards::boards;
pub use known::Known;
pub use request::{Request, vote};
pub use sights::{sight, version_of};
