//! Markup that is balanced and escaped because nobody writes any by hand.

use std::fmt::{Display, Write};

/// Sentences of a list that stand open.
const OPEN_SENTENCES: usize = 8;

/// A page as far as it is written.
#[derive(Default)]
pub(super) struct Html(String);

/// Names and values of an element's attributes; values are escaped.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a dyn Display)];

impl Html {
    pub(super) fn document() -> Self {
        Self("<!doctype html>\n".to_owned())
    }

    pub(super) fn done(self) -> String {
        self.0
    }

    fn push(&mut self, what: impl Display) {
        write!(self.0, "{what}").expect("a string takes all");
    }

    fn open(&mut self, name: &str, attributes: Attributes<'_>, end: &str) {
        self.push(format_args!("<{name}"));
        for (attribute, value) in attributes {
            self.push(format_args!(" {attribute}=\"{}\"", escape(&value.to_string())));
        }
        self.push(end);
    }

    /// An element with whatever `inside` writes.
    pub(super) fn element(&mut self, name: &str, attributes: Attributes<'_>, inside: impl FnOnce(&mut Self)) {
        self.open(name, attributes, ">");
        inside(self);
        self.push(format_args!("</{name}>\n"));
    }

    /// An element with text alone.
    pub(super) fn leaf(&mut self, name: &str, attributes: Attributes<'_>, text: impl Display) {
        self.element(name, attributes, |html| html.text(text));
    }

    /// An element that holds nothing.
    pub(super) fn void(&mut self, name: &str, attributes: Attributes<'_>) {
        self.open(name, attributes, "/>\n");
    }

    pub(super) fn text(&mut self, text: impl Display) {
        self.push(escape(&text.to_string()));
    }

    pub(super) fn append(&mut self, other: Html) {
        self.0.push_str(&other.0);
    }

    /// The page's own style, which holds nothing that would have to be escaped.
    pub(super) fn style(&mut self, css: &'static str) {
        self.element("style", &[], |html| html.push(css));
    }

    /// A list, of which all but the first are folded away where there are many.
    pub(super) fn sentences(&mut self, class: &str, all: &[String]) {
        let (open, folded) = all.split_at(all.len().min(OPEN_SENTENCES));
        let list = |html: &mut Self, some: &[String]| {
            html.element("ul", &[("class", &class)], |html| {
                some.iter().for_each(|sentence| html.leaf("li", &[], sentence));
            });
        };
        list(self, open);
        if !folded.is_empty() {
            self.element("details", &[], |html| {
                html.leaf("summary", &[], format_args!("{} more", folded.len()));
                list(html, folded);
            });
        }
    }

    /// A heading over what `inside` writes.
    pub(super) fn section(&mut self, heading: &str, inside: impl FnOnce(&mut Self)) {
        self.element("section", &[], |html| {
            html.leaf("h2", &[], heading);
            inside(html);
        });
    }
}

/// Text that may hold anything, made fit for HTML. Control characters have no place in a document at all.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(letter),
            other if other.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_is_text() {
        let mut html = Html::default();
        html.element("p", &[("title", &"a\"b")], |html| html.text("<i>'&\u{1b}"));
        html.void("br", &[]);
        assert_eq!(
            html.done(),
            "<p title=\"a&quot;b\">&lt;i&gt;&#39;&amp;\u{fffd}</p>\n<br/>\n"
        );
    }
}
