//! Programs of others: found, run, and ended.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::PeerError;

/// A database that was just started listens within this.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
const READY_PAUSE: Duration = Duration::from_millis(50);

/// The program of that name on the path, or in one of `folders`.
pub(super) fn find(name: &str, folders: &[PathBuf]) -> Result<PathBuf, PeerError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(folders.iter().cloned())
        .map(|folder| folder.join(name))
        .find(|program| program.is_file());
    found.ok_or_else(|| PeerError::Missing(name.to_string()))
}

/// A port that is free now.
pub(super) fn free_port() -> Result<u16, PeerError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound
        .map(|addr| addr.port())
        .map_err(|error| PeerError::Failed(format!("no port is free: {error}")))
}

/// Runs to the end; what it printed.
pub(super) fn output(command: &mut Command) -> Result<String, PeerError> {
    let name = command.get_program().display().to_string();
    let failed = |detail: String| PeerError::Failed(format!("{name}: {detail}"));
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last = words.lines().rfind(|line| !line.trim().is_empty());
    Err(failed(last.unwrap_or("it failed without a word").to_string()))
}

/// A server that is ended when it goes out of sight.
pub(super) struct Running(Child);

impl Running {
    /// Starts it and waits until `is_ready`. What it says goes to `log`.
    pub(super) fn start(
        command: &mut Command,
        log: &Path,
        is_ready: impl Fn() -> bool,
    ) -> Result<Self, PeerError> {
        let name = command.get_program().display().to_string();
        let failed = |detail: String| PeerError::Failed(format!("{name}: {detail}"));
        let file = std::fs::File::create(log).map_err(|error| failed(error.to_string()))?;
        let both = file.try_clone().map_err(|error| failed(error.to_string()))?;
        let child = command.stdin(Stdio::null()).stdout(both).stderr(file).spawn();
        let mut running = Self(child.map_err(|error| failed(error.to_string()))?);
        let started = Instant::now();
        while !is_ready() {
            let ended = running.0.try_wait().ok().flatten();
            if ended.is_some() || started.elapsed() > READY_TIMEOUT {
                let words = std::fs::read_to_string(log).unwrap_or_default();
                let last = words.lines().last().unwrap_or("it says nothing").to_string();
                return Err(failed(format!("it does not start: {last}")));
            }
            std::thread::sleep(READY_PAUSE);
        }
        Ok(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_named_and_what_fails_says_why() {
        assert_eq!(
            find("no-such-program", &[]).unwrap_err().to_string(),
            "skipped: no-such-program is not installed"
        );
        let shell = find("sh", &[]).unwrap();
        assert_eq!(
            output(Command::new(&shell).args(["-c", "echo 7"])),
            Ok("7\n".to_string())
        );
        let error = output(Command::new(&shell).args(["-c", "echo no room >&2; exit 1"])).unwrap_err();
        assert!(error.to_string().ends_with("no room"), "{error}");
        let folder = tempfile::tempdir().unwrap();
        let started = Running::start(
            Command::new(&shell).args(["-c", "echo the port is taken"]),
            &folder.path().join("log"),
            || false,
        );
        assert!(started.err().unwrap().to_string().ends_with("the port is taken"));
    }
}
