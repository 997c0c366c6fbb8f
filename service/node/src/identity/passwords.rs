//! Passwords: argon2id behind a gate, so that a flood of logins takes neither all cores nor all memory, and on threads
//! that step back behind all others, so that it takes no vote's time.

use std::io;
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use ostraka_core::limits::{PASSWORD_HASHES_AT_ONCE_MAX, PASSWORD_QUEUE_MAX};
use ostraka_replication::env::Offload;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::env::Entropy;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordCost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl PasswordCost {
    /// OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, 2 passes, 1 lane.
    pub const OWASP: PasswordCost = PasswordCost {
        memory_kib: 19 * 1_024,
        passes: 2,
        lanes: 1,
    };
    /// The least that argon2 takes. For tests and simulators, which guard nothing.
    pub const LEAST: PasswordCost = PasswordCost {
        memory_kib: 8,
        passes: 1,
        lanes: 1,
    };
}

/// How passwords are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordSettings {
    pub cost: PasswordCost,
    pub offload: Offload,
    /// Hashes at once, and those that may wait for one of them.
    pub at_once: usize,
    pub queue_max: usize,
}

impl Default for PasswordSettings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        PasswordSettings {
            cost: PasswordCost::OWASP,
            offload: Offload::Threads,
            at_once: (cores / 2).clamp(1, PASSWORD_HASHES_AT_ONCE_MAX),
            queue_max: PASSWORD_QUEUE_MAX,
        }
    }
}

/// Retryable, and nothing was done: as many hashes wait as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked")]
pub struct Busy;

const SALT_BYTES: usize = 16;

/// Hashes and verifies passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    offload: Offload,
    /// Both what runs and what waits.
    admitted: Arc<Semaphore>,
    running: Arc<Semaphore>,
    /// Verified in place of a hash that does not exist, so that the time taken does not tell who has an account.
    decoy: Arc<str>,
}

impl Passwords {
    /// Takes the time of one hash.
    ///
    /// # Panics
    /// If argon2 refuses the cost, or no hash may run: both are set in code.
    pub fn new(settings: PasswordSettings, entropy: &dyn Entropy) -> Passwords {
        let PasswordCost {
            memory_kib,
            passes,
            lanes,
        } = settings.cost;
        let params = Params::new(memory_kib, passes, lanes, None)
            .expect("argon2 takes the costs that are set in code");
        assert!(
            settings.at_once > 0,
            "at least one password must be checked at a time"
        );
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let decoy = hash(&argon2, b"nobody's password", &salt(entropy)).into();
        Passwords {
            argon2,
            offload: settings.offload,
            admitted: Arc::new(Semaphore::new(settings.at_once + settings.queue_max)),
            running: Arc::new(Semaphore::new(settings.at_once)),
            decoy,
        }
    }

    /// A PHC string for `password` with a fresh salt.
    pub async fn hash(&self, password: Zeroizing<String>, entropy: &dyn Entropy) -> Result<String, Busy> {
        let (argon2, salt) = (self.argon2.clone(), salt(entropy));
        self.gated(move || hash(&argon2, password.as_bytes(), &salt))
            .await
    }

    /// Whether `password` is the one behind `stored`, with the cost that `stored` names. Without a hash the answer is
    /// no, after the same work.
    pub async fn verify(&self, password: Zeroizing<String>, stored: Option<String>) -> Result<bool, Busy> {
        let (argon2, decoy) = (self.argon2.clone(), Arc::clone(&self.decoy));
        self.gated(move || {
            let hash = PasswordHash::new(stored.as_deref().unwrap_or(&decoy));
            let right = hash.is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok());
            right && stored.is_some()
        })
        .await
    }

    /// Whether `stored` cost less to make than a hash costs today: by memory times passes, or by an older algorithm.
    pub fn is_outdated(&self, stored: &str) -> bool {
        let work = |params: &Params| u64::from(params.m_cost()) * u64::from(params.t_cost());
        let Ok(hash) = PasswordHash::new(stored) else {
            return false;
        };
        let is_ours = hash.algorithm.as_str() == Algorithm::Argon2id.as_str();
        match Params::try_from(&hash) {
            Ok(params) => !is_ours || work(&params) < work(self.argon2.params()),
            Err(_) => false,
        }
    }

    /// Runs `work` when its turn comes: other slow hashes than passwords share their bound.
    pub(super) async fn gated<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let admitted = Arc::clone(&self.admitted).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running)
            .acquire_owned()
            .await
            .map_err(|_| Busy)?;
        let gated = move || -> io::Result<T> {
            let result = work();
            // Held by the work, not by the request: a client that goes away does not stop the hash it started.
            drop((admitted, running));
            Ok(result)
        };
        // Fails only where the runtime is shutting down or the work has panicked.
        self.offload
            .run_behind_all("password", gated)
            .await
            .map_err(|error| {
                tracing::error!(%error, "a password could not be hashed");
                Busy
            })
    }
}

