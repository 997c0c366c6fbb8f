//! The cluster's shared secret and the keys derived from it.
//!
//! One 32-byte master secret lies in `secrets.json` (mode 0600), made at the first start where none is given; every
//! node of a cluster has the same file. Keys for tokens (one per `kid`), vote ids, submissions, the peer network,
//! challenges, registration tokens and the audit trail are derived from it, each for its own purpose (HKDF-SHA-256, RFC 5869), so that one
//! can never be used as another.
//!
//! The file is `{"format": 1, "master": "<base64, 32 bytes>", "token_kids": ["k1"]}`. To rotate the token key, put a
//! new name in front of `token_kids` on every node; take the old one away once its last token has expired.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use ostraka_core::limits::KID_BYTES_MAX;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::env::Entropy;

/// Newest format of `secrets.json` that this binary writes and reads.
const FORMAT: u32 = 1;
const MASTER_BYTES: usize = 32;
/// Keys of other people's services derived from the same bytes would still differ: the salt names this one.
const SALT: &[u8] = b"ostraka/1";
const FIRST_KID: &str = "k1";

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
    pub challenge_key: SecretKey,
    pub registration_key: SecretKey,
    pub audit_key: SecretKey,
}

/// Why there are no keys. All terminal: the node does not start, and the sentence says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error(
        "the secrets file {path} cannot be read ({source}); give this user access to it or name another file"
    )]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "the secrets file {path} cannot be written ({source}); check the folder's permissions and free space"
    )]
    Unwritable { path: PathBuf, source: io::Error },
    #[error(
        "the secrets file {path} is readable by others (mode {mode:03o}); whoever reads it can sign tokens: \
         `chmod 600` it, and replace the secret if the machine is shared"
    )]
    Exposed { path: PathBuf, mode: u32 },
    #[error(
        "the secrets file {path} has format {found}, this binary knows up to {FORMAT}; run the newer binary"
    )]
    NewerFormat { path: PathBuf, found: u32 },
    #[error(
        "the secrets file {path} is damaged ({detail}); copy it from another node: with a new \
         secret all tokens and vote ids given out so far become invalid"
    )]
    Damaged { path: PathBuf, detail: String },
}

#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
struct StoredSecrets {
    format: u32,
    master: String,
    token_kids: Vec<String>,
}

impl StoredSecrets {
    fn text(&self) -> Zeroizing<String> {
        let text = serde_json::to_string_pretty(self);
        let mut text = Zeroizing::new(text.expect("a file of secrets is plain strings and numbers"));
        text.push('\n');
        text
    }
}

/// Read before the rest, so that a newer file is told apart from a damaged one.
#[derive(Deserialize)]
struct StoredFormat {
    format: u32,
}

