//! Each excuse, granted and refused. A clean run is played on by a fault that did nothing, between `from` and `to`.

use super::*;
use crate::history::{Life, Record};
use crate::ids::{FaultId, OperationId, SimMs};
use crate::names::overload_voter;
use crate::plan::Fault;
use crate::testing::{Run, clean, vote};
use crate::verdict::judge;

const LEADER: Target = Target::Leader;
/// In a clean run nothing happens between these.
const QUIET: (u64, u64) = (1_000, 6_000);
/// All of the storm's entries and questions lie between these.
const BUSY: (u64, u64) = (50, 5_050);

struct Story(Run);

impl Story {
    /// Node 0 leads.
    fn new() -> Self {
        Story(clean()).life(0, 0, Life::Leads { term: 1 })
    }

    fn at(mut self, ms: u64, what: Happening) -> Self {
        let at = SimMicros(ms * 1_000);
        self.0.history.records.push(Record { at, what });
        self
    }

    fn life(self, ms: u64, node: u8, life: Life) -> Self {
        let node = NodeIndex(node);
        self.at(ms, Happening::Node { node, life })
    }

    fn down(self, node: u8, from: u64, to: u64) -> Self {
        let killed = self.life(from, node, Life::Killed);
        killed.life(to, node, Life::Started).life(to, node, Life::Ready)
    }

    fn fault(mut self, kind: FaultKind, node: Option<u8>, (from, to): (u64, u64), bites: u64) -> Self {
        let fault = FaultId(self.0.plan.faults.len() as u16);
        self.0.plan.faults.push(Fault {
            id: fault,
            at_ms: SimMs(from),
            for_ms: SimMs(to - from),
            kind,
        });
        let node = node.map(NodeIndex);
        self.at(from, Happening::FaultBegan { fault, node })
            .at(to, Happening::FaultEnded { fault, bites })
    }

    /// Whether each fault that did nothing was excused.
    fn excused(mut self) -> bool {
        self.0.history.records.sort_by_key(|record| record.at);
        let judgement = judge(&self.0.plan, &self.0.history);
        let is_idle = |sentence: &&String| sentence.contains("did nothing");
        let refused = judgement.vacuous.iter().filter(is_idle).count();
        assert_eq!(refused + judgement.missed.len(), 1, "{judgement:#?}");
        refused == 0
    }
}

fn idle(kind: FaultKind, node: Option<u8>, span: (u64, u64)) -> Story {
    Story::new().fault(kind, node, span, 0)
}

fn isolate() -> FaultKind {
    FaultKind::Isolate { target: LEADER }
}

fn hold() -> FaultKind {
    FaultKind::Hold { target: LEADER }
}

#[test]
fn whoever_was_dead_cannot_be_killed() {
    let kinds = [
        FaultKind::Kill { target: LEADER },
        FaultKind::PowerCut {
            target: LEADER,
            kept: 0,
        },
        FaultKind::Restart { target: LEADER },
        FaultKind::CrashLoop {
            target: LEADER,
            period_ms: SimMs(400),
        },
    ];
    for kind in kinds {
        let alive = idle(kind.clone(), None, (1_000, 1_300));
        assert!(!alive.excused(), "{kind:?}");
        let hit = idle(kind.clone(), Some(0), (1_000, 1_300)).down(0, 900, 2_000);
        assert!(!hit.excused(), "{kind:?}");
        let other = idle(kind.clone(), None, (1_000, 1_300)).down(1, 900, 2_000);
        assert!(!other.excused(), "{kind:?}");
        let dead = idle(kind.clone(), None, (1_000, 1_300)).down(0, 900, 1_100);
        assert!(dead.excused(), "{kind:?}");
    }
    let again = FaultKind::CrashLoop {
        target: LEADER,
        period_ms: SimMs(400),
    };
    let came_back = idle(again, None, (1_000, 3_000)).down(0, 900, 1_100);
    assert!(!came_back.excused(), "it could be killed the second time");
}

#[test]
fn a_blackout_needs_all_to_be_dark_already() {
    let blackout = || idle(FaultKind::Blackout { kept: 0 }, None, QUIET);
    assert!(!blackout().excused());
    assert!(!blackout().down(0, 900, 2_000).excused());
    assert!(!blackout().down(0, 900, 2_000).down(1, 900, 2_000).excused());
    let all = blackout().down(0, 900, 2_000).down(1, 900, 2_000);
    assert!(all.down(2, 900, 2_000).excused());
}

