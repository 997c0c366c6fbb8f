//! A bridge, and for each node a namespace with one link to it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use ostraka_sim_model::ids::NodeIndex;
use rustix::fs::{FlockOperation, flock};

use super::{Namespace, RigOptions};
use crate::limits::{OPERATOR_PORT, PEER_PORT, PUBLIC_PORT, SUBNET_SECOND, TCP_RTO_MIN_MS};
use crate::litter::{Bag, Litter};
use crate::{Trouble, tools};

/// Held while a subnet is picked, so that two harnesses do not pick the same.
const PICK_LOCK: &str = "/run/lock/ostraka-chaos.lock";

/// The link's name inside a node's namespace.
pub(crate) const INNER_LINK: &str = "eth0";

/// Where a node is on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub namespace: Namespace,
    pub address: Ipv4Addr,
}

impl Place {
    fn socket(&self, port: u16) -> SocketAddr {
        SocketAddrV4::new(self.address, port).into()
    }

    pub fn public_socket(&self) -> SocketAddr {
        self.socket(PUBLIC_PORT)
    }

    pub fn operator_socket(&self) -> SocketAddr {
        self.socket(OPERATOR_PORT)
    }

    pub fn public(&self) -> String {
        self.public_socket().to_string()
    }

    pub fn operator(&self) -> String {
        self.operator_socket().to_string()
    }

    pub fn peer(&self) -> String {
        self.socket(PEER_PORT).to_string()
    }
}

pub(crate) struct Network {
    places: Vec<Place>,
}

impl Network {
    /// Bridge, namespaces and links, all up, with addresses.
    pub(crate) fn build(bag: &Bag, options: &RigOptions) -> Result<Self, Trouble> {
        let bridge = format!("{}-b", bag.run());
        let third = make_bridge(bag, &bridge, options.subnet)?;
        let mut places = Vec::new();
        for number in 1..=options.nodes {
            let place = Place {
                namespace: Namespace(format!("{}-n{number}", bag.run())),
                address: Ipv4Addr::new(10, SUBNET_SECOND, third, 10 + number),
            };
            connect(bag, &bridge, &place)?;
            if !options.stock_tcp {
                send_again_soon(&place)?;
            }
            places.push(place);
        }
        Ok(Self { places })
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(crate) fn place(&self, index: NodeIndex) -> Result<&Place, Trouble> {
        self.places
            .get(usize::from(index.0))
            .ok_or_else(|| Trouble::failed(format!("this rig has no node {index}")))
    }
}

fn make_bridge(bag: &Bag, bridge: &str, subnet: Option<u8>) -> Result<u8, Trouble> {
    let lock_path = Path::new(PICK_LOCK);
    let lock = File::create(lock_path).map_err(Trouble::with_file(lock_path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(Trouble::with_file(lock_path))?;
    let taken = tools::run("ip", ["-4", "-oneline", "address", "show"])?;
    let routed = tools::run("ip", ["-4", "route", "show"])?;
    let taken = format!("{taken}{routed}");
    let free = free_third(&taken, subnet.map_or(std::process::id(), u32::from));
    let third = free
        .filter(|third| subnet.is_none_or(|wanted| wanted == *third))
        .ok_or_else(|| match subnet {
            Some(wanted) => Trouble::missing(format!(
                "10.{SUBNET_SECOND}.{wanted}.0/24 is taken on this machine"
            )),
            None => Trouble::missing("all of 10.77.0.0/16 is taken on this machine"),
        })?;
    let address = format!("10.{SUBNET_SECOND}.{third}.1/24");
    let link = Litter::Link {
        name: bridge.to_string(),
    };
    bag.make(link, || {
        tools::run("ip", ["link", "add", bridge, "type", "bridge"])?;
        tools::run("ip", ["address", "add", &address, "dev", bridge])?;
        tools::run("ip", ["link", "set", bridge, "up"])
    })?;
    Ok(third)
}

/// The third number of a subnet that nothing in `taken` speaks of; where to begin looking is `from`'s choice.
fn free_third(taken: &str, from: u32) -> Option<u8> {
    let mut candidates = (0..=255_u32).map(|step| u8::try_from((from + step) % 256).unwrap_or_default());
    candidates.find(|third| !taken.contains(&format!("10.{SUBNET_SECOND}.{third}.")))
}

fn connect(bag: &Bag, bridge: &str, place: &Place) -> Result<(), Trouble> {
    let name = place.namespace.0.as_str();
    let namespace = Litter::Namespace {
        name: name.to_string(),
    };
    bag.make(namespace, || tools::run("ip", ["netns", "add", name]))?;
    // The outer end has the namespace's name: both carry the run's id.
    let link = Litter::Link {
        name: name.to_string(),
    };
    let address = format!("{}/24", place.address);
    bag.make(link, || {
        let peer = [
            "link", "add", name, "type", "veth", "peer", "name", INNER_LINK, "netns", name,
        ];
        tools::run("ip", peer)?;
        tools::run("ip", ["link", "set", name, "master", bridge, "up"])?;
        tools::run("ip", ["-n", name, "address", "add", &address, "dev", INNER_LINK])?;
        tools::run("ip", ["-n", name, "link", "set", INNER_LINK, "up"])?;
        tools::run("ip", ["-n", name, "link", "set", "lo", "up"])
    })?;
    Ok(())
}

/// What docs/runbooks/slow-network.md has operators do with the route between nodes.
fn send_again_soon(place: &Place) -> Result<(), Trouble> {
    let [first, second, third, _] = place.address.octets();
    let (subnet, address) = (
        format!("{first}.{second}.{third}.0/24"),
        place.address.to_string(),
    );
    let wait = format!("{TCP_RTO_MIN_MS}ms");
    let route = [
        "-n",
        &place.namespace.0,
        "route",
        "replace",
        &subnet,
        "dev",
        INNER_LINK,
        "proto",
        "kernel",
        "scope",
        "link",
        "src",
        &address,
        "rto_min",
        &wait,
    ];
    tools::run("ip", route).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_that_is_taken_is_not_picked() {
        assert_eq!(free_third("", 300), Some(44));
        assert_eq!(free_third("inet 10.77.44.1/24 dev x", 300), Some(45));
        // 10.77.4. is another one than 10.77.44.
        assert_eq!(free_third("10.77.4.0/24 dev x", 44), Some(44));
        let all: String = (0..=255).map(|third| format!("10.77.{third}.1/24 ")).collect();
        assert_eq!(free_third(&all, 0), None);
    }
}
