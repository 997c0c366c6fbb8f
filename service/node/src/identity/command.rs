//! What identity's log holds: one command an entry, and the outcome that goes back to whoever submitted it.

use bytes::Bytes;
use ostraka_core::limits::IDENTITY_COMMAND_BYTES_MAX;
use ostraka_core::{RequestKey, VoterNumber};
use serde::{Deserialize, Serialize};
use time::Date;

use super::account::{Email, Username, julian_day};

/// One requested change of the accounts.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    CreateOperator(CreateOperator),
    Register(Register),
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

// Written by hand, so that no log line carries a person's data.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Command::CreateOperator(_) => "CreateOperator(…)",
            Command::Register(_) => "Register(…)",
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

/// First byte of a command and of an outcome. Any change of form, a new kind too, raises it.
const VERSION: u8 = 1;
/// Second byte of a command. Never reused.
const KIND_CREATE_OPERATOR: u8 = 1;
const KIND_REGISTER: u8 = 2;

impl Command {
    /// Version, kind, then the fields in order as postcard writes them.
    pub fn encode(&self) -> Bytes {
        let bytes = match self {
            Command::CreateOperator(fields) => {
                postcard::to_extend(fields, vec![VERSION, KIND_CREATE_OPERATOR])
            }
            Command::Register(fields) => postcard::to_extend(fields, vec![VERSION, KIND_REGISTER]),
        };
        Bytes::from(bytes.expect("a command has nothing that postcard cannot write"))
    }

    /// Refuses trailing bytes, other versions, and more than `IDENTITY_COMMAND_BYTES_MAX`.
    pub fn decode(bytes: &[u8]) -> Result<Command, CommandCodecError> {
        let [version, kind, fields @ ..] = bytes else {
            return Err(CommandCodecError::Damaged);
        };
        if *version != VERSION {
            return Err(CommandCodecError::UnknownVersion(*version));
        }
        if bytes.len() > IDENTITY_COMMAND_BYTES_MAX {
            return Err(CommandCodecError::Damaged);
        }
        match *kind {
            KIND_CREATE_OPERATOR => whole(fields).map(Command::CreateOperator),
            KIND_REGISTER => whole(fields).map(Command::Register),
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
}

impl Outcome {
    /// Version, code, and for `Created` the voter number (4 bytes, little-endian).
    pub fn encode(self) -> Bytes {
        let code: u8 = match self {
            Outcome::Created(voter) => {
                let [a, b, c, d] = voter.0.to_le_bytes();
                return Bytes::copy_from_slice(&[VERSION, 1, a, b, c, d]);
            }
            Outcome::UsernameTaken => 2,
            Outcome::EmailTaken => 3,
            Outcome::OperatorExists => 4,
            Outcome::Refused => 5,
        };
        Bytes::copy_from_slice(&[VERSION, code])
    }

    pub fn decode(bytes: &[u8]) -> Result<Outcome, CommandCodecError> {
        match *bytes {
            [VERSION, 1, a, b, c, d] => Ok(Outcome::Created(VoterNumber(u32::from_le_bytes([a, b, c, d])))),
            [VERSION, 2] => Ok(Outcome::UsernameTaken),
            [VERSION, 3] => Ok(Outcome::EmailTaken),
            [VERSION, 4] => Ok(Outcome::OperatorExists),
            [VERSION, 5] => Ok(Outcome::Refused),
            [version, ..] if version != VERSION => Err(CommandCodecError::UnknownVersion(version)),
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
        (any_account(), any::<bool>()).prop_map(|(account, operator)| {
            let by = account.registered_by.unwrap_or(VoterNumber(1));
            if operator {
                return Command::CreateOperator(CreateOperator {
                    request: account.request,
                    username: account.username,
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
    }

    #[test]
    fn outcomes_round_trip_and_refuse_the_rest() {
        for outcome in [
            Outcome::Created(VoterNumber(u32::MAX)),
            Outcome::UsernameTaken,
            Outcome::EmailTaken,
            Outcome::OperatorExists,
            Outcome::Refused,
        ] {
            assert_eq!(Outcome::decode(&outcome.encode()), Ok(outcome));
        }
        assert_eq!(
            Outcome::decode(&[9, 2]),
            Err(CommandCodecError::UnknownVersion(9))
        );
        for damaged in [&[][..], &[1], &[1, 6], &[1, 2, 0], &[1, 1, 0]] {
            assert_eq!(Outcome::decode(damaged), Err(CommandCodecError::Damaged));
        }
    }

    #[test]
    fn other_versions_and_sizes_are_refused() {
        assert_eq!(
            Command::decode(&[2, 1]),
            Err(CommandCodecError::UnknownVersion(2))
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
        fn garbage_never_panics(kind in 0u8..4, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _: Result<_, _> = Command::decode(&[&[1, kind], &bytes[..]].concat());
            let _: Result<_, _> = Outcome::decode(&bytes);
        }
    }
}
