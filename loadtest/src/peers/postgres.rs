//! PostgreSQL: one insert a vote, committed to the disk before it is answered.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tool::{Running, find, free_port, output};
use super::{PeerError, PeerFigures};
use crate::session::Pressure;

const TABLE: &str = "CREATE TABLE vote (event int, voter bigint, contestant int, at timestamptz DEFAULT now(), \
                     PRIMARY KEY (event, voter));";

/// One vote a user.
const VOTE: &str = "\\set voter random(1, 1000000000000)\n\
                    INSERT INTO vote (event, voter, contestant) VALUES (1, :voter, 1) ON CONFLICT DO NOTHING;\n";

/// Where Debian puts the programs that are not on the path, by version.
const DEBIAN: &str = "/usr/lib/postgresql";

const USER: &str = "bench";

/// Durable before it is answered: the defaults, said.
const SETTINGS: [&str; 4] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "fsync=on",
    "synchronous_commit=on",
];

/// PostgreSQL does not run as root. This is nobody's number on Linux.
const NOBODY: u32 = 65_534;

/// As whom the server runs, where it may not be this user.
fn substitute() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(NOBODY)
}

/// A database that is still to be started.
struct Postgres {
    initdb: PathBuf,
    server: PathBuf,
    psql: PathBuf,
    pgbench: PathBuf,
    /// Of whoever runs the server.
    own: PathBuf,
    port: String,
}

pub(super) fn round(pressure: Pressure, folder: &Path) -> Result<PeerFigures, PeerError> {
    let postgres = Postgres::at(folder.join("postgres"))?;
    let _running = postgres.start(pressure.connections, &folder.join("postgres.log"))?;
    postgres.ask(TABLE)?;
    let measured = postgres.vote(pressure, &folder.join("vote.sql"))?;
    let counted = postgres.ask("SELECT count(*) FROM vote")?.trim().parse();
    Ok(PeerFigures {
        votes_per_s: measured.votes_per_s,
        ack_ms_mean: measured.mean_ms,
        ack_ms_p99: None,
        answered: measured.answered,
        counted: counted.map_err(|error| PeerError::Failed(format!("psql: {error}")))?,
    })
}

fn failed(error: &std::io::Error) -> PeerError {
    PeerError::Failed(error.to_string())
}

impl Postgres {
    fn at(own: PathBuf) -> Result<Self, PeerError> {
        let folders = versions(Path::new(DEBIAN));
        let program = |name: &str| find(name, &folders);
        std::fs::create_dir_all(&own).map_err(|error| failed(&error))?;
        if let Some(user) = substitute() {
            chown(&own, Some(user), Some(user)).map_err(|error| failed(&error))?;
        }
        Ok(Self {
            initdb: program("initdb")?,
            server: program("postgres")?,
            psql: program("psql")?,
            pgbench: program("pgbench")?,
            own,
            port: free_port()?.to_string(),
        })
    }

    fn unprivileged(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.own);
        if let Some(user) = substitute() {
            command.uid(user).gid(user);
        }
        command.arg("-D").arg(self.own.join("data"));
        command
    }

    fn start(&self, connections: usize, log: &Path) -> Result<Running, PeerError> {
        output(
            self.unprivileged(&self.initdb)
                .args(["-A", "trust", "-U", USER, "--no-sync"]),
        )?;
        let mut command = self.unprivileged(&self.server);
        command.args(["-p", &self.port]);
        let connections = format!("max_connections={}", connections + 10);
        for setting in SETTINGS.iter().chain([&connections.as_str()]) {
            command.args(["-c", setting]);
        }
        Running::start(&mut command, log, || self.ask("SELECT 1").is_ok())
    }

    /// A client's program, and where the server is.
    fn client(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["-h", "127.0.0.1", "-p", &self.port, "-U", USER]);
        command
    }

    fn ask(&self, sql: &str) -> Result<String, PeerError> {
        output(self.client(&self.psql).args(["-XAtc", sql, "postgres"]))
    }

    fn vote(&self, pressure: Pressure, script: &Path) -> Result<Summary, PeerError> {
        std::fs::write(script, VOTE).map_err(|error| failed(&error))?;
        let mut command = self.client(&self.pgbench);
        command.args(["-n", "-M", "prepared", "-c", &pressure.connections.to_string()]);
        command.args(["-j", &pressure.threads.to_string()]);
        command.args(["-T", &pressure.window_s.to_string(), "-f"]);
        read(&output(command.arg(script).arg("postgres"))?)
    }
}

/// The folders of programs, the newest version first.
fn versions(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let mut numbers: Vec<u32> = entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let folder = |number: &u32| root.join(number.to_string()).join("bin");
    numbers.iter().map(folder).collect()
}

#[derive(Debug, PartialEq)]
struct Summary {
    answered: u64,
    mean_ms: f64,
    votes_per_s: f64,
}

/// pgbench's last words.
fn read(text: &str) -> Result<Summary, PeerError> {
    let behind = |words: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(words))?;
        rest.split([' ', '/']).find(|word| !word.is_empty())
    };
    let read = || {
        Some(Summary {
            answered: behind("number of transactions actually processed:")?
                .parse()
                .ok()?,
            mean_ms: behind("latency average =")?.parse().ok()?,
            votes_per_s: behind("tps =")?.parse().ok()?,
        })
    };
    read().ok_or_else(|| PeerError::Failed(format!("pgbench said nothing that can be read: {text:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_read() {
        let text = "pgbench (15.6)\ntransaction type: vote.sql\nscaling factor: 1\nquery mode: prepared\nnumber of clients: 64\n\
            number of threads: 1\nduration: 5 s\nnumber of transactions actually processed: 61234\n\
            number of failed transactions: 0 (0.000%)\nlatency average = 5.221 ms\ninitial connection time = 61.530 ms\n\
            tps = 12258.115264 (without initial connection time)\n";
        let summary = Summary {
            answered: 61_234,
            mean_ms: 5.221,
            votes_per_s: 12_258.115264,
        };
        assert_eq!(read(text), Ok(summary));
        assert!(read("pgbench: error: connection refused").is_err());
    }

    #[test]
    fn the_newest_version_is_the_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["9", "15", "common"] {
            std::fs::create_dir(root.path().join(name)).unwrap();
        }
        let folders = versions(root.path());
        assert_eq!(folders, [root.path().join("15/bin"), root.path().join("9/bin")]);
        assert!(versions(&root.path().join("nowhere")).is_empty());
    }
}
