//! Solved challenges: which have been solved, until when their registration tokens count, and which were spent.
//!
//! Part of identity's replicated state, so that a challenge is solved once and a token registers once, whichever node is
//! asked. Time here is the log's: the newest of the leaders' stamps seen by an entry that this state is asked about. A solved
//! challenge is forgotten only when, by the same time, both the challenge and its token are over; so what is not
//! remembered is either new or expired, and never both.

use std::collections::{BTreeMap, BTreeSet};

use ostraka_core::limits::{GRANTS_FORGOTTEN_PER_ENTRY_MAX, GRANTS_MAX};
use ostraka_core::{RequestKey, UnixMs};
use serde::{Deserialize, Serialize};

/// What names a challenge and the registration token that comes of it: 16 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Nonce(pub [u8; 16]);

/// What a solved challenge has given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Of the request that solved it: a resubmission is known by it.
    pub request: RequestKey,
    pub expires_at: UnixMs,
    /// It has registered somebody.
    pub spent: bool,
}

/// What one entry changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsChange {
    pub now: UnixMs,
    pub put: Option<(Nonce, Grant)>,
    pub forgotten: Vec<Nonce>,
}

/// All that are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    now: UnixMs,
    by_nonce: BTreeMap<Nonce, Grant>,
    by_expiry: BTreeSet<(UnixMs, Nonce)>,
}

/// Why a challenge is not granted. Terminal for this challenge, but for the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotGranted {
    Expired,
    Used,
    /// As many are remembered as may be.
    Full,
}

/// Why a token does not register. Terminal for this token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSpent {
    Expired,
    Used,
}

impl Grants {
    /// What was stored: the time, and every grant.
    pub(super) fn stored(now: UnixMs, all: impl IntoIterator<Item = (Nonce, Grant)>) -> Grants {
        let by_nonce: BTreeMap<_, _> = all.into_iter().collect();
        let by_expiry = by_nonce
            .iter()
            .map(|(nonce, grant)| (grant.expires_at, *nonce))
            .collect();
        Grants {
            now,
            by_nonce,
            by_expiry,
        }
    }

    pub fn now(&self) -> UnixMs {
        self.now
    }

