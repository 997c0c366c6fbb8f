//! What those were told who came all at once: no less true for being one of many.

use super::Report;
use crate::case::Case;
use crate::history::Answer;
use crate::names;

pub(super) fn each_is_told_the_truth(case: &Case, report: &mut Report) {
    for told in &case.crowd {
        let (fault, place) = (told.fault, told.place);
        let recorded = case.first_crowd_record(fault, place);
        match (told.answer, recorded) {
            (Answer::Vote { vote_id, status }, Some((event, position, verdict))) => {
                report.safe(verdict == *status, told.answered, || {
                    format!(
                        "voter {place} of overload {} was told {status:?}, and the log says {verdict:?}",
                        fault.0
                    )
                });
                let named = names::place_of_vote_id(vote_id);
                report.safe(named == Some((event, position)), told.answered, || {
                    format!(
                        "voter {place} of overload {} was told the id {vote_id}, which is not that of command {} of entry {}",
                        fault.0, position.offset, position.index
                    )
                });
            }
            // Whoever was refused for certain is in no log.
            (Answer::Refused { code, .. }, recorded) => {
                report.safe(recorded.is_none(), told.answered, || {
                    format!(
                        "voter {place} of overload {} was refused as {code}, and is in the log",
                        fault.0
                    )
                });
            }
            _ => {}
        }
    }
}
