//! One connection of the open-loop generator.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::thread::{Answered, Shared};
use crate::generator::{Broken, CONNECT_TIMEOUT, READ_BYTES};
use crate::wire::{find_answer, says_processed, says_when_to_return};

/// Between two attempts to connect again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// When a vote was to begin, and the number of its request.
pub(super) type Awaited = (Duration, usize);

/// What is on its way on one connection.
#[derive(Default)]
pub(super) struct Lane {
    /// Bytes that are still to be sent, from `sent` on.
    out: RefCell<Vec<u8>>,
    sent: Cell<usize>,
    /// The votes under way, in the order of their requests.
    awaited: RefCell<VecDeque<Awaited>>,
    has_more: Notify,
}

impl Lane {
    pub(super) fn under_way(&self) -> usize {
        self.awaited.borrow().len()
    }

    pub(super) fn send(&self, intended: Duration, vote: usize, request: &[u8]) {
        self.out.borrow_mut().extend_from_slice(request);
        self.awaited.borrow_mut().push_back((intended, vote));
        self.has_more.notify_one();
    }

    fn is_all_sent(&self) -> bool {
        self.sent.get() == self.out.borrow().len()
    }

    /// Sends what the socket takes.
    fn write(&self, stream: &TcpStream) -> Result<(), Broken> {
        let out = &mut *self.out.borrow_mut();
        while self.sent.get() < out.len() {
            match stream.try_write(&out[self.sent.get()..]) {
                Ok(written) => self.sent.set(self.sent.get() + written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Broken::Send(error)),
            }
        }
        out.clear();
        self.sent.set(0);
        Ok(())
    }

    /// Forgets everything, and says how many votes were under way.
    fn reset(&self) -> usize {
        self.out.borrow_mut().clear();
        self.sent.set(0);
        std::mem::take(&mut *self.awaited.borrow_mut()).len()
    }
}

/// Keeps a connection, and makes a new one when it breaks, until nobody wants it any more.
pub(super) async fn serve(shared: Rc<Shared>, number: usize, addr: SocketAddr) {
    let lane = shared.lane(number);
    loop {
        if let Err(broken) = converse(&shared, number, &lane, addr).await {
            shared.broken(number, lane.reset(), broken.to_string());
            shared.settled.notify_one();
        }
        sleep(RECONNECT_PAUSE).await;
    }
}

async fn converse(shared: &Shared, number: usize, lane: &Lane, addr: SocketAddr) -> Result<(), Broken> {
    let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(addr)).await;
    let stream = connecting.map_err(|_| Broken::Late)?.map_err(Broken::Connect)?;
    stream.set_nodelay(true).map_err(Broken::Connect)?;
    shared.connected(number);
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        lane.write(&stream)?;
        let interest = if lane.is_all_sent() {
            Interest::READABLE
        } else {
            Interest::READABLE | Interest::WRITABLE
        };
        let ready = tokio::select! {
            biased;
            ready = stream.ready(interest) => ready.map_err(Broken::Read)?,
            () = lane.has_more.notified() => continue,
        };
        if ready.is_readable() {
            read(&stream, &mut buffer)?;
            take_answers(shared, number, lane, &mut buffer)?;
            shared.dispatch();
            shared.settled.notify_one();
        }
    }
}

/// Reads what is there.
fn read(stream: &TcpStream, buffer: &mut Vec<u8>) -> Result<(), Broken> {
    loop {
        match stream.try_read_buf(buffer) {
            Ok(0) => return Err(Broken::Closed),
            Ok(_) => buffer.reserve(READ_BYTES / 4),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Broken::Read(error)),
        }
    }
}

/// Takes the whole answers off the buffer's start.
fn take_answers(shared: &Shared, number: usize, lane: &Lane, buffer: &mut Vec<u8>) -> Result<(), Broken> {
    let mut taken = 0;
    while taken < buffer.len()
        && let Some(answer) = find_answer(&buffer[taken..])?
    {
        let body = answer.body(&buffer[taken..]);
        let answered = match answer.status {
            200 if says_processed(body) => Answered::Acked,
            200 => Answered::NotCounted,
            status => Answered::Refused {
                status,
                says_when: says_when_to_return(answer.head(&buffer[taken..])),
            },
        };
        let awaited = lane.awaited.borrow_mut().pop_front().ok_or(Broken::Unasked)?;
        shared.answered(number, awaited, answered);
        taken += answer.bytes();
    }
    buffer.drain(..taken);
    Ok(())
}
