//! Configuration: flags over `OSTRAKA_*` over file over defaults.

mod encryption;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use ostraka_core::limits::{MINIMUM_AGE_YEARS, MINIMUM_AGE_YEARS_MAX};
use ostraka_replication::NodeNumber;
use serde::Deserialize;

use crate::tls::{CertificateFiles, PeerFiles};
pub use encryption::Port;
use encryption::{certificate, tls_is_whole};

/// Which services this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    Identity,
    Vote,
}

/// What a node with an empty log does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bootstrap {
    /// It forms a cluster of one, itself: one command and the service runs. Where the secrets were there before, it listens
    /// first whether a cluster counts it as its member.
    Auto,
    /// It waits for `ostraka cluster init` here, or to be added by another node.
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Pretty,
    Json,
}

/// Everything a node is started with, all defaults filled in.
#[derive(Clone, Debug)]
pub struct Config {
    pub node: NodeNumber,
    /// `None` runs all services.
    pub only: Option<Service>,
    pub data_dir: PathBuf,
    pub listen: String,
    pub operator_listen: String,
    pub peer_listen: String,
    /// Where other nodes reach this one's peer port; the bound address where not given.
    pub peer_advertise: Option<String>,
    /// The public port speaks TLS with it.
    pub tls: Option<CertificateFiles>,
    /// The peers speak TLS, and show each other who they are.
    pub peer_tls: Option<PeerFiles>,
    pub bootstrap: Bootstrap,
    pub secrets_file: Option<PathBuf>,
    pub operator_password: Option<String>,
    pub log_format: LogFormat,
    /// The login cookie is sent over TLS only: for where a load balancer before this node speaks TLS.
    pub cookie_secure: bool,
    /// 0 lets anybody register.
    pub minimum_age_years: u8,
    pub snapshot_every_entries: u64,
    pub log_keep_entries: Option<u64>,
    pub heartbeat_interval: Duration,
    pub election_timeout_min: Duration,
    pub election_timeout_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Settings::default().into_config(None)
    }
}

