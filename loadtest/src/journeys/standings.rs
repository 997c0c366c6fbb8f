//! What a watcher has been shown, and that nothing of it is ever taken back.

use std::collections::BTreeMap;

use ostraka_api::ids::{ContestantId, EventId};
use ostraka_api::{Consistency, EventStatus, LeaderboardResponse, StandingsPayload, TallyPayload};

/// Totals by contestant at a version, as one watcher knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standings {
    event: EventId,
    version: u64,
    totals: BTreeMap<ContestantId, u64>,
    /// No total may change any more.
    closed: bool,
}

impl Standings {
    pub(crate) fn new(event: EventId) -> Self {
        Self {
            event,
            version: 0,
            totals: BTreeMap::new(),
            closed: false,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn total(&self, contestant: ContestantId) -> u64 {
        self.totals.get(&contestant).copied().unwrap_or(0)
    }

    pub(crate) fn totals(&self) -> &BTreeMap<ContestantId, u64> {
        &self.totals
    }

    pub(crate) fn sum(&self) -> u64 {
        self.totals.values().sum()
    }

    /// Takes a `snapshot` or `closed` of the stream.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn take_standings(&mut self, shown: &StandingsPayload) -> Result<(), String> {
        let totals = shown
            .contestants
            .iter()
            .filter_map(|entry| Some((entry.contestant_id, entry.total_votes?)));
        self.take(shown.event_id, shown.version, shown.status, totals)
    }

    /// Takes a `tally` of the stream.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn take_tally(&mut self, shown: &TallyPayload) -> Result<(), String> {
        let totals = shown
            .contestants
            .iter()
            .map(|entry| (entry.contestant_id, entry.total_votes));
        self.take(shown.event_id, shown.version, shown.status, totals)
    }

    /// Takes a leaderboard that was asked for after all that was shown before. One that says it may be stale is passed
    /// over.
    ///
    /// # Errors
    /// As above.
    pub(crate) fn take_leaderboard(&mut self, shown: &LeaderboardResponse) -> Result<(), String> {
        if shown.consistency == Consistency::Stale {
            return Ok(());
        }
        let totals = shown
            .contestants
            .iter()
            .filter_map(|entry| Some((entry.contestant_id, entry.total_votes?)));
        self.take(shown.event_id, shown.version, shown.status, totals)
    }

    fn take(
        &mut self,
        event: EventId,
        version: u64,
        status: EventStatus,
        totals: impl Iterator<Item = (ContestantId, u64)>,
    ) -> Result<(), String> {
        if event != self.event {
            return Err(format!("who watches {} was shown {event}", self.event));
        }
        if version < self.version {
            return Err(format!(
                "{event}: the version went back from {} to {version}",
                self.version
            ));
        }
        if self.closed && status != EventStatus::Closed {
            return Err(format!("{event} was closed and is {status:?}"));
        }
        for (contestant, total) in totals {
            let before = self.total(contestant);
            if total < before {
                return Err(format!(
                    "{contestant}: the total went back from {before} to {total}, version {version}"
                ));
            }
            if self.closed && total != before {
                return Err(format!(
                    "{contestant}: the result changed after the close, from {before} to {total}"
                ));
            }
            self.totals.insert(contestant, total);
        }
        self.version = version;
        self.closed = status == EventStatus::Closed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ostraka_api::{LeaderboardEntry, ResultsPolicy, TallyEntry};

    use super::*;

    fn event() -> EventId {
        "e1".parse().unwrap()
    }

    fn contestant(number: usize) -> ContestantId {
        format!("e1-c{number}").parse().unwrap()
    }

    fn entries(totals: &[u64]) -> Vec<LeaderboardEntry> {
        let entry = |(number, total): (usize, &u64)| LeaderboardEntry {
            contestant_id: contestant(number),
            contestant_name: String::new(),
            total_votes: Some(*total),
        };
        totals.iter().enumerate().map(entry).collect()
    }

    fn snapshot(version: u64, status: EventStatus, totals: &[u64]) -> StandingsPayload {
        StandingsPayload {
            event_id: event(),
            event_name: String::new(),
            status,
            version,
            contestants: entries(totals),
        }
    }

    fn tally(version: u64, number: usize, total_votes: u64) -> TallyPayload {
        TallyPayload {
            event_id: event(),
            status: EventStatus::Open,
            version,
            previous_version: 0,
            contestants: vec![TallyEntry {
                contestant_id: contestant(number),
                total_votes,
            }],
            traces: Vec::new(),
            traces_omitted: 0,
        }
    }

    fn leaderboard(version: u64, consistency: Consistency, totals: &[u64]) -> LeaderboardResponse {
        LeaderboardResponse {
            event_id: event(),
            event_name: String::new(),
            status: EventStatus::Open,
            results: ResultsPolicy::Live,
            version,
            consistency,
            contestants: entries(totals),
        }
    }

    fn seen() -> Standings {
        let mut standings = Standings::new(event());
        standings
            .take_standings(&snapshot(5, EventStatus::Open, &[3, 4]))
            .unwrap();
        standings.take_tally(&tally(7, 1, 6)).unwrap();
        standings
    }

    #[test]
    fn what_only_grows_passes() {
        let mut standings = seen();
        standings.take_tally(&tally(7, 1, 6)).unwrap();
        assert_eq!((standings.version(), standings.sum()), (7, 9));
        assert_eq!(standings.total(contestant(1)), 6);
        let board = leaderboard(8, Consistency::Linearizable, &[4, 6]);
        standings.take_leaderboard(&board).unwrap();
        let stale = leaderboard(2, Consistency::Stale, &[0, 0]);
        standings.take_leaderboard(&stale).unwrap();
        let closing = snapshot(9, EventStatus::Closed, &[5, 6]);
        standings.take_standings(&closing).unwrap();
        standings.take_standings(&closing).unwrap();
        assert!(standings.closed());
    }

    #[test]
    fn a_total_that_goes_back_is_found() {
        let fault = seen().take_tally(&tally(8, 1, 5)).unwrap_err();
        assert!(
            fault.contains("e1-c1: the total went back from 6 to 5"),
            "{fault}"
        );
        let shown = snapshot(8, EventStatus::Open, &[3, 5]);
        assert!(seen().take_standings(&shown).is_err());
        let board = leaderboard(8, Consistency::Linearizable, &[2, 6]);
        assert!(seen().take_leaderboard(&board).is_err());
    }

    #[test]
    fn a_version_that_goes_back_is_found() {
        let fault = seen().take_tally(&tally(6, 1, 6)).unwrap_err();
        assert!(fault.contains("from 7 to 6"), "{fault}");
    }

    #[test]
    fn another_events_totals_are_found() {
        let mut standings = Standings::new("e2".parse().unwrap());
        let fault = standings.take_tally(&tally(6, 1, 6)).unwrap_err();
        assert!(fault.contains("who watches e2 was shown e1"), "{fault}");
    }

    #[test]
    fn a_result_that_changes_after_the_close_is_found() {
        let closed = || {
            let mut standings = seen();
            let closing = snapshot(9, EventStatus::Closed, &[3, 6]);
            standings.take_standings(&closing).unwrap();
            standings
        };
        let late = snapshot(10, EventStatus::Closed, &[3, 7]);
        let fault = closed().take_standings(&late).unwrap_err();
        assert!(fault.contains("after the close"), "{fault}");
        let reopened = snapshot(10, EventStatus::Open, &[3, 6]);
        assert!(closed().take_standings(&reopened).is_err());
    }
}
