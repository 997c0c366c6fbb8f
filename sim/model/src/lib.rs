//! What a simulated run is, and how it is judged: plans, histories, an oracle that never calls the service's logic, and
//! one checker for each invariant. Pure: no async, no clock, no network.

pub mod case;
pub mod checkers;
pub mod disks;
pub mod history;
pub mod ids;
pub mod names;
pub mod oracle;
pub mod plan;

#[cfg(test)]
mod testing;