/// Settings as a flag, an environment variable or the file may give them; none is required.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Number of this node in its cluster, at least 1 [default: 1]
    #[arg(long, env = "OSTRAKA_NODE_ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub node_id: Option<u64>,
    /// Folder of everything that is kept [default: ./data]
    #[arg(long, env = "OSTRAKA_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Public HTTP address [default: 127.0.0.1:8080]
    #[arg(long, env = "OSTRAKA_LISTEN")]
    pub listen: Option<String>,
    /// Operator HTTP address: health, metrics, membership [default: 127.0.0.1:8081]
    #[arg(long, env = "OSTRAKA_OPERATOR_LISTEN")]
    pub operator_listen: Option<String>,
    /// Address for the other nodes [default: 127.0.0.1:8082]
    #[arg(long, env = "OSTRAKA_PEER_LISTEN")]
    pub peer_listen: Option<String>,
    /// Peer address as the other nodes see it [default: the bound peer address]
    #[arg(long, env = "OSTRAKA_PEER_ADVERTISE")]
    pub peer_advertise: Option<String>,
    /// Certificate of the public port, in PEM, with those that vouch for it behind it; the port speaks TLS then
    #[arg(long, env = "OSTRAKA_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of that certificate, in PEM. Both files are read again when they are replaced
    #[arg(long, env = "OSTRAKA_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Certificate that this node shows the others, in PEM, for the host of --peer-advertise; peers speak TLS then
    #[arg(long, env = "OSTRAKA_PEER_TLS_CERT")]
    pub peer_tls_cert: Option<PathBuf>,
    /// Private key of that certificate, in PEM
    #[arg(long, env = "OSTRAKA_PEER_TLS_KEY")]
    pub peer_tls_key: Option<PathBuf>,
    /// Certificate of the authority that has signed those of all nodes, in PEM
    #[arg(long, env = "OSTRAKA_PEER_TLS_CA")]
    pub peer_tls_ca: Option<PathBuf>,
    /// Ports that may be reached from other machines without TLS, as behind a load balancer that speaks it [default: none]
    #[arg(long, env = "OSTRAKA_ALLOW_PLAINTEXT", value_enum, value_delimiter = ',')]
    #[serde(default)]
    pub allow_plaintext: Vec<Port>,
    /// What a node with an empty log does [default: auto]
    #[arg(long, env = "OSTRAKA_BOOTSTRAP", value_enum)]
    pub bootstrap: Option<Bootstrap>,
    /// File of the cluster's shared secret, the same on every node [default: secrets.json in the data folder]
    #[arg(long, env = "OSTRAKA_SECRETS_FILE")]
    pub secrets_file: Option<PathBuf>,
    /// Password of the first account, `operator`; a random one is printed once where none is given
    #[arg(long, env = "OSTRAKA_OPERATOR_PASSWORD", hide_env_values = true)]
    pub operator_password: Option<String>,
    /// Shape of the log lines [default: pretty]
    #[arg(long, env = "OSTRAKA_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Let browsers send the login cookie over TLS only; for nodes behind a TLS load balancer [default: false]
    #[arg(long, env = "OSTRAKA_COOKIE_SECURE", num_args = 0..=1, default_missing_value = "true")]
    pub cookie_secure: Option<bool>,
    /// Years that a person must have lived to register; 0 for any age [default: 16]
    #[arg(long, env = "OSTRAKA_MINIMUM_AGE_YEARS", value_parser = clap::value_parser!(u8).range(0..=i64::from(MINIMUM_AGE_YEARS_MAX)))]
    pub minimum_age_years: Option<u8>,
    /// Log entries between two snapshots [default: 50000]
    #[arg(long, env = "OSTRAKA_SNAPSHOT_EVERY_ENTRIES", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_every_entries: Option<u64>,
    /// Log entries kept behind the last snapshot [default: all of them; an audit needs the whole log]
    #[arg(long, env = "OSTRAKA_LOG_KEEP_ENTRIES")]
    pub log_keep_entries: Option<u64>,
    /// Milliseconds between a leader's heartbeats [default: 50]
    #[arg(long, env = "OSTRAKA_HEARTBEAT_MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub heartbeat_ms: Option<u64>,
    /// Milliseconds without a leader after which a node stands for election, at least; at most twice this
    /// [default: 200]
    #[arg(long, env = "OSTRAKA_ELECTION_MS", value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub election_ms: Option<u64>,
}

/// Why a configuration cannot be used. Terminal.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {path} is wrong: {message}")]
    Wrong { path: PathBuf, message: String },
    #[error(
        "the election timeout ({election_ms} ms) must be at least three heartbeats ({heartbeat_ms} ms each), or a late heartbeat ends a term"
    )]
    ElectionTooShort { election_ms: u64, heartbeat_ms: u64 },
    #[error("--peer-advertise {given:?}: {source}")]
    PeerAdvertise { given: String, source: NotAnAddress },
    #[error("{given} is given without {missing}: TLS needs all of its files")]
    TlsHalf {
        given: &'static str,
        missing: &'static str,
    },
    #[error(
        "{addr} is reached from other machines, and nothing on the {} port is encrypted: configure {tls}, listen on 127.0.0.1, or \
         say --allow-plaintext {} if something before this node encrypts",
        .port.name(), .port.name()
    )]
    Plaintext {
        port: Port,
        addr: String,
        tls: &'static str,
    },
}

/// What was given as the address of a node's peer port. Terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the other nodes cannot connect to that: give host:port, the port from 1 to 65535, as in 10.0.0.3:8082 or \
     node3.example:8082"
)]
pub struct NotAnAddress;

