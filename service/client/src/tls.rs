//! The machine's own network with TLS on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::connect::{BoxFuture, BoxIo, Connect, TokioConnect};

/// Why nobody can be trusted. Terminal.
#[derive(Debug, thiserror::Error)]
pub enum TlsConnectError {
    #[error("the certificate authority {path} cannot be used: {message}")]
    Authority { path: PathBuf, message: String },
    #[error("this machine knows no certificate authority: install its certificates, or name one")]
    NoAuthority,
}

/// Connects as [`TokioConnect`] does, and speaks only with whom an authority vouches for.
pub struct TlsConnect {
    inner: TokioConnect,
    connector: TlsConnector,
}

impl TlsConnect {
    /// `authority`: a file of certificates in PEM that are trusted; where none is given, those that this machine trusts are.
    ///
    /// # Errors
    /// If there is no certificate to trust.
    pub fn new(authority: Option<&Path>) -> Result<Self, TlsConnectError> {
        let roots = match authority {
            Some(path) => named(path)?,
            None => of_this_machine()?,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows suites of both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            inner: TokioConnect,
            connector: TlsConnector::from(Arc::new(config)),
        })
    }
}

fn named(path: &Path) -> Result<RootCertStore, TlsConnectError> {
    let failed = |message: String| TlsConnectError::Authority {
        path: path.to_path_buf(),
        message,
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

fn of_this_machine() -> Result<RootCertStore, TlsConnectError> {
    let mut roots = RootCertStore::empty();
    // Some of them are always of a kind that is not understood.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsConnectError::NoAuthority);
    }
    Ok(roots)
}

impl Connect for TlsConnect {
    fn connect<'a>(&'a self, authority: &'a str) -> BoxFuture<'a, io::Result<BoxIo>> {
        Box::pin(async move {
            let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
            let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let name = ServerName::try_from(bare.unwrap_or(host).to_owned())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
            let io = self.inner.connect(authority).await?;
            let stream = self.connector.connect(name, io).await?;
            Ok(Box::new(stream) as BoxIo)
        })
    }
}
