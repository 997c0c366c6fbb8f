//! Which ports are encrypted, and which need not be.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Deserialize;

use super::{Config, ConfigError};
use crate::tls::CertificateFiles;

/// A port of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Port {
    Public,
    Operator,
    Peers,
}

impl Port {
    /// As the command line names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Port::Public => "public",
            Port::Operator => "operator",
            Port::Peers => "peers",
        }
    }
}

/// Where both of its files are given.
pub(super) fn certificate(cert: Option<PathBuf>, key: Option<PathBuf>) -> Option<CertificateFiles> {
    cert.zip(key).map(|(cert, key)| CertificateFiles { cert, key })
}

/// All of the files are given, or none.
pub(super) fn tls_is_whole<const N: usize>(
    files: [(&'static str, &Option<PathBuf>); N],
) -> Result<(), ConfigError> {
    let given = files.iter().find(|(_, path)| path.is_some());
    let missing = files.iter().find(|(_, path)| path.is_none());
    match (given, missing) {
        (Some((given, _)), Some((missing, _))) => Err(ConfigError::TlsHalf { given, missing }),
        _ => Ok(()),
    }
}

impl Config {
    /// Whatever other machines reach is encrypted, or somebody has said that it need not be.
    pub(super) fn check_plaintext(&self, allowed: &[Port]) -> Result<(), ConfigError> {
        let ports = [
            (
                Port::Public,
                &self.listen,
                self.tls.is_some(),
                "--tls-cert and --tls-key",
            ),
            (Port::Operator, &self.operator_listen, false, "a tunnel"),
            (
                Port::Peers,
                &self.peer_listen,
                self.peer_tls.is_some(),
                "--peer-tls-cert, --peer-tls-key and --peer-tls-ca",
            ),
        ];
        for (port, addr, is_encrypted, tls) in ports {
            if !is_encrypted && !is_loopback(addr) && !allowed.contains(&port) {
                let addr = addr.clone();
                return Err(ConfigError::Plaintext { port, addr, tls });
            }
        }
        Ok(())
    }
}

/// Whether only this machine reaches it. A name is whatever a resolver says.
fn is_loopback(addr: &str) -> bool {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|addr| addr.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;

    #[test]
    fn what_other_machines_reach_is_encrypted_or_said_not_to_be() {
        let checked = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings
                .checked(None)
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(checked(|_| {}), Ok(()));
        for listen in ["localhost:80", "127.9.9.9:80", "[::1]:80"] {
            let settings = Settings {
                listen: Some(listen.to_owned()),
                ..Settings::default()
            };
            assert!(settings.checked(None).is_ok(), "{listen}");
        }
        let open = |settings: &mut Settings| settings.listen = Some("0.0.0.0:8080".to_owned());
        let refused = checked(open).unwrap_err();
        assert!(
            refused
                .starts_with("0.0.0.0:8080 is reached from other machines, and nothing on the public port"),
            "{refused}"
        );
        assert!(
            refused.ends_with("say --allow-plaintext public if something before this node encrypts"),
            "{refused}"
        );
        let told = checked(|settings| {
            settings.listen = Some("0.0.0.0:8080".to_owned());
            settings.allow_plaintext = vec![Port::Public];
        });
        assert_eq!(told, Ok(()));
        let encrypted = checked(|settings| {
            settings.listen = Some("[::]:443".to_owned());
            settings.tls_cert = Some("cert.pem".into());
            settings.tls_key = Some("key.pem".into());
        });
        assert_eq!(encrypted, Ok(()));
        for open in ["node3.example:8082", "10.0.0.3:8082"] {
            let peers = Settings {
                peer_listen: Some(open.to_owned()),
                allow_plaintext: vec![Port::Public],
                ..Settings::default()
            };
            assert!(peers.checked(None).is_err(), "{open}");
            let operator = Settings {
                operator_listen: Some(open.to_owned()),
                ..Settings::default()
            };
            assert!(operator.checked(None).is_err(), "{open}");
        }
    }

    #[test]
    fn half_of_tls_is_none() {
        let half = Settings {
            tls_key: Some("key.pem".into()),
            ..Settings::default()
        };
        let refused = half.checked(None).unwrap_err().to_string();
        assert_eq!(
            refused,
            "--tls-key is given without --tls-cert: TLS needs all of its files"
        );
        let peers = Settings {
            peer_tls_cert: Some("cert.pem".into()),
            peer_tls_key: Some("key.pem".into()),
            ..Settings::default()
        };
        let refused = peers.checked(None).unwrap_err().to_string();
        assert_eq!(
            refused,
            "--peer-tls-cert is given without --peer-tls-ca: TLS needs all of its files"
        );
    }
}
