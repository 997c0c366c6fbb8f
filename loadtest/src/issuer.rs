//! An issuer of tokens beside the service's own: it reads `secrets.json` and signs what the service would have signed
//! at a login (HS256, RFC 7515; key by HKDF-SHA-256, RFC 5869). It shares no code with the service, so that a change
//! of the format shows here as 401, and so that a million voters need no million logins.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

const SALT: &[u8] = b"ostraka/1";
const FORMAT: u32 = 1;
/// Longer than any run, shorter than anybody's patience with a leaked evidence file.
const LIFETIME_S: u64 = 4 * 3_600;

#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    #[error("the secrets file {path} cannot be read ({source}): give the one in the service's data folder")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the secrets file {path} is not one this load generator understands ({detail})")]
    Malformed { path: PathBuf, detail: String },
}

#[derive(Deserialize)]
struct Stored {
    format: u32,
    master: String,
    token_kids: Vec<String>,
}

/// Signs voters' tokens. Cheap to share.
#[derive(Clone)]
pub struct Issuer {
    /// The header in base64, with its dot.
    header: String,
    mac: Hmac<Sha256>,
    issued_at_s: u64,
}

impl Issuer {
    /// Reads the service's secrets; `now_s` is seconds since the Unix epoch.
    ///
    /// # Errors
    /// Where the file cannot be read or is of another format.
    pub fn from_file(path: &Path, now_s: u64) -> Result<Self, IssuerError> {
        let text = std::fs::read_to_string(path).map_err(|source| IssuerError::Unreadable {
            path: path.to_path_buf(),
            source,
        })?;
        Self::from_text(&text, now_s).map_err(|detail| IssuerError::Malformed {
            path: path.to_path_buf(),
            detail,
        })
    }

    fn from_text(text: &str, now_s: u64) -> Result<Self, String> {
        let stored: Stored = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if stored.format != FORMAT {
            return Err(format!("format {}, this one reads {FORMAT}", stored.format));
        }
        let master = STANDARD
            .decode(&stored.master)
            .map_err(|error| error.to_string())?;
        let kid = stored.token_kids.first().ok_or("it names no token key")?;
        Ok(Self::new(&master, kid, now_s))
    }

    /// The issuer of the key `kid` under `master`.
    ///
    /// # Panics
    /// Never: neither HKDF nor HMAC refuses what they are given here.
    pub fn new(master: &[u8], kid: &str, now_s: u64) -> Self {
        let mut key = [0; 32];
        Hkdf::<Sha256>::new(Some(SALT), master)
            .expand(format!("token/{kid}").as_bytes(), &mut key)
            .expect("32 bytes is one block of HKDF's output");
        Self {
            header: URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"JWT"}}"#)) + ".",
            mac: Hmac::new_from_slice(&key).expect("HMAC takes a key of any length"),
            issued_at_s: now_s,
        }
    }

    /// Appends the token of voter `u{voter}` to `out`.
    pub fn sign_into(&self, voter: u32, out: &mut String) {
        let start = out.len();
        let (iat, exp) = (self.issued_at_s, self.issued_at_s + LIFETIME_S);
        let claims = format!(
            r#"{{"sub":"u{voter}","voter":{voter},"role":"voter","purpose":"access","iat":{iat},"exp":{exp}}}"#
        );
        out.push_str(&self.header);
        URL_SAFE_NO_PAD.encode_string(claims, out);
        let mac = self
            .mac
            .clone()
            .chain_update(&out.as_bytes()[start..])
            .finalize()
            .into_bytes();
        out.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(issuer: &Issuer, voter: u32) -> String {
        let mut token = "before ".to_string();
        issuer.sign_into(voter, &mut token);
        token.split_off("before ".len())
    }

    /// RFC 7515, appendix A.1, signs other bytes, so the format stands here: three parts, claims as agreed, and a MAC
    /// computed outside this program (Python's hmac) from the key that HKDF gives for a master of 32 sevens.
    #[test]
    fn a_token_is_a_jwt_of_that_voter() {
        let token = token(&Issuer::new(&[7; 32], "k1", 1_700_000_000), 42);
        let parts: Vec<_> = token
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        assert_eq!(parts[0], br#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#);
        assert_eq!(
            std::str::from_utf8(&parts[1]).unwrap(),
            r#"{"sub":"u42","voter":42,"role":"voter","purpose":"access","iat":1700000000,"exp":1700014400}"#
        );
        assert_eq!(parts[2].len(), 32);
        let hex: String = parts[2]
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "aba7e1e134a6bf47");
    }

    #[test]
    fn another_voter_master_or_key_name_gives_another_signature() {
        let first = token(&Issuer::new(&[7; 32], "k1", 1), 42);
        for other in [
            token(&Issuer::new(&[7; 32], "k1", 1), 43),
            token(&Issuer::new(&[8; 32], "k1", 1), 42),
            token(&Issuer::new(&[7; 32], "k2", 1), 42),
        ] {
            assert_ne!(first.rsplit('.').next(), other.rsplit('.').next());
        }
    }

    #[test]
    fn unusable_secrets_are_refused_with_a_reason() {
        let master = STANDARD.encode([1; 32]);
        for (text, word) in [
            ("{}".to_string(), "format"),
            (
                format!(r#"{{"format": 2, "master": "{master}", "token_kids": ["k1"]}}"#),
                "format 2",
            ),
            (
                format!(r#"{{"format": 1, "master": "{master}", "token_kids": []}}"#),
                "no token key",
            ),
            (
                r#"{"format": 1, "master": "%", "token_kids": ["k1"]}"#.to_string(),
                "ymbol",
            ),
        ] {
            let refusal = Issuer::from_text(&text, 0).err().expect("refused");
            assert!(refusal.contains(word), "{refusal} does not say {word}");
        }
        let missing = Issuer::from_file(Path::new("/nowhere/secrets.json"), 0)
            .err()
            .expect("refused");
        assert!(missing.to_string().contains("/nowhere/secrets.json"));
    }
}
