//! Who may import whom. The table is the one of `docs/architecture.md`; the graph comes from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cargo_metadata::{DependencyKind, Metadata, PackageId};

use crate::Violation;

/// What one room may import. Rooms go by their folder, crates by their name.
pub(crate) struct Room {
    pub(crate) folder: &'static str,
    pub(crate) may_import: &'static [&'static str],
    /// Rooms that only its tests may import.
    pub(crate) tests_may_import: &'static [&'static str],
    /// Where given, no other crate may be named in `[dependencies]`.
    pub(crate) only_crates: Option<&'static [&'static str]>,
    /// Where given, no other crate may be named in `[dev-dependencies]`.
    pub(crate) only_test_crates: Option<&'static [&'static str]>,
    /// Crates that may not be named, in tests neither.
    pub(crate) never_names: &'static [&'static str],
    /// Crates that may not be linked, at any depth. Tests are free to.
    pub(crate) never_links: &'static [&'static str],
}

const fn room(folder: &'static str, may_import: &'static [&'static str]) -> Room {
    Room {
        folder,
        may_import,
        tests_may_import: &[],
        only_crates: None,
        only_test_crates: None,
        never_names: &[],
        never_links: &[],
    }
}

/// Simulators: the service is run inside them, it does not know them.
const SIMULATORS: &[&str] = &["turmoil", "madsim", "mad-turmoil"];

pub(crate) const ROOMS: &[Room] = &[
    Room {
        only_crates: Some(&["serde", "thiserror"]),
        only_test_crates: Some(&["criterion", "proptest"]),
        never_links: &["tokio", "rand", "openraft", "tracing", "getrandom", "time"],
        ..room("service/core", &[])
    },
    Room {
        only_crates: Some(&[
            "serde",
            "serde_json",
            "serde_path_to_error",
            "time",
            "utoipa",
            "thiserror",
            "base64",
            "unicode-normalization",
            "argon2",
        ]),
        never_links: &["axum", "openraft", "tokio", "hyper", "sled"],
        ..room("service/api", &["service/core"])
    },
    Room {
        never_names: SIMULATORS,
        never_links: &["axum", "utoipa", "turmoil", "madsim"],
        ..room("service/replication", &["service/core"])
    },
    Room {
        tests_may_import: &["service/client"],
        never_names: SIMULATORS,
        never_links: &["turmoil", "madsim"],
        ..room(
            "service/node",
            &["service/core", "service/api", "service/replication"],
        )
    },
    Room {
        never_names: SIMULATORS,
        never_links: &["axum", "openraft", "sled", "turmoil", "madsim"],
        ..room("service/client", &["service/api", "service/core"])
    },
    Room {
        never_links: &["tokio", "axum", "openraft", "sled", "turmoil", "madsim"],
        ..room("sim/model", &["service/core"])
    },
    Room {
        never_links: &["tokio", "axum", "openraft", "sled", "turmoil", "madsim"],
        ..room("sim/campaign", &["sim/model"])
    },
    Room {
        only_crates: Some(&["libc"]),
        ..room("sim/clock", &[])
    },
    // The same people over a simulated network and over a real one.
    Room {
        never_names: SIMULATORS,
        never_links: &["axum", "openraft", "sled", "turmoil", "madsim"],
        ..room("sim/crowd", &["service/client", "service/core", "sim/model"])
    },
    // `sim` is the command line over the simulators; the service comes to it assembled, as `run`.
    Room {
        never_names: &["axum"],
        ..room("sim/command", SIM_MAY_IMPORT)
    },
    Room {
        never_names: &["axum", "madsim", "mad-turmoil"],
        ..room("sim/turmoil", SIM_MAY_IMPORT)
    },
    Room {
        never_names: &["axum", "sled", "turmoil", "mad-turmoil"],
        never_links: &["axum", "sled", "turmoil"],
        ..room(
            "sim/madsim",
            &["service/core", "service/replication", "sim/model", "sim/campaign"],
        )
    },
    Room {
        never_links: &["openraft", "sled"],
        ..room("loadtest", &["service/client", "service/api"])
    },
    // axum comes with `loadtest`, which measures an empty handler; the harness itself serves nothing.
    Room {
        never_names: &["axum"],
        never_links: &["openraft", "sled"],
        ..room(
            "chaos",
            &[
                "service/client",
                "service/api",
                "service/core",
                "sim/model",
                "sim/crowd",
                "loadtest",
            ],
        )
    },
    Room {
        never_links: &["openraft", "sled", "axum"],
        ..room("synthetic", &["service/client"])
    },
    // It decides by files alone: what it says can be said again from them, on any machine.
    Room {
        only_crates: Some(&["clap", "serde", "serde-saphyr", "serde_json", "thiserror", "time"]),
        only_test_crates: Some(&["proptest", "tempfile"]),
        never_links: &[
            "tokio", "hyper", "reqwest", "axum", "ureq", "openraft", "sled", "rand",
        ],
        ..room("slo", &[])
    },
];

const SIM_MAY_IMPORT: &[&str] = &[
    "service/core",
    "service/api",
    "service/node",
    "service/client",
    "sim/model",
    "sim/campaign",
    "sim/clock",
    "sim/crowd",
    "sim/turmoil",
];

/// What a dependency points at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Room(String),
    Crate(String),
}

