//! `ostraka audit verify`: whether the audit trail is as it was written.

use std::fs::File;
use std::io::BufReader;

use super::{AuditAction, AuditArgs, say};
use crate::audit::{TRAIL_FILE, Verdict, verify};
use crate::secrets::Secrets;

pub(super) fn audit(args: AuditArgs) -> Result<(), String> {
    let AuditAction::Verify {
        data_dir,
        secrets_file,
        head,
        json,
    } = args.action;
    let secrets_file = secrets_file.unwrap_or_else(|| data_dir.join("secrets.json"));
    let (secrets, _) = Secrets::load_text(&secrets_file).map_err(|error| error.to_string())?;
    let path = data_dir.join(TRAIL_FILE);
    let unreadable = |error| format!("the audit trail {} cannot be read: {error}", path.display());
    let file = BufReader::new(File::open(&path).map_err(unreadable)?);
    let verdict = verify(&secrets.audit_key, file, head.as_ref()).map_err(unreadable)?;
    if json {
        say(serde_json::to_string_pretty(&verdict).expect("a verdict is JSON"));
    } else {
        say(in_words(&verdict));
    }
    let first = verdict.findings.first();
    first.map_or(Ok(()), |first| {
        Err(format!(
            "the audit trail {} is not as it was written: line {} {}",
            path.display(),
            first.line,
            first.what
        ))
    })
}

fn in_words(verdict: &Verdict) -> String {
    let findings = verdict
        .findings
        .iter()
        .map(|finding| format!("line {} {}\n", finding.line, finding.what));
    let findings: String = findings.collect();
    let head = match verdict.head.seq {
        0 => "Nothing was done yet.".to_owned(),
        _ => format!(
            "Its head, to be kept elsewhere and given as --head the next time: {}",
            verdict.head
        ),
    };
    format!("{findings}{} lines. {head}", verdict.lines)
}
