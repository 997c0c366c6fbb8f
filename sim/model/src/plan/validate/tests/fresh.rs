//! What is asked after the storm, in an order and at times in which it cannot succeed.

use super::*;
use crate::ids::ClientIndex;
use crate::plan::Knobs;

/// Changes the actions of what is asked after the storm, but for the creation, or of all with it.
fn fresh(change: impl Fn(&mut Action)) -> String {
    broken(|plan| {
        let storm = plan.knobs.storm_ms;
        let fresh = plan
            .operations
            .iter_mut()
            .filter(|operation| operation.at_ms >= storm);
        fresh.for_each(|operation| change(&mut operation.action));
    })
}

#[test]
fn what_must_succeed_after_the_storm_can() {
    let stranger = fresh(|action| {
        if let Action::Submit { contestant, .. } = action {
            *contestant = 2;
        }
    });
    assert!(
        stranger.ends_with("votes for contestant 2 of 2, counted from 0, and is to succeed"),
        "{stranger}"
    );
    let again = fresh(|action| {
        if let Action::Submit { voter, .. } = action {
            *voter = VoterNumber(100);
        }
    });
    assert!(
        again.ends_with("is another vote of voter 100, and is to succeed"),
        "{again}"
    );
    let of_the_storm = fresh(|action| {
        if let Action::Leaderboard { slot } = action {
            *slot = EventSlot(0);
        }
    });
    assert!(
        of_the_storm.contains("asks after the storm about slot 0, which nobody creates after it"),
        "{of_the_storm}"
    );
    let scheduled = fresh(|action| {
        if let Action::CreateEvent { closes_at_ms, .. } = action {
            *closes_at_ms = Some(SimMs(80_000));
        }
    });
    assert!(
        scheduled.contains("schedules an event after the storm"),
        "{scheduled}"
    );
}

#[test]
fn what_must_succeed_after_the_storm_comes_in_an_order_in_which_it_can() {
    let closed = broken(|plan| {
        let storm = plan.knobs.storm_ms;
        let fresh = |wanted: fn(&Action) -> bool| {
            let of_action = |operation: &Operation| operation.at_ms >= storm && wanted(&operation.action);
            plan.operations.iter().position(of_action)
        };
        let looks = fresh(|action| matches!(action, Action::Leaderboard { .. })).expect("fresh looks");
        let vote = fresh(|action| matches!(action, Action::Submit { .. })).expect("fresh votes");
        let Action::Submit { slot, .. } = plan.operations[vote].action else {
            return;
        };
        // Before the first vote, in place of a look.
        let mut close = plan.operations.remove(looks);
        close.at_ms = plan.operations[vote].at_ms;
        close.action = Action::CloseEvent { slot };
        plan.operations.insert(vote, close);
    });
    assert!(
        closed.ends_with("comes after the event was closed, and is to succeed"),
        "{closed}"
    );
    let made_before = broken(|plan| {
        let storm = plan.knobs.storm_ms;
        let creates = |operation: &&Operation| {
            operation.at_ms >= storm && matches!(operation.action, Action::CreateEvent { .. })
        };
        let fresh = plan
            .operations
            .iter()
            .find(creates)
            .expect("a fresh event")
            .clone();
        plan.operations[0].action = fresh.action;
    });
    assert!(
        made_before.ends_with("is of an event that is to be new after the storm"),
        "{made_before}"
    );
}

