//! Each kind of fault does harm, is counted for it, and is over when it should be.

use ostraka_core::{Batch, Command, UnixMs};
use ostraka_sim_model::history::{Answer, Happening, Life, LoggedEntry, VoteStatus};
use ostraka_sim_model::ids::{NodeIndex, SimMs};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{FaultKind, Target};

use crate::child::{Ran, run};
use crate::plans::{SLOT, plan};
use crate::quiet::{boards, sum};

const STORM_MS: u64 = 2_500;
const AT_MS: u64 = 600;
const FOR_MS: u64 = 900;
const LEADER: Target = Target::Leader;

/// Whether a node's life ended as the fault should have ended it.
type Ends = fn(&Life) -> bool;

fn storm(kind: FaultKind) -> Ran {
    run(&plan(3, STORM_MS, vec![(AT_MS, FOR_MS, kind)]))
}

/// All nodes are back and show the same, in which nothing is missing that was acknowledged.
fn assert_healed(ran: &Ran, what: &str) {
    let boards = boards(ran);
    assert_eq!(boards.len(), 3, "{what}: some node is not back");
    assert!(
        boards.iter().all(|board| board == &boards[0]),
        "{what}: {boards:?}"
    );
    let acked = ran.all(|happening| match happening {
        Happening::Answered {
            answer: Answer::Vote { status, .. },
            ..
        } => (*status == VoteStatus::Processed).then_some(()),
        _ => None,
    });
    let counted = sum(&boards[0]);
    assert!(acked.len() > 3, "{what}: {} votes were acknowledged", acked.len());
    assert!(
        counted >= acked.len() as u64,
        "{what}: {counted} of {}",
        acked.len()
    );
}

fn assert_bites(kind: FaultKind) -> Ran {
    let what = format!("{kind:?}");
    let ran = storm(kind);
    assert!(ran.bites(0) > 0, "{what} did no harm");
    assert_healed(&ran, &what);
    ran
}

fn lives(ran: &Ran, of: NodeIndex) -> Vec<Life> {
    ran.all(|what| match what {
        Happening::Node { node, life } if *node == of => Some(life.clone()),
        _ => None,
    })
}

#[test]
fn faults_of_links_bite() {
    let period_ms = SimMs(200);
    let follower = Target::Follower;
    for kind in [
        FaultKind::Isolate { target: LEADER },
        FaultKind::OneWay {
            from: LEADER,
            to: follower,
        },
        FaultKind::Flap {
            target: follower,
            period_ms,
        },
        FaultKind::SlowLinks {
            target: LEADER,
            extra_ms: 80,
        },
        FaultKind::Loss { ppm: 50_000 },
        FaultKind::Hold { target: LEADER },
    ] {
        assert_bites(kind);
    }
}

#[test]
fn an_isolated_leader_is_replaced_and_its_clients_do_not_know_their_votes_fate() {
    let ran = assert_bites(FaultKind::Isolate { target: LEADER });
    let leads = ran.all(|what| match what {
        Happening::Node {
            node,
            life: Life::Leads { term },
        } => Some((*node, *term)),
        _ => None,
    });
    assert!(leads.len() > 1, "nobody else took the lead: {leads:?}");
    assert_ne!(leads[0].0, leads[1].0);
    let unknown = ran.all(|what| match what {
        Happening::Answered {
            answer: Answer::Unknown { .. },
            ..
        } => Some(()),
        _ => None,
    });
    assert!(!unknown.is_empty(), "its clients still reached it");
}

#[test]
fn faults_of_processes_bite_and_the_node_comes_back() {
    let expected: [(FaultKind, Ends); 4] = [
        (
            FaultKind::PowerCut {
                target: LEADER,
                kept: 0,
            },
            |life| matches!(life, Life::LostPower { .. }),
        ),
        (FaultKind::Kill { target: LEADER }, |life| *life == Life::Killed),
        (FaultKind::Restart { target: LEADER }, |life| {
            *life == Life::StoppedGracefully
        }),
        (
            FaultKind::CrashLoop {
                target: LEADER,
                period_ms: SimMs(300),
            },
            |life| *life == Life::Killed,
        ),
    ];
    for (kind, ends) in expected {
        let ran = assert_bites(kind.clone());
        let node = ran.hit(0).expect("somebody led");
        let lives = lives(&ran, node);
        assert!(lives.iter().any(ends), "{kind:?}: {lives:?}");
        let started = lives.iter().filter(|life| **life == Life::Started).count();
        let crashes = if matches!(kind, FaultKind::CrashLoop { .. }) {
            3
        } else {
            1
        };
        assert!(started > crashes, "{kind:?}: {lives:?}");
        assert!(
            matches!(lives.last(), Some(Life::Ready | Life::Leads { .. })),
            "{kind:?}: {lives:?}"
        );
    }
}

