//! What a campaign amounts to.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::cluster::AfterCut;
use super::plan::Stage;
use crate::Verdict;
use crate::books::Findings;
use crate::load::Tallied;
use crate::nemesis::First;
use crate::reckon::Reckoned;

/// How long nodes took from their start after a cut until they were ready, ms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Serving {
    pub p50_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

impl Serving {
    fn of(mut millis: Vec<u64>) -> Self {
        millis.sort_unstable();
        // The smallest value that so many per cent of all do not exceed.
        let at = |per_cent: usize| {
            let rank = (millis.len() * per_cent).div_ceil(100).max(1);
            millis.get(rank - 1).copied().unwrap_or_default()
        };
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

/// One stage's part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StageFigures {
    pub cuts: u64,
    pub disks_cut: u64,
    /// Cuts at which the disk went first, under the running process. What these lost cannot be told; the figures of blocks
    /// are of the others.
    pub disk_went_first: u64,
    /// Cuts at which a file system dropped at least one block that no barrier had covered.
    pub cuts_that_bit: u64,
    pub blocks_lost: u64,
    /// Of these cuts and blocks, those of vote logs: entries on their way, which nobody may have been told of.
    pub cuts_that_bit_a_log: u64,
    pub log_blocks_lost: u64,
    pub serving: Serving,
    #[serde(skip)]
    serving_ms: Vec<u64>,
}

/// Of a whole campaign, or of as much of it as there was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub cuts: u64,
    pub clusters: u64,
    pub stages: BTreeMap<Stage, StageFigures>,
    /// Votes by what became of them.
    pub votes: Tallied,
    pub votes_intended: u64,
    /// Acknowledged votes that a node that was cut was asked for after the cut.
    pub asked_after_cuts: u64,
    /// Votes that took more than one try with their key, mostly because of a cut.
    pub retried: u64,
    /// Votes of which nobody knew at a load's end, sent again with their keys.
    pub asked_again: u64,
    /// Distinct voters with a counted vote, as the logs say.
    pub counted: u64,
    pub log_entries: u64,
    /// Data folders that `ostraka verify` agreed with.
    pub folders_verified: u64,
    pub findings: Findings,
    /// Why it was less than what was asked for.
    pub doubts: Vec<String>,
}

impl Figures {
    pub(super) fn cut(&mut self, stage: Stage, after: &AfterCut) {
        self.cuts += 1;
        self.asked_after_cuts += after.asked as u64;
        let part = self.stages.entry(stage).or_default();
        part.cuts += 1;
        part.disks_cut += after.nodes.len() as u64;
        part.disk_went_first += u64::from(after.first == First::Disk);
        part.cuts_that_bit += u64::from(after.blocks_lost > 0);
        part.blocks_lost += after.blocks_lost as u64;
        part.cuts_that_bit_a_log += u64::from(after.log_blocks_lost > 0);
        part.log_blocks_lost += after.log_blocks_lost as u64;
        part.serving_ms.extend(after.serving.map(millis));
        part.serving = Serving::of(part.serving_ms.clone());
        self.findings.take_in(after.findings.clone());
    }

    pub(super) fn votes(&mut self, tallied: Tallied) {
        for (word, count) in tallied {
            *self.votes.entry(word).or_default() += count;
        }
    }

    pub(super) fn reckoned(&mut self, reckoned: Reckoned) {
        self.votes(reckoned.tallied);
        self.votes_intended += reckoned.sent.intended;
        self.retried += reckoned.retried;
        self.asked_again += reckoned.asked_again;
        self.counted += reckoned.counted;
        self.log_entries += reckoned.entries;
        self.folders_verified += reckoned.folders_verified;
        self.doubts.extend(reckoned.sent.missing());
        self.findings.take_in(reckoned.findings);
    }

    fn cuts_that_bit(&self) -> u64 {
        self.stages.values().map(|part| part.cuts_that_bit).sum()
    }

    fn acked(&self) -> u64 {
        self.votes.get("processed").copied().unwrap_or_default()
    }

