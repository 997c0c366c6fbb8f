//! A listener that hands out connections whose handshake is done. Handshakes go on beside each other, so that one who says
//! nothing holds nobody up.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ostraka_core::limits::{TLS_HANDSHAKE_MS_MAX, TLS_HANDSHAKES_MAX};
use ostraka_replication::{BoxIo, Listener};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::too_slow;
use crate::env::BoxFuture;

type Connected = (BoxIo, SocketAddr);

pub(super) struct TlsListener {
    inner: Box<dyn Listener>,
    acceptor: TlsAcceptor,
    handshakes: JoinSet<Option<Connected>>,
}

impl TlsListener {
    pub(super) fn new(inner: Box<dyn Listener>, acceptor: TlsAcceptor) -> Self {
        Self {
            inner,
            acceptor,
            handshakes: JoinSet::new(),
        }
    }
}

impl Listener for TlsListener {
    /// Nothing is lost where this is dropped half-way: handshakes are tasks.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connected>> {
        Box::pin(async move {
            loop {
                tokio::select! {
                    biased;
                    Some(done) = self.handshakes.join_next() => {
                        if let Ok(Some(connected)) = done {
                            return Ok(connected);
                        }
                    }
                    // Who comes while so many have not said who they are waits in the kernel's queue.
                    accepted = self.inner.accept(), if self.handshakes.len() < TLS_HANDSHAKES_MAX => {
                        let (io, peer) = accepted?;
                        self.handshakes.spawn(shake_hands(self.acceptor.clone(), io, peer));
                    }
                }
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

async fn shake_hands(acceptor: TlsAcceptor, io: BoxIo, peer: SocketAddr) -> Option<Connected> {
    let shaking = timeout(Duration::from_millis(TLS_HANDSHAKE_MS_MAX), acceptor.accept(io));
    match shaking.await.unwrap_or_else(|_| Err(too_slow())) {
        Ok(stream) => Some((Box::new(stream), peer)),
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection did not come to speak TLS");
            None
        }
    }
}
