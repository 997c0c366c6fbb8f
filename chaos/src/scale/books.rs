//! What was cast against what both nodes show and hold.
//!
//! Every voter votes once. A state counts a voter at most once, and `ostraka verify` has recounted that from the whole log by
//! itself; so where a node's total is exactly what was acknowledged, each acknowledged vote is counted once. Votes of which
//! nobody knows, though they were asked for again, leave room for as many more.

use std::sync::Arc;

use ostraka_sim_model::ids::NodeIndex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::ground::Ground;
use super::stock::Stock;
use crate::Trouble;
use crate::books::{Board, Finding, Findings};
use crate::load::{Ballot, Load, Polls, Tallied};
use crate::reckon::{ask_again, board, settled};

/// Votes that were cast so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cast {
    /// Told to be counted.
    pub(super) acked: u64,
    /// Nobody knows.
    pub(super) in_doubt: u64,
    pub(super) next_voter: u32,
    /// Votes of the loads after the filling, by outcome.
    pub(super) tallied: Tallied,
    pub(super) findings: Findings,
}

/// What the nodes came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Books {
    pub acked: u64,
    pub in_doubt: u64,
    /// What each node shows, all contestants together.
    pub shown: Vec<u64>,
    /// What `ostraka verify` has counted in each folder.
    pub verified: Vec<u64>,
    /// Snapshots that it compared with the log applied anew, byte for byte.
    pub snapshots_compared: u64,
    /// Votes of the loads after the filling, by outcome.
    pub votes: Tallied,
    pub findings: Findings,
}

/// What is read of `ostraka verify --json`.
#[derive(Deserialize)]
struct Verified {
    agrees: bool,
    votes_counted: u64,
    snapshots_compared: Vec<u64>,
}

impl Cast {
    pub(super) fn of(stock: &Stock) -> Self {
        Self {
            acked: stock.acked,
            in_doubt: stock.in_doubt,
            next_voter: stock.next_voter,
            ..Self::default()
        }
    }

    /// Ends a load, asks again for what nobody knows, and takes its votes into account. Gives them back for figures; their times
    /// are those of the first answer.
    pub(super) fn take_in(&mut self, runtime: &Runtime, polls: &Arc<Polls>, load: Load) -> Vec<Ballot> {
        let shared = load.ledger();
        let sent = runtime.block_on(load.end());
        let as_it_was = shared.lock().ballots().to_vec();
        runtime.block_on(ask_again(polls.clone(), shared.clone()));
        let ledger = shared.lock();
        self.count(ledger.tallied(), ledger.ballots().len());
        if sent.ledger_full {
            self.findings
                .add(Finding::Unresolved, "a load ended early: its ledger was full");
        }
        as_it_was
    }

    fn count(&mut self, tallied: Tallied, votes: usize) {
        for (word, count) in tallied {
            match word.as_str() {
                "processed" => self.acked += count,
                // Certainly not counted.
                word if word == "not_taken" || word.starts_with("refused_") => {}
                "unknown" | "under_way" => self.in_doubt += count,
                told => self
                    .findings
                    .add(Finding::ToldOtherwise, format!("{count} votes were told {told}")),
            }
            *self.tallied.entry(word).or_default() += count;
        }
        self.next_voter += u32::try_from(votes).unwrap_or(u32::MAX);
    }
}

impl Ground<'_> {
    /// Waits until both nodes have applied the same, asks both, stops them, and has both folders verified.
    pub(super) fn close_books(&self, cast: Cast) -> Result<Books, Trouble> {
        let mut boards = Vec::new();
        let is_settled = settled(self.rig).is_some();
        for endpoint in self.rig.public_endpoints() {
            let client = self.polls.client_at(&endpoint);
            let shown = self.runtime.block_on(self.polls.leaderboard(&client));
            boards.push(board(endpoint, shown)?);
        }
        let mut verified = Vec::new();
        for index in self.rig.indexes() {
            self.rig.stop(index)?;
        }
        for index in self.rig.indexes() {
            verified.push((index, self.rig.verify(index)));
        }
        Ok(compare(cast, is_settled, &boards, verified))
    }
}

