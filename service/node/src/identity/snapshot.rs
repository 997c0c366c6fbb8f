//! Identity's snapshot: a head, the solved challenges that are remembered, then every account in order of its number.
//!
//! Little-endian: version (1 byte), applied index (8), number of the next account (4), first operator's number or 0 (4);
//! from version 2 the grants' time (8), how many there are (4), and for each nonce (16), expiry (8), request key (16),
//! spent (1); from version 3 the revocations' time (8), how many there are (4), and for each voter (4), entry (8), until when
//! it is remembered (8); and for each account 1, 2, … its record's length (4) and record. The store around adds checksums.

use std::io::{self, Read, Write};

use ostraka_core::limits::{
    GRANTS_MAX, IDENTITY_COMMAND_BYTES_MAX, REVOCATIONS_BY_OPERATORS_MAX, REVOCATIONS_MAX,
};
use ostraka_core::{LogIndex, RequestKey, UnixMs, VoterNumber};
use ostraka_replication::SnapshotImage;

use super::account::Account;
use super::grants::{Grant, Grants, Nonce};
use super::revocations::{Revocation, Revocations};
use super::store::{AccountsImage, Head, Remembered};

const VERSION: u8 = 3;
/// Without revocations. Still written where there are none, so that older releases read it.
const VERSION_OF_GRANTS: u8 = 2;
/// Without grants.
const VERSION_OF_ACCOUNTS: u8 = 1;
const HEAD_BYTES: usize = 17;
/// A record holds what its command held, and a few fixed fields.
const RECORD_BYTES_MAX: usize = IDENTITY_COMMAND_BYTES_MAX + 64;

/// Accounts at one log index, to be written out later.
pub(super) struct IdentityImage(pub(super) Box<dyn AccountsImage>);

impl SnapshotImage for IdentityImage {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = self.0.head();
        let Remembered { grants, revocations } = self.0.remembered();
        let version = if *revocations == Revocations::default() {
            VERSION_OF_GRANTS
        } else {
            VERSION
        };
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.push(version);
        bytes.extend_from_slice(&head.applied.0.to_le_bytes());
        bytes.extend_from_slice(&head.next_voter.0.to_le_bytes());
        bytes.extend_from_slice(&head.operator.map_or(0, |voter| voter.0).to_le_bytes());
        bytes.extend_from_slice(&grants.now().0.to_le_bytes());
        bytes.extend_from_slice(&(grants.iter().len() as u32).to_le_bytes());
        for (nonce, grant) in grants.iter() {
            bytes.extend_from_slice(&nonce.0);
            bytes.extend_from_slice(&grant.expires_at.0.to_le_bytes());
            bytes.extend_from_slice(&grant.request.0.to_le_bytes());
            bytes.push(u8::from(grant.spent));
        }
        if version == VERSION {
            bytes.extend_from_slice(&revocations.now().0.to_le_bytes());
            bytes.extend_from_slice(&(revocations.iter().len() as u32).to_le_bytes());
        }
        for (voter, revocation) in revocations.iter() {
            bytes.extend_from_slice(&voter.0.to_le_bytes());
            bytes.extend_from_slice(&revocation.at.0.to_le_bytes());
            bytes.extend_from_slice(&revocation.forget_at.0.to_le_bytes());
        }
        out.write_all(&bytes)?;
        for account in self.0.accounts() {
            let record = account?.encode();
            assert!(
                record.len() <= RECORD_BYTES_MAX,
                "a record is bounded by its command"
            );
            out.write_all(&(record.len() as u32).to_le_bytes())?;
            out.write_all(&record)?;
        }
        Ok(())
    }
}

/// Everything before the accounts.
pub(crate) fn read_head(input: &mut dyn Read) -> io::Result<(Head, Remembered)> {
    let [version] = read_array(input)?;
    if !(VERSION_OF_ACCOUNTS..=VERSION).contains(&version) {
        return Err(invalid(format!(
            "the accounts' snapshot has version {version}, this binary knows {VERSION}"
        )));
    }
    let applied = LogIndex(u64::from_le_bytes(read_array(input)?));
    let next_voter = VoterNumber(u32::from_le_bytes(read_array(input)?));
    let operator = u32::from_le_bytes(read_array(input)?);
    if next_voter.0 == 0 || operator >= next_voter.0 {
        return Err(invalid(
            "the accounts' snapshot has an impossible head".to_owned(),
        ));
    }
    let head = Head {
        applied,
        next_voter,
        operator: (operator != 0).then_some(VoterNumber(operator)),
    };
    let mut remembered = Remembered::default();
    if version >= VERSION_OF_GRANTS {
        remembered.grants = read_grants(input)?;
    }
    if version >= VERSION {
        remembered.revocations = read_revocations(input, head)?;
    }
    Ok((head, remembered))
}

