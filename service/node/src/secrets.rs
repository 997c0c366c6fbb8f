//! The cluster's shared secret and the keys derived from it.
//!
//! Shape agreed: one 32-byte master secret in `secrets.json` (mode 0600), made at the first start where none is given;
//! every node of a cluster has the same file. Keys for tokens (per `kid`), vote ids and the peer network are derived
//! from it, each for its own purpose (HKDF-SHA-256, RFC 5869), so that one can never be used as another.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes for one purpose. Never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey(pub [u8; 32]);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// The keys of one cluster.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Token signing keys, newest first: `(kid, key)`. Tokens are signed with the first, verified with any.
    pub token_keys: Vec<(String, SecretKey)>,
    pub vote_id_key: SecretKey,
    pub submission_key: SecretKey,
    pub cluster_key: SecretKey,
}
