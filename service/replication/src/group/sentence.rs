//! What the consensus library stops with, in the words of what failed.

use std::error::Error;
use std::io;

use ostraka_core::LogIndex;

use crate::REPLACE_NODE;
use crate::types::Types;

/// The library tells its own insides first ("when Write Log(LogId { …"), then the type of the error, then the store's
/// sentence, which is what an operator can use.
pub(super) fn of_fatal(fatal: &openraft::errors::Fatal<Types>) -> String {
    let openraft::errors::Fatal::StorageError(storage) = fatal else {
        return fatal.to_string();
    };
    let Some(source) = storage.source().map(ToString::to_string) else {
        return storage.to_string();
    };
    let kind = format!("{}: ", std::any::type_name::<io::Error>());
    source.strip_prefix(&kind).unwrap_or(&source).to_owned()
}

/// A log that ends before what was made of it.
pub(super) fn of_older_log(last: LogIndex, held: LogIndex) -> String {
    format!(
        "the log ends at entry {}, but the state beside it was made of its entries up to {}: this is an older log, or one \
         that has lost its end. They belong together: put back the log that belongs to this state, or {REPLACE_NODE}",
        last.0, held.0
    )
}

#[cfg(test)]
mod tests {
    use openraft::errors::Fatal;
    use openraft::{ErrorSubject, ErrorVerb, StorageError};

    use super::*;
    use crate::log_store::WriteError;
    use crate::types::LogId;

    #[test]
    fn a_failed_write_is_told_in_the_words_of_the_log() {
        let full = WriteError::DiskFull {
            folder: "vote/log".to_owned(),
        };
        let subject = ErrorSubject::Log(LogId::new_term_index(3, 7));
        let error = StorageError::from_io_error(subject, ErrorVerb::Write, full.clone().into());
        assert_eq!(of_fatal(&Fatal::StorageError(error)), full.to_string());
        assert_eq!(of_fatal(&Fatal::Panicked), "panicked");
    }
}
