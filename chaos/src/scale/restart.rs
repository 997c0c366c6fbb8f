//! A node is killed under load and started: until when does it serve again?

use std::time::{Duration, Instant};

use ostraka_sim_model::ids::NodeIndex;
use serde::Serialize;

use super::books::Cast;
use super::ground::Ground;
use crate::Trouble;
use crate::failover::{median, millis};
use crate::limits::{
    SCALE_AFTER_START, SCALE_BEFORE_KILL, SCALE_LOOK_PAUSE, SCALE_START_IN_FLIGHT_MAX, SCALE_START_WAIT,
};
use crate::load::{Fate, Ledger, Load, LoadOptions};
use crate::proc;

/// One start, times from its process's beginning.
#[derive(Clone, Debug, Serialize)]
pub struct Restart {
    /// Votes acknowledged over the node's life when it was killed.
    pub votes: u64,
    /// Until `/readyz` says 200.
    pub ready_ms: u64,
    /// Until somebody was told that a vote is counted.
    pub first_ack_ms: u64,
    /// Until a leaderboard was shown that holds every vote acknowledged until it was asked for, and none that was not cast.
    pub board_ms: u64,
    /// Leaderboards shown before, that did not.
    pub boards_wrong: u64,
    /// Entries that were not in the newest snapshot: applied anew, and the few of the first votes after the start.
    pub replayed_entries: u64,
    /// Processor time that the process had used by the time that all three were there.
    pub cpu_ms: u64,
    /// What the node said of its start.
    pub said: Vec<String>,
}

impl Restart {
    /// Until it served in every respect.
    pub fn serving_ms(&self) -> u64 {
        self.ready_ms.max(self.first_ack_ms).max(self.board_ms)
    }
}

/// The middle one and the slowest one, ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spans {
    pub median_ms: u64,
    pub worst_ms: u64,
}

impl Spans {
    pub(super) fn of(restarts: &[Restart], which: impl Fn(&Restart) -> u64) -> Option<Self> {
        let all: Vec<_> = restarts
            .iter()
            .map(|restart| Duration::from_millis(which(restart)))
            .collect();
        let worst = *all.iter().max()?;
        Some(Self {
            median_ms: millis(median(all)?),
            worst_ms: millis(worst),
        })
    }
}

const NODE: NodeIndex = NodeIndex(0);

impl Ground<'_> {
    /// Votes for a while, kills, starts, waits until all of it works again, and votes on for a while.
    pub(super) fn restart(&self, options: LoadOptions, cast: &mut Cast) -> Result<Restart, Trouble> {
        let options = LoadOptions {
            in_flight_max: SCALE_START_IN_FLIGHT_MAX,
            ..options
        };
        let load = Load::begin(self.runtime.handle(), self.polls.clone(), options);
        std::thread::sleep(SCALE_BEFORE_KILL);
        self.rig.kill(NODE)?;
        let votes = cast.acked + load.ledger().lock().acked() as u64;
        let said_before = self.rig.log(NODE)?.len();
        let started = Instant::now();
        self.rig.launch(NODE)?;
        let (ready, board) = std::thread::scope(|scope| {
            let ready = scope.spawn(|| self.until_ready(started));
            let board = self.until_board(started, &load, cast);
            let ready = ready
                .join()
                .unwrap_or_else(|_| Err(Trouble::failed("a watching thread panicked")));
            Ok::<_, Trouble>((ready?, board?))
        })?;
        let first_ack = self.until_acked(started, &load)?;
        let cpu = proc::cpu_time(self.rig.running(NODE)?).unwrap_or_default();
        let replayed_entries = self.replayed()?;
        std::thread::sleep(SCALE_AFTER_START);
        cast.take_in(self.runtime, self.polls, load);
        let said = self.rig.log(NODE)?.split_off(said_before);
        Ok(Restart {
            votes,
            ready_ms: millis(ready),
            first_ack_ms: millis(first_ack),
            board_ms: millis(board.at),
            boards_wrong: board.wrong_before,
            replayed_entries,
            cpu_ms: millis(cpu),
            said: said.lines().map(str::to_owned).collect(),
        })
    }

    fn until_ready(&self, started: Instant) -> Result<Duration, Trouble> {
        while started.elapsed() < SCALE_START_WAIT {
            if self.rig.is_ready(NODE) {
                return Ok(started.elapsed());
            }
            if self.rig.pid(NODE)?.is_none() {
                break;
            }
            std::thread::sleep(SCALE_LOOK_PAUSE);
        }
        // It says why.
        self.rig.wait_ready(NODE)?;
        Ok(started.elapsed())
    }

    fn until_board(&self, started: Instant, load: &Load, cast: &Cast) -> Result<Seen, Trouble> {
        let client = self.polls.client_at(&self.rig.place(NODE)?.public());
        let ledger = load.ledger();
        let mut wrong_before = 0;
        while started.elapsed() < SCALE_START_WAIT {
            let at_least = cast.acked + ledger.lock().acked() as u64;
            let shown = self.runtime.block_on(self.polls.leaderboard(&client));
            let at = started.elapsed();
            if let Ok(board) = shown {
                let total: u64 = board
                    .contestants
                    .iter()
                    .filter_map(|entry| entry.total_votes)
                    .sum();
                let at_most = cast.acked + cast.in_doubt + ledger.lock().ballots().len() as u64;
                if (at_least..=at_most).contains(&total) {
                    return Ok(Seen { at, wrong_before });
                }
                wrong_before += 1;
            }
            std::thread::sleep(SCALE_LOOK_PAUSE);
        }
        Err(Trouble::service(format!(
            "no right leaderboard within {} s of a start ({wrong_before} wrong ones)",
            SCALE_START_WAIT.as_secs()
        )))
    }

    fn until_acked(&self, started: Instant, load: &Load) -> Result<Duration, Trouble> {
        let ledger = load.ledger();
        let from = started - load.begun();
        let mut first = None;
        proc::wait_until(SCALE_START_WAIT, || {
            first = first_acked(&ledger.lock(), from);
            first.is_some()
        });
        first
            .map(|at| at - from)
            .ok_or_else(|| Trouble::service("no vote was acknowledged after a start"))
    }

    /// How far the log goes beyond the newest snapshot, as the node says once it serves.
    fn replayed(&self) -> Result<u64, Trouble> {
        let status = self.rig.status(NODE)?;
        let vote = status.vote();
        let vote = vote.ok_or_else(|| Trouble::service("a node that is up says nothing of its vote log"))?;
        Ok(vote.applied_index - vote.snapshot_index)
    }
}