    pub fn get(&self, nonce: &Nonce) -> Option<Grant> {
        self.by_nonce.get(nonce).copied()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Nonce, Grant)> + '_ {
        self.by_nonce.iter().map(|(nonce, grant)| (*nonce, *grant))
    }

    /// What an entry stamped `stamped_at` changes that grants the challenge `nonce`, and until when the grant counts.
    pub(super) fn grant(
        &self,
        stamped_at: UnixMs,
        nonce: Nonce,
        request: RequestKey,
        challenge_expires_at: UnixMs,
        lifetime_ms: u64,
    ) -> (GrantsChange, Result<UnixMs, NotGranted>) {
        let mut change = self.moved_on(stamped_at);
        // What is over counts as forgotten, though an entry forgets only so many.
        let remembered = self.get(&nonce).filter(|grant| change.now < grant.expires_at);
        let result = match remembered {
            Some(grant) if grant.request == request => return (change, Ok(grant.expires_at)),
            Some(_) => Err(NotGranted::Used),
            None if change.now >= challenge_expires_at => Err(NotGranted::Expired),
            None if self.by_nonce.len() - change.forgotten.len() >= GRANTS_MAX => Err(NotGranted::Full),
            None => {
                let ends_at = UnixMs(change.now.0.saturating_add(lifetime_ms));
                Ok(ends_at.max(challenge_expires_at))
            }
        };
        if let Ok(expires_at) = result {
            let grant = Grant {
                request,
                expires_at,
                spent: false,
            };
            change.put = Some((nonce, grant));
        }
        (change, result)
    }

    /// What an entry stamped `stamped_at` changes that registers somebody with the grant `nonce`.
    pub(super) fn spend(&self, stamped_at: UnixMs, nonce: Nonce) -> Result<GrantsChange, NotSpent> {
        let mut change = self.moved_on(stamped_at);
        let remembered = self.get(&nonce).filter(|grant| change.now < grant.expires_at);
        match remembered {
            Some(grant) if grant.spent => Err(NotSpent::Used),
            Some(grant) => {
                change.put = Some((nonce, Grant { spent: true, ..grant }));
                Ok(change)
            }
            None => Err(NotSpent::Expired),
        }
    }

    /// The time after an entry, and the oldest of what it ends.
    fn moved_on(&self, stamped_at: UnixMs) -> GrantsChange {
        let now = self.now.max(stamped_at);
        let over = self
            .by_expiry
            .iter()
            .take_while(|(expires_at, _)| *expires_at <= now);
        GrantsChange {
            now,
            put: None,
            forgotten: over
                .take(GRANTS_FORGOTTEN_PER_ENTRY_MAX)
                .map(|(_, nonce)| *nonce)
                .collect(),
        }
    }

    pub(super) fn change(&mut self, change: &GrantsChange) {
        self.now = self.now.max(change.now);
        for nonce in &change.forgotten {
            if let Some(grant) = self.by_nonce.remove(nonce) {
                self.by_expiry.remove(&(grant.expires_at, *nonce));
            }
        }
        if let Some((nonce, grant)) = change.put {
            if let Some(old) = self.by_nonce.insert(nonce, grant) {
                self.by_expiry.remove(&(old.expires_at, nonce));
            }
            self.by_expiry.insert((grant.expires_at, nonce));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(
        grants: &mut Grants,
        at: u64,
        nonce: u8,
        request: u128,
        until: u64,
    ) -> Result<UnixMs, NotGranted> {
        let nonce = Nonce([nonce; 16]);
        let (change, result) = grants.grant(UnixMs(at), nonce, RequestKey(request), UnixMs(until), 100);
        grants.change(&change);
        result
    }

    fn spend(grants: &mut Grants, at: u64, nonce: u8) -> Result<(), NotSpent> {
        let change = grants.spend(UnixMs(at), Nonce([nonce; 16]))?;
        grants.change(&change);
        Ok(())
    }

    #[test]
    fn a_challenge_is_solved_once_and_its_token_spent_once() {
        let mut grants = Grants::default();
        assert_eq!(grant(&mut grants, 10, 1, 7, 50), Ok(UnixMs(110)));
        assert_eq!(
            grant(&mut grants, 11, 1, 7, 50),
            Ok(UnixMs(110)),
            "the same request again"
        );
        assert_eq!(grant(&mut grants, 12, 1, 8, 50), Err(NotGranted::Used));
        assert_eq!(spend(&mut grants, 13, 2), Err(NotSpent::Expired), "no such token");
        assert_eq!(spend(&mut grants, 109, 1), Ok(()));
        assert_eq!(spend(&mut grants, 109, 1), Err(NotSpent::Used));
        assert_eq!(grant(&mut grants, 109, 1, 9, 500), Err(NotGranted::Used));
    }

    #[test]
    fn what_is_over_is_refused_and_forgotten() {
        let mut grants = Grants::default();
        assert_eq!(grant(&mut grants, 50, 1, 7, 50), Err(NotGranted::Expired));
        assert_eq!(grant(&mut grants, 50, 1, 7, 51), Ok(UnixMs(150)));
        assert_eq!(spend(&mut grants, 150, 1), Err(NotSpent::Expired));
        assert_eq!(grant(&mut grants, 150, 2, 7, 200), Ok(UnixMs(250)));
        assert_eq!(grants.iter().len(), 1, "the first is forgotten");
        assert_eq!(
            grant(&mut grants, 0, 1, 7, 51),
            Err(NotGranted::Expired),
            "time does not go back"
        );
    }

    #[test]
    fn a_token_never_ends_before_its_challenge() {
        let mut grants = Grants::default();
        assert_eq!(grant(&mut grants, 0, 1, 7, 5_000), Ok(UnixMs(5_000)));
    }

    #[test]
    fn no_more_are_remembered_than_may_be() {
        let all = (0..GRANTS_MAX as u128).map(|number| {
            let grant = Grant {
                request: RequestKey(number),
                expires_at: UnixMs(100),
                spent: false,
            };
            (Nonce(number.to_be_bytes()), grant)
        });
        let mut grants = Grants::stored(UnixMs(0), all);
        let last = 255;
        assert_eq!(grant(&mut grants, 99, last, 1, 1_000), Err(NotGranted::Full));
        assert_eq!(grant(&mut grants, 100, last, 1, 1_000), Ok(UnixMs(1_000)));
        assert_eq!(
            grants.iter().len(),
            GRANTS_MAX - GRANTS_FORGOTTEN_PER_ENTRY_MAX + 1
        );
    }

    proptest! {
        /// Whatever the order and the stamps: of each challenge one request is granted, and one registration passes.
        #[test]
        fn each_once(steps in proptest::collection::vec((0u8..4, 0u128..3, 0u64..400, any::<bool>()), 1..200)) {
            let mut grants = Grants::default();
            let (mut granted, mut spent) = (BTreeMap::new(), BTreeSet::new());
            for (nonce, request, at, spending) in steps {
                if spending {
                    if spend(&mut grants, at, nonce).is_ok() {
                        prop_assert!(granted.contains_key(&nonce), "nothing was granted");
                        prop_assert!(spent.insert(nonce), "spent twice");
                    }
                } else if grant(&mut grants, at, nonce, request, 60 * (1 + u64::from(nonce))).is_ok() {
                    prop_assert_eq!(*granted.entry(nonce).or_insert(request), request, "granted twice");
                }
                let restored = Grants::stored(grants.now(), grants.iter());
                prop_assert_eq!(&restored, &grants);
            }
        }
    }
}