fn read_revocations(input: &mut dyn Read, head: Head) -> io::Result<Revocations> {
    let now = UnixMs(u64::from_le_bytes(read_array(input)?));
    let count = u32::from_le_bytes(read_array(input)?) as usize;
    if count > REVOCATIONS_MAX + REVOCATIONS_BY_OPERATORS_MAX {
        return Err(invalid(format!(
            "the accounts' snapshot remembers {count} revocations"
        )));
    }
    let read_one = |_| -> io::Result<(VoterNumber, Revocation)> {
        let voter = VoterNumber(u32::from_le_bytes(read_array(input)?));
        let at = LogIndex(u64::from_le_bytes(read_array(input)?));
        let forget_at = UnixMs(u64::from_le_bytes(read_array(input)?));
        if voter.0 == 0 || voter >= head.next_voter || at > head.applied {
            return Err(invalid(
                "the accounts' snapshot has a damaged revocation".to_owned(),
            ));
        }
        Ok((voter, Revocation { at, forget_at }))
    };
    let all: io::Result<Vec<_>> = (0..count).map(read_one).collect();
    Ok(Revocations::stored(now, all?))
}

fn read_grants(input: &mut dyn Read) -> io::Result<Grants> {
    let now = UnixMs(u64::from_le_bytes(read_array(input)?));
    let count = u32::from_le_bytes(read_array(input)?) as usize;
    if count > GRANTS_MAX {
        return Err(invalid(format!(
            "the accounts' snapshot remembers {count} challenges"
        )));
    }
    let read_one = |_| -> io::Result<(Nonce, Grant)> {
        let nonce = Nonce(read_array(input)?);
        let expires_at = UnixMs(u64::from_le_bytes(read_array(input)?));
        let request = RequestKey(u128::from_le_bytes(read_array(input)?));
        let [spent] = read_array(input)?;
        if spent > 1 {
            return Err(invalid(
                "the accounts' snapshot has a damaged challenge".to_owned(),
            ));
        }
        let grant = Grant {
            request,
            expires_at,
            spent: spent == 1,
        };
        Ok((nonce, grant))
    };
    let all: io::Result<Vec<_>> = (0..count).map(read_one).collect();
    Ok(Grants::stored(now, all?))
}

/// The accounts that follow the head, one at a time.
pub(crate) fn read_accounts(input: &mut dyn Read, head: Head) -> impl Iterator<Item = io::Result<Account>> {
    (1..head.next_voter.0).map(move |number| {
        let length = u32::from_le_bytes(read_array(input)?) as usize;
        if length > RECORD_BYTES_MAX {
            return Err(invalid(format!("account {number} has {length} bytes")));
        }
        let mut record = vec![0; length];
        input.read_exact(&mut record)?;
        let account = Account::decode(&record).map_err(|error| invalid(error.to_string()))?;
        if account.voter != VoterNumber(number) {
            return Err(invalid(format!(
                "account {} stands at the place of {number}",
                account.voter.0
            )));
        }
        Ok(account)
    })
}

fn read_array<const N: usize>(input: &mut dyn Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::identity::IdentityMachine;
    use crate::identity::store::MemoryAccounts;
    use ostraka_replication::Machine as _;

    proptest! {
        /// They come from a disk or from a peer. What is read says nothing that could not be.
        #[test]
        fn any_bytes_are_read_or_refused(version in 0u8..5, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let bytes = [&[version], &bytes[..]].concat();
            let mut machine = IdentityMachine::new(MemoryAccounts::default());
            if machine.restore(&mut &bytes[..]).is_ok() {
                let (head, remembered) = read_head(&mut &bytes[..]).unwrap();
                prop_assert_eq!(machine.last_applied(), head.applied);
                for (voter, revocation) in remembered.revocations.iter() {
                    prop_assert!(voter < head.next_voter && revocation.at <= head.applied);
                }
            } else {
                prop_assert_eq!(machine.last_applied(), LogIndex(0));
            }
        }

        /// A head with nothing in it, and what may follow it.
        #[test]
        fn whatever_is_said_to_be_remembered_is_counted(counts: (u32, u32), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (grants, revocations) = counts;
            let mut text = vec![VERSION];
            text.extend_from_slice(&[0; 8]);
            text.extend_from_slice(&1u32.to_le_bytes());
            text.extend_from_slice(&[0; 12]);
            text.extend_from_slice(&(grants % 3).to_le_bytes());
            text.extend_from_slice(&vec![0; 41 * (grants % 3) as usize]);
            text.extend_from_slice(&[0; 8]);
            text.extend_from_slice(&revocations.to_le_bytes());
            text.extend_from_slice(&bytes);
            // Nobody can be revoked where there is no account.
            prop_assert_eq!(read_head(&mut &text[..]).is_ok(), revocations == 0);
        }
    }
}
