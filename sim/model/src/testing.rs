//! Hand-made runs for the tests of those who judge: a plan and a history that grow together.

use ostraka_core::{
    Batch, Command, ContestantIndex, EventId, EventKind, LogIndex, NewContestant, NewEvent, RequestKey,
    ResultsPolicy, SubmissionKey, UnixMs, VoteRecord, VoterNumber,
};

use crate::case::Case;
use crate::checkers::{Checker, Report};
use crate::evidence::Maker;
use crate::history::{
    Answer, Happening, History, Life, LoggedEntry, Record, Sight, Standings, Status, VoteStatus,
};
use crate::ids::{
    ClientIndex, EventSlot, NodeIndex, OperationId, Seed, SimMicros, SimMs, SubmissionTag, ViewerIndex,
};
use crate::names;
use crate::plan::{Action, Operation, Plan, Profile, Viewer};

/// True time at the run's beginning.
pub(crate) const START: u64 = 1_800_000_000_000;

#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) plan: Plan,
    pub(crate) history: History,
    pub(crate) now_ms: u64,
    pub(crate) index: u64,
}

impl Run {
    /// Three nodes with right clocks, formed, and nothing planned.
    pub(crate) fn new() -> Self {
        let mut plan = Plan::of_profile(Seed(3), Profile::Calm);
        plan.operations.clear();
        plan.viewers.clear();
        plan.faults.clear();
        plan.knobs.nodes = 3;
        plan.knobs.clients = 8;
        plan.knobs.clock_skew_ms = vec![0; 3];
        plan.knobs.clock_drift_ppm = vec![0; 3];
        let mut run = Run {
            plan,
            history: History::default(),
            now_ms: 0,
            index: 0,
        };
        run.record(Happening::Formed {
            true_time: UnixMs(START),
        });
        run.record(Happening::Node {
            node: NodeIndex(0),
            life: Life::Leads { term: 1 },
        });
        run
    }

    pub(crate) fn record(&mut self, what: Happening) -> usize {
        self.history.records.push(Record {
            at: SimMicros(self.now_ms * 1_000),
            what,
        });
        self.history.records.len() - 1
    }

