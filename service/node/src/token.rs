//! Bearer tokens: HS256 JSON Web Tokens (RFC 7519) with a `kid`, carrying the voter number.
//!
//! A verified token is all that a vote needs to know of a person, so verification is on the path of every vote: the
//! keyed start of the HMAC is computed once per key, the claims are decoded on the stack and borrowed from there.
//!
//! The header is never parsed. A token is accepted only if its header is byte for byte one that this service writes,
//! so `alg: none`, another algorithm, `crit`, `jwk` or an unknown `kid` have nothing to talk to (RFC 8725, §3.1).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ostraka_core::limits::TOKEN_BYTES_MAX;
use ostraka_core::{LogIndex, UnixMs, VoterNumber};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::secrets::Secrets;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Voter,
    Operator,
}

/// Who is calling, as a verified token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub voter: VoterNumber,
    pub role: Role,
    pub expires_at: UnixMs,
    /// How far the node that signed the token had applied identity's log: a revocation of later concerns it.
    pub known_to: LogIndex,
}

/// Why a token is refused. All terminal for this token; a new login helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the token is longer than {TOKEN_BYTES_MAX} bytes")]
    TooLong,
    #[error("the token is not of the form header.claims.signature")]
    Malformed,
    #[error("the token is not signed with an algorithm and a key that this service uses")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    BadSignature,
    #[error("the token's claims are not those of an access token")]
    BadClaims,
    #[error("the token has expired")]
    Expired,
    #[error("the token was revoked")]
    Revoked,
}

/// What a token says. Times are seconds since the Unix epoch (RFC 7519, §2, NumericDate).
#[derive(Serialize, Deserialize)]
struct Claims<'a> {
    /// The user's id as the API writes it: `u42`. For other people's tools; `voter` is the same number.
    sub: &'a str,
    voter: u32,
    role: Role,
    /// What the token is for, so that a token of one kind never passes for another.
    purpose: &'a str,
    iat: u64,
    exp: u64,
    /// [`Caller::known_to`]. Tokens of releases that knew no revocations are without, and older than all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    at: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

const PURPOSE_ACCESS: &str = "access";
/// Bytes of an HMAC-SHA-256 and of its base64 form without padding.
const MAC_BYTES: usize = 32;
const MAC_TEXT_BYTES: usize = 43;

struct TokenKey {
    /// The header in base64, with the dot behind it.
    header: String,
    /// HMAC keyed and ready: cloning it saves two of the hash's compressions a token.
    mac: Hmac<Sha256>,
}

/// Signs and verifies tokens. Cheap to share behind an `Arc`.
pub struct Tokens {
    /// Newest first, never empty.
    keys: Vec<TokenKey>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} keys)", self.keys.len())
    }
}

