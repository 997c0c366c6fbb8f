//! What identity's log holds: one command an entry, and the outcome that goes back to whoever submitted it.

use bytes::Bytes;
use ostraka_core::limits::IDENTITY_COMMAND_BYTES_MAX;
use ostraka_core::{RequestKey, UnixMs, VoterNumber};
use serde::{Deserialize, Serialize};
use time::Date;

use super::account::{Email, Username, julian_day};
use super::grants::Nonce;

/// One requested change of the accounts.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    CreateOperator(CreateOperator),
    Register(Register),
    SolveChallenge(SolveChallenge),
    RegisterByToken(RegisterByToken),
    RevokeTokens(RevokeTokens),
    RenewPassword(RenewPassword),
}

/// Creates the first operator. Takes effect only while there is none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateOperator {
    pub request: RequestKey,
    pub username: Username,
    /// PHC string.
    pub password_hash: String,
}

/// Creates a voter's account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    pub request: RequestKey,
    pub username: Username,
    pub email: Email,
    #[serde(with = "julian_day")]
    pub date_of_birth: Option<Date>,
    /// PHC string.
    pub password_hash: Option<String>,
    pub registered_by: VoterNumber,
}

/// Takes note that a challenge is solved, once. The proof was checked by the node that wrote this.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SolveChallenge {
    pub request: RequestKey,
    pub nonce: Nonce,
    pub challenge_expires_at: UnixMs,
    /// Of the registration token.
    pub lifetime_ms: u64,
}

/// Creates a voter's account by a registration token, which is spent with it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterByToken {
    pub request: RequestKey,
    pub nonce: Nonce,
    pub username: Username,
    pub email: Email,
    #[serde(with = "julian_day")]
    pub date_of_birth: Option<Date>,
    /// PHC string.
    pub password_hash: Option<String>,
}

/// Revokes every token that was signed for the account before this entry.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeTokens {
    pub voter: VoterNumber,
    /// Of tokens, as the node that wrote this gives them out.
    pub lifetime_ms: u64,
    /// An operator's, not the owner's logout: there is room for it when there is none for logouts.
    pub by_operator: bool,
}

/// Puts a dearer hash of the same password in place of the one that its owner has just logged in with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewPassword {
    pub voter: VoterNumber,
    /// SHA-256 of the PHC string that it replaces: nothing else is replaced.
    pub replaces: [u8; 32],
    /// PHC string.
    pub password_hash: String,
}

// Written by hand, so that no log line carries a person's data.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::CreateOperator(_) => "CreateOperator(…)",
            Command::Register(_) => "Register(…)",
            Command::SolveChallenge(_) => "SolveChallenge(…)",
            Command::RegisterByToken(_) => "RegisterByToken(…)",
            Command::RevokeTokens(_) => "RevokeTokens(…)",
            Command::RenewPassword(_) => "RenewPassword(…)",
        })
    }
}

/// Why bytes are no command or outcome. Terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandCodecError {
    /// A newer node wrote it. Whoever cannot carry it out must stop, or its accounts would differ from the others'.
    #[error("version {0} is unknown, this binary knows up to {VERSION}")]
    UnknownVersion(u8),
    #[error("the bytes are damaged")]
    Damaged,
}

/// First byte of a command and of an outcome: the version that its kind came with. Any change of form, a new kind too,
/// raises it; what older releases know is still written as they read it.
const VERSION: u8 = 3;
const VERSION_OF_ACCOUNTS: u8 = 1;
const VERSION_OF_PROOFS: u8 = 2;
const VERSION_OF_REVOCATIONS: u8 = 3;
/// Second byte of a command. Never reused.
const KIND_CREATE_OPERATOR: u8 = 1;
const KIND_REGISTER: u8 = 2;
const KIND_SOLVE_CHALLENGE: u8 = 3;
const KIND_REGISTER_BY_TOKEN: u8 = 4;
const KIND_REVOKE_TOKENS: u8 = 5;
const KIND_RENEW_PASSWORD: u8 = 6;

impl Command {
    /// Version, kind, then the fields in order as postcard writes them.
    pub fn encode(&self) -> Bytes {
        let bytes = match self {
            Command::CreateOperator(fields) => {
                postcard::to_extend(fields, vec![VERSION_OF_ACCOUNTS, KIND_CREATE_OPERATOR])
            }
            Command::Register(fields) => {
                postcard::to_extend(fields, vec![VERSION_OF_ACCOUNTS, KIND_REGISTER])
            }
            Command::SolveChallenge(fields) => {
                postcard::to_extend(fields, vec![VERSION_OF_PROOFS, KIND_SOLVE_CHALLENGE])
            }
            Command::RegisterByToken(fields) => {
                postcard::to_extend(fields, vec![VERSION_OF_PROOFS, KIND_REGISTER_BY_TOKEN])
            }
            Command::RevokeTokens(fields) => {
                postcard::to_extend(fields, vec![VERSION_OF_REVOCATIONS, KIND_REVOKE_TOKENS])
            }
            Command::RenewPassword(fields) => {
                postcard::to_extend(fields, vec![VERSION_OF_REVOCATIONS, KIND_RENEW_PASSWORD])
            }
        };
        Bytes::from(bytes.expect("a command has nothing that postcard cannot write"))
    }

