//! Planted faults of counting.

use super::*;

#[test]
fn biographies_find_a_retry_with_another_outcome() {
    let mut run = clean();
    run.forge(OperationId(4), answer("v5", VoteStatus::Duplicate));
    finds(&run, Checker::Biographies, "on a retry Duplicate as v5");
    finds(&run, Checker::Biographies, "and the log says Processed");
}

#[test]
fn biographies_find_two_votes_with_one_id_and_a_voter_who_counts_twice() {
    let mut run = clean();
    run.forge(OperationId(3), answer("v3", VoteStatus::Processed));
    finds(
        &run,
        Checker::Biographies,
        "vote id v3 was given to submission 2 and to submission 3",
    );
    finds(
        &run,
        Checker::Biographies,
        "that submission 1 counts, and that submission 3 does",
    );
}

#[test]
fn biographies_find_votes_that_nobody_submitted() {
    let mut run = Run::new();
    run.create(0, None);
    run.commit(vec![vote(0, 100, 7, OperationId(77))]);
    let refused = run.submission(0, 101, 8);
    run.commit(vec![vote(0, 101, 8, refused)]);
    run.answer(
        refused,
        Answer::Refused {
            status: 503,
            code: "no-leader".to_owned(),
        },
    );
    run.heal(1);
    finds(
        &run,
        Checker::Biographies,
        "a vote of voter 100 counts at entry 2, and nobody submitted it",
    );
    finds(
        &run,
        Checker::Biographies,
        "submission 8 was refused as no-leader, and that very request is in the log",
    );
}

#[test]
fn biographies_find_a_key_that_changed_and_a_creation_that_made_two() {
    let mut run = Run::new();
    run.create(0, None);
    let operation = run.submission(0, 100, 1);
    let mut other_key = vote(0, 100, 1, operation);
    if let ostraka_core::Command::CastVote(vote) = &mut other_key {
        vote.key.0 = 99;
    }
    run.commit(vec![vote(0, 100, 1, operation), other_key]);
    run.told(operation, 2, VoteStatus::Processed);
    let mut again = crate::testing::created(0, None);
    if let ostraka_core::Command::CreateEvent(spec) = &mut again {
        spec.request.0 = 9;
    }
    run.commit(vec![again]);
    finds(&run, Checker::Biographies, "submission 1 has 2 keys in the log");
    finds(
        &run,
        Checker::Biographies,
        "slot 0 was created twice, as e1 and as e2",
    );
}

#[test]
fn conservation_finds_wrong_totals_wherever_they_are_shown() {
    let mut run = clean();
    board(&mut run, 5, |standings| standings.totals[0] = Some(2));
    finds(&run, Checker::Conservation, "[Some(2), Some(1)] was shown");
    let mut run = clean();
    board(&mut run, 5, |standings| standings.version = 4);
    finds(&run, Checker::Conservation, "never had a version 4");
    let mut run = clean();
    for sight in sights(&mut run) {
        if let Sight::Tally { totals, .. } = sight {
            totals[0].1 = 9;
        }
    }
    finds(&run, Checker::Conservation, "and a tally said Open [(1, 9)]");
    let mut run = clean();
    for record in &mut run.history.records {
        if let Happening::Settled {
            node: NodeIndex(2),
            boards,
            ..
        } = &mut record.what
        {
            boards.remove(0);
        }
    }
    finds(
        &run,
        Checker::Conservation,
        "node 3 has applied entry 9 and does not show e1",
    );
}

#[test]
fn conservation_finds_an_event_that_a_node_shows_twice() {
    let mut run = clean();
    for record in &mut run.history.records {
        if let Happening::Settled {
            node: NodeIndex(1),
            boards,
            ..
        } = &mut record.what
        {
            boards.push(boards[0].clone());
        }
    }
    finds(&run, Checker::Conservation, "node 2 shows e1 more than once");
}

#[test]
fn conservation_finds_replicas_that_differ() {
    let mut run = clean();
    for record in &mut run.history.records {
        if let Happening::Durable {
            node: NodeIndex(1),
            entry,
        } = &mut record.what
            && entry.index == LogIndex(3)
        {
            entry.stamped_at = UnixMs(START);
        }
    }
    finds(
        &run,
        Checker::Conservation,
        "at entry 3 the disks of node 2 and node 1 hold different things",
    );
    let mut run = clean();
    for node in [0, 1] {
        let (node, index, digest) = (NodeIndex(node), LogIndex(4), u64::from(node));
        run.record(Happening::Snapshot {
            node,
            index,
            digest,
            bytes: 9,
        });
    }
    finds(
        &run,
        Checker::Conservation,
        "at entry 4 node 2 has another snapshot than node 1",
    );
    let mut run = clean();
    for record in &mut run.history.records {
        if let Happening::Durable { entry, .. } = &mut record.what
            && entry.index == LogIndex(3)
        {
            entry.body = vec![99];
        }
    }
    finds(&run, Checker::Conservation, "the committed entry 3 is no batch");
}
