//! Connections in memory, for tests of what is served over them.

use std::net::SocketAddr;

use ostraka_replication::Listener;
use ostraka_replication::env::{BoxFuture, BoxIo};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::sync::mpsc;

/// Room of a pipe, as a socket's buffers have it.
pub(crate) const PIPE_BYTES: usize = 4_096;

/// Accepts what its [`Dialer`] connects.
pub(crate) struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

pub(crate) struct Dialer(mpsc::UnboundedSender<DuplexStream>);

impl Pipes {
    pub(crate) fn new() -> (Self, Dialer) {
        let (connections, accepted) = mpsc::unbounded_channel();
        (Self(accepted), Dialer(connections))
    }
}

impl Dialer {
    pub(crate) fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(PIPE_BYTES);
        self.0.send(server).unwrap();
        client
    }
}

impl Listener for Pipes {
    fn accept(&mut self) -> BoxFuture<'_, std::io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(pipe) => Ok((Box::new(pipe) as BoxIo, SocketAddr::from(([127, 0, 0, 1], 1)))),
                None => std::future::pending().await,
            }
        })
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 80)))
    }
}

/// All that comes until the other end closes. A connection that is cut off is as good as one that is closed.
pub(crate) async fn read_all(mut pipe: DuplexStream) -> String {
    let mut answer = Vec::new();
    let _ = pipe.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}
