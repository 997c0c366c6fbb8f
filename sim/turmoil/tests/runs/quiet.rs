//! Runs in which nothing goes wrong.

use ostraka_sim_model::history::{Answer, Happening, Life, Sight, Standings, VoteStatus};
use ostraka_sim_model::ids::Seed;
use ostraka_sim_model::plan::{Action, Plan};

use crate::child::{Ran, run};
use crate::plans::plan;

fn votes_of(plan: &Plan) -> usize {
    plan.operations
        .iter()
        .filter(|operation| matches!(operation.action, Action::Submit { .. }))
        .count()
}

fn processed(ran: &Ran) -> usize {
    let vote = |what: &Happening| match what {
        Happening::Answered {
            answer: Answer::Vote { status, .. },
            ..
        } => (*status == VoteStatus::Processed).then_some(()),
        _ => None,
    };
    ran.all(vote).len()
}

/// What each node shows at the end.
pub(crate) fn boards(ran: &Ran) -> Vec<Vec<Standings>> {
    ran.all(|what| match what {
        Happening::Settled { boards, .. } => Some(boards.clone()),
        _ => None,
    })
}

pub(crate) fn sum(boards: &[Standings]) -> u64 {
    let totals = boards.iter().flat_map(|board| &board.totals);
    totals.flatten().sum()
}

#[test]
fn every_vote_is_counted_on_every_node_and_seen() {
    for nodes in [1, 3] {
        let plan = plan(nodes, 1_500, Vec::new());
        let ran = run(&plan);
        let votes = votes_of(&plan);
        assert_eq!(processed(&ran), votes, "{nodes} nodes");
        let boards = boards(&ran);
        assert_eq!(boards.len(), usize::from(nodes));
        for board in &boards {
            assert_eq!(board, &boards[0], "all nodes show the same");
            assert_eq!(sum(board), votes as u64);
        }
        let last_seen = ran
            .all(|what| match what {
                Happening::Saw {
                    sight: Sight::Snapshot(Standings { version, .. }) | Sight::Tally { version, .. },
                    ..
                } => Some(*version),
                _ => None,
            })
            .pop();
        assert_eq!(last_seen, Some(boards[0][0].version), "the viewer has caught up");
    }
}

#[test]
fn the_history_tells_of_terms_entries_and_snapshots() {
    let ran = run(&plan(3, 1_500, Vec::new()));
    let leads = ran.all(|what| match what {
        Happening::Node {
            node,
            life: Life::Leads { term },
        } => Some((*node, *term)),
        _ => None,
    });
    assert_eq!(leads.len(), 1, "nobody took the lead from the first: {leads:?}");
    let durable = |node: u8| {
        ran.all(|what| match what {
            Happening::Durable { node: of, entry } if of.0 == node => Some(entry.clone()),
            _ => None,
        })
    };
    let of_leader = durable(leads[0].0.0);
    assert!(of_leader.iter().any(|entry| !entry.body.is_empty()));
    for node in 0..3 {
        assert_eq!(durable(node), of_leader, "each disk has the whole log, in order");
    }
    let snapshots = ran.all(|what| match what {
        Happening::Snapshot { index, digest, .. } => Some((*index, *digest)),
        _ => None,
    });
    assert!(snapshots.len() >= 3, "each node takes one at least");
    for (index, digest) in &snapshots {
        let same = snapshots.iter().filter(|(other, _)| other == index);
        assert!(
            same.clone().all(|(_, other)| other == digest),
            "state at {index:?} differs"
        );
    }
}

#[test]
fn the_same_plan_gives_the_same_bytes_in_another_process() {
    let stormy = Plan::of_seed(Seed(3));
    let (first, second) = (run(&stormy), run(&stormy));
    assert!(
        first.bytes == second.bytes,
        "two processes, two runs: {} and {} records",
        first.history.records.len(),
        second.history.records.len()
    );
    let mut other = stormy;
    other.seed = Seed(4);
    assert!(
        run(&other).bytes != first.bytes,
        "the seed feeds the nodes and the network"
    );
}
