//! TLS, where certificates are configured: on the public port, and between peers, where each shows the other who it is.
//!
//! Both are put in front of what they protect, as another listener and another network, so nothing behind them knows of it
//! ([record 0062](../../../../docs/adr/0062-tls-stands-in-front-of-what-it-protects.md)).

mod certificate;
mod listener;
mod peers;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ostraka_replication::Listener;
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::{ServerConfig, server::WantsServerCert};
use tokio_rustls::TlsAcceptor;

pub use certificate::{Certificate, CertificateFiles};
pub use peers::{PeerFiles, PeerNet};

use listener::TlsListener;

/// Why TLS cannot be spoken as configured. Terminal.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the {what} file {path} cannot be read: {message}")]
    Unreadable {
        what: &'static str,
        path: PathBuf,
        message: String,
    },
    #[error("{path} holds no {what} in PEM")]
    Empty { what: &'static str, path: PathBuf },
    #[error("the certificate {cert} and the key {key} cannot be used together: {source}")]
    Unusable {
        cert: PathBuf,
        key: PathBuf,
        source: rustls::Error,
    },
    #[error("the certificate authority {path} cannot be used: {message}")]
    Authority { path: PathBuf, message: String },
}

/// The one implementation of cryptography for TLS. Named at each use: which one is the process's default depends on what else
/// is linked into it.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS 1.2 and 1.3.
fn versions<Side: rustls::ConfigSide>(
    builder: rustls::ConfigBuilder<Side, rustls::WantsVersions>,
) -> rustls::ConfigBuilder<Side, rustls::WantsVerifier> {
    builder
        .with_safe_default_protocol_versions()
        .expect("the provider knows suites of both versions")
}

fn over(
    builder: rustls::ConfigBuilder<ServerConfig, WantsServerCert>,
    certificate: Arc<dyn ResolvesServerCert>,
) -> ServerConfig {
    builder.with_cert_resolver(certificate)
}

/// The listener with TLS before it, for clients that speak HTTP/1.1 and need no certificate.
pub fn public_listener(inner: Box<dyn Listener>, certificate: Arc<Certificate>) -> Box<dyn Listener> {
    let builder = versions(ServerConfig::builder_with_provider(provider()));
    let mut config = over(builder.with_no_client_auth(), certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Box::new(TlsListener::new(inner, TlsAcceptor::from(Arc::new(config))))
}

/// A handshake that was not done in time.
fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
}

#[cfg(test)]
mod tests;
