//! What a tree of accounts holds besides them, read when it is opened.

use ostraka_core::{LogIndex, UnixMs, VoterNumber};

use super::Trouble;
use super::keys::{GRANT_PREFIX, KEY_APPLIED, KEY_GRANTS_NOW, KEY_NEXT_VOTER, KEY_OPERATOR, grant_of};
use crate::identity::grants::Grants;
use crate::identity::store::Head;

pub(super) fn read_head(tree: &sled::Tree) -> Result<Head, Trouble> {
    let wrong = |_| Trouble::Damaged("a number in the accounts' head has the wrong length".to_owned());
    let u32_at = |key: &[u8]| match tree.get(key)? {
        Some(value) => value
            .as_ref()
            .try_into()
            .map(|bytes| Some(u32::from_be_bytes(bytes)))
            .map_err(wrong),
        None => Ok(None),
    };
    let applied = match tree.get(KEY_APPLIED)? {
        Some(value) => u64::from_be_bytes(value.as_ref().try_into().map_err(wrong)?),
        None => 0,
    };
    Ok(Head {
        applied: LogIndex(applied),
        next_voter: u32_at(KEY_NEXT_VOTER)?.map_or(Head::NEW.next_voter, VoterNumber),
        operator: u32_at(KEY_OPERATOR)?.map(VoterNumber),
    })
}

/// All of them come into memory: they are few, and needed for any solution.
pub(super) fn read_grants(tree: &sled::Tree) -> Result<Grants, Trouble> {
    let damaged = || Trouble::Damaged("a solved challenge is damaged".to_owned());
    let now = match tree.get(KEY_GRANTS_NOW)? {
        Some(value) => u64::from_be_bytes(value.as_ref().try_into().map_err(|_| damaged())?),
        None => 0,
    };
    let all: Result<Vec<_>, Trouble> = tree
        .scan_prefix(GRANT_PREFIX)
        .map(|pair| {
            let (key, value) = pair?;
            grant_of(&key, &value).ok_or_else(damaged)
        })
        .collect();
    Ok(Grants::stored(UnixMs(now), all?))
}
