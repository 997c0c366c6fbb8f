//! What a fleet amounts to, for people and as evidence.

use serde::Serialize;

use super::cost::Cost;
use super::inputs::{Basis, Prices, Times};
use super::plan::{Fleet, Limits, Plan, Share};
use crate::evidence::Verdict;
use crate::rate::Ranks;

/// The fleet at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct State {
    /// Nodes that are there.
    pub(crate) left: Fleet,
    pub(crate) shares: Vec<Share>,
    pub(crate) ack_ms: Ranks,
    pub(crate) end_to_end_ms: Ranks,
    pub(crate) entries_per_s: f64,
    pub(crate) votes_an_entry: f64,
}

impl State {
    /// What is not as it should be, each in a sentence; `most` in place of what each share should stay below.
    pub(super) fn missed(&self, limits: &Limits, most: Option<f64>) -> Vec<String> {
        let mut missed = Vec::new();
        for share in &self.shares {
            let most = most.map_or(share.most, |most| most.max(share.most));
            if share.share > most {
                missed.push(format!("{}: {:.2} in use, not {most}", share.what, share.share));
            }
        }
        let latencies = [
            ("ack p99", self.ack_ms.p99, limits.ack_p99_ms_max),
            (
                "end to end p95",
                self.end_to_end_ms.p95,
                limits.end_to_end_p95_ms_max,
            ),
            (
                "end to end p99",
                self.end_to_end_ms.p99,
                limits.end_to_end_p99_ms_max,
            ),
        ];
        for (what, found, max) in latencies {
            match found {
                Some(ms) if ms <= max => {}
                Some(ms) => missed.push(format!("{what} {ms:.0} ms, not {max}")),
                None => missed.push(format!("{what} is none: no vote came that far")),
            }
        }
        missed
    }

    fn busiest(&self) -> Option<&Share> {
        let part = |share: &&Share| share.share / share.most;
        self.shares
            .iter()
            .max_by(|one, other| part(one).total_cmp(&part(other)))
    }
}

/// When the leader goes, and with it a part of the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Outage {
    pub(crate) without_leader_s: f64,
    /// After there is a leader again, until 99 of 100 votes are acknowledged within 50 ms again.
    pub(crate) recovered_s: f64,
    pub(crate) ack_ms: Ranks,
    /// At one node. What is more than it may hold is refused with 503.
    pub(crate) waiting_votes_max: u64,
    pub(crate) waiting_bytes_max: f64,
    pub(crate) waiting_bytes_allowed: f64,
    pub(crate) watchers_come_again: u64,
    pub(crate) watchers_back_s: f64,
}

/// How much more the same nodes bear.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Headroom {
    pub(crate) holds_times: f64,
    /// None: nothing that was tried was too much.
    pub(crate) breaks_times: Option<f64>,
    pub(crate) breaks: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct FleetFigures {
    /// Of everything here but `inputs`, `prices` and what was asked for.
    pub(crate) basis: Basis,
    pub(crate) asked: Plan,
    pub(crate) fleet: Fleet,
    /// Nodes that the leader sends the log to.
    pub(crate) replicas: usize,
    pub(crate) healthy: State,
    /// With a node or a zone lost, after the moment of the loss.
    pub(crate) lost: Option<State>,
    pub(crate) outage: Option<Outage>,
    pub(crate) headroom: Headroom,
    pub(crate) cost: Cost,
    pub(crate) inputs: Times,
    pub(crate) prices: Prices,
}

impl FleetFigures {
    /// For people.
    pub(crate) fn text(&self) -> String {
        [
            self.inputs_text(),
            self.fleet_text(),
            self.shares_text(),
            self.latencies_text(),
            self.outage_text(),
            self.headroom_text(),
            self.cost_text(),
        ]
        .concat()
    }

    fn inputs_text(&self) -> String {
        let row = |(input, sourced): (super::Input, &super::inputs::Sourced)| {
            format!(
                "{:<16} {:>12}  {:<12} {}\n",
                input.name(),
                sourced.value,
                sourced.basis.name(),
                sourced.from
            )
        };
        let rows: String = self.inputs.all().map(row).collect();
        format!("INPUTS\n{rows}\n")
    }

    fn fleet_text(&self) -> String {
        let Plan {
            requests_per_s,
            users,
            watchers,
            instance,
            shape,
            ..
        } = &self.asked;
        let Fleet { log, front, feeders } = self.fleet;
        let relays = if self.asked.relays {
            ", by relays, which are not built"
        } else {
            ", each of which has the log"
        };
        format!(
            "EXTRAPOLATED: {requests_per_s:.0} votes/s (shape {shape}), {users:.0} users, {watchers:.0} watchers, a tally every {} ms\n\
             nodes        {} {instance}: {log} for the log, {front} take votes, {feeders} for watchers{relays}\n\
             the leader   sends to {} others, {:.0} entries/s of {:.1} votes over the whole time\n\n",
            self.asked.tally_ms,
            self.fleet.nodes(),
            self.replicas,
            self.healthy.entries_per_s,
            self.healthy.votes_an_entry,
        )
    }