#[test]
fn a_node_is_silent_while_it_is_down_or_nobody_leads() {
    let cut = || idle(isolate(), Some(1), QUIET);
    assert!(!cut().excused());
    assert!(!cut().down(1, 5_999, 8_000).excused(), "a touch is no cover");
    assert!(cut().down(1, 1_500, 8_000).excused());
    assert!(!cut().down(0, 5_999, 8_000).excused());
    assert!(cut().down(0, 900, 8_000).excused(), "the leader was down");
    let elected = cut().down(0, 900, 8_000).life(1_500, 2, Life::Leads { term: 2 });
    assert!(!elected.excused(), "another led soon");
}

#[test]
fn another_fault_of_the_links_must_have_hit_the_same_node_for_long() {
    let cut = || idle(isolate(), Some(1), QUIET);
    let slow = FaultKind::SlowLinks {
        target: LEADER,
        extra_ms: 1,
    };
    assert!(!cut().fault(slow, Some(2), (1_000, 1_001), 1).excused());
    assert!(!cut().fault(hold(), Some(2), (900, 7_000), 9).excused());
    assert!(!cut().fault(hold(), Some(1), (900, 2_000), 9).excused());
    assert!(cut().fault(hold(), Some(1), (900, 7_000), 9).excused());
    let loss = |ppm| FaultKind::Loss { ppm };
    assert!(!cut().fault(loss(5_000), None, (900, 7_000), 9).excused());
    assert!(cut().fault(loss(900_000), None, (900, 7_000), 9).excused());
}

#[test]
fn what_holds_links_holds_the_clients_too() {
    assert!(idle(hold(), Some(1), QUIET).down(0, 900, 8_000).excused());
    let asked = idle(hold(), Some(1), BUSY).down(0, 40, 8_000);
    assert!(!asked.excused(), "clients have asked the node");
}

#[test]
fn only_a_leader_and_a_follower_have_something_to_say_to_each_other() {
    let one_way = |from, to| FaultKind::OneWay {
        from: Target::Node(NodeIndex(from)),
        to: Target::Node(NodeIndex(to)),
    };
    assert!(idle(one_way(1, 2), Some(1), QUIET).excused());
    assert!(!idle(one_way(0, 2), Some(0), QUIET).excused());
    assert!(!idle(one_way(2, 0), Some(2), QUIET).excused());
    assert!(idle(one_way(2, 0), Some(2), QUIET).down(2, 900, 5_500).excused());
}

#[test]
fn chance_spares_what_is_rare_and_nothing_else() {
    let loss = |ppm, span| idle(FaultKind::Loss { ppm }, None, span);
    assert!(!loss(1_000_000, QUIET).excused());
    assert!(!loss(120_000, QUIET).excused());
    assert!(loss(1, QUIET).excused());
    assert!(loss(5_000, (1_000, 1_800)).excused());
    assert!(loss(1_000_000, QUIET).down(0, 900, 7_000).excused());
    let mut alone = loss(1, QUIET);
    alone.0.plan.knobs.nodes = 1;
    assert!(!alone.excused(), "a single node sends to nobody");
}

#[test]
fn a_disk_is_idle_while_its_node_writes_nothing() {
    let kinds = [
        FaultKind::DiskError { target: LEADER },
        FaultKind::DiskFull { target: LEADER },
        FaultKind::SlowDisk {
            target: LEADER,
            barrier_ms: 50,
        },
    ];
    for kind in kinds {
        assert!(!idle(kind.clone(), Some(1), BUSY).excused(), "{kind:?}");
        assert!(idle(kind.clone(), Some(1), QUIET).excused(), "{kind:?}");
        let of_node =
            |record: &Record| matches!(&record.what, Happening::Durable { node, .. } if node.0 == 1);
        let mut left_out = idle(kind.clone(), Some(1), BUSY);
        left_out.0.history.records.retain(|record| !of_node(record));
        assert!(
            !left_out.excused(),
            "{kind:?}: it was to write what the others wrote"
        );
        let mut down = idle(kind.clone(), Some(1), BUSY).down(1, 40, 5_000);
        down.0.history.records.retain(|record| !of_node(record));
        assert!(down.excused(), "{kind:?}");
    }
}

