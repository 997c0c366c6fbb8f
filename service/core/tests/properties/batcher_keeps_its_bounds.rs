//! A batcher that follows the policy never exceeds a batch's limits, never lets a command wait past its age, never
//! idles while there is work and nothing in flight, and sends everything in order.

use std::collections::VecDeque;

use ostraka_core::batcher::{BatchFill, BatcherStep, BatcherView, CommandBytes, next_step};
use ostraka_core::limits::{
    BATCH_AGE_MICROS_MAX, BATCH_BYTES_MAX, BATCH_VOTES_MAX, COMMAND_BYTES_MAX, DESCRIPTION_BYTES_MAX,
};
use ostraka_core::{Batch, Command, EventKind};
use proptest::prelude::*;

use crate::generate::{create, new_event, vote};

/// A command that arrives, by its encoded length.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    at_micros: u64,
    bytes: CommandBytes,
}

#[derive(Clone, Debug)]
struct Sent {
    at_micros: u64,
    fill: BatchFill,
    arrivals: Vec<Arrival>,
    in_flight_before: usize,
}

/// Plays arrivals through a policy. Each batch is answered `commit_micros` after it was sent. Stops at a standstill.
fn play(arrivals: &[Arrival], commit_micros: u64, policy: impl Fn(BatcherView) -> BatcherStep) -> Vec<Sent> {
    let mut to_come: VecDeque<Arrival> = arrivals.iter().copied().collect();
    let mut queue: VecDeque<Arrival> = VecDeque::new();
    let mut in_flight: VecDeque<u64> = VecDeque::new();
    let (mut filling, mut fill) = (Vec::<Arrival>::new(), BatchFill::default());
    let mut sent = Vec::new();
    let mut now = 0;
    loop {
        while to_come.front().is_some_and(|arrival| arrival.at_micros <= now) {
            queue.extend(to_come.pop_front());
        }
        while in_flight.front().is_some_and(|answered| *answered <= now) {
            in_flight.pop_front();
        }
        let view = BatcherView {
            fill,
            queued_next: queue.front().map(|arrival| arrival.bytes),
            oldest_age_micros: filling.first().map_or(0, |oldest| now - oldest.at_micros),
            batches_in_flight: in_flight.len(),
        };
        let next_news = [
            to_come.front().map(|arrival| arrival.at_micros),
            in_flight.front().copied(),
        ];
        let next_news = next_news.into_iter().flatten().min();
        match policy(view) {
            BatcherStep::Take => {
                let arrival = queue.pop_front().expect("there is a command to take");
                fill.add(arrival.bytes);
                filling.push(arrival);
            }
            BatcherStep::Close => {
                let arrivals = std::mem::take(&mut filling);
                sent.push(Sent {
                    at_micros: now,
                    fill,
                    arrivals,
                    in_flight_before: in_flight.len(),
                });
                fill = BatchFill::default();
                in_flight.push_back(now + commit_micros);
            }
            BatcherStep::WaitMicros(micros) => now = next_news.unwrap_or(u64::MAX).min(now + micros),
            BatcherStep::Idle => match next_news {
                Some(at) => now = at,
                None => return sent,
            },
        }
    }
}

fn check(arrivals: &[Arrival], commit_micros: u64, sent: &[Sent]) -> Result<(), String> {
    let all: Vec<u64> = sent
        .iter()
        .flat_map(|batch| batch.arrivals.iter().map(|arrival| arrival.at_micros))
        .collect();
    if all
        != arrivals
            .iter()
            .map(|arrival| arrival.at_micros)
            .collect::<Vec<_>>()
    {
        return Err(format!(
            "{} of {} commands were sent, in order",
            all.len(),
            arrivals.len()
        ));
    }
    for batch in sent {
        let oldest = batch.arrivals.first().ok_or("an empty batch was sent")?;
        let age = batch.at_micros - oldest.at_micros;
        if age > BATCH_AGE_MICROS_MAX {
            return Err(format!("a command waited {age} microseconds"));
        }
        // With nothing in flight, it goes off when the last answer or its own last command has come.
        let answers = sent.iter().map(|other| other.at_micros + commit_micros);
        let last_answer = answers.filter(|at| *at <= batch.at_micros).max().unwrap_or(0);
        let last_command = batch.arrivals.last().map_or(0, |arrival| arrival.at_micros);
        if batch.in_flight_before == 0 && batch.at_micros > last_answer.max(last_command) {
            return Err(format!(
                "nothing was in flight and a command waited {age} microseconds"
            ));
        }
        if batch.fill.commands() > BATCH_VOTES_MAX || batch.fill.bytes() > BATCH_BYTES_MAX {
            return Err(format!("a batch is over its limits: {:?}", batch.fill));
        }
    }
    Ok(())
}

