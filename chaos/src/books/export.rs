//! The committed log, out of what `ostraka export` says of each stopped node.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ostraka_core::ids::{LogIndex, UnixMs};
use ostraka_sim_model::disks::CommittedLog;
use ostraka_sim_model::history::LoggedEntry;
use ostraka_sim_model::ids::NodeIndex;
use serde::Deserialize;

use crate::Trouble;

/// The format of exports that is read.
const FORMAT: u32 = 1;

#[derive(Deserialize)]
struct Head {
    format: u32,
    first_index: Option<u64>,
    last_index: Option<u64>,
    problems: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    index: u64,
    term: u64,
    stamped_at: u64,
    body: String,
}

/// One node's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    pub entries: BTreeMap<u64, LoggedEntry>,
    /// The first entry that is there; those before it were purged.
    pub first_index: u64,
    /// Sentences on damaged snapshots.
    pub problems: Vec<String>,
}

/// Reads an export.
///
/// # Errors
/// Where it is of another format or not whole.
pub fn read(text: &str) -> Result<Exported, Trouble> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Trouble::failed(format!("an export of the vote log cannot be read: {error}"))
    };
    let mut lines = text.lines();
    let head: Head =
        serde_json::from_str(lines.next().unwrap_or_default()).map_err(|error| unreadable(&error))?;
    if head.format != FORMAT {
        return Err(unreadable(&format!(
            "it has format {}, not {FORMAT}",
            head.format
        )));
    }
    let mut entries = BTreeMap::new();
    for line in lines {
        let line: Line = serde_json::from_str(line).map_err(|error| unreadable(&error))?;
        let entry = LoggedEntry {
            index: LogIndex(line.index),
            term: line.term,
            stamped_at: UnixMs(line.stamped_at),
            body: STANDARD.decode(&line.body).map_err(|error| unreadable(&error))?,
        };
        entries.insert(line.index, entry);
    }
    let last = entries.last_key_value().map(|(index, _)| *index);
    if last != head.last_index {
        return Err(unreadable(&format!(
            "it ends with entry {last:?} and should with {:?}",
            head.last_index
        )));
    }
    Ok(Exported {
        entries,
        first_index: head.first_index.unwrap_or_default(),
        problems: head.problems,
    })
}

/// The log that all nodes have applied up to `tip`, and sentences on where they differ or lack something of it.
///
/// All nodes say that they have applied `tip`, so each of them must hold the same entry everywhere up to there
/// (D. Ongaro, J. Ousterhout, 2014, §5.3 Log Matching, §5.4 State Machine Safety).
pub fn agreed<'a>(logs: &'a [(NodeIndex, Exported)], tip: LogIndex) -> (CommittedLog<'a>, Vec<String>) {
    let mut committed = CommittedLog {
        tip,
        is_whole: true,
        ..CommittedLog::default()
    };
    let mut quarrels = Vec::new();
    let first = logs
        .iter()
        .map(|(_, log)| log.first_index)
        .min()
        .unwrap_or_default();
    for index in first..=tip.0 {
        let reaching = logs.iter().filter(|(_, log)| log.first_index <= index);
        let held = reaching.map(|(node, log)| (*node, log.entries.get(&index)));
        let mut chosen: Option<(NodeIndex, &LoggedEntry)> = None;
        for (node, entry) in held {
            match (entry, chosen) {
                (None, _) => quarrels.push(format!("node {node} lacks entry {index}, which it had applied")),
                (Some(entry), None) => chosen = Some((node, entry)),
                (Some(entry), Some((other, before))) if entry != before => {
                    quarrels.push(format!("nodes {other} and {node} hold different entries {index}"));
                }
                (Some(_), Some(_)) => {}
            }
        }
        match chosen {
            Some((_, entry)) => drop(committed.entries.insert(index, entry)),
            None => committed.missing.push(LogIndex(index)),
        }
    }
    (committed, quarrels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(terms: &[u64]) -> String {
        let last = terms.len() as u64 - 1;
        let mut text = format!(
            "{{\"format\":1,\"ostraka\":\"0\",\"node\":1,\"log\":\"vote\",\"first_index\":0,\"last_index\":{last},\"problems\":[]}}\n"
        );
        for (index, term) in terms.iter().enumerate() {
            text += &format!(
                "{{\"index\":{index},\"term\":{term},\"stamped_at\":5,\"kind\":\"normal\",\"committed\":true,\"body\":\"AQI=\"}}\n"
            );
        }
        text
    }

    #[test]
    fn an_export_is_read_and_one_cut_short_is_not() {
        let log = read(&export(&[1, 1])).unwrap();
        assert_eq!(log.entries.len(), 2);
        assert_eq!(log.entries[&1].body, [1, 2]);
        let text = export(&[1, 1]);
        let cut = text.trim_end().rsplit_once('\n').unwrap().0;
        assert!(read(cut).unwrap_err().to_string().contains("should with Some(1)"));
        assert!(read("").is_err());
        assert!(read(&text.replace("\"format\":1", "\"format\":2")).is_err());
    }

    #[test]
    fn nodes_that_differ_or_lack_an_entry_up_to_the_tip_are_told() {
        let one = |node, terms: &[u64]| (NodeIndex(node), read(&export(terms)).unwrap());
        let same = [one(0, &[1, 1, 2]), one(1, &[1, 1, 3])];
        let (log, quarrels) = agreed(&same, LogIndex(1));
        assert_eq!(
            (log.entries.len(), quarrels.len()),
            (2, 0),
            "beyond the tip nothing is agreed yet"
        );
        let (_, quarrels) = agreed(&same, LogIndex(2));
        assert_eq!(quarrels, ["nodes 1 and 2 hold different entries 2"]);
        let short = [one(0, &[1, 1, 2]), one(1, &[1, 1])];
        let (log, quarrels) = agreed(&short, LogIndex(2));
        assert_eq!(quarrels, ["node 2 lacks entry 2, which it had applied"]);
        assert_eq!(log.entries.len(), 3);
        let (log, _) = agreed(&short, LogIndex(3));
        assert_eq!(log.missing, [LogIndex(3)]);
    }
}
