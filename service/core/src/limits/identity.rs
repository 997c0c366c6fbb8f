//! Who gets in: accounts, proofs of work, logins, registrations.

/// Bytes of one command in identity's log. The longest that the API's rules allow has under 1 KiB.
pub const IDENTITY_COMMAND_BYTES_MAX: usize = 4_096;

/// Bytes of account pages that identity's store keeps in memory. The accounts in use around a login or a registration,
/// not all of them: 300 million would be some 100 GB.
pub const ACCOUNT_CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Seconds that a token is valid: an evening of voting, and a lost one is worth nothing the next day.
pub const TOKEN_LIFETIME_S: u64 = 12 * 3_600;

/// Password hashes that wait for a core. Each takes some 20 ms and 19 MiB while it runs, so the last in the queue waits
/// about a second; more logins than that are told 503.
pub const PASSWORD_QUEUE_MAX: usize = 64;

/// Password hashes that run at once, whatever the cores: bounds their memory at 19 MiB each. With few cores it is half of
/// them, and they step back behind all other work: votes come first.
pub const PASSWORD_HASHES_AT_ONCE_MAX: usize = 8;

/// Years that a person must have lived to register, unless an operator says otherwise: the age from which one consents to
/// the processing of one's data by oneself (GDPR, article 8).
pub const MINIMUM_AGE_YEARS: u8 = 16;

/// Years that an operator may ask for at most.
pub const MINIMUM_AGE_YEARS_MAX: u8 = 99;

/// Cells of each rate limiter (8 bytes each). Keys share cells by a keyed hash, so that memory is bounded whatever keys
/// come; with 1,000 busy keys a further one meets a busy cell once in 65 cases.
pub const RATE_CELLS: usize = 65_536;

/// Logins of one username from one network prefix: how many at once, and milliseconds until one more. A person mistypes a
/// few times; guessing at ten a minute finds no password. By prefix, so that who guesses elsewhere does not lock the owner out.
pub const LOGIN_PER_NAME_AND_PREFIX_BURST: u32 = 10;
pub const LOGIN_PER_NAME_AND_PREFIX_REFILL_MS: u64 = 6_000;

/// Logins of one username from everywhere that are answered at once, and milliseconds until one more is; and milliseconds
/// that each further one waits for its answer. Only slower, never refused, or whoever commands many addresses could lock
/// an owner out.
pub const LOGIN_PER_NAME_BURST: u32 = 100;
pub const LOGIN_PER_NAME_REFILL_MS: u64 = 1_000;
pub const LOGIN_SLOWED_MS: u64 = 2_000;

/// Logins from one address: how many at once, and milliseconds until one more. A school or a carrier's gateway shares
/// one, yet a single address must not take all the hashing there is.
pub const LOGIN_PER_ADDRESS_BURST: u32 = 200;
pub const LOGIN_PER_ADDRESS_REFILL_MS: u64 = 20;

/// Registrations by one caller, and from one address: how many at once, and milliseconds until one more. Callers are
/// operators, who bring whole lists: 100 a second is 360,000 an hour, and about what the hashing of passwords allows.
pub const REGISTER_BURST: u32 = 200;
pub const REGISTER_REFILL_MS: u64 = 10;

/// KiB of memory that one try of a proof of work takes (argon2id, one pass). Enough that a graphics card runs few of them at
/// once; little enough for a phone's browser, and for a node to check an answer within about a millisecond.
pub const PROOF_MEMORY_KIB: u32 = 1_024;

/// Hex digits that a proof's key must begin with, at the least difficulty: 256 tries on average, a quarter of a second of one
/// core, paid once in an account's life.
pub const PROOF_DIGITS_MIN: usize = 2;

/// Steps that the difficulty may rise by. Each doubles the work: two by passes, then a digit more. The last is 16 times four
/// times the least: a quarter of a minute of one core, which a person still waits for and a farm pays for each account.
pub const PROOF_STEPS_MAX: u32 = 6;

