//! What a simulated run is, and how it is judged: plans, histories, an oracle that never calls the service's logic, and
//! one checker for each invariant. Pure: no async, no clock, no network.

pub mod case;
pub mod checkers;
pub mod disks;
pub mod errand;
pub mod evidence;
pub mod history;
pub mod ids;
mod lives;
pub mod names;
pub mod oracle;
pub mod plan;
pub mod sometimes;
pub mod verdict;

#[cfg(test)]
mod testing;
