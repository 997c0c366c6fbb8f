//! A node with an empty folder is added while votes go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ostraka_core::ids::LogIndex;
use ostraka_sim_model::ids::NodeIndex;
use serde::Serialize;

use super::books::Cast;
use super::ground::Ground;
use crate::Trouble;
use crate::failover::{Audience, Costs, Meter, Seen, Spread, Stretch, millis};
use crate::limits::{FAILOVER_WARM_UP, POLL_PAUSE, SCALE_CATCH_UP_WAIT, SCALE_STRETCH};
use crate::load::{Load, LoadOptions, Sent};
use crate::proc::wait_until;
use crate::rig::Rig;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct CatchUp {
    /// Votes acknowledged when the node was started.
    pub votes: u64,
    /// From the new node's start to the end of `ostraka cluster add`, ms.
    pub added_ms: u64,
    /// From the new node's start until it had applied all that was committed, ms; none where it did not in time.
    pub caught_up_ms: Option<u64>,
    /// Bytes that the new node's link took in until then, heads of packets included.
    pub received_bytes: u64,
    /// Milliseconds since its start, and the entries that it had applied by then.
    pub applied: Vec<(u64, u64)>,
    /// Without the new node; from its start until it had caught up; from then on.
    pub before: Stretch,
    pub during: Stretch,
    pub after: Stretch,
    /// Acknowledgements of each second from the beginning of `before` on: when it was that a rank became what it is.
    pub ack_by_second: Vec<Spread>,
    pub costs_before: Costs,
    pub costs_during: Costs,
    /// Over all three.
    pub load: Sent,
}

const MEMBER: NodeIndex = NodeIndex(0);
const NEW: NodeIndex = NodeIndex(1);

/// What is seen of the new node while it catches up.
#[derive(Default)]
struct Followed {
    applied: Vec<(u64, u64)>,
    caught_up: Option<Duration>,
}

impl Ground<'_> {
    /// A stretch under load, the new node's way to the end of the log, and another stretch.
    pub(super) fn catch_up(&self, options: LoadOptions, cast: &mut Cast) -> Result<CatchUp, Trouble> {
        let load = Load::begin(self.runtime.handle(), self.polls.clone(), options);
        let audience = Audience::begin(self.runtime, self.polls, 1, load.begun());
        std::thread::sleep(FAILOVER_WARM_UP);
        let (sent, meter, from) = (load.sent(), Meter::read(self.rig), load.begun().elapsed());
        std::thread::sleep(SCALE_STRETCH);
        let before = load.sent().since(&sent).intended;
        let costs_before = Meter::read(self.rig).since(&meter, before);
        let votes = cast.acked + load.ledger().lock().acked() as u64;

        let (started, meter) = (Instant::now(), Meter::read(self.rig));
        let started_at = load.begun().elapsed();
        let so_far = load.sent();
        let received = received_bytes(self.rig, NEW)?;
        self.rig.launch(NEW)?;
        let (added, followed) = self.follow(started)?;
        let received_bytes = received_bytes(self.rig, NEW)?.saturating_sub(received);
        let during = load.sent().since(&so_far).intended;
        let costs_during = Meter::read(self.rig).since(&meter, during);
        let caught_up_at = started_at + followed.caught_up.unwrap_or(SCALE_CATCH_UP_WAIT);

        std::thread::sleep((caught_up_at + SCALE_STRETCH).saturating_sub(load.begun().elapsed()));
        let to = load.begun().elapsed();
        let all = load.sent().since(&sent);
        let (seen, screens) = {
            let ballots = cast.take_in(self.runtime, self.polls, load);
            let seen: Vec<_> = ballots.iter().map(Seen::of).collect();
            let last = seen.iter().filter_map(|vote| vote.index).max();
            (seen, audience.end(last.unwrap_or(LogIndex(0))))
        };
        Ok(CatchUp {
            votes,
            added_ms: millis(added),
            caught_up_ms: followed.caught_up.map(millis),
            received_bytes,
            applied: followed.applied,
            before: Stretch::of(&seen, &screens, (from, started_at)),
            during: Stretch::of(&seen, &screens, (started_at, caught_up_at)),
            after: Stretch::of(&seen, &screens, (caught_up_at, to)),
            ack_by_second: by_second(&seen, (from, to)),
            costs_before,
            costs_during,
            load: all,
        })
    }

    /// Adds the new node and looks on. When the adding was over, and what was seen.
    fn follow(&self, started: Instant) -> Result<(Duration, Followed), Trouble> {
        let is_added = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let adding = scope.spawn(|| {
                let added = self.rig.join(NEW).map(|()| started.elapsed());
                is_added.store(true, Ordering::Relaxed);
                added
            });
            let mut followed = Followed::default();
            wait_until(SCALE_CATCH_UP_WAIT, || {
                look(self.rig, started, &mut followed);
                followed.caught_up.is_some() && is_added.load(Ordering::Relaxed)
            });
            let added = adding
                .join()
                .unwrap_or_else(|_| Err(Trouble::failed("the adding thread panicked")));
            Ok((added?, followed))
        })
    }
}

/// Of the votes that were to begin in each second from `from` on.
fn by_second(votes: &[Seen], (from, to): (Duration, Duration)) -> Vec<Spread> {
    (0..(to - from).as_secs_f64().ceil() as u32)
        .map(|second| from + second * Duration::from_secs(1))
        .map(|begin| Stretch::of(votes, &[], (begin, begin + Duration::from_secs(1))).ack)
        .collect()
}

/// Takes down how far the new node is. It has caught up once it has applied what was committed before it was asked.
fn look(rig: &Rig, started: Instant, followed: &mut Followed) {
    let committed = rig
        .status(MEMBER)
        .ok()
        .and_then(|status| Some(status.vote()?.committed_index));
    let applied = rig
        .status(NEW)
        .ok()
        .and_then(|status| Some(status.vote()?.applied_index));
    let (Some(committed), Some(applied)) = (committed, applied) else {
        return;
    };
    let at = started.elapsed();
    let is_due = followed
        .applied
        .last()
        .is_none_or(|(last, _)| millis(at).saturating_sub(*last) >= millis(POLL_PAUSE * 20));
    let is_there = applied >= committed && followed.caught_up.is_none();
    if is_there {
        followed.caught_up = Some(at);
    }
    if is_due || is_there {
        followed.applied.push((millis(at), applied));
    }
}

fn received_bytes(rig: &Rig, index: NodeIndex) -> Result<u64, Trouble> {
    let path = "/proc/thread-self/net/dev";
    let text = rig
        .place(index)?
        .namespace
        .inside(|| std::fs::read_to_string(path))?;
    let text = text.map_err(Trouble::with_file(std::path::Path::new(path)))?;
    received_of(&text, crate::rig::INNER_LINK)
        .ok_or_else(|| Trouble::failed(format!("{path} says nothing of a node's link")))
}

/// Bytes received on `link`, out of proc_net(5)'s `dev`.
fn received_of(text: &str, link: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    let (_, counts) = lines.find(|(name, _)| *name == link)?;
    counts.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_took_in_is_the_first_number_behind_its_name() {
        let text = "Inter-|   Receive                            |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    \
            lo: 5 1 0 0 0 0 0 0 5 1\n  eth0:1234567 99 0 0 0 0 0 0 77 1\n";
        assert_eq!(received_of(text, "eth0"), Some(1_234_567));
        assert_eq!(received_of(text, "lo"), Some(5));
        assert_eq!(received_of(text, "eth1"), None);
    }
}
