//! Many watchers that hardly read: their connections fill up on the service's side.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ostraka_sim_model::plan::Target;
use rustix::net::{AddressFamily, SocketType, sockopt};

use super::{Felt, Nemesis, StreamOf, not_begun};
use crate::Trouble;
use crate::limits::{OPERATOR_CALL_WAIT, SLOW_READER_BUFFER_BYTES, SLOW_READER_BYTES_S, SLOW_READERS};
use crate::proc::wait_until;
use crate::rig::Rig;

const OF: &str = "streams opened and hardly read";

pub struct SlowReaders {
    pub readers: usize,
    stream: StreamOf,
    running: Option<Running>,
}

struct Running {
    opened: u64,
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
        let opened = streams.len() as u64;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let stop = stop.clone();
            std::thread::spawn(move || read_slowly(streams, &stop))
        };
        self.running = Some(Running {
            opened,
            stop,
            thread: Some(thread),
        });
        Ok(Felt::new(opened, OF).noting(format!("node {index}, {refused} refused")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let mut running = self.running.take().ok_or_else(|| not_begun(self.name()))?;
        let closed = running.finish();
        Ok(Felt::new(running.opened, OF).noting(format!("the service closed {closed} of them")))
    }
}
