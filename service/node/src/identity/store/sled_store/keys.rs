//! What stands where in the accounts' tree, and how a change to it is put in one batch.

use ostraka_core::{LogIndex, RequestKey, UnixMs, VoterNumber};

use crate::identity::account::{Account, EmailKey};
use crate::identity::grants::{Grant, GrantsChange, Nonce};
use crate::identity::revocations::{Revocation, RevocationsChange};
use crate::identity::store::Head;

pub(super) const KEY_APPLIED: &[u8] = b"m/applied";
pub(super) const KEY_NEXT_VOTER: &[u8] = b"m/next_voter";
pub(super) const KEY_OPERATOR: &[u8] = b"m/operator";

pub(super) const KEY_GRANTS_NOW: &[u8] = b"m/grants_now";
pub(super) const GRANT_PREFIX: &[u8] = b"g/";

pub(super) const KEY_REVOCATIONS_NOW: &[u8] = b"m/revocations_now";
pub(super) const REVOCATION_PREFIX: &[u8] = b"r/";

pub(super) fn account_key(voter: VoterNumber) -> [u8; 6] {
    let [a, b, c, d] = voter.0.to_be_bytes();
    [b'a', b'/', a, b, c, d]
}

pub(super) fn voter_of_key(key: &[u8]) -> Option<VoterNumber> {
    let number = key.strip_prefix(b"a/")?.try_into().ok()?;
    Some(VoterNumber(u32::from_be_bytes(number)))
}

pub(super) fn username_key(key: &str) -> Vec<u8> {
    [b"n/", key.as_bytes()].concat()
}

pub(super) fn email_key(key: &EmailKey) -> Vec<u8> {
    [&b"e/"[..], &key.0].concat()
}

pub(super) fn put_head(batch: &mut sled::Batch, head: Head) {
    batch.insert(KEY_APPLIED, &head.applied.0.to_be_bytes());
    batch.insert(KEY_NEXT_VOTER, &head.next_voter.0.to_be_bytes());
    if let Some(operator) = head.operator {
        batch.insert(KEY_OPERATOR, &operator.0.to_be_bytes());
    }
}

pub(super) fn put_account(batch: &mut sled::Batch, account: &Account) {
    let voter = account.voter.0.to_be_bytes();
    batch.insert(&account_key(account.voter), account.encode());
    batch.insert(username_key(&account.username.key), &voter);
    if let Some(email) = &account.email {
        batch.insert(email_key(&email.key), &voter);
    }
}

pub(super) fn put_grants(batch: &mut sled::Batch, change: &GrantsChange) {
    batch.insert(KEY_GRANTS_NOW, &change.now.0.to_be_bytes());
    for nonce in &change.forgotten {
        batch.remove(grant_key(*nonce));
    }
    if let Some((nonce, grant)) = change.put {
        batch.insert(grant_key(nonce), grant_value(grant));
    }
}

fn grant_key(Nonce(nonce): Nonce) -> Vec<u8> {
    [GRANT_PREFIX, &nonce].concat()
}

/// When it expires (8 bytes), whose request it was (16), whether it is spent (1).
fn grant_value(grant: Grant) -> Vec<u8> {
    let mut value = grant.expires_at.0.to_be_bytes().to_vec();
    value.extend_from_slice(&grant.request.0.to_be_bytes());
    value.push(u8::from(grant.spent));
    value
}

/// `None` if that is no grant.
pub(super) fn grant_of(key: &[u8], value: &[u8]) -> Option<(Nonce, Grant)> {
    let nonce = Nonce(key.strip_prefix(GRANT_PREFIX)?.try_into().ok()?);
    let (expires_at, rest) = value.split_first_chunk()?;
    let (request, rest) = rest.split_first_chunk()?;
    let spent = match rest {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    let grant = Grant {
        request: RequestKey(u128::from_be_bytes(*request)),
        expires_at: UnixMs(u64::from_be_bytes(*expires_at)),
        spent,
    };
    Some((nonce, grant))
}

pub(super) fn put_revocations(batch: &mut sled::Batch, change: &RevocationsChange) {
    batch.insert(KEY_REVOCATIONS_NOW, &change.now.0.to_be_bytes());
    for voter in &change.forgotten {
        batch.remove(revocation_key(*voter));
    }
    if let Some((voter, revocation)) = change.put {
        batch.insert(revocation_key(voter), revocation_value(revocation));
    }
}

fn revocation_key(VoterNumber(voter): VoterNumber) -> Vec<u8> {
    [REVOCATION_PREFIX, &voter.to_be_bytes()].concat()
}

/// The entry that revoked (8 bytes), until when it is remembered (8).
fn revocation_value(revocation: Revocation) -> Vec<u8> {
    let mut value = revocation.at.0.to_be_bytes().to_vec();
    value.extend_from_slice(&revocation.forget_at.0.to_be_bytes());
    value
}

/// `None` if that is no revocation.
pub(super) fn revocation_of(key: &[u8], value: &[u8]) -> Option<(VoterNumber, Revocation)> {
    let voter = key.strip_prefix(REVOCATION_PREFIX)?.try_into().ok()?;
    let (at, rest) = value.split_first_chunk()?;
    let revocation = Revocation {
        at: LogIndex(u64::from_be_bytes(*at)),
        forget_at: UnixMs(u64::from_be_bytes(rest.try_into().ok()?)),
    };
    Some((VoterNumber(u32::from_be_bytes(voter)), revocation))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_remembered_is_read_back(voter: u32, at: u64, until: u64, nonce: [u8; 16], request: u128, spent: bool) {
            let revocation = Revocation { at: LogIndex(at), forget_at: UnixMs(until) };
            let (key, value) = (revocation_key(VoterNumber(voter)), revocation_value(revocation));
            prop_assert_eq!(revocation_of(&key, &value), Some((VoterNumber(voter), revocation)));
            let grant = Grant { request: RequestKey(request), expires_at: UnixMs(until), spent };
            let (key, value) = (grant_key(Nonce(nonce)), grant_value(grant));
            prop_assert_eq!(grant_of(&key, &value), Some((Nonce(nonce), grant)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(prefix in "[rg]/", key in proptest::collection::vec(any::<u8>(), 0..20), value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let key = [prefix.as_bytes(), &key[..]].concat();
            prop_assert!(revocation_of(&key, &value).is_none() || (key.len(), value.len()) == (6, 16));
            prop_assert!(grant_of(&key, &value).is_none() || (key.len(), value.len()) == (18, 25));
        }
    }
}