impl Tokens {
    /// # Panics
    /// If `secrets` has no token key; [`Secrets::derive`] never makes such.
    pub fn new(secrets: &Secrets) -> Tokens {
        assert!(!secrets.token_keys.is_empty(), "tokens need a key");
        let key = |(kid, key): &(String, crate::secrets::SecretKey)| TokenKey {
            header: URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}","typ":"JWT"}}"#)) + ".",
            mac: Hmac::new_from_slice(&key.0).expect("HMAC takes a key of any length"),
        };
        Tokens {
            keys: secrets.token_keys.iter().map(key).collect(),
        }
    }

    /// A token that knows of no entry of identity's log: any revocation concerns it.
    pub fn sign(&self, voter: VoterNumber, role: Role, now: UnixMs, lifetime: Duration) -> String {
        self.sign_at(voter, role, LogIndex(0), now, lifetime)
    }

    /// A token for `voter`, signed with the newest key, valid from `now` for `lifetime` (whole seconds), by a node that has
    /// applied identity's log up to `known_to`.
    pub fn sign_at(
        &self,
        voter: VoterNumber,
        role: Role,
        known_to: LogIndex,
        now: UnixMs,
        lifetime: Duration,
    ) -> String {
        let iat = now.0 / 1_000;
        let claims = Claims {
            sub: &format!("u{}", voter.0),
            voter: voter.0,
            role,
            purpose: PURPOSE_ACCESS,
            iat,
            exp: iat.saturating_add(lifetime.as_secs()),
            at: known_to.0,
        };
        let claims = serde_json::to_vec(&claims).expect("numbers and plain strings are JSON");
        let key = &self.keys[0];
        let mut token = String::with_capacity(TOKEN_BYTES_MAX);
        token.push_str(&key.header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let mac = key
            .mac
            .clone()
            .chain_update(token.as_bytes())
            .finalize()
            .into_bytes();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        assert!(
            token.len() <= TOKEN_BYTES_MAX,
            "this service never writes a token that it would refuse"
        );
        token
    }

    /// Who is calling at `now`, by the service's own clock. Whether the token was revoked is not known here.
    pub fn verify(&self, token: &str, now: UnixMs) -> Result<Caller, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let (signed, mac_text) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let key = self
            .keys
            .iter()
            .find(|key| signed.starts_with(&key.header))
            .ok_or(TokenError::UnknownKey)?;
        let claims_text = &signed[key.header.len()..];

        let mut mac = [0; MAC_BYTES];
        if mac_text.len() != MAC_TEXT_BYTES {
            return Err(TokenError::BadSignature);
        }
        // Strict decoding: of the two unused bits at the end, none may be set, so one MAC has one spelling.
        URL_SAFE_NO_PAD
            .decode_slice_unchecked(mac_text, &mut mac)
            .map_err(|_| TokenError::BadSignature)?;
        // `verify_slice` compares in constant time.
        key.mac
            .clone()
            .chain_update(signed)
            .verify_slice(&mac)
            .map_err(|_| TokenError::BadSignature)?;

        let mut buffer = [0; TOKEN_BYTES_MAX];
        let length = URL_SAFE_NO_PAD
            .decode_slice(claims_text, &mut buffer)
            .map_err(|_| TokenError::BadClaims)?;
        let claims: Claims<'_> =
            serde_json::from_slice(&buffer[..length]).map_err(|_| TokenError::BadClaims)?;
        if claims.purpose != PURPOSE_ACCESS || claims.voter == 0 {
            return Err(TokenError::BadClaims);
        }
        let expires_at = UnixMs(claims.exp.saturating_mul(1_000));
        if now >= expires_at {
            return Err(TokenError::Expired);
        }
        Ok(Caller {
            voter: VoterNumber(claims.voter),
            role: claims.role,
            expires_at,
            known_to: LogIndex(claims.at),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMs = UnixMs(1_700_000_000_123);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn tokens(kids: &[&str]) -> Tokens {
        let kids: Vec<String> = kids.iter().map(|kid| (*kid).to_owned()).collect();
        Tokens::new(&Secrets::derive(&[7; 32], &kids))
    }

    /// A token with any header and claims, signed with the key of `tokens`.
    fn forge(tokens: &Tokens, header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let mac = tokens.keys[0]
            .mac
            .clone()
            .chain_update(&signed)
            .finalize()
            .into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    #[test]
    fn a_token_is_a_plain_jwt() {
        let token = tokens(&["k1"]).sign(VoterNumber(42), Role::Operator, NOW, HOUR);
        let parts: Vec<Vec<u8>> = token
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        assert_eq!(parts[0], br#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#);
        assert_eq!(
            std::str::from_utf8(&parts[1]).unwrap(),
            r#"{"sub":"u42","voter":42,"role":"operator","purpose":"access","iat":1700000000,"exp":1700003600}"#
        );
        assert_eq!(parts[2].len(), MAC_BYTES);
    }

    #[test]
    fn older_keys_still_verify_and_dropped_ones_do_not() {
        let old = tokens(&["k1"]).sign(VoterNumber(1), Role::Voter, NOW, HOUR);
        let rotated = tokens(&["k2", "k1"]);
        assert!(rotated.verify(&old, NOW).is_ok());
        let new = rotated.sign(VoterNumber(1), Role::Voter, NOW, HOUR);
        assert_eq!(tokens(&["k1"]).verify(&new, NOW), Err(TokenError::UnknownKey));
        assert_eq!(tokens(&["k2"]).verify(&old, NOW), Err(TokenError::UnknownKey));
        // Another cluster with the same key name.
        let foreign = Tokens::new(&Secrets::derive(&[8; 32], &["k1".to_owned()]));
        assert_eq!(foreign.verify(&old, NOW), Err(TokenError::BadSignature));
    }

    #[test]
    fn other_algorithms_and_purposes_are_refused() {
        let tokens = tokens(&["k1"]);
        let claims = r#"{"sub":"u1","voter":1,"role":"voter","purpose":"access","iat":1,"exp":9999999999}"#;
        let good = r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#;
        assert!(
            tokens.verify(&forge(&tokens, good, claims), NOW).is_ok(),
            "the forge itself works"
        );
        for header in [
            r#"{"alg":"none","kid":"k1","typ":"JWT"}"#,
            r#"{"alg":"HS512","kid":"k1","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","kid":"k1","typ":"JWT","crit":["x"]}"#,
        ] {
            assert_eq!(
                tokens.verify(&forge(&tokens, header, claims), NOW),
                Err(TokenError::UnknownKey),
                "{header}"
            );
        }
        for claims in [
            claims.replace("access", "register"),
            claims.replace(r#""voter":1"#, r#""voter":0"#),
            claims.replace(r#""voter":1"#, r#""voter":4294967296"#),
            claims.replace(r#""role":"voter","#, ""),
            claims.replace("voter\",\"purpose", "root\",\"purpose"),
            "[]".to_owned(),
        ] {
            assert_eq!(
                tokens.verify(&forge(&tokens, good, &claims), NOW),
                Err(TokenError::BadClaims),
                "{claims}"
            );
        }
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(good),
            URL_SAFE_NO_PAD.encode(claims)
        );
        assert_eq!(tokens.verify(&unsigned, NOW), Err(TokenError::BadSignature));
        assert_eq!(
            tokens.verify(&"a.".repeat(TOKEN_BYTES_MAX), NOW),
            Err(TokenError::TooLong)
        );
        assert_eq!(tokens.verify("", NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn the_longest_token_fits() {
        let kid = "k".repeat(32);
        let tokens = tokens(&[&kid]);
        let token = tokens.sign_at(
            VoterNumber(u32::MAX),
            Role::Operator,
            LogIndex(u64::MAX),
            UnixMs(u64::MAX),
            Duration::MAX,
        );
        assert_eq!(
            tokens.verify(&token, NOW).map(|caller| caller.voter),
            Ok(VoterNumber(u32::MAX))
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_until_it_expires(voter in 1..=u32::MAX, operator: bool, now in 0..1u64 << 45, secs in 1..1u64 << 20, known_to: u64) {
            let tokens = tokens(&["k1"]);
            let role = if operator { Role::Operator } else { Role::Voter };
            let known_to = LogIndex(known_to);
            let token = tokens.sign_at(VoterNumber(voter), role, known_to, UnixMs(now), Duration::from_secs(secs));
            let expires_at = UnixMs((now / 1_000 + secs) * 1_000);
            let caller = Caller { voter: VoterNumber(voter), role, expires_at, known_to };
            prop_assert_eq!(tokens.verify(&token, UnixMs(now.min(expires_at.0 - 1))), Ok(caller));
            prop_assert_eq!(tokens.verify(&token, UnixMs(expires_at.0 - 1)), Ok(caller));
            prop_assert_eq!(tokens.verify(&token, expires_at), Err(TokenError::Expired));
        }

        #[test]
        fn any_flipped_bit_is_refused(position in 0usize..10_000, bit in 0u8..7) {
            let tokens = tokens(&["k1"]);
            let mut bytes = tokens.sign(VoterNumber(42), Role::Voter, NOW, HOUR).into_bytes();
            let position = position % bytes.len();
            bytes[position] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).expect("seven bits are ASCII");
            prop_assert!(tokens.verify(&flipped, NOW).is_err());
        }

        #[test]
        fn garbage_never_panics(text in ".{0,600}", tail in "[-_.A-Za-z0-9]{0,80}") {
            let tokens = tokens(&["k1"]);
            prop_assert!(tokens.verify(&text, NOW).is_err());
            let with_header = format!("{}{tail}.{tail}", tokens.keys[0].header);
            prop_assert!(tokens.verify(&with_header, NOW).is_err());
        }
    }
}
