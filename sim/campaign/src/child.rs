//! Runs in processes of their own: a second run in one process would find what the first has left.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::{Program, Summary};

/// A run takes about a second: one that takes so long does not come to an end. In a build for debugging it takes thirty,
/// and several minutes on a machine that has other things to do.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 900 } else { 90 });
/// Between two looks at whether a process that says no more has ended.
const LOOK_INTERVAL: Duration = Duration::from_micros(200);

/// What a run's process said.
pub(crate) type Told = Result<Summary, Lost>;

/// Why there is no summary of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its process had to be ended.
    DidNotEnd,
    /// Its process's exit code, if it had one, and last words.
    Ended(Option<i32>, String),
}

/// How a process ended, and all that it wrote.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    pub(crate) fn of_seed(&self, seed: u64) -> Told {
        self.told(&["run", "--json", "--seed", &seed.to_string()])
    }

    pub(crate) fn of_plan(&self, file: &Path) -> Told {
        self.told(&["replay", "--json", "--", &file.display().to_string()])
    }

    fn told(&self, arguments: &[&str]) -> Told {
        let program = std::env::current_exe()
            .map_err(|error| Lost::Ended(None, format!("this program does not find itself: {error}")))?;
        let mut command = Command::new(program);
        let (first, rest) = arguments.split_first().expect("a task is named");
        // Behind `--`, nothing is an option any more.
        command.arg(first).args(self.manner()).args(rest);
        told(&mut command, PATIENCE)
    }
}

fn told(command: &mut Command, patience: Duration) -> Told {
    let ended = ended_within(command, patience).map_err(|sentence| Lost::Ended(None, sentence))?;
    let Some(ended) = ended else {
        return Err(Lost::DidNotEnd);
    };
    let line = ended.stdout.lines().last().unwrap_or_default();
    serde_json::from_str(line).map_err(|_| {
        let sentence = format!("{}: {}", ended.status, ended.stderr.trim_end());
        Lost::Ended(ended.status.code(), sentence)
    })
}

/// Runs it to its end; `None` if it was ended for taking too long.
///
/// # Errors
/// If it cannot be started, or is lost.
pub fn ended_within(command: &mut Command, patience: Duration) -> Result<Option<Ended>, String> {
    let until = Instant::now() + patience;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("a process could not be started: {error}"))?;
    let said = gather(child.stdout.take());
    let complained = gather(child.stderr.take());
    // Whoever says no more has mostly ended: to look for that now and then instead would cost each run half an interval.
    let stdout = said.recv_timeout(patience);
    let Some(status) = wait(&mut child, until)? else {
        return Ok(None);
    };
    Ok(Some(Ended {
        status,
        // One that left its output to another process has ended before what was said has.
        stdout: stdout.or_else(|_| said.recv()).unwrap_or_default(),
        stderr: complained.recv().unwrap_or_default(),
    }))
}

/// `None` if it was ended for taking too long.
fn wait(child: &mut Child, until: Instant) -> Result<Option<ExitStatus>, String> {
    let failed = |error: std::io::Error| format!("a run's process is lost: {error}");
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        if Instant::now() >= until {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Ok(None);
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}

/// Everything that comes out of the pipe, when it is closed.
fn gather(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What came before a pipe broke is all there is.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody wants it any more if the process had to be ended.
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_ended() {
        let began = Instant::now();
        let lost = told(Command::new("sleep").arg("600"), Duration::from_millis(200));
        assert_eq!(lost, Err(Lost::DidNotEnd));
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn more_than_a_pipe_holds_is_read_to_its_end() {
        let script = "head -c 300000 /dev/zero; echo end >&2; exit 3";
        let ended = ended_within(Command::new("sh").args(["-c", script]), PATIENCE);
        let ended = ended.unwrap().expect("it ends");
        assert_eq!(ended.stdout.len(), 300_000);
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(3), "end\n"));
    }
}
