//! What stands where in the accounts' tree, and how a change to it is put in one batch.

use ostraka_core::VoterNumber;

use crate::identity::account::{Account, EmailKey};
use crate::identity::store::Head;

pub(super) const KEY_APPLIED: &[u8] = b"m/applied";
pub(super) const KEY_NEXT_VOTER: &[u8] = b"m/next_voter";
pub(super) const KEY_OPERATOR: &[u8] = b"m/operator";

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
