//! Pages of hand-made runs.

use ostraka_core::{
    Batch, Command, ContestantIndex, EventId, LogIndex, SubmissionKey, UnixMs, VoteRecord, VoterNumber,
};
use ostraka_sim_model::checkers::{Checker, Class, Violation};
use ostraka_sim_model::history::{Answer, Happening, History, Life, LoggedEntry, Record, VoteStatus};
use ostraka_sim_model::ids::{
    ClientIndex, EventSlot, FaultId, NodeIndex, OperationId, Seed, SimMicros, SimMs, SubmissionTag,
};
use ostraka_sim_model::names;
use ostraka_sim_model::plan::{Action, Fault, FaultKind, Operation, Plan, Profile, Target};

use super::page::page;
use super::{Mark, Shown};

struct Run {
    plan: Plan,
    history: History,
    violations: Vec<Violation>,
}

impl Run {
    /// Three nodes, of which node 2 leads.
    fn new() -> Self {
        let mut plan = Plan::of_profile(Seed(3), Profile::Calm);
        plan.operations.clear();
        plan.viewers.clear();
        plan.faults.clear();
        plan.knobs.nodes = 3;
        let mut run = Run {
            plan,
            history: History::default(),
            violations: Vec::new(),
        };
        let life = Life::Leads { term: 1 };
        run.record(
            0,
            Happening::Node {
                node: NodeIndex(1),
                life,
            },
        );
        run
    }

    fn record(&mut self, at_ms: u64, what: Happening) -> usize {
        let at = SimMicros(at_ms * 1_000);
        self.history.records.push(Record { at, what });
        self.history.records.len() - 1
    }

    fn fault(&mut self, at_ms: u64, kind: FaultKind, node: Option<u8>) -> &mut Self {
        let fault = FaultId(self.plan.faults.len() as u16);
        self.plan.faults.push(Fault {
            id: fault,
            at_ms: SimMs(at_ms),
            for_ms: SimMs(100),
            kind,
        });
        let node = node.map(NodeIndex);
        self.record(at_ms, Happening::FaultBegan { fault, node });
        self.record(at_ms + 100, Happening::FaultEnded { fault, bites: 1 });
        self
    }

    fn operation(&mut self, at_ms: u64, action: Action, answer: Answer) -> usize {
        let operation = OperationId(self.plan.operations.len() as u32);
        self.plan.operations.push(Operation {
            id: operation,
            client: ClientIndex(0),
            at_ms: SimMs(at_ms),
            endpoint: NodeIndex(0),
            action,
        });
        self.record(at_ms, Happening::Invoked { operation });
        self.record(at_ms + 5, Happening::Answered { operation, answer })
    }

    /// A submission of event 1 that was answered with an id of its own.
    fn vote(&mut self, at_ms: u64, voter: u32, tag: u32, vote_id: &str) -> usize {
        let submit = Action::Submit {
            slot: EventSlot(1),
            voter: VoterNumber(voter),
            contestant: 0,
            tag: SubmissionTag(tag),
        };
        let vote_id = vote_id.to_owned();
        let status = VoteStatus::Acked;
        self.operation(at_ms, submit, Answer::Vote { vote_id, status })
    }

    fn violated(&mut self, record: Option<usize>, sentence: &str) -> &mut Self {
        self.violations.push(Violation {
            checker: Checker::Durability,
            class: Class::Safety,
            sentence: sentence.to_owned(),
            record,
        });
        self
    }

    fn page(&self) -> String {
        let marks: Vec<Mark> = self
            .violations
            .iter()
            .map(|violation| Mark::of(violation, &self.history))
            .collect();
        page(&Shown {
            plan: &self.plan,
            history: &self.history,
            marks: &marks,
            verdict: if marks.is_empty() { "held" } else { "safety broken" },
        })
    }
}

fn count(page: &str, piece: &str) -> usize {
    page.matches(piece).count()
}

#[track_caller]
fn says(page: &str, piece: &str) {
    assert!(page.contains(piece), "no {piece:?} in {page}");
}

fn selected(page: &str) -> Vec<&str> {
    let options = page.lines().filter(|line| line.starts_with("<option"));
    options.filter(|option| option.contains(" selected>")).collect()
}