/// Puts the first fresh operation of a kind, asked by another client, so long after the one before it of another kind.
fn by_another(wanted: fn(&Action) -> bool, after: fn(&Action) -> bool, later_ms: u64) -> Result<(), String> {
    let mut plan = plan();
    let storm = plan.knobs.storm_ms;
    let client = plan.operations.iter().map(|operation| operation.client.0).max();
    plan.knobs.heal_ms = SimMs(20_000);
    let other = ClientIndex(client.expect("somebody asks") + 1);
    plan.knobs.clients = plan.knobs.clients.max(other.0 + 1);
    let fresh = |of: fn(&Action) -> bool| {
        let mut all = plan.operations.iter();
        all.position(|operation| operation.at_ms >= storm && of(&operation.action))
            .expect("it is asked after the storm")
    };
    let (moved, before) = (fresh(wanted), fresh(after));
    let mut operation = plan.operations[moved].clone();
    let shift = plan.operations[before].at_ms.0 + later_ms;
    operation.client = other;
    operation.at_ms = SimMs(shift);
    plan.operations.remove(moved);
    plan.operations.push(operation);
    for operation in plan
        .operations
        .iter_mut()
        .filter(|operation| operation.at_ms >= storm)
    {
        operation.at_ms.0 += 4_000;
    }
    plan.operations.sort_by_key(|operation| operation.at_ms);
    number(&mut plan);
    plan.validate().map_err(|error| error.to_string())
}

/// Ids rise with time; whoever asks about another operation still does.
fn number(plan: &mut Plan) {
    let numbers: Vec<_> = plan.operations.iter().map(|operation| operation.id).collect();
    for (place, operation) in plan.operations.iter_mut().enumerate() {
        operation.id = OperationId(u32::try_from(place).expect("few"));
        if let Action::Status { of } = &mut operation.action {
            let now = numbers.iter().position(|id| id == of).expect("it is there");
            *of = OperationId(u32::try_from(now).expect("few"));
        }
    }
}

#[test]
fn between_clients_order_is_kept_by_patience_alone() {
    let creates = |action: &Action| matches!(action, Action::CreateEvent { .. });
    let votes = |action: &Action| matches!(action, Action::Submit { .. });
    let asks = |action: &Action| matches!(action, Action::Status { .. });
    let closes = |action: &Action| matches!(action, Action::CloseEvent { .. });
    let patience_ms = plan().knobs.client_patience_ms.0;
    for later_ms in [0, 1, patience_ms - 1] {
        let found = by_another(asks, votes, later_ms).expect_err("too early");
        assert!(
            found.ends_with("patience ends: the vote that it asks about"),
            "{found}"
        );
        let found = by_another(votes, creates, later_ms).expect_err("too early");
        assert!(
            found.ends_with("patience ends: the creation of its event")
                || found.contains("no vote of after it was that"),
            "{found}"
        );
    }
    let found = by_another(closes, votes, 199 + patience_ms)
        .expect_err("a vote comes less than a patience before or after");
    assert!(
        found.contains("open for") || found.contains("after the event was closed"),
        "{found}"
    );
    assert_eq!(by_another(closes, votes, 1_000 + patience_ms), Ok(()));
    assert_eq!(by_another(asks, votes, patience_ms), Ok(()));
}

#[test]
fn what_must_succeed_has_time_to() {
    let at = |change: fn(&Knobs) -> u64| {
        broken(|plan| {
            let at_ms = SimMs(change(&plan.knobs));
            let storm = plan.knobs.storm_ms;
            let mut moved = plan
                .operations
                .iter_mut()
                .filter(|operation| operation.at_ms >= storm);
            let looks = moved.find(|operation| matches!(operation.action, Action::CreateEvent { .. }));
            looks.expect("it is created").at_ms = at_ms;
            if at_ms.0 > storm.0 + plan.knobs.heal_ms.0 / 2 {
                plan.operations
                    .retain(|operation| operation.at_ms < storm || operation.at_ms == at_ms);
                plan.viewers.clear();
            }
        })
    };
    let found = at(|knobs| knobs.storm_ms.0);
    assert!(
        found.contains("comes 0 ms after the storm and is to succeed"),
        "{found}"
    );
    let found = at(|knobs| knobs.storm_ms.0 + knobs.heal_ms.0 - 1);
    assert!(
        found.ends_with("comes so late that the run may end before its answer"),
        "{found}"
    );
}