impl Secrets {
    /// Derives every key from `master`. `kids` names the token keys, newest first.
    ///
    /// # Panics
    /// If `kids` is empty or holds a name that [`is_kid`] refuses: a file's names were checked before.
    pub fn derive(master: &[u8; MASTER_BYTES], kids: &[String]) -> Secrets {
        assert!(!kids.is_empty(), "a cluster needs at least one token key");
        assert!(
            kids.iter().all(|kid| is_kid(kid)),
            "token key names are checked before keys are derived"
        );
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), master);
        let key = |purpose: &str, name: &str| {
            let mut okm = [0; 32];
            hkdf.expand_multi_info(&[purpose.as_bytes(), b"/", name.as_bytes()], &mut okm)
                .expect("32 bytes is one block of HKDF's output");
            SecretKey(okm)
        };
        Secrets {
            token_keys: kids.iter().map(|kid| (kid.clone(), key("token", kid))).collect(),
            vote_id_key: key("vote-id", ""),
            submission_key: key("submission", ""),
            cluster_key: key("cluster", ""),
            challenge_key: key("challenge", ""),
            registration_key: key("registration", ""),
            audit_key: key("audit", ""),
        }
    }

    /// Names these secrets without telling them: 16 hex digits of a hash of a derived key.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new()
            .chain_update(b"ostraka secrets fingerprint")
            .chain_update(self.cluster_key.0)
            .finalize();
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads the text of a secrets file; `path` is for errors.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Secrets, SecretsError> {
        let damaged = |detail: String| SecretsError::Damaged {
            path: path.to_owned(),
            detail,
        };
        let StoredFormat { format } =
            serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if format > FORMAT {
            return Err(SecretsError::NewerFormat {
                path: path.to_owned(),
                found: format,
            });
        }
        if format == 0 {
            return Err(damaged("format 0 never existed".to_owned()));
        }
        let stored: StoredSecrets = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        let master = Zeroizing::new(
            STANDARD
                .decode(&stored.master)
                .map_err(|error| damaged(error.to_string()))?,
        );
        let master: Zeroizing<[u8; MASTER_BYTES]> =
            Zeroizing::new(master.as_slice().try_into().map_err(|_| {
                damaged(format!(
                    "the master secret has {} bytes, not {MASTER_BYTES}",
                    master.len()
                ))
            })?);
        if stored.token_kids.is_empty() {
            return Err(damaged("it names no token key".to_owned()));
        }
        for (position, kid) in stored.token_kids.iter().enumerate() {
            if !is_kid(kid) || stored.token_kids[..position].contains(kid) {
                return Err(damaged(format!(
                    "{kid:?} is no name for a token key, or stands there twice"
                )));
            }
        }
        Ok(Secrets::derive(&master, &stored.token_kids))
    }

    /// Reads the file, or makes it with a fresh secret where there is none. The file is on disk, its folder included,
    /// before this returns: tokens signed with a secret that a power cut takes away would be worthless.
    pub fn load_or_create(path: &Path, entropy: &dyn Entropy) -> Result<Secrets, SecretsError> {
        match File::open(path) {
            Ok(file) => load(path, file).map(|(secrets, _)| secrets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(path, entropy),
            Err(source) => Err(SecretsError::Unreadable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads a file that must be there, and hands on its text.
    pub(crate) fn load_text(path: &Path) -> Result<(Secrets, Zeroizing<String>), SecretsError> {
        let file = File::open(path).map_err(|source| SecretsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        load(path, file)
    }

    /// The text of the same secrets with another token key: no token given out so far is taken any more.
    pub(crate) fn with_new_token_key(text: &str, entropy: &dyn Entropy) -> Zeroizing<String> {
        let mut stored: StoredSecrets = serde_json::from_str(text).expect("it was parsed before");
        stored.token_kids = vec![format!("r{:016x}", entropy.u64())];
        stored.text()
    }

    /// Writes the text of a secrets file, durably, readable by its owner only.
    pub(crate) fn write_text(path: &Path, text: &str) -> Result<(), SecretsError> {
        write_durably(path, text.as_bytes()).map_err(|source| SecretsError::Unwritable {
            path: path.to_owned(),
            source,
        })
    }
}

/// Whether `name` can name a token key: 1 to 32 letters, digits, `-` or `_`.
fn is_kid(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= KID_BYTES_MAX && name.bytes().all(allowed)
}

fn load(path: &Path, mut file: File) -> Result<(Secrets, Zeroizing<String>), SecretsError> {
    let unreadable = |source| SecretsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // Asked of the open file, not of the path: nobody can swap it in between.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretsError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut file, &mut text).map_err(unreadable)?;
    Ok((Secrets::parse(path, &text)?, text))
}

fn create(path: &Path, entropy: &dyn Entropy) -> Result<Secrets, SecretsError> {
    let mut master = Zeroizing::new([0; MASTER_BYTES]);
    entropy.fill(master.as_mut());
    assert!(*master != [0; MASTER_BYTES], "the source of randomness gave none");
    let kids = vec![FIRST_KID.to_owned()];
    let stored = StoredSecrets {
        format: FORMAT,
        master: STANDARD.encode(*master),
        token_kids: kids.clone(),
    };
    Secrets::write_text(path, &stored.text())?;
    Ok(Secrets::derive(&master, &kids))
}

/// Temp file, fsync, rename, fsync of the folder: after a crash there is the whole file or none.
fn write_durably(path: &Path, text: &[u8]) -> io::Result<()> {
    let temp = path.with_extension("json.new");
    match std::fs::remove_file(&temp) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temp)?;
    // The umask can only have taken bits away; the owner needs these two.
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&temp, path)?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(std::sync::atomic::AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }

    fn counting() -> Counting {
        Counting(std::sync::atomic::AtomicU8::new(1))
    }

    fn write(path: &Path, text: &str) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn refusal(text: &str) -> SecretsError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        write(&path, text);
        Secrets::load_or_create(&path, &counting()).expect_err("the file must be refused")
    }

    /// RFC 5869, appendix A.1: the first 32 bytes of its output, through the calls used above.
    #[test]
    fn hkdf_agrees_with_the_rfc() {
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let mut okm = [0; 42];
        let hkdf = Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22]);
        hkdf.expand_multi_info(&[&info[..4], &info[4..]], &mut okm)
            .unwrap();
        assert_eq!(okm[..4], [0x3c, 0xb2, 0x5f, 0x25]);
        assert_eq!(okm[38..], [0x87, 0x18, 0x58, 0x65]);
    }

    #[test]
    fn each_purpose_has_its_own_key() {
        let secrets = Secrets::derive(&[7; 32], &["k1".to_owned(), "k2".to_owned()]);
        let keys = [
            &secrets.token_keys[0].1,
            &secrets.token_keys[1].1,
            &secrets.vote_id_key,
            &secrets.submission_key,
            &secrets.cluster_key,
            &secrets.challenge_key,
            &secrets.registration_key,
            &secrets.audit_key,
        ];
        for (position, key) in keys.iter().enumerate() {
            assert!(!keys[..position].contains(key), "key {position} stands twice");
        }
        assert_ne!(
            Secrets::derive(&[8; 32], &["k1".to_owned()]).vote_id_key,
            secrets.vote_id_key
        );
    }

    /// These bytes are a contract: other values would void every token and vote id given out.
    #[test]
    fn derived_keys_never_change() {
        let secrets = Secrets::derive(&[7; 32], &["k1".to_owned()]);
        let start = |key: &SecretKey| u32::from_be_bytes([key.0[0], key.0[1], key.0[2], key.0[3]]);
        assert_eq!(
            [
                start(&secrets.token_keys[0].1),
                start(&secrets.vote_id_key),
                start(&secrets.submission_key),
                start(&secrets.cluster_key),
                start(&secrets.audit_key),
            ],
            [0x2014_cd94, 0x9759_9ef1, 0xa611_d1ef, 0x4a0b_cfa2, 0x52e5_444e],
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}", kid in ".{0,40}", master in "[A-Za-z0-9+/=]{0,48}", format in 0u32..3) {
            let path = Path::new("secrets.json");
            proptest::prop_assert!(Secrets::parse(path, &text).is_err());
            let like = serde_json::json!({"format": format, "master": master, "token_kids": [kid]});
            let read = Secrets::parse(path, &like.to_string());
            proptest::prop_assert!(read.is_err() || (format == 1 && is_kid(&kid)));
        }
    }

    #[test]
    fn made_once_then_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        // Left behind by a start that was cut short.
        std::fs::write(folder.path().join("secrets.json.new"), "half").unwrap();
        let entropy = counting();
        let made = Secrets::load_or_create(&path, &entropy).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(!folder.path().join("secrets.json.new").exists());
        let read = Secrets::load_or_create(&path, &entropy).unwrap();
        assert_eq!(made.token_keys, read.token_keys);
        assert_eq!(made.cluster_key, read.cluster_key);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.json");
        Secrets::load_or_create(&path, &counting()).unwrap();
        for mode in [0o644, 0o640, 0o602] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = Secrets::load_or_create(&path, &counting()).expect_err("exposed");
            assert!(
                matches!(error, SecretsError::Exposed { mode: found, .. } if found == mode),
                "{error}"
            );
        }
    }

    #[test]
    fn unusable_files_are_refused_with_their_reason() {
        let master = STANDARD.encode([1; 32]);
        let newer = refusal(r#"{"format": 2, "keys": {}}"#);
        assert!(
            matches!(newer, SecretsError::NewerFormat { found: 2, .. }),
            "{newer}"
        );
        for (text, word) in [
            (String::new(), "damaged"),
            (r#"{"format": 0}"#.to_owned(), "format 0"),
            (
                format!(
                    r#"{{"format": 1, "master": "{}", "token_kids": ["k"]}}"#,
                    STANDARD.encode([1; 31])
                ),
                "31",
            ),
            (
                format!(r#"{{"format": 1, "master": "{master}", "token_kids": []}}"#),
                "no token key",
            ),
            (
                format!(r#"{{"format": 1, "master": "{master}", "token_kids": ["a", "a"]}}"#),
                "twice",
            ),
            (
                format!(r#"{{"format": 1, "master": "{master}", "token_kids": ["a\"b"]}}"#),
                "no name",
            ),
        ] {
            let error = refusal(&text);
            assert!(matches!(error, SecretsError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(word), "{error} does not say {word:?}");
        }
        let folder = tempfile::tempdir().unwrap();
        let error = Secrets::load_or_create(folder.path(), &counting()).expect_err("a folder is no file");
        assert!(!error.to_string().is_empty());
        let missing = folder.path().join("absent").join("secrets.json");
        let error = Secrets::load_or_create(&missing, &counting()).expect_err("no folder to write to");
        assert!(matches!(error, SecretsError::Unwritable { .. }), "{error}");
    }

    #[test]
    fn secrets_are_not_printed() {
        let secrets = Secrets::derive(&[7; 32], &["k1".to_owned()]);
        let printed = format!("{:?}", secrets.token_keys);
        assert_eq!(printed, r#"[("k1", SecretKey(…))]"#);
    }
}
