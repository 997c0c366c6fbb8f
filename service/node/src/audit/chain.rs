//! The lines of a trail and what chains them. Pure: bytes in, bytes or findings out.
//!
//! A line is a JSON object whose last two fields are `prev`, the MAC of the line before it (of the first one: empty), and
//! `mac`, HMAC-SHA-256 over all bytes of the line that stand before the text `,"mac":`.

use std::fmt::{self, Write as _};
use std::io::{self, BufRead};
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use ostraka_core::limits::AUDIT_LINE_BYTES_MAX;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::secrets::SecretKey;

/// What a line says, without what chains it.
#[derive(Serialize)]
pub(super) struct Fields<'a> {
    pub(super) at: &'a str,
    pub(super) node: u64,
    pub(super) who: &'a str,
    pub(super) action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) what: Option<&'a str>,
    pub(super) certainty: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Chained<'a> {
    seq: u64,
    #[serde(flatten)]
    fields: &'a Fields<'a>,
    prev: &'a str,
}

#[derive(Deserialize)]
struct Links {
    seq: u64,
    prev: String,
    mac: String,
}

/// The last line of a trail: its number and MAC. Noted elsewhere, it shows later that nothing up to it was cut off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Head {
    pub seq: u64,
    pub mac: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.mac)
    }
}

/// The text is no head of a trail. Terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the head of a trail: expected a number, a colon and 64 hex digits, as `ostraka audit verify` prints it"
)]
pub struct NotAHead;

impl FromStr for Head {
    type Err = NotAHead;

    fn from_str(text: &str) -> Result<Self, NotAHead> {
        let (seq, mac) = text.split_once(':').ok_or(NotAHead)?;
        let is_mac = mac.len() == 64 && mac.bytes().all(|byte| byte.is_ascii_hexdigit());
        let seq = seq.parse().ok().filter(|seq| *seq > 0 && is_mac);
        seq.map(|seq| Head {
            seq,
            mac: mac.to_owned(),
        })
        .ok_or(NotAHead)
    }
}

const MAC_FIELD: &str = ",\"mac\":\"";

/// The line after `head`, with its newline, and the head that it is.
pub(super) fn next_line(key: &SecretKey, head: &Head, fields: &Fields<'_>) -> (String, Head) {
    let chained = Chained {
        seq: head.seq + 1,
        fields,
        prev: &head.mac,
    };
    let mut line = serde_json::to_string(&chained).expect("numbers and strings are JSON");
    line.pop();
    let mac = mac_of(key, line.as_bytes());
    let _ = writeln!(line, "{MAC_FIELD}{mac}\"}}");
    let head = Head {
        seq: head.seq + 1,
        mac,
    };
    (line, head)
}

/// The head that this line is, whether or not it is right.
pub(super) fn head_of(line: &str) -> Option<Head> {
    let Links { seq, mac, .. } = serde_json::from_str(line).ok()?;
    Some(Head { seq, mac })
}

fn mac_of(key: &SecretKey, bytes: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    let mac = mac.chain_update(bytes).finalize().into_bytes();
    mac.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is wrong, and in which line of the file, from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub line: u64,
    pub what: &'static str,
}

/// What a trail was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub lines: u64,
    /// Of the last line.
    pub head: Head,
    /// The first few; after one, others may only follow from it.
    pub findings: Vec<Finding>,
}

const FINDINGS_SHOWN: usize = 16;

impl Verdict {
    fn found(&mut self, what: &'static str) {
        if self.findings.len() < FINDINGS_SHOWN {
            let line = self.lines;
            self.findings.push(Finding { line, what });
        }
    }
}

/// Reads a trail to its end. `known` is a head that was noted earlier.
///
/// # Errors
/// If it cannot be read.
pub fn verify(key: &SecretKey, mut trail: impl BufRead, known: Option<&Head>) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut saw_known = known.is_none();
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = AUDIT_LINE_BYTES_MAX as u64 + 1;
        if io::Read::take(&mut trail, most).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        verdict.lines += 1;
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        if !whole {
            verdict.found("is not whole: a crash has cut it, or it was changed");
            break;
        }
        match check(key, &line, &verdict.head) {
            Ok(head) => verdict.head = head,
            Err((what, head)) => {
                verdict.found(what);
                // Goes on from what the line says of itself, to find what else is wrong.
                verdict.head = head.unwrap_or(verdict.head);
            }
        }
        saw_known |= known == Some(&verdict.head);
    }
    if !saw_known {
        verdict.found("is the last, and the head that was noted earlier does not stand in the trail: it was cut or written anew");
    }
    Ok(verdict)
}

/// The line's head, or what is wrong with it.
fn check(key: &SecretKey, line: &[u8], before: &Head) -> Result<Head, (&'static str, Option<Head>)> {
    let text = std::str::from_utf8(line).map_err(|_| ("is not text", None))?;
    let links: Links = serde_json::from_str(text).map_err(|_| ("is no line of a trail", None))?;
    let head = Head {
        seq: links.seq,
        mac: links.mac,
    };
    let signed = text.rsplit_once(MAC_FIELD).map(|(signed, _)| signed);
    let is_signed = signed.is_some_and(|signed| {
        let right = mac_of(key, signed.as_bytes());
        text == format!("{signed}{MAC_FIELD}{right}\"}}")
    });
    if !is_signed {
        return Err(("was changed, or written with another secret", Some(head)));
    }
    if head.seq != before.seq + 1 || links.prev != before.mac {
        return Err((
            "does not follow the one before it: lines are missing or were moved",
            Some(head),
        ));
    }
    Ok(head)
}

#[cfg(test)]
mod tests;
