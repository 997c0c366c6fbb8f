//! Servers before one queue, and moments that can be ordered. All times are microseconds since a run's beginning.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus;

/// A time that is never not a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Moment(pub(super) f64);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// A few servers: who comes first is served first, by whoever is free first.
pub(super) struct Servers {
    free_at: BinaryHeap<Reverse<Moment>>,
    count: usize,
    /// Within it they are watched.
    window: Range<f64>,
    busy_us: f64,
}

impl Servers {
    /// # Panics
    /// If `count` is 0.
    pub(super) fn new(count: usize, window: Range<f64>) -> Self {
        assert!(count > 0, "without a server nobody is ever served");
        Self {
            free_at: (0..count).map(|_| Reverse(Moment(0.0))).collect(),
            count,
            window,
            busy_us: 0.0,
        }
    }

    /// Serves who comes then for so long, and says when he is done. To be called in the order in which they come.
    pub(super) fn serve(&mut self, comes_us: f64, takes_us: f64) -> f64 {
        let Reverse(Moment(free)) = self.free_at.pop().expect("there is at least one");
        let begins = free.max(comes_us);
        let ends = begins + takes_us;
        self.busy_us += (ends.min(self.window.end) - begins.max(self.window.start)).max(0.0);
        self.free_at.push(Reverse(Moment(ends)));
        ends
    }

    /// Share of the window in which they were busy.
    pub(super) fn busy_share(&self) -> f64 {
        self.busy_us / (self.window.end - self.window.start) / self.count as f64
    }
}

/// A time of that mean, exponentially distributed.
pub(super) fn exponential(chance: &mut Xoshiro256PlusPlus, mean_us: f64) -> f64 {
    // 1 - x is never 0.
    -(1.0 - chance.random::<f64>()).ln() * mean_us
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrivals::{Arrivals, Pace};
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    const CUSTOMERS: usize = 400_000;
    /// How far a simulated mean may lie from the known one.
    const BOUND: f64 = 0.06;

    #[derive(Clone, Copy)]
    enum Service {
        Exponential,
        Constant,
    }

    /// The mean wait of customers who come at `load` of what `servers` can do, each of whom is served for `mean_us` on the
    /// average; and the share of time for which the servers were busy.
    fn simulated(service: Service, servers: usize, load: f64, mean_us: f64) -> (f64, f64) {
        // As many come as servers of 100 us would bear at that load.
        let per_s = load * servers as f64 / 100.0 * 1e6;
        let starts = Arrivals::new(per_s, Pace::Poisson, 7).take(CUSTOMERS);
        let until = CUSTOMERS as f64 / per_s * 1e6;
        let mut queue = Servers::new(servers, 0.0..until);
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(11);
        let waits = starts.map(|start| {
            let comes = start.as_secs_f64() * 1e6;
            let takes = match service {
                Service::Exponential => exponential(&mut chance, mean_us),
                Service::Constant => mean_us,
            };
            queue.serve(comes, takes) - takes - comes
        });
        let wait = waits.sum::<f64>() / CUSTOMERS as f64;
        (wait, queue.busy_share())
    }

    /// Erlang's C: the chance to have to wait, of `load` a server.
    fn erlang_c(servers: usize, load: f64) -> f64 {
        let offered = load * servers as f64;
        let (mut term, mut sum) = (1.0, 0.0);
        for number in 1..=servers {
            sum += term;
            term *= offered / number as f64;
        }
        let waiting = term / (1.0 - load);
        waiting / (sum + waiting)
    }

    /// Mean waits as queueing theory has them, for a service of 100 us: M/M/c by Erlang, M/D/1 by Pollaczek and Khinchine.
    fn known(service: Service, servers: usize, load: f64) -> f64 {
        let mean_us = 100.0;
        match service {
            Service::Exponential => erlang_c(servers, load) * mean_us / (servers as f64 * (1.0 - load)),
            Service::Constant => {
                assert_eq!(servers, 1, "there is no closed form for more");
                load * mean_us / (2.0 * (1.0 - load))
            }
        }
    }

    const CASES: [(Service, usize, f64); 6] = [
        (Service::Exponential, 1, 0.5),
        (Service::Exponential, 1, 0.8),
        (Service::Exponential, 4, 0.8),
        (Service::Exponential, 16, 0.9),
        (Service::Constant, 1, 0.5),
        (Service::Constant, 1, 0.8),
    ];

    fn agrees(service: Service, servers: usize, load: f64, mean_us: f64) -> bool {
        let (wait, busy) = simulated(service, servers, load, mean_us);
        let known = known(service, servers, load);
        (wait / known - 1.0).abs() < BOUND && (busy / load - 1.0).abs() < 0.01
    }

    #[test]
    fn mean_waits_are_those_of_queueing_theory() {
        for (service, servers, load) in CASES {
            let (wait, busy) = simulated(service, servers, load, 100.0);
            let known = known(service, servers, load);
            assert!(
                agrees(service, servers, load, 100.0),
                "{servers} servers at {load}: waited {wait}, known {known}; busy {busy}"
            );
        }
    }

    /// The check above is shown to find a service time that is 5 % wrong, either way.
    #[test]
    fn a_planted_wrong_service_time_is_found() {
        for (service, servers, load) in CASES {
            for wrong in [95.0, 105.0] {
                assert!(
                    !agrees(service, servers, load, wrong),
                    "{servers} servers at {load}, {wrong} us passed for 100"
                );
            }
        }
    }

    #[test]
    fn one_server_has_erlangs_chance_to_wait() {
        assert!((erlang_c(1, 0.7) - 0.7).abs() < 1e-12);
        // Two servers at half load: 1/3.
        assert!((erlang_c(2, 0.5) - 1.0 / 3.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn nobody_is_done_before_he_came_and_was_served_and_more_servers_are_never_slower(
            gaps in proptest::collection::vec((0.0f64..500.0, 1.0f64..300.0), 1..200),
            servers in 1usize..6,
        ) {
            let window = 0.0..1e9;
            let (mut few, mut more) = (Servers::new(servers, window.clone()), Servers::new(servers + 1, window));
            let (mut comes, mut work) = (0.0, 0.0);
            for (gap, takes) in gaps {
                comes += gap;
                work += takes;
                let done = few.serve(comes, takes);
                prop_assert!(done >= comes + takes - 1e-6);
                prop_assert!(more.serve(comes, takes) <= done + 1e-6);
            }
            prop_assert!((few.busy_us - work).abs() < 1e-3);
        }
    }
}
