//! Plans written by hand, each run in a process of its own, as the crate demands.

mod child;
mod faults;
mod plans;
mod quiet;
mod real_time;
