//! Rules on the tree: what lies at its top, and where its documents point.

use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Parser, Tag};

use crate::Violation;

/// What may lie at the top of the repository, beside dot-files.
const TOP: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "chaos",
    "clippy.toml",
    "deny.toml",
    "docs",
    "loadtest",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "service",
    "sim",
    "slo",
    "synthetic",
    // Made by cargo, by the service and by the README's three nodes, and ignored by git.
    "data",
    "nodes",
    "target",
];

pub(crate) fn check_top(names: &[String]) -> Vec<Violation> {
    let stray = names
        .iter()
        .filter(|name| !name.starts_with('.') && !TOP.contains(&name.as_str()));
    stray
        .map(|name| Violation::new(name, "lies at the top of the repository, where only the rooms lie: move it into the room it belongs to, or to docs/"))
        .collect()
}

/// Every relative link of a document points at something that `exists` says is there. `path` is relative to the
/// repository, with `/`; `exists` is asked the same way.
pub(crate) fn check_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let mut found = Vec::new();
    for (event, range) in Parser::new(text).into_offset_iter() {
        let target = match &event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => dest_url.to_string(),
            _ => continue,
        };
        let line = text[..range.start].matches('\n').count() + 1;
        let file = target.split('#').next().unwrap_or_default();
        if file.is_empty() || is_foreign(&target) {
            continue;
        }
        let fine = resolve(path, file).is_some_and(|resolved| exists(&resolved));
        if !fine {
            found.push(Violation::new(
                format!("{path}:{line}"),
                format!("points at {target}, which is not there: correct the link or write the page"),
            ));
        }
    }
    found
}

fn is_foreign(target: &str) -> bool {
    ["http://", "https://", "mailto:"]
        .iter()
        .any(|scheme| target.starts_with(scheme))
}

/// The target as a path from the repository's root; none where it leads out of the repository.
fn resolve(path: &str, target: &str) -> Option<String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut resolved = PathBuf::new();
    for part in folder.join(target).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::ParentDir => {
                if !resolved.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(resolved.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_at_the_top_are_found() {
        let names = ["service", ".ci", "Cargo.lock", "utils", "notes.md"].map(str::to_string);
        let places: Vec<_> = check_top(&names).into_iter().map(|found| found.place).collect();
        assert_eq!(places, ["utils", "notes.md"]);
    }

    fn exists(path: &str) -> bool {
        ["docs/glossary.md", "README.md", "docs/adr"].contains(&path)
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let text = "[a](glossary.md#ack) [b](../README.md) [c](./adr/) [d](https://x.y/z) [e](#below)\n\n\
                    ```mermaid\nA[x](nowhere)\n```\n\n`[f](nowhere.md)` [g][ref]\n\n[ref]: glossary.md\n";
        assert_eq!(check_links("docs/architecture.md", text, exists), []);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        for text in [
            "[a](missing.md)",
            "![a](missing.png)",
            "[a][ref]\n\n[ref]: missing.md",
            "[a](../../README.md)",
            "[a](/README.md)",
        ] {
            let found = check_links("docs/architecture.md", text, exists);
            assert_eq!(found.len(), 1, "{text} got through");
            assert_eq!(found[0].place, "docs/architecture.md:1");
        }
        let found = check_links("README.md", "x\n\ny [a](glossary.md)", exists);
        assert_eq!(found[0].place, "README.md:3");
    }
}
