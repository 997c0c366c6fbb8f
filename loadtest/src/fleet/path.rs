//! A vote's way through a fleet, event by event: it comes, a node takes it in, gathers it into an entry by the service's own rule,
//! the leader puts the entry into its log and sends it to the others, whose disks gather entries while a barrier runs; a quorum
//! has it, it is applied, whoever sent it is told, and the next tally takes it to all watchers.
//!
//! Pure: the same arguments give the same figures. Not in it: the way between people and the balancer, what an answer waits
//! for in sockets, retries, elections (an outage is given), garbage of any kind.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::Histogram;
use ostraka_api::limits::{BATCH_AGE_MICROS_MAX, BATCH_VOTES_MAX, BATCHES_IN_FLIGHT_MAX};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

use super::queue::{Moment, Servers, exponential};
use super::shape::Shape;
use crate::arrivals::{Arrivals, Pace};
use crate::open_loop::Timeline;
use crate::statistics::latencies;

/// What an acknowledgement may take at most: the objective.
const ACK_MAX_US: f64 = 50_000.0;
/// One vote in so many is looked for by a few watchers, who are anywhere in a tally's round.
const WATCHED_ONE_IN: usize = 16;
const WATCHERS_A_VOTE: usize = 4;
const BATCH_AGE_US: f64 = BATCH_AGE_MICROS_MAX as f64;

/// What is simulated: one fleet as it is at one time.
#[derive(Clone, Debug)]
pub(super) struct Path<'a> {
    pub(super) votes_per_s: f64,
    pub(super) shape: &'a Shape,
    pub(super) seed: u64,
    /// Nodes that take votes in, and cores of each.
    pub(super) front_nodes: usize,
    pub(super) front_cores: usize,
    pub(super) front_vote_us: f64,
    /// Voting members of the log, and how many of them are there.
    pub(super) log_nodes: usize,
    pub(super) log_alive: usize,
    /// Of the leader's loop, for an entry that goes to all replicas.
    pub(super) leader_entry_us: f64,
    pub(super) barrier_us_min: f64,
    pub(super) barrier_us_mean: f64,
    pub(super) apply_vote_us: f64,
    pub(super) hop_us: f64,
    /// Hops from a replica to a watcher's node.
    pub(super) feeder_hops: f64,
    /// Between two tallies at least, and what it takes to hand one to all watchers of a node.
    pub(super) tally_us: f64,
    pub(super) round_us: f64,
    /// No leader within it.
    pub(super) outage_us: Option<Range<f64>>,
}

/// What was seen.
pub(super) struct Seen {
    /// Votes that came at the peak; latencies are of those.
    pub(super) peak_votes: u64,
    pub(super) ack_us: Histogram<u64>,
    pub(super) end_to_end_us: Histogram<u64>,
    /// Of the whole run.
    pub(super) all_acked: u64,
    pub(super) entries_per_s: f64,
    pub(super) votes_an_entry: f64,
    pub(super) leader_share: f64,
    pub(super) apply_share: f64,
    /// Votes that waited at one node at most.
    pub(super) waiting_max: usize,
    pub(super) timeline: Timeline,
}

struct Vote {
    ready_us: f64,
    intended_us: f64,
}

struct Front {
    votes: Vec<Vote>,
    /// The first that is in no batch.
    next: usize,
    in_flight: usize,
    /// When it looks again. A look that was meant for another time is none.
    looks_at: f64,
}

impl Front {
    const fn new() -> Self {
        Self {
            votes: Vec::new(),
            next: 0,
            in_flight: 0,
            looks_at: f64::INFINITY,
        }
    }
}

struct Batch {
    front: usize,
    votes: Range<usize>,
}

/// A voting member's disk: while a barrier runs, what comes gathers for the next.
#[derive(Clone, Default)]
struct Disk {
    written: usize,
    flushing: Option<usize>,
    flushed: usize,
    /// What of it the leader has heard of.
    durable: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A front node looks whether a batch closes.
    Look {
        front: usize,
    },
    /// A batch reaches the leader.
    Propose {
        batch: usize,
    },
    /// The log up to there reaches a member's disk.
    Written {
        disk: usize,
        upto: usize,
    },
    Flushed {
        disk: usize,
    },
    /// The leader hears of it.
    Durable {
        disk: usize,
        upto: usize,
    },
    /// The outcomes reach the front node.
    Answered {
        batch: usize,
    },
}

struct Run<'a> {
    path: &'a Path<'a>,
    chance: Xoshiro256PlusPlus,
    due: BinaryHeap<Reverse<(Moment, u64, What)>>,
    scheduled: u64,
    fronts: Vec<Front>,
    batches: Vec<Batch>,
    /// Batches in the order of the log.
    log: Vec<usize>,
    disks: Vec<Disk>,
    committed: usize,
    leader: Servers,
    apply: Servers,
    feeder: Servers,
    /// When a watcher's node has applied each entry, in the order of the log.
    shown_us: Vec<f64>,
    seen: Seen,
}

