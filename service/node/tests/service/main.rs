//! The running service, tested as its users meet it: the real binary, real sockets, real kills.

mod contract;
mod crash;
mod data_folder;
mod failover;
mod hostile_input;
mod support;
mod watcher;