#[test]
fn a_violation_of_no_record_stands_at_the_end() {
    let mut run = Run::new();
    run.vote(2_000, 100, 1, "1-5-0");
    // As is one whose record is none of the history's.
    run.violated(None, "entry 1 was applied, and no disk ever held it")
        .violated(Some(9_999), "the nodes have not applied the same");
    let page = run.page();
    assert_eq!(count(&page, "<line class=\"mark whole\""), 1, "one line for both");
    let end = "<tr class=\"violation\"><td>2.005 s</td><td>VIOLATION (durability, of the run as a whole): ";
    says(
        &page,
        &format!("{end}entry 1 was applied, and no disk ever held it</td></tr>"),
    );
    says(
        &page,
        &format!("{end}the nodes have not applied the same</td></tr>"),
    );
    says(&page, "<text class=\"mark\"");
    assert!(
        page.rfind("<tr class=\"node\">") < page.find("<tr class=\"violation\">"),
        "they come last"
    );
}

#[test]
fn a_violation_is_marked_where_it_shows() {
    let mut run = Run::new();
    let told = run.vote(1_000, 100, 1, "1-5-0");
    run.vote(2_000, 101, 2, "1-6-0");
    run.violated(Some(told), "submission 1 was acknowledged, and is lost");
    let page = run.page();
    assert_eq!(count(&page, "<line class=\"mark\""), 1);
    says(
        &page,
        "<td>1.005 s</td><td>VIOLATION (durability): submission 1 was",
    );
}

#[test]
fn a_run_that_held_has_no_mark() {
    let page = Run::new().page();
    assert_eq!(count(&page, "<line class=\"mark"), 0);
    assert_eq!(count(&page, "VIOLATION"), 0);
    says(&page, "<p class=\"verdict good\">Verdict: held</p>");
}

#[test]
fn a_run_of_which_nothing_is_known_has_a_page_too() {
    let mut run = Run::new();
    run.history.records.clear();
    run.violated(Some(0), "the cluster was never formed");
    says(&run.page(), "<line class=\"mark whole\"");
}

#[test]
fn the_story_says_whom_a_fault_hit() {
    let mut run = Run::new();
    let target = Target::Leader;
    run.fault(100, FaultKind::Isolate { target }, Some(1))
        .fault(200, FaultKind::DiskError { target }, None)
        .fault(
            300,
            FaultKind::Kill {
                target: Target::Follower,
            },
            Some(2),
        );
    let own = Target::Node(NodeIndex(0));
    run.fault(400, FaultKind::Hold { target: own }, Some(0));
    let page = run.page();
    says(
        &page,
        "the leader (node 2) is cut off from all others from now on",
    );
    says(
        &page,
        "over: the leader (node 2) is cut off from all others (did harm 1 times)",
    );
    says(
        &page,
        "<title>the leader (node 2) is cut off from all others (did harm 1 times), 0.100 s to 0.200 s",
    );
    // Nothing was there to be hit: whom it was meant for is all that is known.
    says(&page, "the disk of the leader reports errors from now on");
    says(&page, "the process of a follower (node 3) is killed from now on");
    says(&page, "messages of node 1 are held up from now on");
}

#[test]
fn a_one_way_cut_names_both_ends() {
    let one_way = |from, to| FaultKind::OneWay { from, to };
    let own = Target::Node(NodeIndex(0));
    let mut run = Run::new();
    run.fault(100, one_way(Target::Leader, Target::Follower), Some(1))
        .fault(200, one_way(Target::Follower, Target::Leader), Some(2))
        .fault(300, one_way(own, Target::Leader), Some(0))
        .fault(400, one_way(Target::Follower, Target::Leader), Some(0));
    let page = run.page();
    says(
        &page,
        "what the leader (node 2) sends to a follower (node 3) is lost from",
    );
    says(
        &page,
        "what a follower (node 3) sends to the leader (node 2) is lost from",
    );
    says(&page, "what node 1 sends to the leader (node 2) is lost from");
    // The nemesis may know of a leader before the history does.
    says(
        &page,
        "what a follower (node 1) sends to the leader (node 3) is lost from",
    );
}

#[test]
fn labels_of_faults_that_overlap_stand_in_rows() {
    let mut run = Run::new();
    let target = Target::Leader;
    run.fault(1_000, FaultKind::Isolate { target }, Some(1)).fault(
        1_010,
        FaultKind::Hold { target },
        Some(1),
    );
    run.record(10_000, Happening::StormOver);
    let page = run.page();
    let baselines: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("<text class=\"fault\"")?.split('"').nth(3))
        .collect();
    assert_eq!(baselines.len(), 2);
    assert_ne!(baselines[0], baselines[1]);
    says(&page, "height=\"68.0\"><title>the leader (node 2) is cut off");
}

