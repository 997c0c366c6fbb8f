//! One page of a storm: what was done to a cluster, how it looked from outside, and what came of every vote. For somebody
//! who decides about a release and has never seen the code, and for whoever has to find out why.
//!
//! One file without a script or an address that would have to be fetched; light and dark. [`page`] looks at the evidence
//! alone, and at what the caller knows of the run besides ([`About`]).

mod again;
mod checkers;
mod costs;
mod curves;
mod head;
mod html;
mod numbers;
mod objectives;
mod outcome;
mod windows;
mod words;

use crate::storm::Evidence;
use html::Html;

const STYLE: &str = include_str!("page.css");

/// What an evidence does not hold. Whatever is none is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// When it was run, seconds since the Unix epoch.
    pub at_s: Option<u64>,
    pub commit: Option<String>,
    /// Cores and processor, in words.
    pub machine: Option<String>,
    /// What the service's program amounts to, in hex.
    pub binary_sha256: Option<String>,
    /// Where the plan lies that can be run again.
    pub plan_file: Option<String>,
}

/// The page, as HTML. It says FAIL where the evidence holds a violation and INCONCLUSIVE where it holds nothing, whatever
/// verdict stands in it.
pub fn page(evidence: &Evidence, about: &About) -> String {
    let outcome = outcome::of(evidence);
    let mut html = Html::document();
    html.element("html", &[("lang", &"en")], |html| {
        html.element("head", &[], |html| {
            html.void("meta", &[("charset", &"utf-8")]);
            html.void(
                "meta",
                &[
                    ("name", &"viewport"),
                    ("content", &"width=device-width, initial-scale=1"),
                ],
            );
            html.leaf(
                "title",
                &[],
                format_args!("{}: Ostraka under faults", outcome.word()),
            );
            html.style(STYLE);
        });
        html.element("body", &[], |html| {
            head::write(html, evidence, about, &outcome);
            html.section("What happened when", |html| curves::write(html, evidence));
            html.section("The faults, and what each cost", |html| {
                costs::write(html, evidence)
            });
            html.section("Before, during and after", |html| windows::write(html, evidence));
            html.section("Votes", |html| checkers::write_strays(html, evidence));
            html.section("What was checked", |html| checkers::write(html, evidence));
            html.section("What the words mean", glossary);
            html.section("The plan", |html| again::write_plan(html, &evidence.plan));
        });
    });
    html.done()
}

fn glossary(html: &mut Html) {
    html.element("dl", &[("class", &"glossary")], |html| {
        for (word, meaning) in words::GLOSSARY {
            html.leaf("dt", &[], word);
            html.leaf("dd", &[], meaning);
        }
    });
}

#[cfg(test)]
mod tests;
