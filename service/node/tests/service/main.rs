//! The running service, tested as its users meet it: the real binary, real sockets, real kills.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(
    clippy::too_many_lines,
    reason = "a table is as long as the contract it checks"
)]

mod access;
mod audit;
mod audit_trail;
mod backup;
mod contract;
mod crash;
mod data_folder;
mod data_folder_snapshots;
mod export;
mod failover;
mod full_disk;
mod hostile_input;
mod logs;
mod membership;
mod open_files;
mod registration;
mod revocation;
mod support;
mod syscalls;
mod tls;
mod watcher;
