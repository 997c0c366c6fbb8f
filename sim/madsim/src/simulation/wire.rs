//! The network behind the service's seam: connections over the links, in order and whole, as TCP gives them. What a
//! link loses is sent again after a while; what it holds up waits.

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use madsim::runtime::NodeHandle;
use madsim::time::{Instant, sleep, sleep_until};
use ostraka_replication::env::{BoxFuture, BoxIo, Listener, Net};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::links::Passage;
use super::stage::{Host, PEER_PORT, SharedStage};

/// Before what was lost is sent again: Linux's least, then twice as long each time.
const RESEND_PAUSE: Duration = Duration::from_millis(200);
const RESEND_PAUSE_MAX: Duration = Duration::from_millis(800);
/// Between two looks at a link that holds messages up.
const HOLD_LOOK: Duration = Duration::from_millis(5);

type Listening = (Origin, UnboundedSender<Stream>);

/// All wires of a run. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wires {
    stage: SharedStage,
    /// Who listens at a host: its life, and where it takes connections.
    listeners: Arc<Mutex<BTreeMap<Host, Listening>>>,
    /// What carries messages lives here, whatever becomes of who sent them.
    carriers: NodeHandle,
}

impl Wires {
    pub(crate) fn new(stage: SharedStage, carriers: NodeHandle) -> Self {
        Self {
            stage,
            listeners: Arc::default(),
            carriers,
        }
    }

    /// Completes when a message that `from` sends now has reached `to`.
    pub(crate) async fn travel(&self, from: &Origin, to: Host) {
        arrival(&self.stage, from, to, Instant::now(), &[]).await;
    }

    /// Nobody listens at `host` any more.
    pub(crate) fn hang_up(&self, host: Host) {
        self.listeners.lock().remove(&host);
    }

    fn pipe(&self, from: &Origin, to: &Origin) -> (Writer, Reader) {
        let (sender, taken) = unbounded_channel();
        let (given, receiver) = unbounded_channel();
        let is_broken = Arc::new(AtomicBool::new(false));
        let carrier = Carrier {
            stage: self.stage.clone(),
            from: from.clone(),
            to: to.clone(),
            is_broken: is_broken.clone(),
        };
        drop(self.carriers.spawn(carrier.carry(taken, given)));
        let writer = Writer {
            origin: from.clone(),
            sender,
            is_broken,
        };
        let reader = Reader {
            receiver,
            rest: Bytes::new(),
        };
        (writer, reader)
    }
}

/// Sends until it arrives.
async fn arrival(stage: &SharedStage, from: &Origin, to: Host, sent_at: Instant, bytes: &[u8]) {
    let mut pause = RESEND_PAUSE;
    let mut first_sent_at = Some(sent_at);
    loop {
        stage.trace(from.host, to, bytes);
        let mut passage = stage.links.lock().send(from.host, to);
        while passage == Passage::Waits {
            sleep(HOLD_LOOK).await;
            first_sent_at = None;
            passage = stage.links.lock().send(from.host, to);
        }
        match passage {
            Passage::Arrives(latency) => {
                let at = first_sent_at.unwrap_or_else(Instant::now) + latency;
                if at > Instant::now() {
                    sleep_until(at).await;
                }
                return;
            }
            // Nobody is left who would send it again.
            Passage::Lost if from.is_mute() => pending().await,
            Passage::Lost | Passage::Waits => {
                sleep(pause).await;
                first_sent_at = None;
                pause = (pause * 2).min(RESEND_PAUSE_MAX);
            }
        }
    }
}

/// One life of a host.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) host: Host,
    /// Set when this life has ended for want of power: it says goodbye to nobody, and refuses nothing.
    lost_power: Arc<AtomicBool>,
}

impl Origin {
    pub(crate) fn with_power(host: Host) -> Self {
        Self {
            host,
            lost_power: Arc::default(),
        }
    }

    pub(crate) fn lose_power(&self) {
        self.lost_power.store(true, Ordering::Relaxed);
    }

    fn is_mute(&self) -> bool {
        self.lost_power.load(Ordering::Relaxed)
    }
}

