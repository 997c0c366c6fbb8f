//! A report for people and for programs.

mod html;
mod junit;
mod plot;
mod terminal;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use html::page;
pub use junit::junit;
pub use terminal::table;

/// For HTML and XML, within elements and attributes: no text of others becomes markup. What XML may not hold at all is replaced.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}')
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A text of others for a terminal: it moves no cursor and starts no line.
fn plain(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '\u{fffd}' } else { letter })
        .collect()
}

fn day_and_time(at_s: u64) -> String {
    i64::try_from(at_s)
        .ok()
        .and_then(|at_s| OffsetDateTime::from_unix_timestamp(at_s).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{at_s} s"))
}

fn ms(value: Option<f64>) -> String {
    match value {
        None => "?".to_owned(),
        Some(ms) if ms >= 100.0 => format!("{ms:.0}"),
        Some(ms) => format!("{ms:.1}"),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
