//! What must happen sometimes. A campaign in which no leader was ever lost with a batch in flight has not tested that,
//! whatever it says. Each point is found in plan and history alone; production code knows nothing of it.

mod clients;
mod coverage;
mod nodes;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use coverage::{Coverage, FaultCount};

use crate::case::Case;

macro_rules! points {
    ($($point:ident = $found:path, $sentence:literal;)+) => {
        /// Something that a campaign must have met.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Point {
            $(#[doc = $sentence] $point,)+
        }

        impl Point {
            pub const ALL: &[Point] = &[$(Point::$point),+];

            /// For a person.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Point::$point => $sentence,)+
                }
            }

            /// Whether the run met it.
            pub fn is_met(self, case: &Case) -> bool {
                match self {
                    $(Point::$point => $found(case),)+
                }
            }
        }
    };
}

points! {
    LeaderLostWithBatchInFlight = nodes::leader_lost_with_batch_in_flight, "a leader died while a submission that was on its disk had no answer";
    EntryDroppedByFollower = nodes::entry_dropped, "a disk dropped a batch that had never been committed";
    OldTermEntryCommittedLater = nodes::old_term_committed_later, "a batch of a dead leader was committed by its successor";
    TermsOverlapped = nodes::terms_overlapped, "a node was cut off as leader while another led a later term";
    LeadershipTransferred = nodes::leadership_transferred, "leadership was handed over on request";
    SnapshotTaken = nodes::snapshot_taken, "a node took a snapshot";
    SnapshotInstalled = nodes::snapshot_installed, "a node went on from another node's snapshot";
    SnapshotToldWatchers = clients::snapshot_told_watchers, "a viewer was told what its node had learned from another node's snapshot alone";
    RejoinedAfterPurge = nodes::rejoined_after_purge, "a node came back, and the log that it lacked was purged";
    UnsyncedChangesLost = nodes::unsynced_changes_lost, "a power cut took changes that no barrier had covered";
    TornTail = nodes::torn_tail, "a power cut took some of the changes no barrier had covered, and left the first";
    BlackoutSurvived = nodes::blackout_survived, "all nodes lost power, and votes acknowledged before stand";
    DiskStoppedNode = nodes::disk_stopped_node, "a node stopped by itself because its disk failed or was full";
    RottenNodeReplaced = nodes::rotten_node_replaced, "a node refused to start on disks that had rotted, and caught up on empty ones";
    EveryNodeRestarted = nodes::every_node_restarted, "every node was stopped and started in one run";
    NodeLeftAndCameBack = nodes::left_and_came_back, "a node left the cluster and joined it again";
    QuorumLost = nodes::quorum_lost, "so many nodes were down at once that nothing could be committed";
    TimeRanBack = nodes::time_ran_back, "an entry was stamped earlier than one before it";
    ClockJumpAcrossClose = nodes::clock_jump_across_close, "a scheduled closing came while a clock had jumped";
    UnknownThenCounted = clients::unknown_then_counted, "a client never learned the outcome of a vote that counts";
    UnknownAndGone = clients::unknown_and_gone, "a submission whose outcome stayed unknown is in no log";
    RetryGotFirstOutcome = clients::retry_got_first_outcome, "a retry after an unknown outcome got the outcome of the first attempt";
    RetryThroughAnotherNode = clients::retry_through_another_node, "a retry through another node got the first vote id";
    DuplicateThroughAnotherNodeAfterFailover = clients::duplicate_after_failover, "another submission of a voter, through another node and after a change of leader, was a duplicate";
    TwoAttemptsInOneEntry = clients::two_attempts_in_one_entry, "a submission stands twice in one entry of the log";
    TooManySubmissions = clients::too_many_submissions, "a voter was refused for too many submissions";
    VotedBeforeOpening = clients::voted_before_opening, "a vote came before its event was open";
    CloseRacedVotes = clients::close_raced_votes, "votes that were on their way together with a close got different verdicts";
    CloseWithinEntry = clients::close_within_entry, "an event was closed between two votes of one entry";
    ScheduledCloseRacedVotes = clients::scheduled_close_raced_votes, "a scheduled closing came with a vote, in the same entry";
    HiddenResultsRevealed = clients::hidden_results_revealed, "totals hidden until the close were shown after it";
    OverloadShed = clients::overload_shed, "a request was refused because there were too many";
    StaleLeaderboard = clients::stale_leaderboard, "a leaderboard said of itself that it may be stale";
    StreamResumedOnAnotherNode = clients::stream_resumed_elsewhere, "a viewer went on with another node";
    ClosedWhileAway = clients::closed_while_away, "an event closed while a viewer was not connected, and the viewer was told";
}

/// All points that a run met.
pub fn met(case: &Case) -> BTreeSet<Point> {
    Point::ALL
        .iter()
        .copied()
        .filter(|point| point.is_met(case))
        .collect()
}

#[cfg(test)]
mod tests;
