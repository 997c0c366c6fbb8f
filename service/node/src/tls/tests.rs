use std::net::SocketAddr;

use ostraka_replication::BoxIo;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use super::*;
use crate::env::BoxFuture;

/// Hands out what it is given.
struct Given(mpsc::UnboundedReceiver<BoxIo>);

const PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7);

impl Listener for Given {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, SocketAddr)>> {
        Box::pin(async { Ok((self.0.recv().await.expect("the test holds the other end"), PEER)) })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(PEER)
    }
}

/// A listener with TLS before it, the way in, and who trusts it.
fn listening() -> (Box<dyn Listener>, mpsc::UnboundedSender<BoxIo>, TlsConnector) {
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["node".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let files = CertificateFiles {
        cert: dir.path().join("cert.pem"),
        key: dir.path().join("key.pem"),
    };
    std::fs::write(&files.cert, cert.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let certificate = Arc::new(Certificate::read(files).unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = versions(ClientConfig::builder_with_provider(provider())).with_root_certificates(roots);
    let connector = TlsConnector::from(Arc::new(client.with_no_client_auth()));
    let (come, given) = mpsc::unbounded_channel();
    (
        public_listener(Box::new(Given(given)), certificate),
        come,
        connector,
    )
}

fn arrive(come: &mpsc::UnboundedSender<BoxIo>) -> DuplexStream {
    let (near, far) = duplex(64 * 1_024);
    assert!(come.send(Box::new(near)).is_ok(), "it listens");
    far
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_holds_nobody_up() {
    let (mut listener, come, connector) = listening();
    let _silent: Vec<DuplexStream> = (0..100).map(|_| arrive(&come)).collect();
    let mut confused = arrive(&come);
    confused.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let honest = arrive(&come);
    let name = ServerName::try_from("node").unwrap();
    let client = tokio::spawn(async move {
        let mut stream = connector.connect(name, honest).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        stream
    });
    let (mut io, peer) = listener.accept().await.unwrap();
    let mut said = [0; 5];
    io.read_exact(&mut said).await.unwrap();
    assert_eq!((&said, peer), (b"hello", PEER));
    drop(client.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_ends_is_ended() {
    let (mut listener, come, _) = listening();
    let mut silent = arrive(&come);
    let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
    // The other side hangs up, in the time for it and without a word.
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap(), 0);
    assert!(!accepting.is_finished());
}
