//! Evidence: what was probed, from when to when, as one JSON file a run, written anew while it lasts; and a note of when
//! somebody last probed from here, so that the next run knows of the gap before it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::figures::{Objectives, Told, Verdict};

/// The same for all programs that write evidence: a gate reads them side by side.
const FORMAT: u32 = 2;
const LAST: &str = "synthetic-last.json";

#[derive(Serialize)]
pub(crate) struct Evidence<'a> {
    pub(crate) command: &'static str,
    pub(crate) at_s: u64,
    pub(crate) verdict: Verdict,
    pub(crate) sentence: &'a str,
    pub(crate) figures: RunFigures,
}

/// As it stands in the file.
#[derive(Serialize)]
struct File<'a> {
    format: u32,
    program: &'static str,
    commit: Option<String>,
    binary_sha256: Option<String>,
    cores: usize,
    #[serde(flatten)]
    evidence: &'a Evidence<'a>,
}

#[derive(Serialize)]
pub(crate) struct RunFigures {
    /// Probes are due by the clock, whether the last one has come back or not.
    #[serde(rename = "loop")]
    pub(crate) kind: &'static str,
    pub(crate) began_at_s: u64,
    pub(crate) ended_at_s: u64,
    pub(crate) per_hour_and_place: u32,
    /// Since the last run that left a note here; `None` if none did.
    pub(crate) not_running_before_s: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) objectives: Objectives,
    pub(crate) all: Told,
    pub(crate) places: Vec<PlaceFigures>,
}

#[derive(Serialize)]
pub(crate) struct PlaceFigures {
    pub(crate) name: String,
    pub(crate) endpoints: Vec<String>,
    #[serde(flatten)]
    pub(crate) told: Told,
}

#[derive(Serialize, Deserialize)]
struct Last {
    at_s: u64,
}

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Where evidence goes unless told otherwise: `evidence` beside the folder of this binary's profile, in cargo's target.
pub(crate) fn default_folder() -> PathBuf {
    let profile = std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.to_path_buf()));
    profile
        .and_then(|profile| Some(profile.parent()?.join("evidence")))
        .unwrap_or_else(|| "evidence".into())
}

/// When somebody last probed from here; nothing where no note can be read.
pub(crate) fn last_at_s(folder: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(folder.join(LAST)).ok()?;
    serde_json::from_str::<Last>(&text).ok().map(|last| last.at_s)
}

/// Writes evidence of the run that began then, and the note for the next one. Whole or not at all: a reader in the middle
/// of it finds the one before.
///
/// # Errors
/// Where the folder cannot be made or written to.
pub(crate) fn write(folder: &Path, began_at_s: u64, evidence: &Evidence<'_>) -> std::io::Result<PathBuf> {
    std::fs::create_dir_all(folder)?;
    let file = File {
        format: FORMAT,
        program: "synthetic",
        commit: commit(),
        binary_sha256: own_sha256(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        evidence,
    };
    let path = folder.join(format!("synthetic-{began_at_s}-{}.json", std::process::id()));
    replace(&path, &serde_json::to_vec_pretty(&file)?)?;
    let last = Last { at_s: evidence.at_s };
    replace(&folder.join(LAST), &serde_json::to_vec(&last)?)?;
    Ok(path)
}

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let part = path.with_extension(format!("part-{}", std::process::id()));
    std::fs::write(&part, bytes)?;
    std::fs::rename(&part, path)
}

/// The commit that is checked out where the run was started, with `-dirty` if files differ from it.
fn commit() -> Option<String> {
    let output = std::process::Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_string())
}

fn own_sha256() -> Option<String> {
    let digest = Sha256::digest(std::fs::read(std::env::current_exe().ok()?).ok()?);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Processor time of this process so far; nothing where the kernel does not say.
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // After the name, which may hold anything: state, then 10 numbers, then user and system time in ticks of 10 ms (proc(5)).
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figures;

    fn evidence(at_s: u64) -> Evidence<'static> {
        let told = Figures::new().told();
        let objectives = Objectives {
            ack_p99_ms_max: 50,
            seen_p95_ms_max: 500,
            seen_p99_ms_max: 1_000,
            complete_percent_min: 99.9,
        };
        Evidence {
            command: "synthetic",
            at_s,
            verdict: Verdict::NoData,
            sentence: "nothing there",
            figures: RunFigures {
                kind: "open",
                began_at_s: 7,
                ended_at_s: at_s,
                per_hour_and_place: 1_000,
                not_running_before_s: None,
                cpu_seconds: cpu_seconds(),
                objectives,
                all: told,
                places: Vec::new(),
            },
        }
    }

    #[test]
    fn evidence_is_written_anew_and_the_next_run_knows_of_the_gap() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        assert_eq!(last_at_s(&folder), None);
        let first = write(&folder, 7, &evidence(8)).unwrap();
        assert_eq!(write(&folder, 7, &evidence(68)).unwrap(), first);
        assert_eq!(last_at_s(&folder), Some(68));
        let text = std::fs::read_to_string(&first).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["verdict"], &value["at_s"]),
            (&"NO-DATA".into(), &68.into())
        );
        assert_eq!(value["figures"]["loop"], "open");
        assert_eq!(value["figures"]["all"]["outcomes"]["missing"], 0);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn a_note_that_is_none_is_no_gap() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(LAST), "{}").unwrap();
        assert_eq!(last_at_s(folder.path()), None);
    }
}
