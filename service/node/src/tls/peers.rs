//! The network between peers with TLS on it: both sides show a certificate that the cluster's own authority has signed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ostraka_core::limits::TLS_HANDSHAKE_MS_MAX;
use ostraka_replication::{BoxIo, Listener};
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::certificate::certificates;
use super::listener::TlsListener;
use super::{Certificate, CertificateFiles, TlsError, over, provider, too_slow, versions};
use crate::env::{BoxFuture, Net, SharedNet};

/// What a node shows its peers, and who vouches for all of them. A certificate is for the host of `--peer-advertise`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFiles {
    pub own: CertificateFiles,
    pub authority: PathBuf,
}

pub struct PeerNet {
    inner: SharedNet,
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

impl PeerNet {
    /// `certificate` is what stands in the own files.
    ///
    /// # Errors
    /// If the authority's file cannot be read, or holds no certificate that can vouch for others.
    pub fn new(inner: SharedNet, files: &PeerFiles, certificate: Arc<Certificate>) -> Result<Self, TlsError> {
        let failed = |message: String| TlsError::Authority {
            path: files.authority.clone(),
            message,
        };
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.authority)? {
            roots.add(root).map_err(|error| failed(error.to_string()))?;
        }
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider())
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let server = versions(ServerConfig::builder_with_provider(provider()));
        let server = over(
            server.with_client_cert_verifier(verifier),
            Arc::<Certificate>::clone(&certificate),
        );
        let client = versions(ClientConfig::builder_with_provider(provider()))
            .with_root_certificates(roots)
            .with_client_cert_resolver(certificate);
        Ok(Self {
            inner,
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        })
    }
}

impl Net for PeerNet {
    fn bind<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.inner.bind(addr).await?;
            Ok(Box::new(TlsListener::new(listener, self.acceptor.clone())) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, addr: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let name = server_name(addr)?;
            let io = self.inner.connect(addr).await?;
            let shaking = timeout(
                Duration::from_millis(TLS_HANDSHAKE_MS_MAX),
                self.connector.connect(name, io),
            );
            let stream = shaking.await.unwrap_or_else(|_| Err(too_slow()))?;
            Ok(Box::new(stream) as BoxIo)
        })
    }
}

/// The host of `host:port`, for which the other side's certificate must be.
fn server_name(addr: &str) -> io::Result<ServerName<'static>> {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    ServerName::try_from(bare.unwrap_or(host).to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, format!("{addr}: {error}")))
}