#[test]
fn a_clock_is_unseen_while_nobody_asks_or_stamps() {
    let jump = |node, span| {
        let kind = FaultKind::ClockJump {
            target: LEADER,
            by_ms: 400,
        };
        idle(kind, Some(node), span)
    };
    assert!(jump(0, QUIET).excused());
    assert!(!jump(0, BUSY).excused(), "it stamped entries");
    assert!(!jump(1, BUSY).excused(), "it was asked");
    let mut without_http = jump(1, BUSY);
    without_http.0.plan.viewers.clear();
    assert!(without_http.excused(), "a follower stamps nothing");
}

#[test]
fn leadership_is_handed_over_where_it_can_be() {
    let transfer = |to| {
        idle(
            FaultKind::TransferLeadership { to: NodeIndex(to) },
            Some(to),
            (1_000, 1_600),
        )
    };
    assert!(transfer(0).excused(), "it led already");
    assert!(!transfer(1).excused());
    assert!(transfer(1).life(1_400, 1, Life::Leads { term: 2 }).excused());
    assert!(
        !transfer(1).down(2, 900, 2_000).excused(),
        "two of three are a quorum"
    );
    assert!(transfer(1).down(0, 900, 2_000).excused());
    assert!(
        !transfer(1)
            .down(0, 900, 1_200)
            .life(1_200, 2, Life::Leads { term: 2 })
            .excused()
    );
    let slow = |extra_ms| FaultKind::SlowLinks {
        target: LEADER,
        extra_ms,
    };
    assert!(transfer(1).fault(slow(340), Some(0), (900, 2_000), 9).excused());
    assert!(!transfer(1).fault(slow(34), Some(0), (900, 2_000), 9).excused());
}

#[test]
fn a_leader_that_is_not_ready_hands_nothing_over() {
    let transfer = |to_ready| {
        let kind = FaultKind::TransferLeadership { to: NodeIndex(1) };
        idle(kind, Some(1), (1_000, 1_600))
            .life(500, 0, Life::Killed)
            .life(600, 0, Life::Started)
            .life(900, 0, Life::Leads { term: 2 })
            .life(to_ready, 0, Life::Ready)
    };
    assert!(transfer(1_600).excused());
    assert!(!transfer(1_100).excused());
}

#[test]
fn a_node_leaves_where_the_others_can_agree() {
    let leave = || {
        idle(
            FaultKind::LeaveAndJoin { target: LEADER },
            Some(0),
            (1_000, 3_000),
        )
    };
    assert!(!leave().excused());
    assert!(!leave().down(2, 2_900, 4_000).excused());
    assert!(leave().down(2, 900, 2_500).excused(), "both others must agree");
    let full = FaultKind::DiskFull { target: LEADER };
    assert!(leave().fault(full, Some(1), (900, 2_500), 1).excused());
}

#[test]
fn a_crowd_comes_where_the_event_is_known_and_somebody_leads() {
    let slot = EventSlot(0);
    let crowd = |span| {
        let kind = FaultKind::Overload {
            slot,
            clients: 4,
            submissions: 100,
        };
        idle(kind, None, span)
    };
    assert!(
        !crowd((1_000, 1_500)).excused(),
        "the service never takes all of it unseen"
    );
    assert!(crowd((50, 90)).excused(), "nobody knew of the event yet");
    assert!(crowd((1_000, 1_500)).down(0, 900, 2_000).excused());
    assert!(!crowd((1_000, 1_500)).down(0, 1_490, 2_000).excused());
}

#[test]
fn a_crowd_that_was_never_answered_and_stands_in_the_log_has_done_harm() {
    let mut run = Run::new();
    run.after(100).create(0, None);
    let voter = overload_voter(FaultId(0), 0);
    run.after(1_000).commit(vec![vote(0, voter.0, 0, OperationId(0))]);
    run.heal(1);
    let kind = FaultKind::Overload {
        slot: EventSlot(0),
        clients: 4,
        submissions: 100,
    };
    let mut story = Story(run).fault(kind, None, (1_000, 1_500), 0);
    story.0.history.records.sort_by_key(|record| record.at);
    let judgement = judge(&story.0.plan, &story.0.history);
    assert!(judgement.missed.is_empty(), "{judgement:#?}");
    let mut vacuous = judgement.vacuous.iter();
    assert!(!vacuous.any(|reason| reason.contains("did nothing")));
}