#[test]
fn a_blackout_takes_every_node_and_no_acknowledged_vote() {
    let ran = assert_bites(FaultKind::Blackout { kept: 1 });
    assert!(ran.bites(0) >= 3, "all three lose power");
}

#[test]
fn failing_and_full_disks_stop_their_node_with_a_sentence() {
    for (kind, sentence) in [
        (FaultKind::DiskError { target: LEADER }, "check the disk"),
        (FaultKind::DiskFull { target: LEADER }, "disk full"),
    ] {
        let ran = assert_bites(kind);
        let node = ran.hit(0).expect("somebody led");
        let failed = lives(&ran, node).into_iter().find_map(|life| match life {
            Life::Failed(why) => Some(why),
            _ => None,
        });
        let failed = failed.expect("a node whose disk fails stops by itself");
        assert!(failed.contains(sentence), "{failed}");
    }
}

#[test]
fn slow_disks_wrong_clocks_operators_and_crowds_bite() {
    for kind in [
        FaultKind::SlowDisk {
            target: LEADER,
            barrier_ms: 60,
        },
        FaultKind::LeaveAndJoin {
            target: Target::Follower,
        },
        FaultKind::TransferLeadership { to: NodeIndex(2) },
        FaultKind::Overload {
            slot: SLOT,
            clients: 6,
            submissions: 60,
        },
    ] {
        assert_bites(kind);
    }
}

/// Also where the service cannot take it all: what is done and not counted would make the fault look idle.
#[test]
fn a_crowd_goes_home_with_its_fault() {
    let ran = assert_bites(FaultKind::Overload {
        slot: SLOT,
        clients: 32,
        submissions: 10_000,
    });
    let ends_at = (AT_MS + FOR_MS) * 1_000;
    let late = ran.history.records.iter().filter(|record| {
        let Happening::Durable { entry, .. } = &record.what else {
            return false;
        };
        // What was on its way when the crowd went may still arrive.
        record.at.0 > ends_at + 300_000 && overload_votes(entry) > 0
    });
    assert_eq!(late.count(), 0, "nobody submits when the fault is over");
}

fn overload_votes(entry: &LoggedEntry) -> usize {
    let commands = Batch::decode(&entry.body).map_or_else(|_| Vec::new(), |batch| batch.commands);
    let of_crowd = |command: &Command| matches!(command, Command::CastVote(vote) if names::overload_of_voter(vote.voter).is_some());
    commands.iter().filter(|command| of_crowd(command)).count()
}

#[test]
fn a_clock_that_jumps_stamps_what_it_shows() {
    let by_ms = 60_000;
    let ran = assert_bites(FaultKind::ClockJump {
        target: LEADER,
        by_ms,
    });
    let formed = ran.all(|what| match what {
        Happening::Formed { true_time } => Some(*true_time),
        _ => None,
    });
    let ahead = UnixMs(formed[0].0 + by_ms.unsigned_abs());
    let stamped_ahead = ran.all(|what| match what {
        Happening::Durable { entry, .. } => (entry.stamped_at > ahead).then_some(()),
        _ => None,
    });
    assert!(!stamped_ahead.is_empty(), "the leader stamps by its own clock");
}

#[test]
fn a_fault_that_finds_nobody_to_harm_says_so() {
    let node = Target::Node(NodeIndex(1));
    let ran = run(&plan(
        3,
        STORM_MS,
        vec![
            (
                AT_MS,
                FOR_MS,
                FaultKind::PowerCut {
                    target: node,
                    kept: 0,
                },
            ),
            (AT_MS + 300, 200, FaultKind::Kill { target: node }),
            // It leads since the cluster was formed.
            (
                STORM_MS - 700,
                100,
                FaultKind::TransferLeadership { to: NodeIndex(0) },
            ),
        ],
    ));
    assert!(ran.bites(0) > 0);
    assert_eq!(
        (ran.bites(1), ran.hit(1)),
        (0, None),
        "a dead process cannot be killed"
    );
    assert_eq!(ran.bites(2), 0, "leadership moved nowhere");
    assert_healed(&ran, "a kill of nobody");
}
