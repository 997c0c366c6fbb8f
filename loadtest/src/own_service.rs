//! A service of the run's own: a fresh process on free ports, with a fresh data folder and a password that nobody else has.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::processes::{ProcessError, Server, beside};
use crate::session::Subject;

/// Dropping it kills it.
pub(crate) struct OwnService {
    server: Server,
    password: String,
    secrets_file: PathBuf,
}

impl OwnService {
    /// Starts `ostraka serve`, the binary beside this one, with its data in `folder`.
    pub(crate) fn start(folder: &Path) -> Result<Self, ProcessError> {
        let binary = beside("ostraka").map_err(ProcessError::Log)?;
        let data = folder.join("data");
        let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0);
        let password = format!("{random:016x}{random:016x}");
        let mut command = Command::new(&binary);
        command
            .arg("serve")
            .arg("--data-dir")
            .arg(&data)
            .env("OSTRAKA_OPERATOR_PASSWORD", &password);
        for port in ["--listen", "--operator-listen", "--peer-listen"] {
            command.args([port, "127.0.0.1:0"]);
        }
        let server = Server::start("the service", command, &folder.join("service.log"))?;
        Ok(Self {
            server,
            password,
            secrets_file: data.join("secrets.json"),
        })
    }

    /// Has work done on one whose folder is a new one beneath `folder`, and goes with it. Where that fails, what the service
    /// said is kept, and the sentence says where: it is the only evidence there is.
    pub(crate) fn run<T, E: Display>(
        folder: &Path,
        work: impl FnOnce(&Subject<'_>) -> Result<T, E>,
    ) -> Result<T, String> {
        let (scratch, mut service) = Self::in_scratch(folder).map_err(|error| error.to_string())?;
        let worked = work(&service.subject());
        let ended = service.server.has_ended();
        service.kill();
        match worked {
            Err(error) => Err(kept(&error, scratch)),
            Ok(worked) if ended => {
                eprintln!("{}", kept(&"the service ended before it was told to", scratch));
                Ok(worked)
            }
            Ok(worked) => Ok(worked),
        }
    }

    fn in_scratch(folder: &Path) -> Result<(TempDir, Self), ProcessError> {
        std::fs::create_dir_all(folder).map_err(ProcessError::Log)?;
        let mut scratch = tempfile::Builder::new();
        let scratch = scratch.prefix("service-").tempdir_in(folder);
        let mut scratch = scratch.map_err(ProcessError::Log)?;
        // Where it does not start, what it said is kept.
        scratch.disable_cleanup(true);
        let service = Self::start(scratch.path())?;
        scratch.disable_cleanup(false);
        Ok((scratch, service))
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            addr: self.server.addr,
            secrets_file: &self.secrets_file,
            operator_password: &self.password,
            pid: Some(self.server.pid()),
        }
    }

    /// Kills it, as a crash would, and waits until it is gone.
    pub(crate) fn kill(self) {
        self.server.kill();
    }
}

/// The error, and where what the servers said is kept.
pub(crate) fn kept(error: &impl Display, scratch: TempDir) -> String {
    format!("{error} (kept: {})", scratch.keep().display())
}
