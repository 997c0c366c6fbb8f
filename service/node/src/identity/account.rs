//! Accounts: what is kept of a person, and its bytes.

use ostraka_api::unique::unique_form;
use ostraka_core::{RequestKey, UnixMs, VoterNumber};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Date;

use crate::token::Role;

/// A username as its owner wrote it, and the form by which it is unique.
///
/// The second is worked out where the request comes in and travels with it through the log, so that two releases with
/// different Unicode tables still build the same index from the same log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Username {
    pub shown: String,
    pub key: String,
}

impl Username {
    /// Usernames are ASCII (the API's rule); a login that is written otherwise, as in full width, finds them still.
    pub fn new(text: &str) -> Username {
        let shown = text.trim();
        Username {
            shown: shown.to_owned(),
            key: unique_form(shown),
        }
    }
}

/// SHA-256 of an email address in its unique form: a key of fixed length that tells nothing to who only sees the index.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EmailKey(pub [u8; 32]);

/// An email address as its owner wrote it, and the key by which it is unique. See [`Username`] for why both travel.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email {
    pub shown: String,
    pub key: EmailKey,
}

impl Email {
    /// Unique whatever its case and compatibility form. RFC 5321 lets a server tell `Ann` from `ann`, but none that people use does.
    pub fn new(text: &str) -> Email {
        let shown = text.trim();
        let key = EmailKey(Sha256::digest(unique_form(shown).as_bytes()).into());
        Email {
            shown: shown.to_owned(),
            key,
        }
    }
}

/// One account. Written once; only its password's hash may be renewed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub voter: VoterNumber,
    #[serde(with = "role_code")]
    pub role: Role,
    pub username: Username,
    /// The first operator has none.
    pub email: Option<Email>,
    #[serde(with = "julian_day")]
    pub date_of_birth: Option<Date>,
    /// PHC string. Without one the account cannot log in.
    pub password_hash: Option<String>,
    pub registered_by: Option<VoterNumber>,
    pub registered_at: UnixMs,
    /// Of the request that created it: a resubmission is known by it.
    pub request: RequestKey,
}

// Written by hand, so that no log line carries a person's data.
impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("voter", &self.voter)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// By which a hash of a password is told from another one: SHA-256 of its PHC string.
pub fn hash_digest(password_hash: &str) -> [u8; 32] {
    Sha256::digest(password_hash).into()
}

/// Why bytes are no account. Terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountCodecError {
    #[error("the account record has version {0}, this binary knows up to {RECORD_VERSION}")]
    UnknownVersion(u8),
    #[error("the account record is damaged")]
    Damaged,
}

/// First byte of a record. A change of any field's form raises it; older versions stay readable.
const RECORD_VERSION: u8 = 1;

impl Account {
    /// A version byte, then the fields in order as postcard writes them (postcard.jamesmunns.com/wire-format).
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_extend(self, vec![RECORD_VERSION])
            .expect("an account has nothing that postcard cannot write")
    }

    /// Refuses trailing bytes and other versions.
    pub fn decode(bytes: &[u8]) -> Result<Account, AccountCodecError> {
        let (&version, fields) = bytes.split_first().ok_or(AccountCodecError::Damaged)?;
        if version != RECORD_VERSION {
            return Err(AccountCodecError::UnknownVersion(version));
        }
        match postcard::take_from_bytes(fields) {
            Ok((account, [])) => Ok(account),
            _ => Err(AccountCodecError::Damaged),
        }
    }
}

/// Roles on disk: 1 voter, 2 operator. Never reused.
mod role_code {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::token::Role;

    pub(super) fn serialize<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(match role {
            Role::Voter => 1,
            Role::Operator => 2,
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Ok(Role::Voter),
            2 => Ok(Role::Operator),
            other => Err(D::Error::custom(format_args!("role code {other}"))),
        }
    }
}

/// Dates on disk: the Julian day, a number that no calendar library reads differently.
pub(super) mod julian_day {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};
    use time::Date;

    pub(in crate::identity) fn serialize<S: Serializer>(
        date: &Option<Date>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        date.map(Date::to_julian_day).serialize(to)
    }

    pub(in crate::identity) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Date>, D::Error> {
        Option::<i32>::deserialize(from)?
            .map(Date::from_julian_day)
            .transpose()
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::identity) fn any_account() -> impl Strategy<Value = Account> {
        let person = (
            1..=u32::MAX,
            any::<bool>(),
            "[a-zA-Z0-9._-]{1,64}",
            proptest::option::of("[a-zA-Zäß.]{1,20}@[a-z]{1,20}\\.org"),
            proptest::option::of(2_400_000i32..2_500_000),
        );
        let rest = (
            proptest::option::of("[ -~]{0,120}"),
            any::<Option<u32>>(),
            any::<u64>(),
            any::<u128>(),
        );
        (person, rest).prop_map(
            |((voter, operator, name, email, born), (hash, by, at, request))| Account {
                voter: VoterNumber(voter),
                role: if operator { Role::Operator } else { Role::Voter },
                username: Username::new(&name),
                email: email.as_deref().map(Email::new),
                date_of_birth: born.map(|day| Date::from_julian_day(day).unwrap()),
                password_hash: hash,
                registered_by: by.map(VoterNumber),
                registered_at: UnixMs(at),
                request: RequestKey(request),
            },
        )
    }

    /// These bytes lie on disks: what changes them must raise the version.
    #[test]
    fn the_record_is_these_bytes() {
        let account = Account {
            voter: VoterNumber(300),
            role: Role::Operator,
            username: Username::new(" Bo "),
            email: None,
            date_of_birth: Date::from_julian_day(2_440_588).ok(),
            password_hash: Some("$h".to_owned()),
            registered_by: Some(VoterNumber(1)),
            registered_at: UnixMs(128),
            request: RequestKey(5),
        };
        let expected = [
            &[1, 0xac, 0x02, 2][..],
            b"\x02Bo\x02bo",
            &[0],
            &[1, 0x98, 0xf6, 0xa9, 0x02],
            b"\x01\x02$h",
            &[1, 1],
            &[0x80, 0x01],
            &[5],
        ];
        assert_eq!(account.encode(), expected.concat());
    }

    #[test]
    fn other_versions_are_told_apart_from_damage() {
        assert_eq!(
            Account::decode(&[2, 0]),
            Err(AccountCodecError::UnknownVersion(2))
        );
        assert_eq!(Account::decode(&[]), Err(AccountCodecError::Damaged));
    }

    #[test]
    fn names_are_unique_whatever_their_case() {
        assert_eq!(Username::new("Alice").key, Username::new(" aLICE\n").key);
        assert_eq!(Username::new(" Alice ").shown, "Alice");
        assert!(Email::new("Ann@Example.org").key == Email::new("ann@example.ORG ").key);
        assert!(Email::new("ÄNN@example.org").key == Email::new("änn@example.org").key);
        assert!(Email::new("ann@example.org").key != Email::new("anne@example.org").key);
    }

    proptest! {
        #[test]
        fn records_round_trip(account in any_account()) {
            let bytes = account.encode();
            prop_assert_eq!(Account::decode(&bytes), Ok(account));
            prop_assert!(Account::decode(&bytes[..bytes.len() - 1]).is_err());
            prop_assert_eq!(Account::decode(&[&bytes[..], &[0]].concat()), Err(AccountCodecError::Damaged));
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _: Result<_, _> = Account::decode(&[&[1], &bytes[..]].concat());
        }
    }
}