enum Parcel {
    Bytes(Instant, Bytes),
    /// The sender lost its power: nothing follows, not even an end.
    Silence,
}

struct Carrier {
    stage: SharedStage,
    from: Origin,
    to: Origin,
    is_broken: Arc<AtomicBool>,
}

impl Carrier {
    async fn carry(self, mut taken: UnboundedReceiver<Parcel>, given: UnboundedSender<Bytes>) {
        while let Some(parcel) = taken.recv().await {
            match parcel {
                Parcel::Bytes(sent_at, bytes) => {
                    arrival(&self.stage, &self.from, self.to.host, sent_at, &bytes).await;
                    if given.send(bytes).is_err() && !self.to.is_mute() {
                        self.is_broken.store(true, Ordering::Relaxed);
                        return;
                    }
                }
                Parcel::Silence => given.closed().await,
            }
        }
        // The end travels as any message does.
        arrival(&self.stage, &self.from, self.to.host, Instant::now(), &[]).await;
    }
}

struct Writer {
    origin: Origin,
    sender: UnboundedSender<Parcel>,
    is_broken: Arc<AtomicBool>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.origin.is_mute() {
            let _ = self.sender.send(Parcel::Silence);
        }
    }
}

struct Reader {
    receiver: UnboundedReceiver<Bytes>,
    rest: Bytes,
}

/// One end of a connection.
struct Stream {
    writer: Option<Writer>,
    reader: Reader,
    peer: Host,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let reader = &mut self.reader;
        while reader.rest.is_empty() {
            match reader.receiver.poll_recv(cx) {
                Poll::Ready(Some(bytes)) => reader.rest = bytes,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        let taken = reader.rest.len().min(buf.remaining());
        buf.put_slice(&reader.rest[..taken]);
        reader.rest.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let writer = self
            .writer
            .as_ref()
            .filter(|writer| !writer.is_broken.load(Ordering::Relaxed));
        let parcel = Parcel::Bytes(Instant::now(), Bytes::copy_from_slice(bytes));
        Poll::Ready(match writer.map(|writer| writer.sender.send(parcel)) {
            Some(Ok(())) => Ok(bytes.len()),
            _ => Err(io::ErrorKind::BrokenPipe.into()),
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer = None;
        Poll::Ready(Ok(()))
    }
}

/// The network as one life of a host has it.
pub(crate) struct HostNet {
    pub(crate) wires: Wires,
    pub(crate) origin: Origin,
}

struct Incoming(UnboundedReceiver<Stream>);

impl Listener for Incoming {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async {
            let stream = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
            let address = address_of(stream.peer);
            Ok((Box::new(stream) as BoxIo, address))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(address_of(Host(0)))
    }
}

fn address_of(host: Host) -> SocketAddr {
    let number = u8::try_from(host.0 + 1).expect("a plan has a handful of nodes");
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), PEER_PORT))
}

impl Net for HostNet {
    fn bind<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        let (sender, receiver) = unbounded_channel();
        let listening = (self.origin.clone(), sender);
        self.wires.listeners.lock().insert(self.origin.host, listening);
        Box::pin(async { Ok(Box::new(Incoming(receiver)) as Box<dyn Listener>) })
    }

    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let own = &self.origin;
            let host = self.wires.stage.host_of(addr).ok_or(io::ErrorKind::NotFound)?;
            self.wires.travel(own, host).await;
            let Some((peer, listener)) = self.wires.listeners.lock().get(&host).cloned() else {
                self.wires.travel(&Origin::with_power(host), own.host).await;
                return Err(io::ErrorKind::ConnectionRefused.into());
            };
            let (to_peer, at_peer) = self.wires.pipe(own, &peer);
            let (from_peer, at_own) = self.wires.pipe(&peer, own);
            let accepted = Stream {
                writer: Some(from_peer),
                reader: at_peer,
                peer: own.host,
            };
            let is_taken = listener.send(accepted).is_ok();
            self.wires.travel(&peer, own.host).await;
            if !is_taken {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let stream = Stream {
                writer: Some(to_peer),
                reader: at_own,
                peer: host,
            };
            Ok(Box::new(stream) as BoxIo)
        })
    }
}
