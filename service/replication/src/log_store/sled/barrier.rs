//! The barrier: what makes written bytes survive a power cut.

use std::fs::File;
use std::io;
use std::path::Path;

/// Called after sled's own flush. When it returns, everything written before is on the disk, not in a cache.
pub trait Barrier: Send + 'static {
    fn make_durable(&mut self) -> io::Result<()>;
}

/// The real one: `fdatasync` on a second handle of sled's file. sled's `flush` ends in `sync_file_range`, which by its
/// manual page writes neither metadata nor the disk's own cache.
pub struct FileBarrier {
    file: File,
}

impl FileBarrier {
    /// `file`: sled's `db` file.
    pub fn open(file: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(file)?,
        })
    }
}

impl Barrier for FileBarrier {
    fn make_durable(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}
