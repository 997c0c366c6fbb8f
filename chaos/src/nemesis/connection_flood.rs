//! Many connections to the public port that never ask for anything.

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;

use ostraka_sim_model::plan::Target;

use super::{Felt, Nemesis, not_begun};
use crate::Trouble;
use crate::limits::{FLOOD_CONNECT_WAIT, FLOOD_CONNECTIONS};
use crate::rig::Rig;

const OF: &str = "idle connections made";

pub struct ConnectionFlood {
    pub connections: usize,
    held: Option<Vec<TcpStream>>,
}

impl Default for ConnectionFlood {
    fn default() -> Self {
        Self {
            connections: FLOOD_CONNECTIONS,
            held: None,
        }
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).is_err()
        || !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

impl Nemesis for ConnectionFlood {
    fn name(&self) -> &'static str {
        "connection-flood"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let addr = rig.place(index)?.public_socket();
        let held: Vec<_> = (0..self.connections)
            .filter_map(|_| TcpStream::connect_timeout(&addr, FLOOD_CONNECT_WAIT).ok())
            .collect();
        let made = held.len();
        self.held = Some(held);
        let refused = self.connections - made;
        Ok(Felt::new(made as u64, OF).noting(format!("node {index}, {refused} not made")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let mut held = self.held.take().ok_or_else(|| not_begun(self.name()))?;
        let closed = held.iter_mut().map(is_closed).filter(|closed| *closed).count();
        Ok(Felt::new(held.len() as u64, OF).noting(format!("the service closed {closed} of them")))
    }
}