    /// Refuses trailing bytes, other versions, and more than `IDENTITY_COMMAND_BYTES_MAX`.
    pub fn decode(bytes: &[u8]) -> Result<Command, CommandCodecError> {
        let [version, kind, fields @ ..] = bytes else {
            return Err(CommandCodecError::Damaged);
        };
        if !(VERSION_OF_ACCOUNTS..=VERSION).contains(version) {
            return Err(CommandCodecError::UnknownVersion(*version));
        }
        if bytes.len() > IDENTITY_COMMAND_BYTES_MAX {
            return Err(CommandCodecError::Damaged);
        }
        match (*version, *kind) {
            (VERSION_OF_ACCOUNTS, KIND_CREATE_OPERATOR) => whole(fields).map(Command::CreateOperator),
            (VERSION_OF_ACCOUNTS, KIND_REGISTER) => whole(fields).map(Command::Register),
            (VERSION_OF_PROOFS, KIND_SOLVE_CHALLENGE) => whole(fields).map(Command::SolveChallenge),
            (VERSION_OF_PROOFS, KIND_REGISTER_BY_TOKEN) => whole(fields).map(Command::RegisterByToken),
            (VERSION_OF_REVOCATIONS, KIND_REVOKE_TOKENS) => whole(fields).map(Command::RevokeTokens),
            (VERSION_OF_REVOCATIONS, KIND_RENEW_PASSWORD) => whole(fields).map(Command::RenewPassword),
            _ => Err(CommandCodecError::Damaged),
        }
    }
}

fn whole<'a, T: Deserialize<'a>>(fields: &'a [u8]) -> Result<T, CommandCodecError> {
    match postcard::take_from_bytes(fields) {
        Ok((value, [])) => Ok(value),
        _ => Err(CommandCodecError::Damaged),
    }
}

/// The verdict on one command. A resubmission with the same request key gets the first one again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Created(VoterNumber),
    UsernameTaken,
    EmailTaken,
    /// There is an operator already.
    OperatorExists,
    /// The command is not one that this service writes, or all voter numbers are given out.
    Refused,
    /// The challenge is solved; its registration token counts until then, by the log's time.
    Granted(UnixMs),
    ChallengeExpired,
    ChallengeUsed,
    /// As many solved challenges are remembered as may be. Nothing was changed; later there is room.
    GrantsFull,
    TokenExpired,
    TokenUsed,
    /// Every token of before this entry is revoked.
    Revoked,
    NoSuchAccount,
    /// As many revocations are remembered as may be. Nothing was changed; later there is room.
    RevocationsFull,
    Renewed,
    /// The account has another hash than the one that was to be replaced.
    NotRenewed,
}

impl Outcome {
    /// Version, code, and for `Created` the voter number (4 bytes, little-endian), for `Granted` the moment (8 bytes).
    pub fn encode(self) -> Bytes {
        let code: u8 = match self {
            Outcome::Created(voter) => {
                let [a, b, c, d] = voter.0.to_le_bytes();
                return Bytes::copy_from_slice(&[VERSION_OF_ACCOUNTS, 1, a, b, c, d]);
            }
            Outcome::Granted(expires_at) => {
                let mut bytes = vec![VERSION_OF_PROOFS, 6];
                bytes.extend_from_slice(&expires_at.0.to_le_bytes());
                return Bytes::from(bytes);
            }
            Outcome::UsernameTaken => 2,
            Outcome::EmailTaken => 3,
            Outcome::OperatorExists => 4,
            Outcome::Refused => 5,
            Outcome::ChallengeExpired => 7,
            Outcome::ChallengeUsed => 8,
            Outcome::GrantsFull => 9,
            Outcome::TokenExpired => 10,
            Outcome::TokenUsed => 11,
            Outcome::Revoked => 12,
            Outcome::NoSuchAccount => 13,
            Outcome::RevocationsFull => 14,
            Outcome::Renewed => 15,
            Outcome::NotRenewed => 16,
        };
        let version = match code {
            0..=5 => VERSION_OF_ACCOUNTS,
            6..=11 => VERSION_OF_PROOFS,
            _ => VERSION_OF_REVOCATIONS,
        };
        Bytes::copy_from_slice(&[version, code])
    }