impl Path<'_> {
    pub(super) fn simulate(&self) -> Seen {
        let peak = self.shape.peak_us();
        let mut chance = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let (fronts, _) = self.taken_in(&mut chance);
        let at_peak = |vote: &&Vote| peak.contains(&vote.intended_us);
        let peak_votes = fronts
            .iter()
            .map(|front| front.votes.iter().filter(at_peak).count() as u64);
        let peak_votes = peak_votes.sum();
        let mut run = Run {
            path: self,
            chance,
            due: BinaryHeap::new(),
            scheduled: 0,
            fronts,
            batches: Vec::new(),
            log: Vec::new(),
            disks: vec![Disk::default(); self.log_alive],
            committed: 0,
            leader: Servers::new(1, peak.clone()),
            apply: Servers::new(1, peak.clone()),
            feeder: Servers::new(1, peak.clone()),
            shown_us: Vec::new(),
            seen: Seen {
                peak_votes,
                ack_us: latencies(),
                end_to_end_us: latencies(),
                all_acked: 0,
                entries_per_s: 0.0,
                votes_an_entry: 0.0,
                leader_share: 0.0,
                apply_share: 0.0,
                waiting_max: 0,
                timeline: Timeline::default(),
            },
        };
        run.go();
        run.watch();
        let length_s = self.shape.length_us() / 1e6;
        let Run {
            mut seen,
            leader,
            apply,
            log,
            ..
        } = run;
        seen.leader_share = leader.busy_share();
        seen.apply_share = apply.busy_share();
        seen.entries_per_s = log.len() as f64 / length_s;
        seen.votes_an_entry = seen.all_acked as f64 / log.len().max(1) as f64;
        seen
    }

    /// All votes, by the node that takes each in, in the order in which they are ready for a batch; and the share of their cores that
    /// they take at the peak.
    fn taken_in(&self, chance: &mut Xoshiro256PlusPlus) -> (Vec<Front>, f64) {
        let mut fronts: Vec<Front> = (0..self.front_nodes).map(|_| Front::new()).collect();
        let servers = || Servers::new(self.front_cores, self.shape.peak_us());
        let mut cores: Vec<Servers> = (0..self.front_nodes).map(|_| servers()).collect();
        for (nth, (within, share)) in self.shape.steps_us().enumerate() {
            let per_s = self.votes_per_s * share;
            if per_s <= 0.0 {
                continue;
            }
            let seed = self.seed.wrapping_add((nth as u64 + 1) << 32);
            let starts = Arrivals::new(per_s, Pace::Poisson, seed);
            let starts = starts.map(|start| within.start + start.as_secs_f64() * 1e6);
            for intended_us in starts.take_while(|start| *start < within.end) {
                let at = chance.random_range(0..self.front_nodes);
                let takes = exponential(chance, self.front_vote_us);
                fronts[at].votes.push(Vote {
                    ready_us: cores[at].serve(intended_us, takes),
                    intended_us,
                });
            }
        }
        for front in &mut fronts {
            front.votes.sort_by_key(|vote| Moment(vote.ready_us));
        }
        let share = cores.iter().map(Servers::busy_share).sum::<f64>() / self.front_nodes as f64;
        (fronts, share)
    }
}

