//! Servers as child processes of a comparison: started on free ports, ended when they go out of sight.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::empty_server::LISTENING;

/// A start opens files and prints where it listens; half a minute is a slow disk.
const START_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("{path} is not there: build it first with `cargo build --release`")]
    NoBinary { path: PathBuf },
    #[error("{path} does not start: {source}")]
    Spawn { path: PathBuf, source: std::io::Error },
    #[error("{what} ended before it listened; its last words are in {log}:\n{words}")]
    Ended {
        what: &'static str,
        log: PathBuf,
        words: String,
    },
    #[error("{what} did not say within {} s where it listens; its output is in {log}", START_TIMEOUT.as_secs())]
    Silent { what: &'static str, log: PathBuf },
    #[error("the folder for the servers' output cannot be written: {0}")]
    Log(std::io::Error),
}

/// A server that runs. Dropping it kills it: it is to survive that anyway.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Starts `command` and waits for the line that says where it listens. What it says on standard error goes to `log`.
    pub(crate) fn start(what: &'static str, mut command: Command, log: &Path) -> Result<Self, ProcessError> {
        let path = PathBuf::from(command.get_program());
        if !path.exists() {
            return Err(ProcessError::NoBinary { path });
        }
        let errors = std::fs::File::create(log).map_err(ProcessError::Log)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let mut child = command
            .spawn()
            .map_err(|source| ProcessError::Spawn { path, source })?;
        let output = child.stdout.take().expect("it was asked for");
        let (found, awaited) = mpsc::channel();
        // Reads on after the line it waits for, so that the child never blocks on a full pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(addr) = line
                    .strip_prefix(LISTENING)
                    .and_then(|addr| addr.trim().parse().ok())
                {
                    let _ = found.send(addr);
                }
            }
        });
        match awaited.recv_timeout(START_TIMEOUT) {
            Ok(addr) => Ok(Self { child, addr }),
            Err(reason) => {
                let log = log.to_path_buf();
                end(&mut child);
                Err(match reason {
                    mpsc::RecvTimeoutError::Timeout => ProcessError::Silent { what, log },
                    mpsc::RecvTimeoutError::Disconnected => {
                        let words = std::fs::read_to_string(&log).unwrap_or_default();
                        ProcessError::Ended { what, log, words }
                    }
                })
            }
        }
    }

    /// Whether it is gone already, for whatever reason.
    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Kills it, as a crash would, and waits until it is gone.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn end(child: &mut Child) {
    // Both fail only if it has ended already.
    let _ = child.kill();
    let _ = child.wait();
}

/// The binary of that name beside this one.
pub(crate) fn beside(name: &str) -> Result<PathBuf, std::io::Error> {
    Ok(std::env::current_exe()?.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_server_is_found_by_its_own_words_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo hello; echo 'public   http://127.0.0.1:4711'; exec sleep 60";
        let mut server = Server::start("it", shell(script), &folder.path().join("log")).unwrap();
        assert_eq!(server.addr.port(), 4711);
        assert!(!server.has_ended());
        let stat = format!("/proc/{}", server.pid());
        assert!(Path::new(&stat).exists());
        server.kill();
        assert!(!Path::new(&stat).exists());
        let brief = "echo 'public   http://127.0.0.1:4711'; exec sleep 0.1";
        let mut server = Server::start("it", shell(brief), &folder.path().join("log")).unwrap();
        while !server.has_ended() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn a_server_that_does_not_start_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let error = Server::start("it", shell("echo the port is taken >&2; exit 1"), &log)
            .err()
            .unwrap();
        assert!(error.to_string().contains("the port is taken"), "{error}");
        let error = Server::start("it", Command::new("/nowhere/ostraka"), &log)
            .err()
            .unwrap();
        assert!(error.to_string().contains("cargo build --release"), "{error}");
    }
}
