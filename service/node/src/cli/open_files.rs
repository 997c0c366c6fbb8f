//! How many files this process may have open: every connection is one, and the soft limit that a shell or a service manager
//! gives (commonly 1,024) is for programs of another kind.

use ostraka_core::limits::{HTTP_CONNECTIONS_MAX, OPEN_FILES_RESERVE};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the public port's connections need, and everything else.
const NEEDED: u64 = (HTTP_CONNECTIONS_MAX + OPEN_FILES_RESERVE) as u64;

/// Raises the soft limit to the hard one, and says what it is then.
pub(super) fn raise_limit() {
    let given = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: given.maximum,
        maximum: given.maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => given.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files could not be raised");
            given.current
        }
    };
    let said = files.map_or("unlimited".to_owned(), |files| files.to_string());
    if suffices(files) {
        tracing::info!(files = said, "open files: the soft limit is the hard one now");
    } else {
        tracing::warn!(
            files = said,
            needed = NEEDED,
            "this process may have too few files open: when they are used up no port takes connections, the operator's \
             neither; raise the hard limit (`ulimit -Hn`, or `LimitNOFILE=` of systemd) and start again"
        );
    }
}

/// `None`: there is no limit.
fn suffices(files: Option<u64>) -> bool {
    files.is_none_or(|files| files >= NEEDED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_and_the_reserve_must_fit() {
        assert!(suffices(None));
        assert!(suffices(Some(17_024)));
        assert!(!suffices(Some(17_023)));
        assert!(!suffices(Some(1_024)));
    }
}