struct Seen {
    at: Duration,
    wrong_before: u64,
}

/// The first acknowledgement after `from`.
fn first_acked(ledger: &Ledger, from: Duration) -> Option<Duration> {
    let acked = ledger
        .ballots()
        .iter()
        .filter(|ballot| matches!(ballot.fate, Fate::Acked(_)));
    acked
        .filter_map(|ballot| ballot.answered)
        .filter(|at| *at > from)
        .min()
}

/// The load of one step, of voters who have not voted yet.
pub(super) fn load_of(options: LoadOptions, cast: &Cast) -> LoadOptions {
    LoadOptions {
        first_voter: cast.next_voter,
        seed: options.seed.wrapping_add(u64::from(cast.next_voter)),
        ..options
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::load::Told;
    use ostraka_api::VoteStatus;
    use ostraka_core::ids::{ContestantIndex, VoterNumber};

    pub(in crate::scale) fn restart(ready_ms: u64, first_ack_ms: u64, board_ms: u64) -> Restart {
        Restart {
            votes: 10_000_000,
            ready_ms,
            first_ack_ms,
            board_ms,
            boards_wrong: 0,
            replayed_entries: 7,
            cpu_ms: 1,
            said: Vec::new(),
        }
    }

    #[test]
    fn a_node_serves_when_the_last_of_three_things_works() {
        assert_eq!(restart(3, 1, 2).serving_ms(), 3);
        assert_eq!(restart(1, 3, 2).serving_ms(), 3);
        assert_eq!(restart(1, 2, 3).serving_ms(), 3);
    }

    #[test]
    fn the_middle_and_the_worst_of_all_starts_are_told() {
        let all = [restart(9, 1, 1), restart(2, 1, 1), restart(5, 1, 1)];
        let expected = Spans {
            median_ms: 5,
            worst_ms: 9,
        };
        assert_eq!(Spans::of(&all, |one| one.ready_ms), Some(expected));
        assert_eq!(Spans::of(&[], |one| one.ready_ms), None);
    }

    #[test]
    fn the_first_acknowledgement_is_the_earliest_after_the_start_whoever_voted_first() {
        let ms = Duration::from_millis;
        let mut ledger = Ledger::new(VoterNumber(1), 9);
        let acked = |id: &str| {
            Fate::Acked(Told {
                id: id.parse().unwrap(),
                status: VoteStatus::Processed,
            })
        };
        let slots: Vec<_> = (0..4)
            .map(|at| ledger.open(ContestantIndex(0), ms(at), ms(0)).unwrap().0)
            .collect();
        ledger.close(slots[0], ms(90), 1, acked("before"));
        ledger.close(slots[1], ms(300), 1, acked("a"));
        ledger.close(slots[2], ms(200), 1, acked("b"));
        let lost = Fate::Unknown {
            last_error: "cut".into(),
        };
        ledger.close(slots[3], ms(150), 1, lost);
        assert_eq!(first_acked(&ledger, ms(100)), Some(ms(200)));
        assert_eq!(first_acked(&ledger, ms(300)), None);
    }
}
