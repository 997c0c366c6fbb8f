//! Who is spoken to over TLS, and who is not.

use std::sync::Arc;

use ostraka_client::{Connect, TlsConnect};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A server that says back what it is told, once for each connection, and its certificate in PEM.
async fn echoing(host: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let cert = cert.self_signed(&key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut word = [0; 4];
                stream.read_exact(&mut word).await?;
                stream.write_all(&word).await?;
                stream.flush().await
            });
        }
    });
    (authority, cert.pem())
}

fn trusting(pem: &str) -> TlsConnect {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, pem).unwrap();
    TlsConnect::new(Some(&path)).unwrap()
}

#[tokio::test]
async fn whom_the_authority_vouches_for_is_spoken_to() {
    let (authority, pem) = echoing("127.0.0.1").await;
    let mut io = trusting(&pem).connect(&authority).await.unwrap();
    io.write_all(b"word").await.unwrap();
    io.flush().await.unwrap();
    let mut word = [0; 4];
    io.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"word");
}

#[tokio::test]
async fn neither_a_stranger_nor_another_host_is_spoken_to() {
    let (_, pem) = echoing("127.0.0.1").await;
    let (stranger, _) = echoing("127.0.0.1").await;
    let refused = trusting(&pem).connect(&stranger).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("certificate")));
    let (elsewhere, pem) = echoing("elsewhere.example").await;
    let refused = trusting(&pem).connect(&elsewhere).await;
    assert!(refused.is_err_and(|error| error.to_string().contains("not valid for name")));
}

#[test]
fn a_file_without_certificates_is_told_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    for text in ["", "no certificate"] {
        std::fs::write(&path, text).unwrap();
        let sentence = TlsConnect::new(Some(&path)).map(drop).unwrap_err().to_string();
        assert!(sentence.contains("holds no certificate in PEM"), "{sentence}");
    }
    let missing = TlsConnect::new(Some(&dir.path().join("missing.pem")));
    assert!(
        missing
            .map(drop)
            .unwrap_err()
            .to_string()
            .contains("cannot be used")
    );
}
