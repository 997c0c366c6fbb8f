//! `ostraka verify`: prints what the audit found.

use super::{VerifyArgs, say};
use crate::verify::{Report, verify as audit};

pub(super) fn verify(args: &VerifyArgs) -> Result<(), String> {
    let report = audit(&args.data_dir).map_err(|error| error.to_string())?;
    if args.json {
        say(serde_json::to_string_pretty(&report).expect("a report is JSON"));
    } else {
        print(&report);
    }
    if report.agrees {
        Ok(())
    } else {
        Err(format!(
            "the log and the stored state do not agree: {}",
            report.disagreements.join("; ")
        ))
    }
}

fn print(report: &Report) {
    if report.trusted_index > 0 {
        say(format_args!(
            "The log before entry {} is purged; the snapshot there is taken on trust.",
            report.trusted_index
        ));
    }
    say(format_args!(
        "{} votes in the log up to entry {}: {} counted, {} duplicates, {} rejected, the rest retries or refused.",
        report.votes_submitted,
        report.last_index,
        report.votes_counted,
        report.votes_duplicate,
        report.votes_rejected
    ));
    for event in &report.events {
        say(format_args!(
            "  {} {:?}: {} votes {:?}",
            event.event_id, event.event_name, event.counted, event.totals
        ));
    }
    if report.entries_after_committed > 0 {
        say(format_args!(
            "{} entries at the end are durable here and not yet known to be committed.",
            report.entries_after_committed
        ));
    }
    say(format_args!(
        "{} snapshots compared, at {:?}.",
        report.snapshots_compared.len(),
        report.snapshots_compared
    ));
    let identity = &report.identity;
    if identity.trusted_index > 0 {
        say(format_args!(
            "Identity's log before entry {} is purged; the snapshot there is taken on trust.",
            identity.trusted_index
        ));
    }
    say(format_args!(
        "{} accounts in {} entries of identity's log; {}; its snapshots compared at {:?}.",
        identity.accounts,
        identity.entries,
        match identity.accounts_compared_at {
            Some(index) => format!("those stored compared up to entry {index}"),
            None => "those stored are made again at the next start".to_owned(),
        },
        identity.snapshots_compared
    ));
    if report.agrees {
        say(format_args!(
            "The recount, the log applied again and the stored state agree."
        ));
    }
}