/// A vote, or an event's creation with long texts.
fn some_size() -> impl Strategy<Value = CommandBytes> {
    prop_oneof![
        20 => Just(CommandBytes::of(&Command::CastVote(vote(1, 1, 0, 1))).expect("a vote is short")),
        1 => (1_usize..125).prop_map(|contestants| creation_of_size(contestants).expect("it fits")),
    ]
}

fn creation_of_size(contestants: usize) -> Result<CommandBytes, ostraka_core::batcher::CommandTooLarge> {
    let mut event = new_event(1, EventKind::Public, contestants);
    for contestant in &mut event.contestants {
        contestant.description = "x".repeat(DESCRIPTION_BYTES_MAX);
    }
    CommandBytes::of(&create(event))
}

fn some_arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let gap = prop_oneof![6 => Just(0_u64), 3 => 0_u64..50, 1 => 0_u64..5_000];
    let sparse = prop::collection::vec((gap, some_size()), 0..200);
    let flood = prop::collection::vec((Just(0_u64), some_size()), 4_000..9_000);
    prop_oneof![9 => sparse, 1 => flood].prop_map(|gaps| {
        let mut at_micros = 0;
        let arrive = |(gap, bytes)| {
            at_micros += gap;
            Arrival { at_micros, bytes }
        };
        gaps.into_iter().map(arrive).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn the_policy_keeps_its_bounds(arrivals in some_arrivals(), commit_micros in 0_u64..3_000) {
        let sent = play(&arrivals, commit_micros, next_step);
        prop_assert_eq!(check(&arrivals, commit_micros, &sent), Ok(()));
    }

    #[test]
    fn the_counted_bytes_are_the_batchs_bytes(votes in 0_usize..50, creations in 0_usize..3) {
        let commands: Vec<Command> = (0..votes)
            .map(|at| Command::CastVote(vote(at as u32, 1, 0, 1)))
            .chain((0..creations).map(|at| create(new_event(at as u128, EventKind::Public, 2))))
            .collect();
        let mut fill = BatchFill::default();
        commands.iter().for_each(|command| fill.add(CommandBytes::of(command).unwrap()));
        prop_assert_eq!(fill.commands(), commands.len());
        let batch = Batch { commands };
        prop_assert_eq!(fill.bytes(), batch.encode().len());
    }
}

fn lone_vote() -> Vec<Arrival> {
    vec![Arrival {
        at_micros: 10,
        bytes: CommandBytes::of(&Command::Tick).expect("a tick is short"),
    }]
}

#[test]
fn a_lone_vote_does_not_wait() {
    let sent = play(&lone_vote(), 500, next_step);
    assert_eq!(sent[0].at_micros, 10);
}

#[test]
fn a_policy_that_waits_too_long_is_seen() {
    let patient = |view: BatcherView| match next_step(view) {
        BatcherStep::Close if view.oldest_age_micros <= BATCH_AGE_MICROS_MAX => {
            BatcherStep::WaitMicros(BATCH_AGE_MICROS_MAX)
        }
        step => step,
    };
    assert!(
        check(&lone_vote(), 500, &play(&lone_vote(), 500, patient))
            .is_err_and(|said| said.contains("waited"))
    );
}

#[test]
fn a_policy_that_waits_for_nothing_is_seen() {
    let hesitant = |view: BatcherView| match next_step(view) {
        BatcherStep::Close if view.oldest_age_micros < 200 => BatcherStep::WaitMicros(200),
        step => step,
    };
    let sent = play(&lone_vote(), 500, hesitant);
    assert!(check(&lone_vote(), 500, &sent).is_err_and(|said| said.contains("nothing was in flight")));
}

#[test]
fn a_policy_that_forgets_a_command_is_seen() {
    let lazy = |view: BatcherView| match next_step(view) {
        BatcherStep::Take => BatcherStep::Idle,
        step => step,
    };
    assert!(
        check(&lone_vote(), 500, &play(&lone_vote(), 500, lazy))
            .is_err_and(|said| said.contains("were sent"))
    );
}

#[test]
fn what_no_batch_can_carry_is_refused_before_it_queues() {
    let too_large = creation_of_size(200).unwrap_err();
    assert!(too_large.found > COMMAND_BYTES_MAX);
    assert!(BatchFill::default().fits(creation_of_size(125).unwrap()));
}