#[test]
fn votes_are_listed_and_found_by_number() {
    let mut run = Run::new();
    run.vote(100, 111, 45, "2-74-0");
    run.vote(200, 110, 7, "2-75-0");
    run.vote(300, 110, 9, "2-76-0");
    let page = run.page();
    let options: Vec<&str> = page.lines().filter(|line| line.starts_with("<option")).collect();
    assert_eq!(
        options,
        [
            "<option value=\"0\" data-names=\"7 9 2-75-0 2-76-0 u110\">submissions 7, 9: voter u110, event 1</option>",
            "<option value=\"1\" data-names=\"45 2-74-0 u111\">submission 45: voter u111, event 1</option>",
        ]
    );
    says(&page, "<g class=\"path\" id=\"path-0\" hidden>");
    says(&page, "answered: durable (vote 2-74-0)");
    says(&page, "<input id=\"find\"");
}

#[test]
fn the_vote_of_the_violation_is_picked() {
    let about = |record: Option<usize>, sentence: &str| {
        let mut run = Run::new();
        run.vote(100, 110, 7, "2-7-0");
        run.vote(200, 111, 45, "2-74-0");
        let status = Action::Status { of: OperationId(1) };
        run.operation(300, status, Answer::Skipped);
        let page = run.violated(record, sentence).page();
        let picked = selected(&page).concat();
        let shown = page.contains("<g class=\"path\" id=\"path-1\">");
        assert_eq!(shown, picked.contains(">submission 45:"), "{sentence}");
        assert_eq!(shown, page.contains(">follow submission 45</a>"), "{sentence}");
        shown
    };
    assert!(about(
        None,
        "e2: submission 45 stands at entry 74, after the close"
    ));
    assert!(about(None, "vote 2-74-0 was Acked, and later Processed"));
    assert!(about(None, "the fresh operation 1 got nothing"));
    assert!(about(None, "operation 2 was sent or answered out of its turn"));
    // The answer to submission 45 is the fifth record.
    assert!(about(Some(4), "it was answered too early"));
    assert!(!about(None, "submission 450 was told nothing"));
    assert!(!about(None, "entry 45 was applied, and no disk ever held it"));
}

#[test]
fn a_vote_in_the_log_leads_to_its_event() {
    let mut run = Run::new();
    run.vote(100, 111, 45, "2-74-0");
    let vote = VoteRecord {
        voter: VoterNumber(111),
        event: EventId(2),
        contestant: ContestantIndex(0),
        key: SubmissionKey(45),
        client_timestamp: None,
        trace: Some(names::trace_of_operation(OperationId(0))),
        trace_sampled: false,
    };
    let entry = LoggedEntry {
        index: LogIndex(74),
        term: 1,
        stamped_at: UnixMs(1),
        body: Batch {
            commands: vec![Command::CastVote(vote)],
        }
        .encode(),
    };
    let node = NodeIndex(2);
    run.record(200, Happening::Durable { node, entry });
    let page = run.page();
    says(&page, ">submission 45: voter u111, event 1 (e2)</option>");
    says(&page, "durable on node 3 as entry 74, command 0");
}

#[test]
fn what_is_hostile_stays_text() {
    let evil = "\"><script>alert('x')</script>&";
    let mut run = Run::new();
    let told = run.vote(100, 111, 45, evil);
    let failed = Life::Failed(evil.to_owned());
    run.record(
        200,
        Happening::Node {
            node: NodeIndex(0),
            life: failed,
        },
    );
    run.violated(Some(told), evil).violated(None, evil);
    let page = run.page();
    assert_eq!(count(&page, "alert('x')"), 0);
    assert_eq!(count(&page, "<script"), 1, "the page's own");
    says(&page, "data-names=\"45 &quot;&gt;&lt;script&gt;");
}

#[test]
fn the_page_fetches_nothing() {
    let mut run = Run::new();
    run.vote(100, 111, 45, "2-74-0");
    let page = run.violated(None, "submission 45 is lost").page();
    for address in ["http", "src=", "url(", "@import", "<link"] {
        assert_eq!(count(&page, address), 0, "{address}");
    }
}
