//! One round on a cluster that is voted at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ostraka_core::ids::LogIndex;
use tokio::runtime::Runtime;

use super::amounts::longest_gap;
use super::audience::Audience;
use super::costs::{Counted, Meter};
use super::figures::{RoundFigures, Seen, Stretch, millis};
use super::leaders::{Leaders, another_since};
use super::plan::{Fault, lead};
use crate::Trouble;
use crate::limits::{
    FAILOVER_ANSWERS_WAIT, FAILOVER_CALM_DIVISOR, FAILOVER_CALM_WAIT, FAILOVER_WARM_UP, LOAD_LATE_START,
};
use crate::load::{Fate, Load, Polls};
use crate::nemesis::Felt;
use crate::proc::wait_until;
use crate::rig::Rig;

/// What every round of a cluster is done with.
pub(super) struct Ground<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) rig: &'a Rig,
    pub(super) polls: &'a Arc<Polls>,
    pub(super) load: &'a Load,
}

/// Moments of a round, from the load's beginning on.
struct Moments {
    from: Duration,
    fault: Duration,
    to: Duration,
}

impl Ground<'_> {
    fn begun(&self) -> Instant {
        self.load.begun()
    }

    fn sleep_until(&self, moment: Duration) {
        std::thread::sleep(moment.saturating_sub(self.begun().elapsed()));
    }

    /// A steady stretch, the fault, its end, and what is left of the window; then the cluster has to be whole again.
    pub(super) fn round(&self, fault: &Fault, window: Duration) -> Result<RoundFigures, Trouble> {
        self.calm();
        self.polls.spread();
        let nodes = self.rig.indexes().len();
        let audience = Audience::begin(self.runtime, self.polls, nodes, self.begun());
        std::thread::sleep(FAILOVER_WARM_UP);
        let leaders = Leaders::begin(self.rig, self.begun());
        let (counted, sent, meter) = (Counted::read(self.rig), self.load.sent(), Meter::read(self.rig));
        let from = self.begun().elapsed();
        self.sleep_until(from + lead(window));
        let votes = self.load.sent().since(&sent).intended;
        let costs = Meter::read(self.rig).since(&meter, votes);
        let (fault_at, felt) = self.harm(fault)?;
        self.sleep_until(from + window);
        let moments = Moments {
            from,
            fault: fault_at,
            to: self.begun().elapsed(),
        };
        let load = self.load.sent().since(&sent);
        self.rig.all_up()?;
        let seen = self.votes(&moments);
        let last = seen
            .iter()
            .filter_map(|vote| vote.index)
            .max()
            .unwrap_or(LogIndex(0));
        let screens = audience.end(last);
        let gap = longest_gap(self.acks(), moments.fault, moments.to);
        let another = another_since(&leaders.end(), moments.fault);
        Ok(RoundFigures {
            fault_at_ms: millis(moments.fault),
            felt: felt.to_string(),
            bites: felt.bites,
            resume_ms: millis(gap.lasted),
            silent_from_ms: millis(gap.began - moments.fault),
            another_leader_ms: another.map(|led| millis(led.at - moments.fault)),
            steady: Stretch::of(&seen, &screens, (moments.from, moments.fault)),
            window: Stretch::of(&seen, &screens, (moments.from, moments.to)),
            answers: Counted::read(self.rig).since(&counted),
            load,
            costs,
        })
    }

    /// Waits until the load is on time again, and little is under way. A round that begins without that says so by its figures.
    fn calm(&self) {
        let (ledger, of) = (self.load.ledger(), self.load.options());
        let few = f64::from(of.in_flight_max).min(of.votes_per_s / f64::from(FAILOVER_CALM_DIVISOR));
        wait_until(FAILOVER_CALM_WAIT, || {
            let ledger = ledger.lock();
            let newest = || ledger.ballots().iter().rev().take(2 * of.in_flight_max as usize);
            let under_way = newest().filter(|ballot| ballot.fate == Fate::UnderWay).count();
            let is_late = newest()
                .next()
                .is_some_and(|ballot| ballot.late > LOAD_LATE_START);
            !is_late && under_way as f64 <= few.max(1.0)
        });
    }

    /// When any vote was acknowledged, in no order.
    fn acks(&self) -> Vec<Duration> {
        let ledger = self.load.ledger();
        let ledger = ledger.lock();
        let acked = ledger
            .ballots()
            .iter()
            .filter(|ballot| matches!(ballot.fate, Fate::Acked(_)));
        acked.filter_map(|ballot| ballot.answered).collect()
    }

    /// Does the harm and undoes it. When it began, and what was felt of it.
    fn harm(&self, fault: &Fault) -> Result<(Duration, Felt), Trouble> {
        let mut nemesis = fault.make(self.polls.stream());
        let fault_at = self.begun().elapsed();
        let at_once = nemesis.begin(self.rig, fault.target)?;
        self.sleep_until(fault_at + fault.lasts);
        let felt = nemesis.end(self.rig)?;
        // Whom it hit is said at its beginning, how often it bit at its end.
        let note = format!("{}; {}", at_once.note, felt.note);
        Ok((fault_at, Felt { note, ..felt }))
    }

    /// The votes of the window, once all have their outcome or ran out of patience.
    fn votes(&self, moments: &Moments) -> Vec<Seen> {
        let ledger = self.load.ledger();
        wait_until(FAILOVER_ANSWERS_WAIT, || {
            let ledger = ledger.lock();
            let ballots = ledger.ballots().iter().rev();
            let mut ours = ballots
                .skip_while(|ballot| ballot.intended >= moments.to)
                .take_while(|ballot| ballot.intended >= moments.from);
            !ours.any(|ballot| ballot.fate == Fate::UnderWay)
        });
        let ledger = ledger.lock();
        let ballots = ledger.ballots();
        let begin = ballots.partition_point(|ballot| ballot.intended < moments.from);
        let end = ballots.partition_point(|ballot| ballot.intended < moments.to);
        ballots[begin..end].iter().map(Seen::of).collect()
    }
}
