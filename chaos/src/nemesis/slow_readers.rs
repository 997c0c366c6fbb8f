//! Many watchers that hardly read: their connections fill up on the service's side.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ostraka_sim_model::plan::Target;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{Felt, Nemesis, StreamOf, not_begun};
use crate::Trouble;
use crate::limits::{
    OPERATOR_CALL_WAIT, PUBLIC_PORT, SLOW_READER_BUFFER_BYTES, SLOW_READER_BYTES_S, SLOW_READERS,
};
use crate::proc::wait_until;
use crate::rig::{Place, Rig};

const OF: &str = "streams on which the service could not send any more";
/// The kernel asks again and again whether the other side has room: it said that it has none (`man 5 proc`, `tr`).
const PROBES_FOR_ROOM: &str = "04";

pub struct SlowReaders {
    pub readers: usize,
    stream: StreamOf,
    running: Option<Running>,
}

struct Running {
    place: Place,
    /// Of the streams that were opened, on this side.
    ports: BTreeSet<u16>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Running {
    /// How many of the streams the service has closed.
    fn finish(&mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.finish();
    }
}

impl SlowReaders {
    pub fn new(stream: StreamOf) -> Self {
        Self {
            readers: SLOW_READERS,
            stream,
            running: None,
        }
    }
}

/// A connection whose receive buffer was small before it was made, so that the other side is told of it.
fn connect(addr: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    sockopt::set_socket_recv_buffer_size(&socket, SLOW_READER_BUFFER_BYTES)?;
    rustix::net::connect(&socket, &addr)?;
    Ok(TcpStream::from(socket))
}

/// Opens the stream; its first bytes are read, so that it is known to be one.
fn open(addr: SocketAddr, stream: &StreamOf) -> std::io::Result<Option<TcpStream>> {
    let mut connection = connect(addr)?;
    connection.set_read_timeout(Some(OPERATOR_CALL_WAIT))?;
    let request = format!(
        "GET /v1/event/{}/stream HTTP/1.1\r\nHost: {addr}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n\r\n",
        stream.event, stream.token
    );
    connection.write_all(request.as_bytes())?;
    let mut head = [0; 15];
    connection.read_exact(&mut head)?;
    connection.set_nonblocking(true)?;
    Ok((&head == b"HTTP/1.1 200 OK").then_some(connection))
}

fn read_slowly(mut streams: Vec<TcpStream>, stop: &AtomicBool) -> usize {
    let all = streams.len();
    let mut bytes = [0; SLOW_READER_BYTES_S];
    while !stop.load(Ordering::Relaxed) {
        streams.retain_mut(|stream| match stream.read(&mut bytes) {
            Ok(read) => read > 0,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        });
        wait_until(Duration::from_secs(1), || stop.load(Ordering::Relaxed));
    }
    all - streams.len()
}

/// How many of these streams hold bytes on the node's side that the other side does not take.
fn stuck_streams(place: &Place, readers: &BTreeSet<u16>) -> Result<u64, Trouble> {
    // Of this thread: the process as a whole is in another namespace.
    let path = Path::new("/proc/thread-self/net/tcp");
    let said = place.namespace.inside(|| std::fs::read_to_string(path))?;
    Ok(stuck(
        &said.map_err(Trouble::with_file(path))?,
        PUBLIC_PORT,
        readers,
    ))
}

/// Counts in a table of the kernel's (`man 5 proc`): local address with port, remote one, state, bytes to send, timer. Bytes
/// alone say nothing: those of any answer that is on its way are among them.
fn stuck(table: &str, port: u16, readers: &BTreeSet<u16>) -> u64 {
    let rows = table
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let port_of = |row: &[&str], column: usize| {
        let (_, digits) = row.get(column)?.rsplit_once(':')?;
        u16::from_str_radix(digits, 16).ok()
    };
    let full = |row: &Vec<&str>| {
        let is_readers =
            port_of(row, 1) == Some(port) && port_of(row, 2).is_some_and(|reader| readers.contains(&reader));
        let to_send = row.get(4).and_then(|queues| queues.split(':').next());
        let timer = row.get(5).and_then(|timer| timer.split(':').next());
        is_readers
            && to_send.is_some_and(|bytes| bytes.bytes().any(|digit| digit != b'0'))
            && timer == Some(PROBES_FOR_ROOM)
    };
    rows.filter(full).count() as u64
}

impl Nemesis for SlowReaders {
    fn name(&self) -> &'static str {
        "slow-readers"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let addr = rig.place(index)?.public_socket();
        let mut streams = Vec::new();
        let mut refused = 0;
        for _ in 0..self.readers {
            match open(addr, &self.stream) {
                Ok(Some(stream)) => streams.push(stream),
                Ok(None) | Err(_) => refused += 1,
            }
        }
        let opened = streams.len();
        let addresses = streams.iter().filter_map(|stream| stream.local_addr().ok());
        let ports = addresses.map(|addr| addr.port()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = stop.clone();
            std::thread::spawn(move || read_slowly(streams, &stop))
        };
        let place = rig.place(index)?.clone();
        self.running = Some(Running {
            place,
            ports,
            stop,
            thread: Some(thread),
        });
        Ok(Felt::new(0, OF).noting(format!("node {index}, {opened} opened, {refused} refused")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let mut running = self.running.take().ok_or_else(|| not_begun(self.name()))?;
        let stuck = stuck_streams(&running.place, &running.ports)?;
        let closed = running.finish();
        let opened = running.ports.len();
        Ok(Felt::new(stuck, OF).noting(format!("{opened} were open, the service closed {closed} of them")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readers_that_the_kernel_waits_for_are_counted() {
        // A listener; two readers, one of which has room; an answer to somebody else on its way, and one to nobody's port.
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n\
                     0: 0B014D0A:1F90 00000000:0000 0A 00000000:00000003 00:00000000\n\
                     1: 0B014D0A:1F90 01014D0A:C001 01 00000A10:00000000 04:00000010\n\
                     2: 0B014D0A:1F90 01014D0A:C002 01 00000A10:00000000 01:00000010\n\
                     3: 0B014D0A:1F90 01014D0A:C003 01 00000A10:00000000 04:00000010\n\
                     4: 0B014D0A:1F91 01014D0A:C001 01 00000A10:00000000 04:00000010\n";
        let readers = BTreeSet::from([0xc001, 0xc002]);
        assert_eq!(stuck(table, 0x1f90, &readers), 1);
        assert_eq!(stuck(table, 0x1f90, &BTreeSet::new()), 0);
        assert_eq!(stuck("", 0x1f90, &readers), 0);
    }

    /// What the kernel writes of a connection whose other side takes nothing.
    #[test]
    fn a_reader_that_does_not_read_is_stuck() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let readers = [connect(addr).unwrap(), connect(addr).unwrap()];
        let mut sides: Vec<TcpStream> = (0..2).map(|_| listener.accept().unwrap().0).collect();
        sides[0].set_nonblocking(true).unwrap();
        while sides[0].write(&[7; 1_000]).is_ok() {}
        sides[1].write_all(&[7; 100]).unwrap();
        let ports: BTreeSet<u16> = readers
            .iter()
            .map(|reader| reader.local_addr().unwrap().port())
            .collect();
        let counted = || {
            let table = std::fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
            stuck(&table, addr.port(), &ports)
        };
        assert!(wait_until(OPERATOR_CALL_WAIT, || counted() == 1), "{}", counted());
    }
}
