//! TLS as operators configure it: on the public port, renewed while the node runs, and between nodes that show each other who
//! they are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::cluster::Cluster;
use crate::support::process::{NodeOptions, NodeProcess, run_ostraka};
use crate::support::stage::{leaderboard, vote_call};

const HOST: &str = "127.0.0.1";

/// A certificate authority with its folder.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a certificate for this machine and its key, in place of those that were there.
    fn sign(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(self.path("cert.pem"), cert.pem()).unwrap();
        cert.der().clone()
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
            .unwrap();
        roots
    }

    /// A client that trusts this authority, and shows what `shown` has signed, if anybody.
    fn client(&self, shown: Option<&Authority>) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        let mut config = match shown {
            None => builder.with_no_client_auth(),
            Some(other) => {
                let chain = vec![CertificateDer::from_pem_file(other.path("cert.pem")).unwrap()];
                let key = PrivateKeyDer::from_pem_file(other.path("key.pem")).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        // Who comes back with a ticket is shown no certificate.
        config.resumption = Resumption::disabled();
        Arc::new(config)
    }
}

fn connect(addr: &str, config: Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let tcp = TcpStream::connect(addr).unwrap();
    tcp.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let session = ClientConnection::new(config, ServerName::try_from(HOST).unwrap()).unwrap();
    StreamOwned::new(session, tcp)
}

/// The answer to a GET, and the certificate that the node has shown.
fn get(
    addr: &str,
    path: &str,
    config: Arc<ClientConfig>,
) -> std::io::Result<(String, CertificateDer<'static>)> {
    let mut stream = connect(addr, config);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let shown = stream.conn.peer_certificates().expect("the handshake is done")[0].clone();
    Ok((String::from_utf8(answer).unwrap(), shown.into_owned()))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn the_public_port_speaks_tls_and_shows_a_renewed_certificate_without_a_restart() {
    let authority = Authority::new();
    let first = authority.sign();
    let data = tempfile::tempdir().unwrap();
    let (cert, key) = (authority.path("cert.pem"), authority.path("key.pem"));
    let options = NodeOptions::new(1, &data.path().join("data"));
    let node = NodeProcess::start(options.with(&["--tls-cert", text(&cert), "--tls-key", text(&key)]));
    let addr = node.options.public.clone();
    let trusting = authority.client(None);
    let (answer, shown) = get(&addr, "/v1/events/1", Arc::clone(&trusting)).unwrap();
    // Whatever the answer is, it is HTTP's.
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(shown, first);

    let mut plain = TcpStream::connect(&addr).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain
        .write_all(b"GET /v1/events/1 HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    let mut said = Vec::new();
    // An alert, or a connection that is reset: no HTTP.
    let _ = plain.read_to_end(&mut said);
    assert!(!said.starts_with(b"HTTP"), "{said:?}");
    let stranger = get(&addr, "/", Authority::new().client(None));
    assert!(
        stranger.is_err(),
        "somebody else's authority does not vouch for this node"
    );

    // What is no certificate is not shown, and said.
    std::fs::write(&cert, "half a certif").unwrap();
    wait_for(|| node.log().contains("the old one is shown on"));
    assert_eq!(get(&addr, "/", Arc::clone(&trusting)).unwrap().1, first);
    let second = authority.sign();
    wait_for(|| get(&addr, "/", Arc::clone(&trusting)).unwrap().1 == second);
}

#[track_caller]
fn wait_for(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn peers_speak_tls_and_let_nobody_in_without_a_certificate_of_their_authority() {
    let authority = Authority::new();
    authority.sign();
    let paths = ["cert.pem", "key.pem", "ca.pem"].map(|name| authority.path(name));
    let [cert, key, ca] = paths.each_ref().map(|path| text(path));
    let flags = [
        "--peer-tls-cert",
        cert,
        "--peer-tls-key",
        key,
        "--peer-tls-ca",
        ca,
    ];
    let cluster = Cluster::of_three(&flags);
    for voter in 1..=30 {
        let addr = cluster.public(voter as usize % 3);
        let token = cluster.issuer.voter(voter);
        let answer = vote_call(&token, voter, &cluster.event, voter % 2).send(addr);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    cluster.wait_converged();
    for place in 0..3 {
        let board = leaderboard(
            cluster.public(place),
            &cluster.issuer.voter(999_999),
            &cluster.event,
        );
        let contestants = board["contestants"].as_array().unwrap().iter();
        let total: u64 = contestants.filter_map(|one| one["total_votes"].as_u64()).sum();
        assert_eq!(total, 30, "{board}");
    }

    let peer = &cluster.options[0].peer;
    let other = Authority::new();
    other.sign();
    for (who, config) in [
        ("nobody", authority.client(None)),
        ("a stranger", authority.client(Some(&other))),
    ] {
        let mut stream = connect(peer, config);
        // In TLS 1.3 a client has sent its part before it is refused.
        let refused = stream
            .write_all(b"hello")
            .and_then(|()| stream.read_exact(&mut [0]))
            .unwrap_err();
        let sentence = refused.to_string();
        assert!(sentence.contains("alert"), "{who}: {sentence}");
    }
    let mut plain = TcpStream::connect(peer).unwrap();
    plain.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    plain.write_all(&[0; 64]).unwrap();
    let mut said = Vec::new();
    let _ = plain.read_to_end(&mut said);
    // An alert at most.
    assert!(said.len() <= 7, "{said:?}");
}

#[test]
fn files_that_are_of_no_use_end_a_start_with_a_sentence() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign();
    other.sign();
    let data = tempfile::tempdir().unwrap();
    let cert = authority.path("cert.pem");
    let empty = authority.path("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let missing = authority.path("missing.pem");
    let foreign = other.path("key.pem");
    for (key, sentence) in [
        (&foreign, "cannot be used together"),
        (&empty, "holds no private key in PEM"),
        (&missing, "cannot be read"),
    ] {
        let folder = data.path().join("data");
        let (status, stdout, stderr) = run_ostraka(&[
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--operator-listen",
            "127.0.0.1:0",
            "--peer-listen",
            "127.0.0.1:0",
            "--data-dir",
            text(&folder),
            "--tls-cert",
            text(&cert),
            "--tls-key",
            text(key),
        ]);
        assert!(!status.success(), "{stdout}");
        assert!(stderr.contains(sentence), "{stderr}");
        assert!(
            !folder.exists(),
            "a node that does not start leaves no folder behind"
        );
    }
    let (status, _, stderr) = run_ostraka(&[
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--data-dir",
        text(&data.path().join("data")),
    ]);
    assert!(
        !status.success() && stderr.contains("--allow-plaintext public"),
        "{stderr}"
    );
}
