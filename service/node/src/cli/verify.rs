//! `ostraka verify`: prints what the audit found.

use std::io::{self, Write};

use super::VerifyArgs;
use crate::verify::{Report, verify as audit};

pub(super) fn verify(args: &VerifyArgs) -> Result<(), String> {
    let report = audit(&args.data_dir).map_err(|error| error.to_string())?;
    let mut out = io::stdout().lock();
    let written = if args.json {
        let json = serde_json::to_string_pretty(&report).expect("a report is JSON");
        writeln!(out, "{json}")
    } else {
        print(&report, &mut out)
    };
    if !report.agrees {
        return Err(format!(
            "the log and the stored state do not agree: {}",
            report.disagreements.join("; ")
        ));
    }
    match written.and_then(|()| out.flush()) {
        // Whoever reads it may have read enough (`| head`) and be gone.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("the report cannot be written: {error}"))
        }
        _ => Ok(()),
    }
}

fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    if report.trusted_index > 0 {
        writeln!(
            out,
            "The log before entry {} is purged; the snapshot there is taken on trust.",
            report.trusted_index
        )?;
    }
    writeln!(
        out,
        "{} votes in the log up to entry {}: {} counted, {} duplicates, {} rejected, the rest retries or refused.",
        report.votes_submitted,
        report.last_index,
        report.votes_counted,
        report.votes_duplicate,
        report.votes_rejected
    )?;
    for event in &report.events {
        writeln!(
            out,
            "  {} {:?}: {} votes {:?}",
            event.event_id, event.event_name, event.counted, event.totals
        )?;
    }
    if report.entries_after_committed > 0 {
        writeln!(
            out,
            "{} entries at the end are durable here and not yet known to be committed.",
            report.entries_after_committed
        )?;
    }
    writeln!(
        out,
        "{} snapshots compared, at {:?}.",
        report.snapshots_compared.len(),
        report.snapshots_compared
    )?;
    let identity = &report.identity;
    if identity.trusted_index > 0 {
        writeln!(
            out,
            "Identity's log before entry {} is purged; the snapshot there is taken on trust.",
            identity.trusted_index
        )?;
    }
    writeln!(
        out,
        "{} accounts in {} entries of identity's log; {}; its snapshots compared at {:?}.",
        identity.accounts,
        identity.entries,
        match identity.accounts_compared_at {
            Some(index) => format!("those stored compared up to entry {index}"),
            None => "those stored are made again at the next start".to_owned(),
        },
        identity.snapshots_compared
    )?;
    if report.agrees {
        writeln!(
            out,
            "The recount, the log applied again and the stored state agree."
        )?;
    }
    Ok(())
}
