//! Real `ostraka` processes on loopback: started, killed without warning, started again on the same ports.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

pub(crate) const OPERATOR_PASSWORD: &str = "correct horse battery staple";

/// A debug build on a busy machine with two cores starts in a second or two; this is for the worst day.
const START_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
pub(crate) struct NodeOptions {
    pub(crate) node: u64,
    pub(crate) data_dir: PathBuf,
    pub(crate) public: String,
    pub(crate) operator: String,
    pub(crate) peer: String,
    pub(crate) extra: Vec<String>,
    /// Arguments of the shell's `ulimit` before the node is started.
    pub(crate) ulimit: Option<String>,
}

impl NodeOptions {
    pub(crate) fn new(node: u64, data_dir: &Path) -> Self {
        let any_port = || "127.0.0.1:0".to_string();
        Self {
            node,
            data_dir: data_dir.to_path_buf(),
            public: any_port(),
            operator: any_port(),
            peer: any_port(),
            extra: Vec::new(),
            ulimit: None,
        }
    }

    pub(crate) fn with(mut self, flags: &[&str]) -> Self {
        self.extra.extend(flags.iter().map(ToString::to_string));
        self
    }

    fn command(&self) -> Command {
        let mut command = self.ulimit.as_deref().map_or_else(ostraka, limited_ostraka);
        command
            .arg("serve")
            .args(["--node-id", &self.node.to_string()])
            .arg("--data-dir")
            .arg(&self.data_dir)
            .args([
                "--listen",
                &self.public,
                "--operator-listen",
                &self.operator,
                "--peer-listen",
                &self.peer,
            ])
            .args(&self.extra)
            .env("OSTRAKA_OPERATOR_PASSWORD", OPERATOR_PASSWORD)
            .stdin(Stdio::null());
        command
    }
}

/// The binary under test, with no settings inherited from the environment.
pub(crate) fn ostraka() -> Command {
    without_settings(Command::new(env!("CARGO_BIN_EXE_ostraka")))
}

/// The same, in the place of a shell that has limited itself.
fn limited_ostraka(ulimit: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("ulimit {ulimit} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_ostraka")]);
    without_settings(shell)
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OSTRAKA_")) {
        command.env_remove(name);
    }
    command
}

/// A running node. Dropping it kills it.
pub(crate) struct NodeProcess {
    child: Child,
    /// With the ports it really has, so that a restart comes back at the same place.
    pub(crate) options: NodeOptions,
    log_path: PathBuf,
}

impl NodeProcess {
    pub(crate) fn start(options: NodeOptions) -> Self {
        let log_path = options.data_dir.with_extension("log");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log_path)
            .unwrap();
        let mut child = options
            .command()
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut node = Self {
            child,
            options,
            log_path,
        };
        node.read_banner(stdout);
        node
    }

    /// The node prints where it listens once it does.
    fn read_banner(&mut self, stdout: impl Read + Send + 'static) {
        let (lines_tx, lines_rx) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if lines_tx.send(line).is_err() {
                    // The banner is read; go on draining so that the node never blocks on its stdout.
                }
            }
        });
        let deadline = Instant::now() + START_TIMEOUT;
        let mut missing = 3;
        while missing > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines_rx.recv_timeout(left).unwrap_or_else(|_| {
                panic!(
                    "node {} did not start; its log:\n{}",
                    self.options.node,
                    self.log()
                )
            });
            let mut words = line.split_whitespace();
            let slot = match words.next() {
                Some("public") => &mut self.options.public,
                Some("operator") => &mut self.options.operator,
                Some("peers") => &mut self.options.peer,
                _ => continue,
            };
            *slot = words
                .next()
                .unwrap()
                .trim_start_matches("http://")
                .trim_start_matches("https://")
                .to_string();
            missing -= 1;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log_path).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no destructor runs, nothing is flushed.
    pub(crate) fn kill_nine(mut self) -> NodeOptions {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.options.clone()
    }

    /// SIGTERM, and the exit status within 30 s.
    pub(crate) fn stop(mut self) -> (NodeOptions, ExitStatus) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (self.options.clone(), status);
            }
            assert!(
                Instant::now() < deadline,
                "no graceful stop within 30 s; log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its limits of open files, soft and hard, as the kernel has them.
    pub(crate) fn open_files_max(&self) -> (String, String) {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.child.id())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files"));
        let mut words = line.unwrap().split_whitespace().skip(3).map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    }

    pub(crate) fn has_exited(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `ostraka` with these arguments to its end: exit status, stdout, stderr.
pub(crate) fn run_ostraka(args: &[&str]) -> (ExitStatus, String, String) {
    let output = ostraka().args(args).stdin(Stdio::null()).output().unwrap();
    (
        output.status,
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// `ostraka verify` on a stopped node's folder must agree.
pub(crate) fn assert_verified(data_dir: &Path) -> serde_json::Value {
    let (status, stdout, stderr) =
        run_ostraka(&["verify", "--data-dir", data_dir.to_str().unwrap(), "--json"]);
    assert!(status.success(), "verify does not agree: {stdout}{stderr}");
    serde_json::from_str(&stdout).unwrap()
}