    fn shares_text(&self) -> String {
        let lost = |nth: usize| {
            let share = self.lost.as_ref().and_then(|lost| lost.shares.get(nth));
            share.map_or("-".to_string(), |share| format!("{:.3}", share.share))
        };
        let row = |(nth, share): (usize, &Share)| {
            format!(
                "{:<34} {:>8.3} {:>8} {:>8}\n",
                share.what,
                share.share,
                lost(nth),
                share.most
            )
        };
        let rows: String = self.healthy.shares.iter().enumerate().map(row).collect();
        format!(
            "{:<34} {:>8} {:>8} {:>8}\n{rows}\n",
            "used", "all", "lost", "at most"
        )
    }

    fn latencies_text(&self) -> String {
        let of = |name: &str, state: &State| {
            format!(
                "ack, {name}: {}\nend to end, {name}: {}\n",
                state.ack_ms.text(),
                state.end_to_end_ms.text()
            )
        };
        let lost = self.lost.as_ref();
        let lost = lost.map(|lost| of(&format!("{} nodes left", lost.left.nodes()), lost));
        of("all nodes", &self.healthy) + &lost.unwrap_or_default()
    }

    fn outage_text(&self) -> String {
        let Some(outage) = &self.outage else {
            return String::new();
        };
        let fits = if outage.waiting_bytes_max <= outage.waiting_bytes_allowed {
            "which a node may hold"
        } else {
            "of which a node refuses what is beyond its limit"
        };
        format!(
            "the leader lost: nobody is acknowledged for {:.2} s; recovered {:.1} s after that; longest ack {} ms; up to {} votes wait at a \
             node, {fits}; {} watchers come again within {:.1} s\n",
            outage.without_leader_s,
            outage.recovered_s,
            outage.ack_ms.max.map_or("?".to_string(), |ms| format!("{ms:.0}")),
            outage.waiting_votes_max,
            outage.watchers_come_again,
            outage.watchers_back_s,
        )
    }

    fn headroom_text(&self) -> String {
        let Headroom {
            holds_times,
            breaks_times,
            breaks,
        } = &self.headroom;
        let breaks = breaks.join("; ");
        match breaks_times {
            Some(_) if *holds_times < 1.0 => {
                format!("headroom: none, as it is what breaks first is: {breaks}\n\n")
            }
            Some(times) => format!(
                "headroom: {holds_times} times as much is borne; at {times} times what breaks first is: {breaks}\n\n"
            ),
            None => format!("headroom: {holds_times} times as much is borne, and no more was tried\n\n"),
        }
    }

    fn cost_text(&self) -> String {
        let Cost {
            show_instances,
            show_balancer,
            show_out,
            show_between_zones,
            show,
            month_standing,
            month,
            out_gb_a_show,
        } = self.cost;
        let Prices {
            currency,
            region,
            as_of,
            ..
        } = &self.prices;
        format!(
            "a show of {} h, {} min of it busy: {show:.0} {currency} ({show_instances:.0} instances, {show_balancer:.0} balancer, {show_out:.0} for \
             {out_gb_a_show:.0} GB out, {show_between_zones:.0} between zones)\n\
             a month with {} of them: {month:.0} {currency}, of which {month_standing:.0} for what stands all the time; list prices of {region}, {as_of}\n",
            self.asked.show_hours, self.asked.busy_minutes, self.asked.shows_a_month,
        )
    }

    /// The verdict on paper, and the sentence that goes with it.
    pub(crate) fn verdict(&self) -> (Verdict, String) {
        let limits = &self.asked.limits;
        let mut missed = self.healthy.missed(limits, None);
        if let Some(lost) = &self.lost {
            let lost = lost.missed(limits, None).into_iter();
            missed.extend(lost.map(|sentence| format!("with {} lost: {sentence}", self.asked.lose.name())));
        }
        let assumed = self
            .inputs
            .all()
            .filter(|(_, sourced)| sourced.basis == Basis::Assumed);
        let assumed = assumed.count();
        let worth = format!("on paper, by {assumed} inputs that nobody has measured");
        if !missed.is_empty() {
            return (Verdict::Fail, format!("{worth}: {}", missed.join("; ")));
        }
        let busiest = self.healthy.busiest().map_or("nothing", |share| share.what);
        let sentence = format!(
            "{worth}: {} nodes carry it, {} times as much is borne; most in use: {busiest}",
            self.fleet.nodes(),
            self.headroom.holds_times
        );
        (Verdict::Pass, sentence)
    }
}