impl Run<'_> {
    fn at(&mut self, when_us: f64, what: What) {
        self.scheduled += 1;
        self.due.push(Reverse((Moment(when_us), self.scheduled, what)));
    }

    fn go(&mut self) {
        for front in 0..self.fronts.len() {
            self.look(0.0, front);
        }
        while let Some(Reverse((Moment(now), _, what))) = self.due.pop() {
            match what {
                What::Look { front } if now < self.fronts[front].looks_at => {}
                What::Look { front } => self.look(now, front),
                What::Propose { batch } => self.propose(now, batch),
                What::Written { disk, upto } => {
                    self.disks[disk].written = upto;
                    self.begin_barrier(now, disk);
                }
                What::Flushed { disk } => {
                    let upto = self.disks[disk].flushing.take().expect("its barrier ran");
                    self.disks[disk].flushed = upto;
                    self.at(now + self.hop_from(disk), What::Durable { disk, upto });
                    self.begin_barrier(now, disk);
                }
                What::Durable { disk, upto } => {
                    self.disks[disk].durable = upto;
                    self.commit(now);
                }
                What::Answered { batch } => self.answered(now, batch),
            }
        }
    }

    /// The leader's own disk is no hop away.
    fn hop_from(&self, disk: usize) -> f64 {
        if disk == 0 { 0.0 } else { self.path.hop_us }
    }

    /// The service's rule (`ostraka_core::batcher`): whoever is ready is taken; a batch goes when it is full, when nothing is under
    /// way, or when its oldest vote is old enough; and no more than a few are under way.
    fn look(&mut self, now: f64, at: usize) {
        self.fronts[at].looks_at = f64::INFINITY;
        loop {
            let front = &self.fronts[at];
            let waiting = &front.votes[front.next..];
            let Some(oldest_us) = waiting.first().map(|vote| vote.ready_us) else {
                return;
            };
            let in_flight = front.in_flight;
            if in_flight >= BATCHES_IN_FLIGHT_MAX {
                return;
            }
            if oldest_us > now {
                self.look_at(oldest_us, at);
                return;
            }
            let room = &waiting[..waiting.len().min(BATCH_VOTES_MAX)];
            let ready = room.partition_point(|vote| vote.ready_us <= now);
            let old_at = oldest_us + BATCH_AGE_US;
            if in_flight > 0 && ready < BATCH_VOTES_MAX && now < old_at {
                let full_at = waiting
                    .get(BATCH_VOTES_MAX - 1)
                    .map_or(old_at, |vote| vote.ready_us);
                self.look_at(old_at.min(full_at), at);
                return;
            }
            let all_ready = waiting.partition_point(|vote| vote.ready_us <= now);
            self.seen.waiting_max = self.seen.waiting_max.max(all_ready);
            let front = &mut self.fronts[at];
            let votes = front.next..front.next + ready;
            front.next = votes.end;
            front.in_flight += 1;
            let batch = self.batches.len();
            self.batches.push(Batch { front: at, votes });
            self.at(now + self.path.hop_us, What::Propose { batch });
        }
    }

    fn look_at(&mut self, when_us: f64, front: usize) {
        self.fronts[front].looks_at = when_us;
        self.at(when_us, What::Look { front });
    }

    fn propose(&mut self, now: f64, batch: usize) {
        let outage = self.path.outage_us.clone().filter(|outage| outage.contains(&now));
        let begins = outage.map_or(now, |outage| outage.end);
        let sent = self.leader.serve(begins, self.path.leader_entry_us);
        self.log.push(batch);
        let upto = self.log.len();
        for disk in 0..self.disks.len() {
            self.at(sent + self.hop_from(disk), What::Written { disk, upto });
        }
    }

    fn begin_barrier(&mut self, now: f64, disk: usize) {
        let Path {
            barrier_us_min,
            barrier_us_mean,
            ..
        } = *self.path;
        let state = &mut self.disks[disk];
        if state.flushing.is_some() || state.written == state.flushed {
            return;
        }
        state.flushing = Some(state.written);
        let more = exponential(&mut self.chance, barrier_us_mean - barrier_us_min);
        self.at(now + barrier_us_min + more, What::Flushed { disk });
    }

    /// What a quorum has is committed, in the order of the log.
    fn commit(&mut self, now: f64) {
        let mut durable: Vec<usize> = self.disks.iter().map(|disk| disk.durable).collect();
        durable.sort_unstable_by_key(|upto| Reverse(*upto));
        let quorum = self.path.log_nodes / 2 + 1;
        let Some(&upto) = durable.get(quorum - 1) else {
            return;
        };
        for nth in self.committed..upto {
            let batch = self.log[nth];
            let takes = self.batches[batch].votes.len() as f64 * self.path.apply_vote_us;
            let applied = self.apply.serve(now, takes);
            let shown = self
                .feeder
                .serve(now + self.path.hop_us * self.path.feeder_hops, takes);
            self.shown_us.push(shown);
            self.at(applied + self.path.hop_us, What::Answered { batch });
        }
        self.committed = self.committed.max(upto);
    }

    fn answered(&mut self, now: f64, batch: usize) {
        let Batch { front, ref votes } = self.batches[batch];
        let peak = self.path.shape.peak_us();
        for vote in &self.fronts[front].votes[votes.clone()] {
            let took = now - vote.intended_us;
            self.seen.all_acked += 1;
            let slot = self.seen.timeline.at(micros(vote.intended_us));
            slot.begun += 1;
            slot.quick += u64::from(took <= ACK_MAX_US);
            if peak.contains(&vote.intended_us) {
                self.seen.ack_us.saturating_record(took.round() as u64);
            }
        }
        self.fronts[front].in_flight -= 1;
        self.look(now, front);
    }

    /// Tallies go out when something has changed and the last one is long enough ago; a watcher has one when its round has come
    /// to him.
    fn watch(&mut self) {
        let peak = self.path.shape.peak_us();
        let rest = self.path.tally_us.max(self.path.round_us);
        let (mut tally, mut shown) = (f64::NEG_INFINITY, 0);
        while shown < self.shown_us.len() {
            tally = self.shown_us[shown].max(tally + rest);
            let until = self.shown_us.partition_point(|applied| *applied <= tally);
            for batch in &self.log[shown..until] {
                let Batch { front, ref votes } = self.batches[*batch];
                let votes = &self.fronts[front].votes[votes.clone()];
                for vote in votes.iter().step_by(WATCHED_ONE_IN) {
                    for _ in 0..WATCHERS_A_VOTE {
                        let seen = tally + self.chance.random::<f64>() * self.path.round_us;
                        if peak.contains(&vote.intended_us) {
                            let took = (seen - vote.intended_us).round() as u64;
                            self.seen.end_to_end_us.saturating_record(took);
                        }
                    }
                }
            }
            shown = until;
        }
    }
}

fn micros(us: f64) -> Duration {
    Duration::from_secs_f64(us.max(0.0) / 1e6)
}

#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