    /// The verdict on a campaign of so many cuts, and a sentence.
    pub fn verdict(&self, cuts: u32) -> (Verdict, String) {
        if !self.findings.is_empty() {
            let counts: Vec<_> = self
                .findings
                .counts
                .iter()
                .map(|(what, count)| format!("{count} {what}"))
                .collect();
            let sentence = format!("after {} cuts: {}", self.cuts, counts.join(", "));
            return (Verdict::Broken, sentence);
        }
        let inconclusive = |sentence: String| (Verdict::Inconclusive, sentence);
        if self.cuts < u64::from(cuts) {
            return inconclusive(format!("only {} of {cuts} cuts were made", self.cuts));
        }
        if self.cuts_that_bit() == 0 {
            return inconclusive(format!(
                "none of {cuts} cuts lost anything that had no barrier, so nothing was tested"
            ));
        }
        if self.acked() == 0 {
            return inconclusive("no vote was acknowledged, so none could be lost".to_owned());
        }
        if let Some(doubt) = self.doubts.first() {
            return inconclusive(doubt.clone());
        }
        let compared: u64 = self
            .stages
            .values()
            .map(|part| part.cuts - part.disk_went_first)
            .sum();
        let bit_a_log: u64 = self.stages.values().map(|part| part.cuts_that_bit_a_log).sum();
        let sentence = format!(
            "{cuts} power cuts; {} of {compared} that could be compared lost data that no barrier had covered, {bit_a_log} of them blocks of a vote log's db; {} acknowledged votes: 0 lost, 0 doubled; every node came back",
            self.cuts_that_bit(),
            self.acked()
        );
        (Verdict::Held, sentence)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::Finding;
    use ostraka_sim_model::ids::NodeIndex;

    fn after(blocks_lost: usize) -> AfterCut {
        AfterCut {
            nodes: vec![NodeIndex(0)],
            first: First::Process,
            dark: Duration::from_millis(100),
            blocks_lost,
            log_blocks_lost: 0,
            serving: Some(Duration::from_millis(300)),
            asked: 7,
            findings: Findings::default(),
        }
    }

    fn two_cuts(blocks_lost: usize) -> Figures {
        let mut figures = Figures::default();
        figures.cut(Stage::Alone, &after(0));
        figures.cut(Stage::Alone, &after(blocks_lost));
        figures.votes(Tallied::from([("processed".to_owned(), 14)]));
        figures
    }

    #[test]
    fn a_campaign_that_held_says_what_it_tried() {
        let (verdict, sentence) = two_cuts(3).verdict(2);
        assert_eq!(verdict, Verdict::Held);
        assert!(
            sentence.contains("2 power cuts; 1 of 2 that could be compared"),
            "{sentence}"
        );
        // Most of what is lost is not the log, and that it was seldom hit is no secret.
        assert!(
            sentence.contains("0 of them blocks of a vote log's db"),
            "{sentence}"
        );
        let mut figures = two_cuts(3);
        let mut log_hit = after(2);
        log_hit.log_blocks_lost = 1;
        figures.cut(Stage::Alone, &log_hit);
        let (_, sentence) = figures.verdict(3);
        assert!(
            sentence.contains("1 of them blocks of a vote log's db"),
            "{sentence}"
        );
    }

    #[test]
    fn what_tested_nothing_or_less_than_was_asked_for_is_inconclusive() {
        let unbitten = two_cuts(0).verdict(2);
        assert!(unbitten.0 == Verdict::Inconclusive && unbitten.1.contains("none of 2 cuts"));
        let short = two_cuts(1).verdict(3);
        assert!(short.0 == Verdict::Inconclusive && short.1.contains("only 2 of 3"));
        let mut silent = two_cuts(1);
        silent.votes.clear();
        assert_eq!(silent.verdict(2).0, Verdict::Inconclusive);
        let mut slow = two_cuts(1);
        slow.doubts.push("the load did not keep up".to_owned());
        assert_eq!(slow.verdict(2).0, Verdict::Inconclusive);
    }

    #[test]
    fn a_finding_breaks_it_whatever_else_is_wanting() {
        let mut figures = two_cuts(0);
        figures.findings.add(Finding::Lost, "voter 1");
        let (verdict, sentence) = figures.verdict(500);
        assert_eq!(verdict, Verdict::Broken);
        assert_eq!(sentence, "after 2 cuts: 1 lost");
    }

    #[test]
    fn times_to_serving_are_ranked() {
        let serving = Serving::of((1..=200).rev().collect());
        assert_eq!((serving.p50_ms, serving.p99_ms, serving.max_ms), (100, 198, 200));
        assert_eq!(Serving::of(Vec::new()), Serving::default());
    }
}