/// Seconds that a challenge may be solved in: thirty times the work of the hardest one on a phone is less, and what is
/// hoarded while it is easy is soon worth nothing.
pub const CHALLENGE_LIFETIME_S: u64 = 300;

/// Seconds that a registration token is valid: a form is filled in meanwhile. Longer than a challenge, so that a solution
/// is remembered for as long as it could be sent again.
pub const REGISTRATION_TOKEN_LIFETIME_S: u64 = 600;

/// Registration tokens that identity's state remembers at once, spent or not: 436 solutions a second for as long as a token
/// is valid, more than a cluster's nodes hash passwords for. About 32 MiB in every replica.
pub const GRANTS_MAX: usize = 262_144;

/// Expired registration tokens that one log entry forgets. An entry adds one at most, so they are gone sooner than they
/// came, and none does the work of thousands.
pub const GRANTS_FORGOTTEN_PER_ENTRY_MAX: usize = 32;

/// Challenges of one network prefix that leave the difficulty where it is, and milliseconds until one of them is forgotten.
/// A household, an office or a class; each doubling above adds a step.
pub const CHALLENGES_PER_PREFIX_FREE: u32 = 64;
pub const CHALLENGES_PER_PREFIX_FORGET_MS: u64 = 2_000;

/// The same for all who ask one node: what its hashing of passwords keeps up with, two minutes long.
pub const CHALLENGES_FREE: u32 = 8_192;
pub const CHALLENGES_FORGET_MS: u64 = 15;

/// Challenges and solutions from one address: how many at once, and milliseconds until one more. A school's first evening
/// passes; to check a wrong solution costs a node a millisecond, so nobody may send thousands.
pub const CHALLENGE_PER_ADDRESS_BURST: u32 = 200;
pub const CHALLENGE_PER_ADDRESS_REFILL_MS: u64 = 50;

/// Registrations tried with one registration token: how many at once, and milliseconds until one more. A person tries a few
/// usernames; nobody learns from it whose are taken.
pub const REGISTER_PER_TOKEN_BURST: u32 = 10;
pub const REGISTER_PER_TOKEN_REFILL_MS: u64 = 6_000;

/// KiB, passes and hex digits that the typed client works for at most. A server gone mad must not take its clients' machines.
pub const CLIENT_PROOF_MEMORY_KIB_MAX: u32 = 64 * 1_024;
pub const CLIENT_PROOF_PASSES_MAX: u32 = 64;
pub const CLIENT_PROOF_DIGITS_MAX: usize = 6;

/// Lanes of a proof: a browser has one thread for it.
pub const PROOF_LANES: u32 = 1;

/// Bytes of a proof's derived key (ALTCHA's default).
pub const PROOF_KEY_BYTES: usize = 32;

/// Milliseconds that a revocation is remembered beyond the life of a token: the clocks of the node that signed it, of the one
/// that stamped the revocation and of the one that is asked may be that far apart.
pub const REVOCATION_SLACK_MS: u64 = 3_600_000;

/// Accounts whose tokens are remembered as revoked at once, by their owners; and as many more by operators, who must not be
/// kept from it by a crowd that logs out. 22 logouts a second for as long as a token is valid; some 100 MiB in every replica.
pub const REVOCATIONS_MAX: usize = 1_048_576;
pub const REVOCATIONS_BY_OPERATORS_MAX: usize = 65_536;

/// Revocations that are over and that one log entry forgets, as for registration tokens.
pub const REVOCATIONS_FORGOTTEN_PER_ENTRY_MAX: usize = 32;

/// Parts of what a node looks up at each token. A change copies one part, which has a thousand entries when all are full.
pub const REVOKED_PARTS: usize = 1_024;

/// Logouts of one account: how many at once, and milliseconds until one more. Each is an entry in the log.
pub const LOGOUT_PER_CALLER_BURST: u32 = 10;
pub const LOGOUT_PER_CALLER_REFILL_MS: u64 = 6_000;

/// Bytes of a line of the audit trail, which has some 300: an auditor's memory is not a forger's to take.
pub const AUDIT_LINE_BYTES_MAX: usize = 16_384;
