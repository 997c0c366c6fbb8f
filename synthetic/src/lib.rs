//! The probe: one vote, then that vote's own trace on the stream, again and again, as a user of the service would send and
//! see it. What it finds slow, missing, wrong or doubled it says, in numbers for machines and a sentence for people.
//!
//! [`books`], [`schedule`] and [`figures`] are pure: moments come as arguments. [`place`] does the calls.

pub mod books;
pub mod command;
mod evidence;
mod figures;
pub mod limits;
mod metrics;
mod place;
mod run;
pub mod schedule;
mod session;
