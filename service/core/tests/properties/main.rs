//! Properties of the core, one invariant a file. Each file also shows that its checker fails on a planted fault.

mod batcher_keeps_its_bounds;
mod close_is_exact;
mod codecs_round_trip;
mod counts_agree;
mod generate;
mod images_change_nothing;
mod limits_hold;
mod model;
mod outcomes_are_the_models;
mod retries_change_nothing;
mod snapshot_and_tail;
mod snapshots_are_checked;
