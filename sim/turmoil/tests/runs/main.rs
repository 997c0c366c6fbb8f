//! Plans written by hand, each run in a process of its own, as the crate demands.

mod child;
mod faults;
mod logs;
mod plans;
mod quiet;
mod real_time;
