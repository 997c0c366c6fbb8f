//! What is known of a vote's way, held against the simulation of it.

use super::*;

fn path(shape: &Shape) -> Path<'_> {
    Path {
        votes_per_s: 20_000.0,
        shape,
        seed: 3,
        front_nodes: 3,
        front_cores: 2,
        front_vote_us: 50.0,
        log_nodes: 3,
        log_alive: 3,
        leader_entry_us: 40.0,
        barrier_us_min: 300.0,
        barrier_us_mean: 1_000.0,
        apply_vote_us: 0.6,
        hop_us: 500.0,
        feeder_hops: 1.0,
        tally_us: 50_000.0,
        round_us: 10_000.0,
        outage_us: None,
    }
}

fn mean(histogram: &Histogram<u64>) -> f64 {
    histogram.mean()
}

fn about(found: f64, known: f64, bound: f64) -> bool {
    (found / known - 1.0).abs() < bound
}

#[test]
fn the_same_seed_gives_the_same_figures_and_another_others() {
    let shape = "0.2,0.3;1,1;0.3,0.2".parse().unwrap();
    let figures = |seed| {
        let seen = Path { seed, ..path(&shape) }.simulate();
        (
            seen.all_acked,
            seen.ack_us.mean().to_bits(),
            seen.end_to_end_us.mean().to_bits(),
            seen.leader_share.to_bits(),
        )
    };
    assert_eq!(figures(1), figures(1));
    assert_ne!(figures(1), figures(2));
}

#[test]
fn every_vote_that_comes_is_acknowledged_once_and_none_before_its_way_allows() {
    let shape = "0.2,0.3;1,1;0.3,0.2".parse().unwrap();
    let seen = path(&shape).simulate();
    assert!(about(seen.all_acked as f64, shape.votes(20_000.0), 0.03));
    assert_eq!(seen.ack_us.len(), seen.peak_votes);
    assert!(
        about(seen.peak_votes as f64, 20_000.0, 0.03),
        "{}",
        seen.peak_votes
    );
    // To the leader, its loop, one barrier at least, the way back from a follower or as long a barrier, and the answer.
    let least = 500.0 + 40.0 + 300.0 + 500.0;
    assert!(seen.ack_us.min() as f64 >= least, "{}", seen.ack_us.min());
    let begun: u64 = seen.timeline.slots.iter().map(|slot| slot.begun).sum();
    assert_eq!(begun, seen.all_acked);
    assert!(seen.end_to_end_us.min() as f64 > least);
}

/// Votes so rare that none meets another: only its own way makes up what one takes.
#[test]
fn a_lone_vote_takes_the_sum_of_its_way() {
    let shape = Shape::even(600.0);
    let lone = Path {
        votes_per_s: 2.0,
        // No tally rests.
        tally_us: 1.0,
        barrier_us_min: 999.999,
        ..path(&shape)
    };
    let seen = lone.simulate();
    // Taken in, to the leader, its loop, to a follower, its barrier, back, applied, told. The leader's own barrier is done by then.
    let known = 50.0 + 500.0 + 40.0 + 500.0 + 1_000.0 + 500.0 + 0.6 + 500.0;
    assert!(
        about(mean(&seen.ack_us), known, 0.02),
        "{} for {known}",
        mean(&seen.ack_us)
    );
    assert!(about(seen.votes_an_entry, 1.0, 0.02));
    // With one member alone there is no follower to wait for.
    let alone = Path {
        log_nodes: 1,
        log_alive: 1,
        ..lone
    };
    let known = known - 1_000.0;
    let seen = alone.simulate();
    assert!(
        about(mean(&seen.ack_us), known, 0.02),
        "{} for {known}",
        mean(&seen.ack_us)
    );
    // Applied 500 us after it was committed, the tally at once, and half a round on the average.
    let known = known - 500.0 + 500.0 + 5_000.0;
    assert!(
        about(mean(&seen.end_to_end_us), known, 0.05),
        "{} for {known}",
        mean(&seen.end_to_end_us)
    );
}

/// Of two barriers that take exponentially long the shorter one counts where two of three do not have to be waited for.
#[test]
fn a_quorum_waits_for_the_second_of_three_and_a_lost_member_makes_it_wait_for_both() {
    let shape = Shape::even(60.0);
    let lone = Path {
        votes_per_s: 20.0,
        hop_us: 0.001,
        barrier_us_min: 0.001,
        barrier_us_mean: 10_000.0,
        tally_us: 1.0,
        ..path(&shape)
    };
    // Order statistics of the exponential distribution: 1/3 + 1/2 of the mean, and 1/2 + 1.
    for (alive, times) in [(3, 5.0 / 6.0), (2, 1.5)] {
        let seen = Path {
            log_alive: alive,
            ..lone.clone()
        }
        .simulate();
        let found = mean(&seen.ack_us);
        // Some wait for a barrier that runs already.
        assert!(
            (times * 10_000.0 * 0.93..times * 10_000.0 * 1.35).contains(&found),
            "{alive} alive: {found}"
        );
    }
}

