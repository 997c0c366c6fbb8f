//! A certificate with its key, which may be replaced on disk while it is in use: who connects next gets the new one.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ostraka_core::limits::TLS_LOOK_MS;
use parking_lot::{Mutex, RwLock};
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, sign};

use super::{TlsError, provider};
use crate::env::Offload;

/// Where a certificate, with those that vouch for it behind it, and its key stand; both in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How two files looked: what was replaced is another file, or was written at another time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Looks([Option<Look>; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    inode: u64,
    bytes: u64,
    written_s: i64,
    written_ns: i64,
}

/// The certificate that is shown now.
#[derive(Debug)]
pub struct Certificate {
    files: CertificateFiles,
    shown: RwLock<Arc<CertifiedKey>>,
    /// When it was tried last, to good or to no avail.
    looks: Mutex<Looks>,
}

impl Certificate {
    /// # Errors
    /// If the files cannot be read, or do not belong together.
    pub fn read(files: CertificateFiles) -> Result<Self, TlsError> {
        // Before reading: what is replaced meanwhile is read again.
        let looks = files.looks();
        let shown = RwLock::new(Arc::new(files.read()?));
        Ok(Self {
            files,
            shown,
            looks: Mutex::new(looks),
        })
    }

    /// Reads the files again whenever they have changed. What cannot be used is said once and not shown: whoever replaces two
    /// files one after the other is in between for a moment.
    pub async fn follow(self: Arc<Self>, offload: Offload) {
        loop {
            tokio::time::sleep(Duration::from_millis(TLS_LOOK_MS)).await;
            let certificate = Arc::clone(&self);
            let looked = offload.run(move || {
                certificate.look_again();
                Ok(())
            });
            if let Err(error) = looked.await {
                tracing::error!(%error, "the certificate's files could not be looked at");
            }
        }
    }

    /// Whether there was something new to show.
    pub(super) fn look_again(&self) -> bool {
        let looks = self.files.looks();
        if std::mem::replace(&mut *self.looks.lock(), looks) == looks {
            return false;
        }
        let cert = self.files.cert.display();
        match self.files.read() {
            Ok(new) => {
                *self.shown.write() = Arc::new(new);
                tracing::info!(%cert, "a new certificate is shown to whoever connects from now on");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the certificate was replaced by what cannot be used; the old one is shown on");
                false
            }
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read()))
    }
}

impl ResolvesClientCert for Certificate {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
        let shown = Arc::clone(&self.shown.read());
        shown.key.choose_scheme(schemes).is_some().then_some(shown)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl CertificateFiles {
    fn looks(&self) -> Looks {
        let look = |path: &Path| {
            let data = std::fs::metadata(path).ok()?;
            Some(Look {
                inode: data.ino(),
                bytes: data.len(),
                written_s: data.mtime(),
                written_ns: data.mtime_nsec(),
            })
        };
        Looks([look(&self.cert), look(&self.key)])
    }

    fn read(&self) -> Result<CertifiedKey, TlsError> {
        let chain = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| failed("private key", &self.key, &error))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|source| TlsError::Unusable {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        })
    }
}

/// All certificates of the file, one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let what = "certificate";
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all: Vec<_> = all.map_err(|error| failed(what, path, &error))?;
    if all.is_empty() {
        let path = path.to_path_buf();
        return Err(TlsError::Empty { what, path });
    }
    Ok(all)
}

fn failed(what: &'static str, path: &Path, error: &pem::Error) -> TlsError {
    let path = path.to_path_buf();
    match error {
        pem::Error::NoItemsFound => TlsError::Empty { what, path },
        error => TlsError::Unreadable {
            what,
            path,
            message: error.to_string(),
        },
    }
}