fn compare(
    cast: Cast,
    is_settled: bool,
    boards: &[Board],
    verified: Vec<(NodeIndex, Result<String, Trouble>)>,
) -> Books {
    let mut books = Books {
        acked: cast.acked,
        in_doubt: cast.in_doubt,
        votes: cast.tallied,
        findings: cast.findings,
        ..Books::default()
    };
    if !is_settled {
        let sentence = "nobody votes, and the nodes do not come to have applied the same entry";
        books.findings.add(Finding::LogsDiffer, sentence);
    }
    for board in boards {
        let total = board.totals.iter().sum();
        books.shown.push(total);
        books.judge(total, &board.of);
        if board.totals != boards[0].totals {
            let sentence = format!("{} and {} show different totals", boards[0].of, board.of);
            books.findings.add(Finding::BoardDiffers, sentence);
        }
    }
    for (index, report) in verified {
        let parsed = report.and_then(|text| {
            serde_json::from_str::<Verified>(&text)
                .map_err(|error| Trouble::failed(format!("`ostraka verify` cannot be read: {error}")))
        });
        match parsed {
            Ok(report) if report.agrees => {
                books.verified.push(report.votes_counted);
                books.snapshots_compared += report.snapshots_compared.len() as u64;
                books.judge(report.votes_counted, &format!("the log of node {index}"));
            }
            Ok(_) => books
                .findings
                .add(Finding::AuditFailed, format!("node {index} does not agree")),
            Err(trouble) => books.findings.add(Finding::AuditFailed, trouble),
        }
    }
    books
}

impl Books {
    fn judge(&mut self, counted: u64, whose: &str) {
        let (acked, most) = (self.acked, self.acked + self.in_doubt);
        if counted < acked {
            let sentence = format!("{whose} counts {counted} votes, and {acked} were acknowledged");
            self.findings.add(Finding::Lost, sentence);
        }
        if counted > most {
            let sentence = format!("{whose} counts {counted} votes, and at most {most} were cast");
            self.findings.add(Finding::Doubled, sentence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cast() -> Cast {
        Cast {
            acked: 100,
            in_doubt: 2,
            ..Cast::default()
        }
    }

    fn books(totals: [&[u64]; 2], counted: [u64; 2]) -> Books {
        let boards = totals.map(|totals| Board {
            of: format!("node of {}", totals[0]),
            totals: totals.to_vec(),
        });
        let report =
            |counted| format!(r#"{{"agrees": true, "votes_counted": {counted}, "snapshots_compared": [7]}}"#);
        let verified = (0..).map(NodeIndex).zip(counted.map(|one| Ok(report(one))));
        compare(cast(), true, &boards, verified.collect())
    }

    #[test]
    fn books_balance_within_doubt() {
        let whole = books([&[90, 10], &[90, 10]], [100, 100]);
        assert!(whole.findings.is_empty(), "{:?}", whole.findings);
        assert_eq!((whole.shown, whole.snapshots_compared), (vec![100, 100], 2));
        assert!(books([&[92, 10], &[92, 10]], [102, 102]).findings.is_empty());
    }

    #[test]
    fn a_vote_less_or_one_too_many_or_elsewhere_is_found() {
        let lost = books([&[90, 10], &[89, 10]], [100, 99]).findings;
        assert_eq!(
            (lost.count(Finding::Lost), lost.count(Finding::BoardDiffers)),
            (2, 1)
        );
        let doubled = books([&[93, 10], &[93, 10]], [103, 103]).findings;
        assert_eq!(doubled.count(Finding::Doubled), 4);
        let elsewhere = books([&[90, 10], &[89, 11]], [100, 100]).findings;
        assert_eq!(elsewhere.count(Finding::BoardDiffers), 1);
    }

    #[test]
    fn a_folder_that_is_not_agreed_with_is_found() {
        let disagrees = r#"{"agrees": false, "votes_counted": 100, "snapshots_compared": []}"#;
        for report in [
            Ok(disagrees.to_owned()),
            Ok("x".to_owned()),
            Err(Trouble::failed("no")),
        ] {
            let books = compare(cast(), true, &[], vec![(NodeIndex(0), report)]);
            assert_eq!(books.findings.count(Finding::AuditFailed), 1);
        }
        let books = compare(cast(), false, &[], Vec::new());
        assert_eq!(books.findings.count(Finding::LogsDiffer), 1);
    }

    #[test]
    fn only_processed_is_counted_and_only_not_knowing_leaves_room() {
        let mut all = cast();
        let words = [
            ("processed", 5),
            ("unknown", 1),
            ("not_taken", 3),
            ("refused_503_x", 1),
            ("duplicate", 1),
        ];
        all.count(words.map(|(word, count)| (word.to_owned(), count)).into(), 11);
        assert_eq!((all.acked, all.in_doubt, all.next_voter), (105, 3, 11));
        assert_eq!(all.findings.count(Finding::ToldOtherwise), 1);
    }
}
