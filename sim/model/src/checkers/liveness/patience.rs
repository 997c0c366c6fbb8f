//! No client waits for ever: it has an answer, or knows that it has none, when its patience is at an end.

use super::super::Report;
use super::refusals::disturbances;
use crate::case::Case;
use crate::lives::Span;

/// A client gives a connection that is to be opened no longer than this.
const CONNECT_MS_MAX: u64 = 1_000;
/// What a real machine may be late by; a simulated client is not.
const LATE_MS_MAX: u64 = 1_000;

/// A client has its patience twice: where a connection that it has kept breaks under its request it may open another and send
/// again. That takes something that breaks connections; else it waits for the connection and for the answer, and each once.
pub(super) fn has_an_end(case: &Case, report: &mut Report) {
    let patience_ms = case.plan.knobs.client_patience_ms.0;
    let once_ms = patience_ms
        .saturating_add(patience_ms.min(CONNECT_MS_MAX))
        .saturating_add(LATE_MS_MAX);
    let disturbances = disturbances(case, None);
    for asked in &case.asked {
        let Some((moment, _)) = asked.answered else {
            continue;
        };
        // A connection that died long ago is found out when it is used again.
        let was_disturbed = disturbances.iter().any(|other| other.from <= moment.at);
        let longest_ms = if was_disturbed {
            once_ms.saturating_add(patience_ms)
        } else {
            once_ms
        };
        let waited = Span {
            from: asked.invoked.at,
            to: moment.at,
        };
        report.lively(waited.micros() <= longest_ms.saturating_mul(1_000), moment, || {
            format!(
                "operation {} was answered after {} ms, and a client whose patience is {patience_ms} ms has none left after {longest_ms}",
                asked.operation.id.0,
                waited.micros() / 1_000
            )
        });
    }
}
