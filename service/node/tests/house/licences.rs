//! Licences, sources and bans as `deny.toml` has them, checked from `cargo metadata`, so that no run goes unchecked
//! where `cargo deny` is not installed. (Advisories need its database, and so `cargo deny check advisories`.)

use cargo_metadata::Metadata;
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::Violation;

/// The part of `deny.toml` that is checked here.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// What is known of one crate of the graph. No source: it lies in the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Linked {
    pub(crate) name: String,
    pub(crate) license: Option<String>,
    pub(crate) source: Option<String>,
}

pub(crate) fn policy_of(deny_toml: &str) -> Policy {
    toml::from_str(deny_toml).expect("deny.toml has the tables licenses, bans and sources")
}

pub(crate) fn crates_of(metadata: &Metadata) -> Vec<Linked> {
    let graph = metadata.resolve.as_ref().expect("asked for with its graph");
    let package = |node: &cargo_metadata::Node| {
        let package = &metadata[&node.id];
        Linked {
            name: format!("{} {}", package.name, package.version),
            license: package.license.clone(),
            source: package.source.as_ref().map(|source| source.repr.clone()),
        }
    };
    graph.nodes.iter().map(package).collect()
}

pub(crate) fn check(policy: &Policy, crates: &[Linked]) -> Vec<Violation> {
    let mut found = Vec::new();
    for linked in crates {
        found.extend(check_licence(policy, linked));
        found.extend(check_source(policy, linked));
        found.extend(check_ban(policy, linked));
    }
    found.extend(unused_licences(policy, crates));
    found
}

fn parsed(license: &str) -> Option<Expression> {
    Expression::parse_mode(license, ParseMode::LAX).ok()
}

fn check_licence(policy: &Policy, linked: &Linked) -> Option<Violation> {
    let allowed = |expression: &Expression| {
        expression.evaluate(|requirement| policy.licenses.allow.contains(&requirement.to_string()))
    };
    let license = linked.license.as_deref();
    let fine = license
        .and_then(parsed)
        .is_some_and(|expression| allowed(&expression));
    (!fine).then(|| {
        let license = license.unwrap_or("none given");
        Violation::new(&linked.name, format!("has the licence \"{license}\", which deny.toml does not allow: take another crate, or add the licence to `licenses.allow` after reading it"))
    })
}

fn check_source(policy: &Policy, linked: &Linked) -> Option<Violation> {
    let source = linked.source.as_deref()?;
    let registry = source.strip_prefix("registry+");
    let fine = registry.is_some_and(|registry| policy.sources.allow_registry.iter().any(|at| at == registry));
    (!fine).then(|| {
        Violation::new(
            &linked.name,
            format!("comes from {source}: take a released version from crates.io"),
        )
    })
}

fn check_ban(policy: &Policy, linked: &Linked) -> Option<Violation> {
    let name = linked.name.split(' ').next().unwrap_or(&linked.name);
    let banned = policy.bans.deny.iter().find(|banned| banned.name == name)?;
    Some(Violation::new(
        &linked.name,
        format!(
            "is banned by deny.toml ({}): find with `cargo tree -i {name}` who brings it, and drop that",
            banned.reason
        ),
    ))
}

/// An allowed licence that no crate has is a door left open.
fn unused_licences(policy: &Policy, crates: &[Linked]) -> Vec<Violation> {
    let expressions: Vec<_> = crates
        .iter()
        .filter_map(|linked| parsed(linked.license.as_deref()?))
        .collect();
    let named = |allowed: &String| {
        expressions
            .iter()
            .flat_map(Expression::requirements)
            .any(|named| named.req.to_string() == *allowed)
    };
    let unused = policy.licenses.allow.iter().filter(|allowed| !named(allowed));
    unused
        .map(|licence| {
            Violation::new(
                "deny.toml",
                format!("allows {licence}, which no crate has: remove it"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> Policy {
        policy_of(
            "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{ crate = \"openssl\", reason = \"C\" }]\n[sources]\nallow-registry = [\"https://here\"]\n",
        )
    }

    fn linked(name: &str, license: Option<&str>, source: Option<&str>) -> Linked {
        Linked {
            name: name.to_string(),
            license: license.map(str::to_string),
            source: source.map(str::to_string),
        }
    }

    #[test]
    fn what_is_allowed_passes() {
        let crates = [
            linked("a 1.0.0", Some("MIT/Apache-2.0"), Some("registry+https://here")),
            linked("b 1.0.0", Some("GPL-3.0-only OR MIT"), None),
        ];
        assert_eq!(check(&policy(), &crates), []);
    }

    #[test]
    fn every_planted_fault_is_found() {
        let fine = linked("fine 1.0.0", Some("MIT"), None);
        let planted = [
            linked("a 1.0.0", Some("GPL-3.0-only"), None),
            linked("a 1.0.0", Some("MIT AND GPL-3.0-only"), None),
            linked("a 1.0.0", Some("MIT WITH LLVM-exception"), None),
            linked("a 1.0.0", None, None),
            linked("a 1.0.0", Some("do what you want"), None),
            linked("a 1.0.0", Some("MIT"), Some("git+https://here")),
            linked("a 1.0.0", Some("MIT"), Some("registry+https://elsewhere")),
            linked("openssl 0.10.0", Some("MIT"), None),
        ];
        for fault in planted {
            let found = check(&policy(), &[fine.clone(), fault.clone()]);
            assert_eq!(found.len(), 1, "{fault:?} got through: {found:?}");
            assert_eq!(found[0].place, fault.name);
        }
    }

    #[test]
    fn a_licence_allowed_for_nobody_is_found() {
        let found = check(&policy(), &[linked("a 1.0.0", Some("Apache-2.0 OR ISC"), None)]);
        assert!(found.iter().any(|found| found.place == "deny.toml"), "{found:?}");
    }
}
