//! Bearer tokens: HS256 JSON Web Tokens (RFC 7519) with a `kid`, carrying the voter number.

use ostraka_core::{UnixMs, VoterNumber};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Voter,
    Operator,
}

/// Who is calling, as a verified token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub voter: VoterNumber,
    pub role: Role,
    pub expires_at: UnixMs,
}
