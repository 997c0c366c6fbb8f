//! Planted faults around disks that have rotted.

use super::*;

const NODE: NodeIndex = NodeIndex(1);

fn life(life: Life) -> Happening {
    Happening::Node { node: NODE, life }
}

fn refusal() -> Happening {
    life(Life::Failed(
        "the log in memory cannot be read: check the disk".to_owned(),
    ))
}

/// The disks of node 2 rot at 500 ms; then this happens, by milliseconds.
fn rotten(then: impl IntoIterator<Item = (u64, Happening)>) -> Run {
    let mut run = Run::new();
    run.create(0, None);
    let first = run.history.records.iter().find_map(|record| match &record.what {
        Happening::Durable { entry, .. } => Some(entry.clone()),
        _ => None,
    });
    let first = first.expect("the creation is on the disks");
    let fault = FaultId(0);
    run.plan.faults.push(Fault {
        id: fault,
        at_ms: SimMs(500),
        for_ms: SimMs(400),
        kind: FaultKind::Rot {
            target: Target::Node(NODE),
        },
    });
    let began = Happening::FaultBegan {
        fault,
        node: Some(NODE),
    };
    run.now_ms = 500;
    run.record(life(Life::Killed));
    run.record(began);
    for (at, what) in then {
        run.now_ms = at;
        let is_replaced = what == life(Life::Replaced);
        run.record(what);
        if is_replaced {
            // The others feed it what they have.
            run.durable(NODE.0, first.clone());
        }
    }
    run.record(Happening::FaultEnded { fault, bites: 1 });
    run.heal(1);
    run
}

fn refused_and_replaced() -> Vec<(u64, Happening)> {
    vec![
        (510, life(Life::Started)),
        (520, refusal()),
        (820, life(Life::Started)),
        (830, refusal()),
        (1_000, life(Life::Replaced)),
        (1_010, life(Life::Started)),
        (1_100, life(Life::Ready)),
    ]
}

#[test]
fn a_node_that_refuses_rotten_disks_and_goes_on_with_others_is_sound() {
    let run = rotten(refused_and_replaced());
    for checker in [Checker::Liveness, Checker::Durability] {
        assert_eq!(found(&run, checker), Vec::<String>::new(), "{checker:?}");
    }
}

#[test]
fn durability_finds_a_node_that_serves_from_rotten_disks() {
    let sentence = "node 2 serves, and what its disks hold has rotted";
    for served in [Life::Ready, Life::Leads { term: 3 }] {
        let run = rotten([(510, life(Life::Started)), (600, life(served))]);
        finds(&run, Checker::Durability, sentence);
    }
    let again = [(1_200, life(Life::Leads { term: 4 }))];
    let run = rotten(refused_and_replaced().into_iter().chain(again));
    assert_eq!(found(&run, Checker::Durability), Vec::<String>::new());
}

#[test]
fn liveness_excuses_no_stop_on_the_new_disks() {
    let again = [
        (1_200, refusal()),
        (1_500, life(Life::Started)),
        (1_600, life(Life::Ready)),
    ];
    let run = rotten(refused_and_replaced().into_iter().chain(again));
    finds(
        &run,
        Checker::Liveness,
        "node 2 stopped by itself, and its disk was sound",
    );
}

#[test]
fn liveness_excuses_a_stop_on_rotten_disks_that_nobody_looked_at_before() {
    let mut run = rotten(refused_and_replaced());
    for record in &mut run.history.records {
        if let Happening::FaultEnded { bites, .. } = &mut record.what {
            *bites = 0;
        }
    }
    assert_eq!(found(&run, Checker::Liveness), Vec::<String>::new());
}

#[test]
fn liveness_finds_a_node_that_panics_on_rotten_disks() {
    let panic = "it panicked: index out of bounds: the len is 3 but the index is 7";
    let mut happenings = refused_and_replaced();
    happenings[1].1 = life(Life::Failed(panic.to_owned()));
    finds(
        &rotten(happenings),
        Checker::Liveness,
        "node 2 stopped by itself, and not for its disk: it panicked",
    );
}