    pub fn decode(bytes: &[u8]) -> Result<Outcome, CommandCodecError> {
        match *bytes {
            [VERSION_OF_ACCOUNTS, 1, a, b, c, d] => {
                Ok(Outcome::Created(VoterNumber(u32::from_le_bytes([a, b, c, d]))))
            }
            [VERSION_OF_ACCOUNTS, 2] => Ok(Outcome::UsernameTaken),
            [VERSION_OF_ACCOUNTS, 3] => Ok(Outcome::EmailTaken),
            [VERSION_OF_ACCOUNTS, 4] => Ok(Outcome::OperatorExists),
            [VERSION_OF_ACCOUNTS, 5] => Ok(Outcome::Refused),
            [VERSION_OF_PROOFS, 6, a, b, c, d, e, f, g, h] => {
                let expires_at = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
                Ok(Outcome::Granted(UnixMs(expires_at)))
            }
            [VERSION_OF_PROOFS, 7] => Ok(Outcome::ChallengeExpired),
            [VERSION_OF_PROOFS, 8] => Ok(Outcome::ChallengeUsed),
            [VERSION_OF_PROOFS, 9] => Ok(Outcome::GrantsFull),
            [VERSION_OF_PROOFS, 10] => Ok(Outcome::TokenExpired),
            [VERSION_OF_PROOFS, 11] => Ok(Outcome::TokenUsed),
            [VERSION_OF_REVOCATIONS, 12] => Ok(Outcome::Revoked),
            [VERSION_OF_REVOCATIONS, 13] => Ok(Outcome::NoSuchAccount),
            [VERSION_OF_REVOCATIONS, 14] => Ok(Outcome::RevocationsFull),
            [VERSION_OF_REVOCATIONS, 15] => Ok(Outcome::Renewed),
            [VERSION_OF_REVOCATIONS, 16] => Ok(Outcome::NotRenewed),
            [version, ..] if !(VERSION_OF_ACCOUNTS..=VERSION).contains(&version) => {
                Err(CommandCodecError::UnknownVersion(version))
            }
            _ => Err(CommandCodecError::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::account::tests::any_account;

    fn any_command() -> impl Strategy<Value = Command> {
        (any_account(), 0u8..6, any::<[u8; 16]>()).prop_map(|(account, kind, nonce)| {
            let by = account.registered_by.unwrap_or(VoterNumber(1));
            let nonce = Nonce(nonce);
            if kind == 0 {
                return Command::SolveChallenge(SolveChallenge {
                    request: account.request,
                    nonce,
                    challenge_expires_at: account.registered_at,
                    lifetime_ms: u64::from(by.0),
                });
            }
            if kind == 1 {
                return Command::RegisterByToken(RegisterByToken {
                    request: account.request,
                    nonce,
                    username: account.username,
                    email: account.email.unwrap_or_else(|| Email::new("x@example.org")),
                    date_of_birth: account.date_of_birth,
                    password_hash: account.password_hash,
                });
            }
            if kind == 2 {
                return Command::CreateOperator(CreateOperator {
                    request: account.request,
                    username: account.username,
                    password_hash: account.password_hash.unwrap_or_default(),
                });
            }
            if kind == 3 {
                return Command::RevokeTokens(RevokeTokens {
                    voter: account.voter,
                    lifetime_ms: account.registered_at.0,
                    by_operator: account.email.is_none(),
                });
            }
            if kind == 4 {
                return Command::RenewPassword(RenewPassword {
                    voter: account.voter,
                    replaces: [nonce.0[0]; 32],
                    password_hash: account.password_hash.unwrap_or_default(),
                });
            }
            Command::Register(Register {
                request: account.request,
                username: account.username,
                email: account.email.unwrap_or_else(|| Email::new("x@example.org")),
                date_of_birth: account.date_of_birth,
                password_hash: account.password_hash,
                registered_by: by,
            })
        })
    }

    /// These bytes lie in logs: what changes them must raise the version.
    #[test]
    fn commands_and_outcomes_are_these_bytes() {
        let operator = Command::CreateOperator(CreateOperator {
            request: RequestKey(5),
            username: Username::new("Op"),
            password_hash: "$h".to_owned(),
        });
        assert_eq!(operator.encode(), &b"\x01\x01\x05\x02Op\x02op\x02$h"[..]);
        let register = Command::Register(Register {
            request: RequestKey(5),
            username: Username::new("Bo"),
            email: Email {
                shown: "b@c".to_owned(),
                key: crate::identity::account::EmailKey([7; 32]),
            },
            date_of_birth: Date::from_julian_day(2_440_588).ok(),
            password_hash: None,
            registered_by: VoterNumber(1),
        });
        let expected = [
            &b"\x01\x02\x05\x02Bo\x02bo\x03b@c"[..],
            &[7; 32],
            &[1, 0x98, 0xf6, 0xa9, 0x02],
            &[0],
            &[1],
        ];
        assert_eq!(register.encode(), expected.concat());
        assert_eq!(
            Outcome::Created(VoterNumber(258)).encode(),
            &[1, 1, 2, 1, 0, 0][..]
        );
        let solved = Command::SolveChallenge(SolveChallenge {
            request: RequestKey(5),
            nonce: Nonce([7; 16]),
            challenge_expires_at: UnixMs(128),
            lifetime_ms: 3,
        });
        let expected = [&[2, 3, 5][..], &[7; 16], &[0x80, 0x01, 3]];
        assert_eq!(solved.encode(), expected.concat());
        let by_token = Command::RegisterByToken(RegisterByToken {
            request: RequestKey(5),
            nonce: Nonce([7; 16]),
            username: Username::new("Bo"),
            email: Email {
                shown: "b@c".to_owned(),
                key: crate::identity::account::EmailKey([7; 32]),
            },
            date_of_birth: None,
            password_hash: None,
        });
        let expected = [
            &[2, 4, 5][..],
            &[7; 16],
            b"\x02Bo\x02bo\x03b@c",
            &[7; 32],
            &[0, 0],
        ];
        assert_eq!(by_token.encode(), expected.concat());
        assert_eq!(
            Outcome::Granted(UnixMs(258)).encode(),
            &[2, 6, 2, 1, 0, 0, 0, 0, 0, 0][..]
        );
    }

    #[test]
    fn commands_and_outcomes_of_version_3_are_these_bytes() {
        let revoke = Command::RevokeTokens(RevokeTokens {
            voter: VoterNumber(300),
            lifetime_ms: 3,
            by_operator: true,
        });
        assert_eq!(revoke.encode(), &[3, 5, 0xac, 0x02, 3, 1][..]);
        let renew = Command::RenewPassword(RenewPassword {
            voter: VoterNumber(7),
            replaces: [9; 32],
            password_hash: "$h".to_owned(),
        });
        assert_eq!(renew.encode(), [&[3, 6, 7][..], &[9; 32], b"\x02$h"].concat());
        assert_eq!(Outcome::Revoked.encode(), &[3, 12][..]);
    }

    #[test]
    fn outcomes_round_trip_and_refuse_the_rest() {
        for outcome in [
            Outcome::Created(VoterNumber(u32::MAX)),
            Outcome::UsernameTaken,
            Outcome::EmailTaken,
            Outcome::OperatorExists,
            Outcome::Refused,
            Outcome::Granted(UnixMs(u64::MAX)),
            Outcome::ChallengeExpired,
            Outcome::ChallengeUsed,
            Outcome::GrantsFull,
            Outcome::TokenExpired,
            Outcome::TokenUsed,
            Outcome::Revoked,
            Outcome::NoSuchAccount,
            Outcome::RevocationsFull,
            Outcome::Renewed,
            Outcome::NotRenewed,
        ] {
            assert_eq!(Outcome::decode(&outcome.encode()), Ok(outcome));
        }
        assert_eq!(
            Outcome::decode(&[9, 2]),
            Err(CommandCodecError::UnknownVersion(9))
        );
        for damaged in [
            &[][..],
            &[1],
            &[1, 6],
            &[1, 2, 0],
            &[1, 1, 0],
            &[2, 2],
            &[2, 6, 0],
            &[2, 12],
            &[3, 11],
            &[3, 17],
        ] {
            assert_eq!(Outcome::decode(damaged), Err(CommandCodecError::Damaged));
        }
    }

    #[test]
    fn other_versions_and_sizes_are_refused() {
        assert_eq!(
            Command::decode(&[4, 1]),
            Err(CommandCodecError::UnknownVersion(4))
        );
        assert_eq!(
            Command::decode(&[0, 1]),
            Err(CommandCodecError::UnknownVersion(0))
        );
        assert_eq!(Command::decode(&[1, 9]), Err(CommandCodecError::Damaged));
        let long = Command::CreateOperator(CreateOperator {
            request: RequestKey(5),
            username: Username::new("op"),
            password_hash: "x".repeat(IDENTITY_COMMAND_BYTES_MAX),
        });
        assert_eq!(Command::decode(&long.encode()), Err(CommandCodecError::Damaged));
    }

    proptest! {
        #[test]
        fn commands_round_trip(command in any_command()) {
            let bytes = command.encode();
            prop_assert_eq!(Command::decode(&bytes), Ok(command));
            prop_assert_eq!(Command::decode(&[&bytes[..], &[0]].concat()), Err(CommandCodecError::Damaged));
            prop_assert!(Command::decode(&bytes[..bytes.len() - 1]).is_err());
        }

        #[test]
        fn garbage_never_panics(version in 1u8..4, kind in 0u8..8, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _: Result<_, _> = Command::decode(&[&[version, kind], &bytes[..]].concat());
            let _: Result<_, _> = Outcome::decode(&bytes);
        }
    }
}
