//! What a client may write, and what the typed client takes from a server. Names, descriptions, URLs and the count of
//! contestants stand with the limits of the log, which they are.

/// Characters of a username, least. Shorter ones are all taken at once and collide with abbreviations.
pub const USERNAME_CHARS_MIN: usize = 3;

/// Characters of a username, most. ASCII, so also bytes: one index key stays small.
pub const USERNAME_CHARS_MAX: usize = 64;

/// Characters of a password, least (NIST SP 800-63B section 5.1.1.1).
pub const PASSWORD_CHARS_MIN: usize = 8;

/// Characters of a password, most: room for a passphrase, and an upper bound on what the slow hash is fed.
pub const PASSWORD_CHARS_MAX: usize = 128;

/// Characters from which on a username or the like may not stand in its owner's password. `ann` stands in many good ones.
pub const PASSWORD_CONTEXT_CHARS_MIN: usize = 4;

/// Bytes of an email address (RFC 5321 section 4.5.3.1.3: a path of 256 octets less its two brackets).
pub const EMAIL_BYTES_MAX: usize = 254;

/// Bytes of an email's part before the `@` (RFC 5321 section 4.5.3.1.1).
pub const EMAIL_LOCAL_BYTES_MAX: usize = 64;

/// Bytes of one label of a domain name (RFC 1035 section 2.3.4).
pub const DOMAIN_LABEL_BYTES_MAX: usize = 63;

/// First year of birth that is taken for real. The oldest person on record was born in 1875.
pub const BIRTH_YEAR_MIN: i32 = 1875;

/// Bytes of an `Idempotency-Key`: a UUID is 36, a prefixed one some more.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Bytes of `meta.device_id` and of `meta.app_version`: enough for any real one, too little for a payload.
pub const META_VALUE_BYTES_MAX: usize = 256;

/// Characters of a vote id. It is opaque to clients; today's are shorter.
pub const VOTE_ID_CHARS_MAX: usize = 64;

/// Bytes of one line of a stream that a reader holds: a snapshot of 1,000 contestants with names of 200 bytes, each
/// escaped at its worst (6 bytes for one), fits.
pub const SSE_LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of all `data:` lines of one stream event. As one line, since the server writes one.
pub const SSE_DATA_BYTES_MAX: usize = SSE_LINE_BYTES_MAX;

/// Milliseconds since the Unix epoch of the last moment that RFC 3339 can write, 9999-12-31T23:59:59.999Z.
pub const RFC_3339_UNIX_MS_MAX: u64 = 253_402_300_799_999;

/// Bytes of an answer's body that the client takes: a leaderboard of 1,000 contestants with names of 200 bytes, each
/// escaped at its worst (6 bytes for one), is 1.3 MB.
pub const CLIENT_ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Seconds of `Retry-After` and SSE `retry:` that are obeyed. A server gone mad must not send its clients away for good.
pub const CLIENT_SERVER_PAUSE_S_MAX: u64 = 60;