/// One dependency that a manifest names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: Target,
    pub(crate) in_tests_only: bool,
}

/// A crate that a room links, at any depth, and the way there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) way: Vec<String>,
}

fn room_of(folder: &str) -> Option<&'static Room> {
    ROOMS.iter().find(|room| room.folder == folder)
}

/// Every workspace folder is a room of the table.
pub(crate) fn check_folders(folders: &[String]) -> Vec<Violation> {
    let unknown = folders.iter().filter(|folder| room_of(folder).is_none());
    unknown
        .map(|folder| {
            Violation::new(folder, "is a crate without a room: give it a row in service/node/tests/house/rooms.rs and in docs/architecture.md, or put its code into a room that exists")
        })
        .collect()
}

/// Every dependency that a manifest names is allowed to its room.
pub(crate) fn check_edges(edges: &[Edge]) -> Vec<Violation> {
    edges
        .iter()
        .filter_map(|edge| room_of(&edge.from).and_then(|room| check_edge(room, edge)))
        .collect()
}

fn check_edge(room: &Room, edge: &Edge) -> Option<Violation> {
    let manifest = format!("{}/Cargo.toml", room.folder);
    match &edge.to {
        Target::Room(to) => {
            let allowed = room.may_import.contains(&to.as_str())
                || (edge.in_tests_only && room.tests_may_import.contains(&to.as_str()));
            (!allowed).then(|| {
                Violation::new(&manifest, format!("imports {to}, which is not its neighbour: remove the dependency and hand in what is needed from {}", or_nothing(room.may_import)))
            })
        }
        Target::Crate(to) if room.never_names.contains(&to.as_str()) => Some(Violation::new(
            &manifest,
            format!(
                "names the crate {to}, which this room never knows: move the code that needs it to its own room"
            ),
        )),
        Target::Crate(to) => {
            let only = if edge.in_tests_only {
                room.only_test_crates
            } else {
                room.only_crates
            }?;
            (!only.contains(&to.as_str())).then(|| {
                Violation::new(&manifest, format!("names the crate {to}; this room has only {}: do without it, or do the work in a room that may have it", or_nothing(only)))
            })
        }
    }
}

fn or_nothing(names: &[&str]) -> String {
    if names.is_empty() {
        "nothing".to_string()
    } else {
        names.join(", ")
    }
}

/// No room links a crate that it must never reach.
pub(crate) fn check_links(links: &[Link]) -> Vec<Violation> {
    links
        .iter()
        .filter(|link| room_of(&link.from).is_some_and(|room| room.never_links.contains(&link.to.as_str())))
        .map(|link| {
            Violation::new(
                format!("{}/Cargo.toml", link.from),
                format!(
                    "links {} by way of {}: drop that dependency or the feature of it that brings {} in",
                    link.to,
                    link.way.join(" → "),
                    link.to
                ),
            )
        })
        .collect()
}

/// The workspace's folders, relative to its root, sorted.
pub(crate) fn folders_of(metadata: &Metadata) -> Vec<String> {
    let mut folders: Vec<String> = rooms_by_id(metadata).into_values().collect();
    folders.sort();
    folders
}

fn rooms_by_id(metadata: &Metadata) -> BTreeMap<PackageId, String> {
    let root = &metadata.workspace_root;
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let folder = package
                .manifest_path
                .parent()
                .expect("a manifest lies in a folder");
            let relative = folder.strip_prefix(root).unwrap_or(folder);
            (package.id.clone(), relative.to_string())
        })
        .collect()
}

/// The dependencies that the manifests of the workspace name.
pub(crate) fn edges_of(metadata: &Metadata) -> Vec<Edge> {
    let rooms = rooms_by_id(metadata);
    let mut edges = BTreeSet::new();
    for package in metadata.workspace_packages() {
        for dependency in &package.dependencies {
            let local = dependency.path.as_ref().map(|path| {
                let folder = path.strip_prefix(&metadata.workspace_root).unwrap_or(path);
                Target::Room(folder.to_string())
            });
            edges.insert(Edge {
                from: rooms[&package.id].clone(),
                to: local.unwrap_or_else(|| Target::Crate(dependency.name.clone())),
                in_tests_only: dependency.kind == DependencyKind::Development,
            });
        }
    }
    edges.into_iter().collect()
}