/// Whether other nodes can make sense of it: an address of one machine or a name, and a port. Whether somebody is there
/// shows later.
pub fn check_peer_addr(addr: &str) -> Result<(), NotAnAddress> {
    let (host, port) = addr.rsplit_once(':').ok_or(NotAnAddress)?;
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = is_number && port.parse::<u16>().is_ok_and(|port| port > 0);
    (is_host(host) && is_port).then_some(()).ok_or(NotAnAddress)
}

/// `0.0.0.0` and `[::]` are where a node listens: whoever connects to them reaches himself.
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok_and(|addr| !addr.is_unspecified());
    }
    if let Ok(addr) = host.parse::<Ipv4Addr>() {
        return !addr.is_unspecified();
    }
    // A name: RFC 1123, section 2.1, and the underscore that container networks use.
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    name.len() <= 253 && name.split('.').all(is_label)
}

const HEARTBEAT_MS_DEFAULT: u64 = 50;
const ELECTION_MS_DEFAULT: u64 = 200;
const SNAPSHOT_EVERY_ENTRIES_DEFAULT: u64 = 50_000;

impl Settings {
    /// Reads the file's settings.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| ConfigError::Wrong {
            path: path.to_path_buf(),
            message: error.to_string(),
        })
    }

    /// These settings, and where they say nothing, the others'.
    pub fn or(self, below: Self) -> Self {
        Self {
            node_id: self.node_id.or(below.node_id),
            data_dir: self.data_dir.or(below.data_dir),
            listen: self.listen.or(below.listen),
            operator_listen: self.operator_listen.or(below.operator_listen),
            peer_listen: self.peer_listen.or(below.peer_listen),
            peer_advertise: self.peer_advertise.or(below.peer_advertise),
            tls_cert: self.tls_cert.or(below.tls_cert),
            tls_key: self.tls_key.or(below.tls_key),
            peer_tls_cert: self.peer_tls_cert.or(below.peer_tls_cert),
            peer_tls_key: self.peer_tls_key.or(below.peer_tls_key),
            peer_tls_ca: self.peer_tls_ca.or(below.peer_tls_ca),
            allow_plaintext: if self.allow_plaintext.is_empty() {
                below.allow_plaintext
            } else {
                self.allow_plaintext
            },
            bootstrap: self.bootstrap.or(below.bootstrap),
            secrets_file: self.secrets_file.or(below.secrets_file),
            operator_password: self.operator_password.or(below.operator_password),
            log_format: self.log_format.or(below.log_format),
            cookie_secure: self.cookie_secure.or(below.cookie_secure),
            minimum_age_years: self.minimum_age_years.or(below.minimum_age_years),
            snapshot_every_entries: self.snapshot_every_entries.or(below.snapshot_every_entries),
            log_keep_entries: self.log_keep_entries.or(below.log_keep_entries),
            heartbeat_ms: self.heartbeat_ms.or(below.heartbeat_ms),
            election_ms: self.election_ms.or(below.election_ms),
        }
    }

    /// Fills in the defaults and checks what must fit together.
    pub fn checked(self, only: Option<Service>) -> Result<Config, ConfigError> {
        let heartbeat_ms = self.heartbeat_ms.unwrap_or(HEARTBEAT_MS_DEFAULT);
        let election_ms = self.election_ms.unwrap_or(ELECTION_MS_DEFAULT);
        if election_ms < heartbeat_ms.saturating_mul(3) {
            return Err(ConfigError::ElectionTooShort {
                election_ms,
                heartbeat_ms,
            });
        }
        if let Some(given) = &self.peer_advertise {
            check_peer_addr(given).map_err(|source| ConfigError::PeerAdvertise {
                given: given.clone(),
                source,
            })?;
        }
        tls_is_whole([("--tls-cert", &self.tls_cert), ("--tls-key", &self.tls_key)])?;
        tls_is_whole([
            ("--peer-tls-cert", &self.peer_tls_cert),
            ("--peer-tls-key", &self.peer_tls_key),
            ("--peer-tls-ca", &self.peer_tls_ca),
        ])?;
        let allowed = self.allow_plaintext.clone();
        let config = self.into_config(only);
        config.check_plaintext(&allowed)?;
        Ok(config)
    }

    fn into_config(self, only: Option<Service>) -> Config {
        let election_ms = self.election_ms.unwrap_or(ELECTION_MS_DEFAULT);
        let or = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_string());
        Config {
            node: NodeNumber(self.node_id.unwrap_or(1)),
            only,
            data_dir: self.data_dir.unwrap_or_else(|| PathBuf::from("./data")),
            listen: or(self.listen, "127.0.0.1:8080"),
            operator_listen: or(self.operator_listen, "127.0.0.1:8081"),
            peer_listen: or(self.peer_listen, "127.0.0.1:8082"),
            peer_advertise: self.peer_advertise,
            tls: certificate(self.tls_cert, self.tls_key),
            peer_tls: certificate(self.peer_tls_cert, self.peer_tls_key)
                .zip(self.peer_tls_ca)
                .map(|(own, authority)| PeerFiles { own, authority }),
            bootstrap: self.bootstrap.unwrap_or(Bootstrap::Auto),
            secrets_file: self.secrets_file,
            operator_password: self.operator_password,
            log_format: self.log_format.unwrap_or(LogFormat::Pretty),
            cookie_secure: self.cookie_secure.unwrap_or(false),
            minimum_age_years: self.minimum_age_years.unwrap_or(MINIMUM_AGE_YEARS),
            snapshot_every_entries: self
                .snapshot_every_entries
                .unwrap_or(SNAPSHOT_EVERY_ENTRIES_DEFAULT),
            log_keep_entries: self.log_keep_entries,
            heartbeat_interval: Duration::from_millis(self.heartbeat_ms.unwrap_or(HEARTBEAT_MS_DEFAULT)),
            election_timeout_min: Duration::from_millis(election_ms),
            election_timeout_max: Duration::from_millis(election_ms * 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_above_wins_and_silence_falls_through() {
        let flags = Settings {
            node_id: Some(7),
            ..Settings::default()
        };
        let file: Settings = toml::from_str("node_id = 3\nlisten = \"127.0.0.1:9\"").unwrap();
        let config = flags.or(file).checked(None).unwrap();
        assert_eq!(config.node, NodeNumber(7));
        assert_eq!(config.listen, "127.0.0.1:9");
        assert_eq!(config.operator_listen, "127.0.0.1:8081");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused() {
        assert!(toml::from_str::<Settings>("lissten = \"x\"").is_err());
    }

    #[test]
    fn an_election_timeout_that_a_late_heartbeat_would_end_is_refused() {
        let settings = Settings {
            heartbeat_ms: Some(100),
            election_ms: Some(200),
            ..Settings::default()
        };
        assert!(matches!(
            settings.checked(None),
            Err(ConfigError::ElectionTooShort { .. })
        ));
    }
    #[test]
    fn an_advertised_address_that_nobody_can_connect_to_is_refused() {
        let checked = |addr: &str| {
            let settings = Settings {
                peer_advertise: Some(addr.to_owned()),
                ..Settings::default()
            };
            settings.checked(None).map(|config| config.peer_advertise)
        };
        for good in [
            "10.0.0.3:8082",
            "node3:1",
            "node3.example.org:65535",
            "[::1]:8082",
        ] {
            assert_eq!(checked(good).unwrap().as_deref(), Some(good));
        }
        for bad in [
            "",
            "x",
            ":",
            "x:",
            ":8082",
            "x:0",
            "x:65536",
            "x:+1",
            "x:-1",
            "x: 1",
            "x:80 ",
            " x:1",
            "x:1:",
            "http://x:8082",
            "0.0.0.0:8082",
            "[::]:8082",
            "::1:8082",
            "[::1:8082",
            "me@x:8082",
            "xx..yy:8082",
            "x:8082/",
        ] {
            let error = checked(bad).unwrap_err().to_string();
            assert!(error.contains("host:port"), "{bad:?}: {error}");
        }
    }
}