/// Under load every node has two batches under way. Where one is in the barrier that runs and one waits for the next, what comes
/// during a barrier is sent when it ends, too late for the one that begins then: half a barrier and two. Where both are in
/// the same one, what comes during two barriers waits: one and two.
#[test]
fn a_disk_under_load_takes_two_and_a_half_barriers_to_three_however_many_votes_come() {
    let shape = Shape::even(4.0);
    let loaded = Path {
        votes_per_s: 20_000.0,
        front_nodes: 64,
        front_cores: 4,
        log_nodes: 1,
        log_alive: 1,
        leader_entry_us: 0.01,
        front_vote_us: 0.01,
        hop_us: 0.01,
        apply_vote_us: 0.001,
        barrier_us_min: 9_999.999,
        barrier_us_mean: 10_000.0,
        ..path(&shape)
    };
    for votes_per_s in [20_000.0, 60_000.0] {
        let seen = Path {
            votes_per_s,
            ..loaded.clone()
        }
        .simulate();
        let found = mean(&seen.ack_us);
        assert!((24_500.0..30_500.0).contains(&found), "{votes_per_s}: {found}");
        assert_eq!(seen.ack_us.len(), seen.peak_votes);
    }
}

#[test]
fn without_a_quorum_nobody_is_acknowledged() {
    let shape = Shape::even(0.2);
    let alone = Path {
        log_alive: 1,
        ..path(&shape)
    };
    let seen = alone.simulate();
    assert!(seen.peak_votes > 3_000 && seen.ack_us.is_empty() && seen.all_acked == 0);
}

#[test]
fn a_planted_slow_leader_is_seen_in_its_share_and_in_what_a_vote_takes() {
    let shape = Shape::even(2.0);
    let quick = path(&shape).simulate();
    let slow = Path {
        leader_entry_us: 400.0,
        ..path(&shape)
    }
    .simulate();
    assert!(slow.leader_share > 2.0 * quick.leader_share);
    assert!(mean(&slow.ack_us) > mean(&quick.ack_us) + 300.0);
    // What it does is what it was given.
    let known = quick.entries_per_s * 40.0 / 1e6;
    assert!(
        about(quick.leader_share, known, 0.05),
        "{} for {known}",
        quick.leader_share
    );
}

#[test]
fn tallies_rest_and_a_round_that_takes_longer_stretches_them() {
    let shape = Shape::even(3.0);
    let ends = |round_us: f64| {
        mean(
            &Path {
                round_us,
                ..path(&shape)
            }
            .simulate()
            .end_to_end_us,
        )
    };
    let acked = mean(&path(&shape).simulate().ack_us);
    // Half the rest, and half a round: the ack's way and the tally's differ by the hop that each goes at its end.
    let quick = ends(1.0);
    assert!(about(quick, acked + 25_000.0, 0.05), "{quick}");
    let slow = ends(200_000.0);
    assert!(about(slow, acked + 100_000.0 + 100_000.0, 0.05), "{slow}");
}

#[test]
fn an_outage_makes_votes_wait_and_is_made_up_for() {
    let shape = Shape::even(4.0);
    let out = Path {
        outage_us: Some(1e6..1.8e6),
        ..path(&shape)
    };
    let seen = out.simulate();
    assert_eq!(seen.ack_us.len(), seen.peak_votes);
    assert!(
        (780_000..1_000_000).contains(&seen.ack_us.max()),
        "{}",
        seen.ack_us.max()
    );
    assert!(seen.waiting_max > 3_000, "{}", seen.waiting_max);
    let recovery = seen.timeline.recovery(micros(1.8e6));
    assert!(recovery <= Duration::from_millis(400), "{recovery:?}");
    let calm = path(&shape).simulate();
    assert_eq!(calm.timeline.recovery(Duration::ZERO), Duration::ZERO);
}

#[test]
fn cores_are_as_busy_as_is_counted_on_paper() {
    let shape = "0.2,0.3;2,1;0.3,0.2".parse().unwrap();
    let path = path(&shape);
    let mut chance = Xoshiro256PlusPlus::seed_from_u64(path.seed);
    let (fronts, busy) = path.taken_in(&mut chance);
    assert!(
        fronts
            .iter()
            .all(|front| front.votes.is_sorted_by_key(|vote| Moment(vote.ready_us)))
    );
    let known = 20_000.0 * 50e-6 / 6.0;
    assert!(about(busy, known, 0.05), "{busy} for {known}");
}
