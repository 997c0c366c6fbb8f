//! Whether a page is well formed: every element closed in its order, every attribute quoted and named once, every id given
//! once, and no loose `<`, `>` or `&`.

use std::collections::BTreeSet;

/// # Errors
/// With the first thing that is wrong, and what stands there.
pub(super) fn check(page: &str) -> Result<(), String> {
    let mut rest = page
        .strip_prefix("<!doctype html>")
        .ok_or("the page does not begin as HTML")?;
    let (mut open, mut ids) = (Vec::new(), BTreeSet::new());
    while !rest.is_empty() {
        if open.last() == Some(&"style") {
            // Not markup, up to its end.
            rest = &rest[rest.find("</style>").ok_or("the style has no end")?..];
        }
        let begins = rest.find('<').unwrap_or(rest.len());
        let (text, tail) = rest.split_at(begins);
        check_text(text)?;
        if open.is_empty() && !text.trim().is_empty() {
            return Err(format!("text outside of all elements: {text}"));
        }
        let Some(tail) = tail.strip_prefix('<') else { break };
        let ends = tag_end(tail).ok_or_else(|| format!("a tag without an end: {}", part(tail)))?;
        check_tag(&tail[..ends], &mut open, &mut ids)?;
        rest = &tail[ends + 1..];
    }
    match open.last() {
        None => Ok(()),
        Some(name) => Err(format!("{name} is not closed")),
    }
}

fn part(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Where the tag's `>` is: not within a quoted value.
fn tag_end(text: &str) -> Option<usize> {
    let mut is_quoted = false;
    text.char_indices().find_map(|(place, letter)| {
        is_quoted ^= letter == '"';
        (letter == '>' && !is_quoted).then_some(place)
    })
}

fn check_text(text: &str) -> Result<(), String> {
    if text.contains('>') {
        return Err(format!("a loose > in {}", part(text)));
    }
    for (place, _) in text.match_indices('&') {
        let after = &text[place + 1..];
        let name = after.split(';').next().unwrap_or_default();
        if !after.contains(';') || !["amp", "lt", "gt", "quot", "#39"].contains(&name) {
            return Err(format!("a loose & before {}", part(after)));
        }
    }
    Ok(())
}

fn check_tag<'a>(tag: &'a str, open: &mut Vec<&'a str>, ids: &mut BTreeSet<&'a str>) -> Result<(), String> {
    if let Some(name) = tag.strip_prefix('/') {
        return match open.pop() {
            Some(opened) if opened == name => Ok(()),
            other => Err(format!("{name} closes {other:?}")),
        };
    }
    let (body, is_void) = match tag.strip_suffix('/') {
        Some(body) => (body, true),
        None => (tag, false),
    };
    let (name, mut rest) = body.split_once(' ').unwrap_or((body, ""));
    if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(format!("no element has the name {name:?}"));
    }
    let mut names = BTreeSet::new();
    while !rest.is_empty() {
        let (attribute, tail) = rest
            .split_once("=\"")
            .ok_or_else(|| format!("an attribute of {name} is not quoted: {}", part(rest)))?;
        let (value, tail) = tail
            .split_once('"')
            .ok_or_else(|| format!("a value of {name} does not end"))?;
        check_text(value)?;
        if value.contains('<') || !names.insert(attribute) {
            return Err(format!("{name} has a bad {attribute}"));
        }
        if attribute == "id" && !ids.insert(value) {
            return Err(format!("the id {value} is given twice"));
        }
        rest = tail.trim_start();
    }
    if !is_void {
        open.push(name);
    }
    Ok(())
}

#[test]
fn what_is_well_formed_passes() {
    let page = "<!doctype html>\n<html lang=\"en\"><style>a>b{}</style><p title=\"a &gt; b\">x &amp; y<br/></p>\n</html>\n";
    assert_eq!(check(page), Ok(()));
}

#[test]
fn whatever_is_not_well_formed_is_found() {
    for planted in [
        "<p>",
        "</p>",
        "<p><b></p></b>",
        "<p>a & b</p>",
        "<p>a &nbsp; b</p>",
        "<p>a > b</p>",
        "<p>a < b</p>",
        "<p a=b>x</p>",
        "<p a=\"<\">x</p>",
        "<p a=\"1\" a=\"2\">x</p>",
        "<p id=\"a\">x</p><p id=\"a\">x</p>",
        "<p",
        "<style>",
        "x",
    ] {
        let page = format!("<!doctype html>\n{planted}");
        assert!(check(&page).is_err(), "{planted} got through");
    }
    assert!(check("<html></html>").is_err());
}
