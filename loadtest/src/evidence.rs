//! Evidence: what was measured, on what, as one JSON file a run.

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

#[derive(Serialize)]
pub struct Evidence<'a, T: Serialize> {
    pub format: u32,
    pub command: &'a str,
    /// Seconds since the Unix epoch.
    pub at_s: u64,
    pub commit: Option<String>,
    pub machine: Machine,
    pub verdict: Verdict,
    pub sentence: &'a str,
    pub figures: T,
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

/// Writes `evidence` into `folder`, under the name of the program that has it, and returns the file's path.
///
/// # Errors
/// Where the folder cannot be made or written to.
pub fn write<T: Serialize>(
    folder: &Path,
    program: &str,
    evidence: &Evidence<'_, T>,
) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let name = format!(
        "{program}-{}-{}-{}.json",
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
            format: 1,
            command: "votes",
            at_s: 7,
            commit: None,
            machine: Machine { cores: 2, cpu: None },
            verdict: Verdict::NoData,
            sentence: "nothing there",
            figures: [1, 2],
        };
        let path = write(&folder.path().join("new"), "loadtest", &evidence).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["verdict"], "NO-DATA");
        assert_eq!(value["figures"][1], 2);
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
