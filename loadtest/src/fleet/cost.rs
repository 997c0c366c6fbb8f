//! What a fleet costs by its list prices.

use serde::Serialize;

use super::inputs::{Balancer, Input, Instance, Prices, Tier, Times};
use super::plan::{Fleet, Plan};

/// Hours of a month, as the vendor counts them.
const MONTH_HOURS: f64 = 730.0;
/// Nodes of each kind that stay between shows, so that no zone is without one.
const STANDING: usize = 3;
/// Bytes of a gigabyte, as traffic and disks are counted.
const GB: f64 = 1e9;

/// In the list's currency.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Cost {
    pub(crate) show_instances: f64,
    pub(crate) show_balancer: f64,
    /// To the watchers, who get most of what is sent.
    pub(crate) show_out: f64,
    pub(crate) show_between_zones: f64,
    pub(crate) show: f64,
    /// Log nodes, and three of each other kind, all month; their disks; a balancer.
    pub(crate) month_standing: f64,
    pub(crate) month: f64,
    pub(crate) out_gb_a_show: f64,
}

impl Cost {
    pub(super) fn of(plan: &Plan, fleet: Fleet, times: &Times, prices: &Prices, instance: &Instance) -> Self {
        let busy_s = plan.busy_minutes * 60.0;
        let tallies = plan.watchers * busy_s * 1_000.0 / plan.tally_ms;
        let out_gb = tallies * times.get(Input::TallyBytes) / GB;
        let sent_gb = plan.requests_per_s * busy_s * times.get(Input::VoteBytes) / GB;
        let standing = Fleet {
            log: fleet.log,
            front: fleet.front.min(STANDING),
            feeders: fleet.feeders.min(STANDING),
        };
        let more = (fleet.nodes() - standing.nodes()) as f64;
        let show_instances = more * plan.show_hours * instance.per_hour;
        let show_balancer = units(&prices.balancer, plan, out_gb) * prices.balancer.per_unit_hour;
        let show_out = in_tiers(&prices.out, out_gb * plan.shows_a_month) / plan.shows_a_month;
        let show_between_zones = sent_gb * plan.replicas(fleet) as f64 * prices.between_zones_per_gb;
        let show = show_instances + show_balancer + show_out + show_between_zones;
        let disk_gb = plan.users * times.get(Input::VoteDiskBytes) / GB;
        let with_disk = plan.log_nodes + plan.replicas(standing) + 1 - standing.log;
        let month_standing = MONTH_HOURS
            * (standing.nodes() as f64 * instance.per_hour + prices.balancer.per_hour)
            + disk_gb * with_disk as f64 * prices.disk.per_gb_month;
        Self {
            show_instances,
            show_balancer,
            show_out,
            show_between_zones,
            show,
            month_standing,
            month: month_standing + show * plan.shows_a_month,
            out_gb_a_show: out_gb,
        }
    }
}

/// Unit-hours of a show: of what the balancer does, what takes most of them counts.
fn units(balancer: &Balancer, plan: &Plan, out_gb: f64) -> f64 {
    let busy_hours = plan.busy_minutes / 60.0;
    let open = plan.watchers / balancer.connections_a_unit;
    let new_per_s = plan.requests_per_s / plan.requests_a_connection;
    let new = new_per_s / balancer.new_connections_per_s_a_unit;
    let bytes = out_gb / busy_hours / balancer.gb_per_hour_a_unit;
    open.max(new).max(bytes) * busy_hours + open * (plan.show_hours - busy_hours).max(0.0)
}

fn in_tiers(tiers: &[Tier], gb: f64) -> f64 {
    let (mut from, mut cost) = (0.0, 0.0);
    for tier in tiers {
        let until = tier.up_to_gb.unwrap_or(f64::INFINITY).min(gb);
        cost += (until - from).max(0.0) * tier.per_gb;
        from = until.max(from);
    }
    cost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::plan;

    #[test]
    fn tiers_are_paid_one_after_the_other() {
        let tier = |up_to_gb, per_gb| Tier { up_to_gb, per_gb };
        let tiers = [tier(Some(10.0), 0.5), tier(Some(20.0), 0.25), tier(None, 0.125)];
        for (gb, cost) in [(0.0, 0.0), (10.0, 5.0), (15.0, 6.25), (20.0, 7.5), (28.0, 8.5)] {
            assert_eq!(in_tiers(&tiers, gb), cost);
        }
    }

    /// By hand: 100 watchers, a tally a second of 1,000 bytes for 30 of 60 minutes, and so on.
    #[test]
    fn a_small_show_costs_what_it_costs_by_hand() {
        let sets = ["tally_bytes=1000", "vote_bytes=100", "vote_disk_bytes=1000"];
        let sets: Vec<_> = sets.iter().map(|text| text.parse().unwrap()).collect();
        let times = Times::load(None).unwrap().with(&sets).unwrap();
        let prices = Prices::load(None).unwrap();
        let instance = &prices.instances["c7g.4xlarge"];
        let plan = Plan {
            requests_per_s: 1_000.0,
            users: 1e6,
            watchers: 6_000.0,
            tally_ms: 1_000.0,
            busy_minutes: 30.0,
            show_hours: 2.0,
            shows_a_month: 2.0,
            requests_a_connection: 4.0,
            relays: false,
            ..plan()
        };
        let fleet = Fleet {
            log: 3,
            front: 6,
            feeders: 3,
        };
        let cost = Cost::of(&plan, fleet, &times, &prices, instance);
        let close = |found: f64, known: f64| (found - known).abs() < 1e-6;
        // Three nodes beyond the nine that stand, for two hours.
        assert!(close(cost.show_instances, 3.0 * 2.0 * 0.58), "{cost:?}");
        // 6,000 watchers, 1,800 tallies of 1,000 bytes.
        assert!(close(cost.out_gb_a_show, 10.8));
        assert!(close(cost.show_out, 10.8 * 0.09));
        // 21.6 GB an hour for half of one; two units for the open connections in the other one and a half.
        assert!(close(cost.show_balancer, (21.6 * 0.5 + 2.0 * 1.5) * 0.006));
        // 1,000 votes/s of 100 bytes for 1,800 s to eleven replicas.
        assert!(close(cost.show_between_zones, 0.18 * 11.0 * 0.02));
        // One gigabyte of disk on each of nine nodes.
        let standing = 730.0 * (9.0 * 0.58 + 0.0225) + 9.0 * 0.08;
        assert!(
            close(cost.month_standing, standing),
            "{} for {standing}",
            cost.month_standing
        );
        assert!(close(cost.month, standing + 2.0 * cost.show));
    }
}