/// Every crate that each room links (tests apart), by the shortest way.
pub(crate) fn links_of(metadata: &Metadata) -> Vec<Link> {
    let graph = metadata.resolve.as_ref().expect("asked for with its graph");
    let nodes: BTreeMap<_, _> = graph.nodes.iter().map(|node| (&node.id, node)).collect();
    let mut links = Vec::new();
    for (start, folder) in rooms_by_id(metadata) {
        let mut seen = BTreeSet::from([start.clone()]);
        let mut queue = VecDeque::from([(start, Vec::new())]);
        while let Some((id, way)) = queue.pop_front() {
            for dependency in &nodes[&id].deps {
                let linked = dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal);
                if !linked || !seen.insert(dependency.pkg.clone()) {
                    continue;
                }
                let name = metadata[&dependency.pkg].name.to_string();
                let way: Vec<String> = way.iter().cloned().chain([name.clone()]).collect();
                links.push(Link {
                    from: folder.clone(),
                    to: name,
                    way: way.clone(),
                });
                queue.push_back((dependency.pkg.clone(), way));
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: &str, to: Target, in_tests_only: bool) -> Edge {
        Edge {
            from: from.to_string(),
            to,
            in_tests_only,
        }
    }
    fn to_room(name: &str) -> Target {
        Target::Room(name.to_string())
    }
    fn to_crate(name: &str) -> Target {
        Target::Crate(name.to_string())
    }

    #[test]
    fn allowed_edges_pass() {
        let edges = [
            edge("service/api", to_room("service/core"), false),
            edge("service/core", to_crate("serde"), false),
            edge("service/core", to_crate("proptest"), true),
            edge("service/node", to_room("service/client"), true),
            edge("sim/turmoil", to_room("service/node"), false),
        ];
        assert_eq!(check_edges(&edges), []);
    }

    #[test]
    fn every_forbidden_edge_is_found() {
        let planted = [
            edge("service/core", to_crate("tokio"), false),
            edge("service/core", to_crate("serde_json"), true),
            edge("service/core", to_room("service/api"), true),
            edge("service/api", to_crate("axum"), false),
            edge("service/replication", to_room("service/api"), false),
            edge("service/replication", to_room("service/node"), true),
            edge("service/node", to_crate("turmoil"), true),
            edge("service/node", to_crate("madsim"), false),
            edge("service/node", to_room("service/client"), false),
            edge("service/client", to_room("service/node"), true),
            edge("service/client", to_room("service/replication"), false),
            edge("loadtest", to_room("service/node"), false),
            edge("loadtest", to_room("service/replication"), true),
            edge("chaos", to_room("service/node"), false),
            edge("sim/turmoil", to_crate("axum"), false),
            edge("sim/madsim", to_crate("sled"), false),
            edge("synthetic", to_room("service/core"), false),
            edge("slo", to_room("service/api"), false),
            edge("slo", to_crate("reqwest"), false),
            edge("slo", to_crate("tokio"), true),
        ];
        for edge in planted {
            let found = check_edges(std::slice::from_ref(&edge));
            assert_eq!(found.len(), 1, "{edge:?} got through");
            assert!(found[0].place.starts_with(&edge.from), "{found:?}");
        }
    }

    #[test]
    fn a_forbidden_link_is_found_at_any_depth() {
        let way = ["hyper-util", "axum"].map(str::to_string).to_vec();
        let link = Link {
            from: "service/replication".to_string(),
            to: "axum".to_string(),
            way,
        };
        let found = check_links(&[link]);
        assert_eq!(found.len(), 1);
        assert!(found[0].what_to_do.contains("hyper-util → axum"), "{found:?}");
    }

    #[test]
    fn a_crate_without_a_room_is_found() {
        let folders = ["service/core".to_string(), "service/utils".to_string()];
        let found = check_folders(&folders);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "service/utils");
    }

    /// The reading of the metadata is checked on a small workspace with two planted faults: core names a foreign
    /// crate of its own making, and links it through another.
    #[test]
    fn a_planted_workspace_is_seen_through() {
        let root = tempfile::tempdir().unwrap();
        let plant = |folder: &str, name: &str, dependencies: &str| {
            let at = root.path().join(folder);
            std::fs::create_dir_all(at.join("src")).unwrap();
            std::fs::write(at.join("src/lib.rs"), "").unwrap();
            let manifest = format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n{dependencies}"
            );
            std::fs::write(at.join("Cargo.toml"), manifest).unwrap();
        };
        plant(
            "service/core",
            "core-room",
            "[dependencies]\napi-room = { path = \"../api\" }\n",
        );
        plant(
            "service/api",
            "api-room",
            "[dependencies]\ntokio = { path = \"../../tokio\" }\n",
        );
        plant("tokio", "tokio", "");
        std::fs::write(
            root.path().join("Cargo.toml"),
            "[workspace]\nresolver = \"3\"\nmembers = [\"service/core\", \"service/api\"]\nexclude = [\"tokio\"]\n",
        )
        .unwrap();
        let metadata = crate::metadata_of(&root.path().join("Cargo.toml"), &["--offline"]);
        let edges = check_edges(&edges_of(&metadata));
        assert!(
            edges.iter().any(|found| found.place == "service/core/Cargo.toml"),
            "{edges:?}"
        );
        let links = check_links(&links_of(&metadata));
        assert!(
            links
                .iter()
                .any(|found| found.what_to_do.contains("api-room → tokio")),
            "{links:?}"
        );
    }
}
