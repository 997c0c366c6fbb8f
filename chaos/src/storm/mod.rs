//! Storms: a plan of faults on a real cluster under an open-loop crowd of voters, askers and viewers, judged by the checkers of
//! `sim/model`.
//!
//! One way: [`plan`] → crowd's operations ([`workload`]) → the run ([`run()`]) → a history ([`journal`]) → judgement and
//! measures → evidence. The people are those of the simulators (`sim/crowd`); only time and faults are real.

mod audience;
mod crowd;
mod draw;
mod evidence;
mod faults;
mod journal;
mod likeness;
mod measures;
mod plan;
mod progress;
mod run;
mod settle;
mod spans;
mod stage;
#[cfg(test)]
pub(crate) mod testing;
mod told;
mod watch;
mod workload;

pub use draw::{composition, each, single};
pub use evidence::Evidence;
pub use plan::{StormFault, StormPlan};
pub use run::{Ran, Storm, run};
pub use spans::FaultSpan;
