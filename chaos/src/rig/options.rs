//! What a rig is like.

use std::path::PathBuf;

use super::Fs;
use crate::limits::DISK_BYTES;

#[derive(Clone, Debug)]
pub struct RigOptions {
    pub nodes: u8,
    pub fs: Fs,
    /// Of each node's own disk; the host's knows no such limit.
    pub disk_bytes: u64,
    /// The service's program.
    pub binary: PathBuf,
    /// Another build, for a rolling upgrade.
    pub upgrade_to: Option<PathBuf>,
    /// Further flags of `ostraka serve`, the same for all nodes.
    pub flags: Vec<String>,
    /// The third number of the nodes' addresses, where a data folder knows its own already; else a free one is picked.
    pub subnet: Option<u8>,
    /// Leaves nodes the kernel's own shortest wait before a lost packet is sent again, 200 ms, and not what the runbooks ask for.
    pub stock_tcp: bool,
    /// Whether each node's wall clock can be moved (libfaketime, which costs each look at a clock).
    pub clocks: bool,
}

impl RigOptions {
    pub fn new(nodes: u8, fs: Fs, binary: PathBuf) -> Self {
        Self {
            nodes,
            fs,
            disk_bytes: DISK_BYTES,
            binary,
            upgrade_to: None,
            flags: Vec::new(),
            subnet: None,
            stock_tcp: false,
            clocks: false,
        }
    }

    #[must_use]
    pub fn with_flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(ToString::to_string));
        self
    }

    #[must_use]
    pub fn with_clocks(mut self) -> Self {
        self.clocks = true;
        self
    }
}
