//! The rules of the house, run as tests: who may import whom, what code may not do, what lies where, which licences
//! come in. Every rule is a function over what it judges and is shown, beside it, to find a planted fault.

use std::path::{Path, PathBuf};

use cargo_metadata::{Metadata, MetadataCommand};

#[path = "house/licences.rs"]
mod licences;
#[path = "house/rooms.rs"]
mod rooms;
#[path = "house/runbooks.rs"]
mod runbooks;
#[path = "house/source.rs"]
mod source;
#[path = "house/tree.rs"]
mod tree;

/// A broken rule: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) place: String,
    pub(crate) what_to_do: String,
}

impl Violation {
    pub(crate) fn new(place: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            what_to_do: what_to_do.into(),
        }
    }
}

#[track_caller]
fn assert_none(found: &[Violation]) {
    let sentences: Vec<_> = found
        .iter()
        .map(|found| format!("  {} {}.", found.place, found.what_to_do))
        .collect();
    assert!(
        found.is_empty(),
        "{} broken:\n{}\n",
        found.len(),
        sentences.join("\n")
    );
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("service/node lies two levels below the repository")
        .to_path_buf()
}

/// The workspace of that manifest as cargo sees it on this machine's platform.
fn metadata_of(manifest: &Path, options: &[&str]) -> Metadata {
    let platform = format!("--filter-platform={}", host());
    let options = options.iter().map(ToString::to_string).chain([platform]);
    let mut command = MetadataCommand::new();
    command
        .manifest_path(manifest)
        .other_options(options.collect::<Vec<_>>());
    command
        .exec()
        .unwrap_or_else(|error| panic!("cargo metadata on {}: {error}", manifest.display()))
}

/// The target triple of this machine, for which alone the crates are sure to be downloaded.
fn host() -> String {
    let output = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .arg("-vV")
        .output()
        .expect("rustc runs, it has compiled this test");
    let text = String::from_utf8(output.stdout).expect("rustc speaks UTF-8");
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.expect("rustc -vV names its host").to_string()
}

/// Every file below the repository that ends so, relative to it, with its text; what git ignores left out.
fn files(ending: &str) -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository can be read") {
            let entry = entry.expect("a folder of the repository can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let ignored = name == "target" || name == ".git" || (folder == root && name == "data");
            if ignored {
                continue;
            }
            let path = entry.path();
            // Not following symbolic links, so that none leads round in circles.
            if entry.file_type().expect("an entry has a type").is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                let relative = path.strip_prefix(&root).expect("it was found below it");
                // A file may go between being listed and being read: an editor's, not the repository's.
                if let Ok(text) = std::fs::read_to_string(&path) {
                    files.push((relative.to_string_lossy().replace('\\', "/"), text));
                }
            }
        }
    }
    files.sort();
    files
}

#[test]
fn rooms_import_only_their_neighbours() {
    let metadata = metadata_of(&root().join("Cargo.toml"), &["--locked"]);
    let mut found = rooms::check_folders(&rooms::folders_of(&metadata));
    found.extend(rooms::check_edges(&rooms::edges_of(&metadata)));
    found.extend(rooms::check_links(&rooms::links_of(&metadata)));
    assert_none(&found);
}

#[test]
fn code_keeps_the_rules() {
    let files = files(".rs");
    assert!(files.len() > 30, "the walk through the tree found hardly a file");
    let found: Vec<_> = files
        .iter()
        .flat_map(|(path, text)| source::check(path, text))
        .collect();
    assert_none(&found);
}

#[test]
fn the_top_of_the_repository_is_tidy() {
    let entries = std::fs::read_dir(root()).expect("the repository can be read");
    let names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_none(&tree::check_top(&names));
}

#[test]
fn documents_point_at_what_exists() {
    let root = root();
    let exists = |path: &str| root.join(path).exists();
    let files = files(".md");
    let found: Vec<_> = files
        .iter()
        .flat_map(|(path, text)| tree::check_links(path, text, exists))
        .collect();
    assert_none(&found);
}

#[test]
fn runbooks_quote_what_the_service_says() {
    let said = runbooks::Said::of(&files(".rs"));
    let pages: Vec<_> = files(".md")
        .into_iter()
        .filter(|(path, _)| path.starts_with("docs/runbooks/"))
        .collect();
    assert!(pages.len() > 10, "hardly a runbook was found");
    let found: Vec<_> = pages
        .iter()
        .flat_map(|(path, text)| runbooks::check(path, text, &said))
        .collect();
    assert_none(&found);
}

#[test]
fn licences_sources_and_bans_are_as_agreed() {
    let policy = std::fs::read_to_string(root().join("deny.toml")).expect("deny.toml lies at the top");
    let metadata = metadata_of(&root().join("Cargo.toml"), &["--locked"]);
    let crates = licences::crates_of(&metadata);
    assert!(crates.len() > 50, "the graph has hardly a crate");
    assert_none(&licences::check(&licences::policy_of(&policy), &crates));
}