fn salt(entropy: &dyn Entropy) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    salt
}

fn hash(argon2: &Argon2<'_>, password: &[u8], salt: &[u8; SALT_BYTES]) -> String {
    argon2
        .hash_password_with_salt(password, salt)
        .expect("argon2 hashes any password of bounded length")
        .to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::testing::SeededEntropy;

    fn secret(text: &str) -> Zeroizing<String> {
        Zeroizing::new(text.to_owned())
    }

    fn settings(at_once: usize, queue_max: usize) -> PasswordSettings {
        PasswordSettings {
            cost: PasswordCost::LEAST,
            offload: Offload::Inline,
            at_once,
            queue_max,
        }
    }

    #[tokio::test]
    async fn the_right_password_is_the_only_one() {
        let entropy = SeededEntropy::new(1);
        let passwords = Passwords::new(settings(1, 0), &entropy);
        let first = passwords.hash(secret("correct horse"), &entropy).await.unwrap();
        let second = passwords.hash(secret("correct horse"), &entropy).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{first}");
        assert_ne!(first, second, "each hash has its own salt");
        assert_eq!(
            passwords
                .verify(secret("correct horse"), Some(first.clone()))
                .await,
            Ok(true)
        );
        assert_eq!(
            passwords.verify(secret("correct horsf"), Some(first)).await,
            Ok(false)
        );
        assert_eq!(
            passwords.verify(secret("x"), Some("not a hash".to_owned())).await,
            Ok(false)
        );
        // The decoy's own password opens nothing.
        assert_eq!(
            passwords.verify(secret("nobody's password"), None).await,
            Ok(false)
        );
    }

    #[tokio::test]
    async fn a_hash_says_its_own_cost() {
        let entropy = SeededEntropy::new(1);
        let dear = PasswordSettings {
            cost: PasswordCost {
                memory_kib: 64,
                passes: 3,
                lanes: 1,
            },
            ..settings(1, 0)
        };
        let cheap = Passwords::new(settings(1, 0), &entropy);
        let old = cheap.hash(secret("pass"), &entropy).await.unwrap();
        let dear = Passwords::new(dear, &entropy);
        assert_eq!(dear.verify(secret("pass"), Some(old.clone())).await, Ok(true));
        assert!(dear.is_outdated(&old) && !cheap.is_outdated(&old));
        let new = dear.hash(secret("pass"), &entropy).await.unwrap();
        assert!(!dear.is_outdated(&new) && !cheap.is_outdated(&new));
        assert!(!dear.is_outdated("not a hash"));
    }

    #[test]
    fn production_uses_the_costs_of_owasp() {
        let passwords = Passwords::new(PasswordSettings::default(), &SeededEntropy::new(1));
        assert!(
            passwords.decoy.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{}",
            passwords.decoy
        );
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_a_client_that_leaves_frees_nothing_early() {
        let entropy = SeededEntropy::new(1);
        let threads = PasswordSettings {
            offload: Offload::Threads,
            ..settings(1, 1)
        };
        let passwords = Arc::new(Passwords::new(threads, &entropy));
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let running = tokio::spawn({
            let passwords = Arc::clone(&passwords);
            async move { passwords.gated(move || wait.recv().is_ok()).await }
        });
        while passwords.running.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let waiting = tokio::spawn({
            let passwords = Arc::clone(&passwords);
            async move { passwords.gated(|| 7).await }
        });
        while passwords.admitted.available_permits() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(passwords.gated(|| 8).await, Err(Busy));
        running.abort();
        assert!(running.await.is_err());
        assert_eq!(
            passwords.running.available_permits(),
            0,
            "the work goes on and keeps its place"
        );
        release.send(()).unwrap();
        assert_eq!(waiting.await.unwrap(), Ok(7));
        assert_eq!(passwords.gated(|| 9).await, Ok(9));
    }
}
