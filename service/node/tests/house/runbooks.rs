//! Runbooks quote the service. What they quote stands in its source, so that an operator who searches for a line finds it.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};

use crate::Violation;

/// Characters of a piece of a quotation, least: less is found anywhere.
const PIECE_CHARS_MIN: usize = 6;

/// What the service can say: the texts in its source, and the names of its metrics.
pub(crate) struct Said {
    texts: BTreeSet<String>,
}

impl Said {
    /// Of sources as (path, text). Tests say what they like.
    pub(crate) fn of(sources: &[(String, String)]) -> Self {
        let mut texts = BTreeSet::new();
        let is_service = |path: &str| path.starts_with("service/") && path.contains("/src/");
        for (_, text) in sources.iter().filter(|(path, _)| is_service(path)) {
            if let Ok(stream) = text.parse::<TokenStream>() {
                collect(stream, &mut texts);
            }
        }
        Self { texts }
    }

    fn has(&self, piece: &str) -> bool {
        self.texts.iter().any(|text| text.contains(piece))
    }

    fn has_metric(&self, name: &str) -> bool {
        let name = name.trim_start_matches("ostraka_");
        let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
        let mut stems = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
        stems.any(|stem| self.texts.contains(stem))
    }
}

/// Every text in the stream as its reader sees it: a backslash at a line's end joins it with the next.
fn collect(stream: TokenStream, texts: &mut BTreeSet<String>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => collect(group.stream(), texts),
            TokenTree::Literal(literal) => {
                let source = literal.to_string();
                let text = source.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                texts.extend(text.map(unescaped));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut lines = text.split("\\\n");
    let mut whole = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        whole.push_str(line.trim_start());
    }
    whole.replace("\\\"", "\"")
}

/// Quotations, in lines that begin with `>`, and metrics of one runbook.
pub(crate) fn check(path: &str, text: &str, said: &Said) -> Vec<Violation> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let place = || format!("{path}:{}", number + 1);
        if let Some(quoted) = line.strip_prefix('>') {
            let pieces = quoted.split('…').map(str::trim);
            for piece in pieces.filter(|piece| piece.chars().count() >= PIECE_CHARS_MIN) {
                if !said.has(piece) {
                    found.push(Violation::new(
                        place(),
                        format!("quotes \"{piece}\", which the service does not say: copy it from the source, with … for what changes"),
                    ));
                }
            }
        }
        for name in metrics(line).filter(|name| !said.has_metric(name)) {
            found.push(Violation::new(
                place(),
                format!("names {name}, which is no metric of the service"),
            ));
        }
    }
    found
}

fn metrics(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_ascii_lowercase() && c != '_')
        .filter(|word| word.starts_with("ostraka_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        let source =
            "fn f() { log(\"the disk in {folder} is \\\n        nearly full\"); register(\"votes\"); }";
        Said::of(&[
            ("service/node/src/a.rs".to_owned(), source.to_owned()),
            (
                "service/node/tests/b.rs".to_owned(),
                "fn g() { f(\"only a test says this\"); }".to_owned(),
            ),
        ])
    }

    fn places(text: &str) -> Vec<String> {
        let found = check("docs/runbooks/a.md", text, &said());
        found.into_iter().map(|found| found.place).collect()
    }

    #[test]
    fn what_the_service_says_may_be_quoted() {
        let text =
            "# A\n\n> the disk in … is nearly full\n\n`ostraka_votes_total{status=\"failed\"}` grows.\n";
        assert_eq!(places(text), Vec::<String>::new());
    }

    #[test]
    fn what_it_does_not_say_is_found() {
        assert_eq!(
            places("\n> the disk in … is quite full\n"),
            ["docs/runbooks/a.md:2"]
        );
        assert_eq!(places("> only a test says this"), ["docs/runbooks/a.md:1"]);
        assert_eq!(places("look at `ostraka_disks`"), ["docs/runbooks/a.md:1"]);
    }
}
