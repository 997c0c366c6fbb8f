//! Planted where nothing is wrong: late news, silence, refusals without a reason; and two leaders of one term.

use super::*;

fn answers(run: &mut Run) -> impl Iterator<Item = &mut Answer> {
    run.history
        .records
        .iter_mut()
        .filter_map(|record| match &mut record.what {
            Happening::Answered { answer, .. } => Some(answer),
            _ => None,
        })
}

#[test]
fn liveness_finds_silence_that_nothing_explains() {
    let mut run = clean();
    *answers(&mut run).last().expect("one was answered") = Answer::Unknown {
        reason: "the connection broke".to_owned(),
    };
    finds(
        &run,
        Checker::Liveness,
        "nothing disturbed the cluster, and operation",
    );
}

/// A node is killed and ready again, and so much later a vote is answered so.
fn after_a_kill(later_ms: u64, answer: Answer) -> Run {
    let mut run = Run::new();
    run.after(100).create(0, None);
    for life in [Life::Killed, Life::Started, Life::Ready] {
        run.after(200).record(Happening::Node {
            node: NodeIndex(1),
            life,
        });
    }
    run.after(later_ms).vote(0, 100, 1, VoteStatus::Processed);
    *answers(&mut run).last().expect("one was answered") = answer;
    run.after(10_000).heal(1);
    run
}

#[test]
fn liveness_takes_a_fault_for_a_reason_until_the_cluster_has_had_the_time_to_recover() {
    let recovery_ms = 3_000 + 4 * clean().plan.knobs.election_ms;
    let refused = Answer::Refused {
        status: 503,
        code: "no-leader".to_owned(),
    };
    let sentence = "was refused as 503 no-leader, and nothing";
    let excused = found(
        &after_a_kill(recovery_ms - 100, refused.clone()),
        Checker::Liveness,
    );
    assert!(
        !excused.iter().any(|found| found.contains(sentence)),
        "{excused:?}"
    );
    finds(
        &after_a_kill(recovery_ms + 100, refused),
        Checker::Liveness,
        sentence,
    );
    // Over a connection that has died then, and was not used since.
    let lost = Answer::Unknown {
        reason: "the connection broke".to_owned(),
    };
    let found = found(&after_a_kill(recovery_ms + 100, lost), Checker::Liveness);
    assert!(
        !found.iter().any(|found| found.contains("nothing disturbed")),
        "{found:?}"
    );
}

#[test]
fn liveness_finds_refusals_without_a_reason() {
    let refusals = [
        (500, "internal"),
        (400, "invalid-field"),
        (401, "unauthorized"),
        (404, "event-not-found"),
        (429, "too-many-submissions"),
        (404, "contestant-not-found"),
        (409, "event-already-closed"),
        (503, "no-leader"),
    ];
    for (status, code) in refusals {
        let mut run = clean();
        let vote = answers(&mut run).find(|answer| matches!(answer, Answer::Vote { .. }));
        *vote.expect("somebody voted") = Answer::Refused {
            status,
            code: code.to_owned(),
        };
        finds(
            &run,
            Checker::Liveness,
            &format!("was refused as {status} {code}, and nothing"),
        );
    }
}

#[test]
fn audience_finds_a_change_that_is_shown_late_though_nothing_is_wrong() {
    let late = |ms: u64| {
        let mut run = Run::new();
        run.after(100).create(0, None);
        let viewer = run.viewer(0);
        run.connected(viewer, 0, None);
        let before = run.standings(0, 1);
        run.after(5).saw(viewer, Sight::Snapshot(before));
        run.after(4_000).vote(0, 100, 1, VoteStatus::Processed);
        let tally = Sight::Tally {
            event: EventId(1),
            status: Status::Open,
            version: 2,
            previous_version: 1,
            totals: vec![(0, 1)],
        };
        run.after(ms).saw(viewer, tally);
        run.after(10_000).heal(1);
        run
    };
    finds(
        &late(1_600),
        Checker::Audience,
        "nothing disturbed the cluster, and viewer 0 of e1 had version 2",
    );
    assert_eq!(found(&late(1_000), Checker::Audience), Vec::<String>::new());
}

#[test]
fn conservation_finds_two_leaders_of_one_term() {
    let mut run = clean();
    let leads = |node, term| Happening::Node {
        node: NodeIndex(node),
        life: Life::Leads { term },
    };
    run.record(leads(0, 70));
    run.record(leads(1, 80));
    run.record(leads(1, 80));
    assert_eq!(found(&run, Checker::Conservation), Vec::<String>::new());
    run.record(leads(2, 70));
    finds(
        &run,
        Checker::Conservation,
        "node 1 and node 3 both lead in term 70",
    );
}

#[test]
fn an_end_that_nobody_asked_for_is_a_failure() {
    assert_eq!(Life::of_end(Ok(()), true), Life::StoppedGracefully);
    assert!(matches!(Life::of_end(Ok(()), false), Life::Failed(_)));
    assert_eq!(
        Life::of_end(Err("no room".to_owned()), true),
        Life::Failed("no room".to_owned())
    );
}