    pub(crate) fn after(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    pub(crate) fn invoke(&mut self, action: Action) -> OperationId {
        let id = OperationId(self.plan.operations.len() as u32);
        self.plan.operations.push(Operation {
            id,
            client: ClientIndex(0),
            at_ms: SimMs(self.now_ms),
            endpoint: NodeIndex((id.0 % 3) as u8),
            action,
        });
        self.record(Happening::Invoked { operation: id });
        id
    }

    pub(crate) fn answer(&mut self, operation: OperationId, answer: Answer) -> usize {
        self.record(Happening::Answered { operation, answer })
    }

    pub(crate) fn durable(&mut self, node: u8, entry: LoggedEntry) {
        self.record(Happening::Durable {
            node: NodeIndex(node),
            entry,
        });
    }

    pub(crate) fn next_entry(&mut self, commands: Vec<Command>) -> LoggedEntry {
        self.index += 1;
        LoggedEntry {
            index: LogIndex(self.index),
            term: 1,
            stamped_at: UnixMs(START + self.now_ms),
            body: Batch { commands }.encode(),
        }
    }

    /// The commands become the next entry, on all disks.
    pub(crate) fn commit(&mut self, commands: Vec<Command>) -> u64 {
        let entry = self.next_entry(commands);
        (0..3).for_each(|node| self.durable(node, entry.clone()));
        self.index
    }

    pub(crate) fn create(&mut self, slot: u8, closes_at_ms: Option<u64>) -> EventId {
        let action = Action::CreateEvent {
            slot: EventSlot(slot),
            contestants: 2,
            opens_at_ms: None,
            closes_at_ms: closes_at_ms.map(SimMs),
            after_close: false,
        };
        let operation = self.invoke(action);
        self.after(5).commit(vec![created(slot, closes_at_ms)]);
        // Events are numbered as they are created; tests create slot after slot.
        let event = EventId(u32::from(slot) + 1);
        self.after(5).answer(operation, Answer::EventCreated { event });
        event
    }

    pub(crate) fn submission(&mut self, slot: u8, voter: u32, tag: u32) -> OperationId {
        self.invoke(Action::Submit {
            slot: EventSlot(slot),
            voter: VoterNumber(voter),
            contestant: (voter % 2) as u16,
            tag: SubmissionTag(tag),
        })
    }

    pub(crate) fn told(&mut self, operation: OperationId, index: u64, status: VoteStatus) -> usize {
        let answer = Answer::Vote {
            vote_id: format!("v{index}"),
            status,
        };
        self.answer(operation, answer)
    }

    /// Sent, committed, and answered ten milliseconds later.
    pub(crate) fn vote(&mut self, slot: u8, voter: u32, tag: u32, status: VoteStatus) -> OperationId {
        let operation = self.submission(slot, voter, tag);
        let index = self.after(5).commit(vec![vote(slot, voter, tag, operation)]);
        self.after(5).told(operation, index, status);
        operation
    }

    pub(crate) fn close(&mut self, slot: u8) {
        let operation = self.invoke(Action::CloseEvent {
            slot: EventSlot(slot),
        });
        let event = EventId(u32::from(slot) + 1);
        let version = self.after(5).commit(vec![Command::CloseEvent {
            event,
            by: names::OWNER,
            by_operator: false,
        }]);
        let answer = Answer::EventStatus {
            event,
            status: Status::Closed,
            version,
        };
        self.after(5).answer(operation, answer);
    }

    pub(crate) fn board(&mut self, slot: u8, version: u64) -> usize {
        let operation = self.invoke(Action::Leaderboard {
            slot: EventSlot(slot),
        });
        let standings = self.standings(slot, version);
        self.after(5).answer(
            operation,
            Answer::Board {
                standings,
                linearizable: true,
            },
        )
    }

    pub(crate) fn status(&mut self, of: OperationId, index: u64, status: VoteStatus) -> usize {
        let operation = self.invoke(Action::Status { of });
        let answer = Answer::Status {
            vote_id: format!("v{index}"),
            status,
        };
        self.after(5).answer(operation, answer)
    }

    pub(crate) fn standings(&self, slot: u8, version: u64) -> Standings {
        let case = Case::new(&self.plan, &self.history);
        let mut log = case.log.clone();
        // All of it, settled or not.
        if let Some(disk) = case.disks.nodes.get(&NodeIndex(0)) {
            log.entries = disk.entries.clone();
        }
        let oracle = crate::oracle::Oracle::of(&log);
        let event = oracle
            .events
            .values()
            .find(|event| event.slot == Some(EventSlot(slot)));
        event
            .and_then(|event| event.standings_at(version))
            .expect("the version is one of the event's")
    }

    pub(crate) fn viewer(&mut self, slot: u8) -> ViewerIndex {
        let viewer = ViewerIndex(self.plan.viewers.len() as u16);
        self.plan.viewers.push(Viewer {
            viewer,
            slot: EventSlot(slot),
            from_ms: SimMs(self.now_ms),
            endpoint: NodeIndex(0),
        });
        viewer
    }

    pub(crate) fn saw(&mut self, viewer: ViewerIndex, sight: Sight) -> usize {
        self.record(Happening::Saw { viewer, sight })
    }

    pub(crate) fn connected(&mut self, viewer: ViewerIndex, node: u8, resumed_from: Option<u64>) -> usize {
        let node = NodeIndex(node);
        self.saw(viewer, Sight::Connected { node, resumed_from })
    }

    /// The storm ends, fresh votes succeed, all nodes settle.
    pub(crate) fn heal(&mut self, slot: u8) {
        self.now_ms = self.now_ms.max(self.plan.knobs.storm_ms.0);
        self.record(Happening::StormOver);
        self.after(3_000).create(slot, None);
        let fresh = self.vote(slot, 100, 900 + u32::from(slot), VoteStatus::Processed);
        let version = self.index;
        self.status(fresh, version, VoteStatus::Processed);
        self.board(slot, version);
        self.after(2_000);
        let boards: Vec<Standings> = {
            let case = Case::new(&self.plan, &self.history);
            let all = crate::oracle::Oracle::of(&crate::disks::CommittedLog {
                entries: case.disks.nodes[&NodeIndex(0)].entries.clone(),
                ..Default::default()
            });
            all.events
                .values()
                .filter_map(|event| event.standings_at(event.version()))
                .collect()
        };
        for node in 0..3 {
            let (node, applied) = (NodeIndex(node), LogIndex(self.index));
            self.record(Happening::Settled {
                node,
                applied,
                boards: boards.clone(),
            });
        }
    }

    pub(crate) fn check(&self, checker: Checker) -> Report {
        checker.check(&Case::new(&self.plan, &self.history))
    }

    /// Changes the answer of an operation.
    pub(crate) fn forge(&mut self, wanted: OperationId, forged: Answer) {
        for record in &mut self.history.records {
            if let Happening::Answered { operation, answer } = &mut record.what
                && *operation == wanted
            {
                *answer = forged.clone();
            }
        }
    }
}

pub(crate) fn created(slot: u8, closes_at_ms: Option<u64>) -> Command {
    let contestant = |place: u16| NewContestant {
        name: names::contestant_name(place),
        description: String::new(),
        image_url: String::new(),
    };
    Command::CreateEvent(Box::new(NewEvent {
        request: RequestKey(u128::from(slot)),
        owner: names::OWNER,
        name: names::event_name(EventSlot(slot)),
        kind: EventKind::Public,
        results: ResultsPolicy::Live,
        opens_at: None,
        closes_at: closes_at_ms.map(|at| UnixMs(START + at)),
        contestants: (0..2).map(contestant).collect(),
    }))
}

/// The record that `operation` makes; it votes for contestant `voter % 2`.
pub(crate) fn vote(slot: u8, voter: u32, tag: u32, operation: OperationId) -> Command {
    Command::CastVote(VoteRecord {
        voter: VoterNumber(voter),
        event: EventId(u32::from(slot) + 1),
        contestant: ContestantIndex((voter % 2) as u16),
        key: SubmissionKey(u64::from(tag)),
        client_timestamp: Some(names::client_timestamp(SubmissionTag(tag))),
        trace: Some(names::trace_of_operation(operation)),
        trace_sampled: false,
    })
}

/// A run in which a little of everything happens, and all of it as it should.
///
/// Slot 0: votes of 100 and 101 (operations 1, 2), a duplicate of 100 (3), a retry of tag 1 (4), a look (5), a status
/// (6), the close at entry 6 (7), a late vote of 102 (8). Viewer 0 sees versions 2, 3, reconnects and sees the close.
pub(crate) fn clean() -> Run {
    let mut run = Run::new();
    run.after(100).create(0, None);
    let first = run.after(10).vote(0, 100, 1, VoteStatus::Processed);
    let viewer = run.viewer(0);
    run.connected(viewer, 0, None);
    let seen = run.standings(0, 2);
    run.after(5).saw(viewer, Sight::Snapshot(seen));
    run.after(10).vote(0, 101, 2, VoteStatus::Processed);
    let tally = Sight::Tally {
        event: EventId(1),
        status: Status::Open,
        version: 3,
        previous_version: 2,
        totals: vec![(1, 1)],
    };
    run.after(60).saw(viewer, tally);
    run.vote(0, 100, 3, VoteStatus::Duplicate);
    let retry = run.after(5).submission(0, 100, 1);
    run.after(5).commit(vec![vote(0, 100, 1, retry)]);
    run.after(5).told(retry, 2, VoteStatus::Processed);
    run.after(5).board(0, 3);
    run.after(5).status(first, 2, VoteStatus::Processed);
    run.saw(viewer, Sight::Disconnected);
    run.after(5).close(0);
    run.after(5).vote(0, 102, 4, VoteStatus::RejectedClosed);
    run.connected(viewer, 1, Some(3));
    let last = run.standings(0, 6);
    run.after(5).saw(viewer, Sight::Snapshot(last.clone()));
    run.saw(viewer, Sight::Closed(last));
    run.saw(viewer, Sight::Disconnected);
    run.heal(1);
    run
}

/// A program that never was.
pub(crate) fn maker() -> Maker {
    Maker {
        simulator: "sim".to_owned(),
        program: "aa11".to_owned(),
        commit: "0123abc".to_owned(),
        plant: None,
    }
}
