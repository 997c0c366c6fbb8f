//! `ostraka export`: where the lines go.

use std::io::{self, BufWriter};

use super::ExportArgs;
use crate::atomic_file::AtomicFile;
use crate::export::export as write_log;

pub(super) fn export(args: &ExportArgs) -> Result<(), String> {
    let Some(path) = &args.out else {
        let mut out = BufWriter::new(io::stdout().lock());
        return write_log(&args.data_dir, &mut out).map_err(|error| error.to_string());
    };
    let unwritable = |error: io::Error| format!("{} cannot be written: {error}", path.display());
    let mut file = AtomicFile::create(path).map_err(unwritable)?;
    write_log(&args.data_dir, &mut file).map_err(|error| error.to_string())?;
    file.finish().map_err(unwritable)
}
