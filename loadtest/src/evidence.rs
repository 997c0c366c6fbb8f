//! Evidence: what was measured, on what, as one JSON file a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

/// What a run's figures amount to; the number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Verdict {
    Pass = 0,
    /// An acknowledged vote is missing, or one was counted that nobody cast.
    Fail = 1,
    /// Measured, but not what was to be measured.
    Inconclusive = 2,
    /// Nothing was measured.
    NoData = 3,
}

/// Format of evidence files. 2 names the program, and has latencies as [`Buckets`].
pub const EVIDENCE_FORMAT: u32 = 2;

#[derive(Serialize)]
pub struct Evidence<'a, T: Serialize> {
    pub format: u32,
    pub program: &'a str,
    pub command: &'a str,
    /// When it was written, in seconds since the Unix epoch.
    pub at_s: u64,
    pub commit: Option<String>,
    pub machine: Machine,
    pub verdict: Verdict,
    pub sentence: &'a str,
    pub figures: T,
}

/// Whether requests wait for answers to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// They are due at their own moments, whatever the service does.
    Open,
    /// They come after the answer to the one before: a stalled service is asked less, so no latency here bounds anything. A
    /// gate on latency refuses evidence that says so.
    Closed,
}

/// Latencies in microseconds, as the upper ends of buckets with how many fell into each: two digits, rounded up, so that none
/// looks shorter than it was and limits of two digits are told apart from what is above them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets(BTreeMap<u64, u64>);

impl Buckets {
    pub fn of(latencies: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut buckets = BTreeMap::new();
        for (micros, count) in latencies {
            *buckets.entry(two_digits_up(micros)).or_default() += count;
        }
        Self(buckets)
    }
}

/// A list of pairs, in ascending order.
impl Serialize for Buckets {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

fn two_digits_up(micros: u64) -> u64 {
    let mut unit = 1;
    while micros.div_ceil(unit) >= 100 {
        unit *= 10;
    }
    micros.div_ceil(unit) * unit
}

#[derive(Serialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: Option<String>,
}

impl Machine {
    pub fn this() -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo")
            .ok()
            .and_then(|text| model_name(&text));
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            cpu,
        }
    }
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

/// The commit that is checked out where the run is started, with `-dirty` if files differ from it; none where git does
/// not say. The binaries may be older than either: what was measured is told by [`sha256_of`].
pub fn commit() -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

/// What the bytes of a binary amount to, in hex; none if it cannot be read.
pub fn sha256_of(path: &Path) -> Option<String> {
    let digest = Sha256::digest(std::fs::read(path).ok()?);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where evidence goes unless told otherwise: `evidence` beside the folder of this binary's profile, in cargo's target.
pub fn default_folder() -> PathBuf {
    let profile = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.to_path_buf()));
    profile
        .and_then(|profile| Some(profile.parent()?.join("evidence")))
        .unwrap_or_else(|| "evidence".into())
}

/// Writes `evidence` into `folder` and returns the file's path.
///
/// # Errors
/// Where the folder cannot be made or written to.
pub fn write<T: Serialize>(folder: &Path, evidence: &Evidence<'_, T>) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = format!(
        "{}-{}-{}-{}.json",
        evidence.program,
        evidence.command,
        evidence.at_s,
        std::process::id()
    );
    let path = folder.join(name);
    std::fs::write(&path, serde_json::to_vec_pretty(evidence)?)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_says_what_it_is_worth() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = Evidence {
            format: EVIDENCE_FORMAT,
            program: "loadtest",
            command: "votes",
            at_s: 7,
            commit: None,
            machine: Machine { cores: 2, cpu: None },
            verdict: Verdict::NoData,
            sentence: "nothing there",
            figures: [1, 2],
        };
        let path = write(&folder.path().join("new"), &evidence).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["format"], &value["program"]),
            (&2.into(), &"loadtest".into())
        );
        assert_eq!(value["verdict"], "NO-DATA");
        assert_eq!(value["figures"][1], 2);
    }

    #[test]
    fn no_latency_looks_shorter_than_it_was() {
        for (micros, upper) in [
            (0, 0),
            (7, 7),
            (99, 99),
            (101, 110),
            (50_000, 50_000),
            (50_001, 51_000),
        ] {
            assert_eq!(two_digits_up(micros), upper);
        }
        assert_eq!(two_digits_up(995_000), 1_000_000);
        let buckets = Buckets::of([(101, 2), (50_001, 1), (109, 1)]);
        assert_eq!(serde_json::to_string(&buckets).unwrap(), "[[110,3],[51000,1]]");
    }

    /// FIPS 180-2, appendix B.1.
    #[test]
    fn a_binary_is_told_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("binary");
        assert_eq!(sha256_of(&path), None);
        std::fs::write(&path, "abc").unwrap();
        assert!(sha256_of(&path).unwrap().starts_with("ba7816bf8f01cfea"));
    }

    #[test]
    fn a_cpu_has_a_name() {
        assert_eq!(
            model_name("processor : 0\nmodel name\t: A B\n").as_deref(),
            Some("A B")
        );
        assert_eq!(model_name(""), None);
    }
}
