//! What a tree of accounts holds besides them, read when it is opened.

use ostraka_core::{LogIndex, UnixMs, VoterNumber};

use super::Trouble;
use super::keys::{
    GRANT_PREFIX, KEY_APPLIED, KEY_GRANTS_NOW, KEY_NEXT_VOTER, KEY_OPERATOR, KEY_REVOCATIONS_NOW,
    REVOCATION_PREFIX, grant_of, revocation_of,
};
use crate::identity::grants::Grants;
use crate::identity::revocations::Revocations;
use crate::identity::store::{Head, Remembered};

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

/// All of them come into memory: they are few, and needed for any solution and for any token.
pub(super) fn read_remembered(tree: &sled::Tree) -> Result<Remembered, Trouble> {
    let grants = all(tree, GRANT_PREFIX, grant_of, "a solved challenge")?;
    let revocations = all(tree, REVOCATION_PREFIX, revocation_of, "a revocation")?;
    Ok(Remembered {
        grants: Grants::stored(moment(tree, KEY_GRANTS_NOW)?, grants),
        revocations: Revocations::stored(moment(tree, KEY_REVOCATIONS_NOW)?, revocations),
    })
}

fn moment(tree: &sled::Tree, key: &[u8]) -> Result<UnixMs, Trouble> {
    let damaged = |_| Trouble::Damaged("a moment in the accounts has the wrong length".to_owned());
    let value = tree.get(key)?;
    let bytes = value.map(|value| value.as_ref().try_into().map_err(damaged));
    Ok(UnixMs(bytes.transpose()?.map_or(0, u64::from_be_bytes)))
}

fn all<T>(
    tree: &sled::Tree,
    prefix: &[u8],
    decode: impl Fn(&[u8], &[u8]) -> Option<T>,
    what: &str,
) -> Result<Vec<T>, Trouble> {
    tree.scan_prefix(prefix)
        .map(|pair| {
            let (key, value) = pair?;
            decode(&key, &value).ok_or_else(|| Trouble::Damaged(format!("{what} is damaged")))
        })
        .collect()
}
