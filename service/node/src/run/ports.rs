//! The ports of a node, bound before anything is opened: an address in use is found out first.

use std::io;
use std::net::SocketAddr;

use ostraka_replication::Listener;

use super::{Addresses, RunError};
use crate::config::Config;
use crate::env::{Env, SharedNet};

pub(super) struct Ports {
    pub(super) public: Box<dyn Listener>,
    pub(super) operator: Box<dyn Listener>,
    pub(super) peer: Box<dyn Listener>,
    pub(super) addresses: Addresses,
}

impl Ports {
    /// `peers` is the network that the nodes have among themselves.
    pub(super) async fn bind(env: &Env, peers: &SharedNet, config: &Config) -> Result<Self, RunError> {
        let (public, public_addr) = bind(&env.net, "the public port", &config.listen).await?;
        let (operator, operator_addr) = bind(&env.net, "the operator port", &config.operator_listen).await?;
        let (peer, peer_addr) = bind(peers, "the other nodes", &config.peer_listen).await?;
        let addresses = Addresses {
            public: public_addr,
            operator: operator_addr,
            peer: peer_addr,
        };
        Ok(Self {
            public,
            operator,
            peer,
            addresses,
        })
    }
}

async fn bind(
    net: &SharedNet,
    what: &'static str,
    addr: &str,
) -> Result<(Box<dyn Listener>, SocketAddr), RunError> {
    let failed = |source: io::Error| RunError::Bind {
        what,
        addr: addr.to_string(),
        source,
    };
    let listener = net.bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
