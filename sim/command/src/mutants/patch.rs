//! Mutants as they are kept: a patch each, which begins with what it plants and who is to find it.

use std::fs;
use std::path::Path;

/// Where the patches are.
pub(super) const FOLDER: &str = "sim/mutants";

/// Kinds of faults that a mutant may need to show.
const FAULTS: [&str; 7] = [
    "none",
    "network",
    "process-crash",
    "power-disk",
    "clock",
    "membership-leadership",
    "overload",
];

/// Checkers that a mutant may be meant for.
const CHECKERS: [&str; 7] = [
    "biographies",
    "conservation",
    "linearizability",
    "audience",
    "closing-bell",
    "durability",
    "liveness",
];

/// Who kills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hunter {
    /// Runs, seed after seed.
    Seeds,
    /// The judges' own tests: the mutant is in a judge, who then sees less.
    ModelTests,
}

/// A planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    pub(super) name: String,
    pub(super) plants: String,
    pub(super) fault: String,
    /// The checker that it was written for; another one may be quicker.
    pub(super) checker: String,
    pub(super) hunter: Hunter,
    /// Why it may live for now: a hole in the simulator that is known, said each time, and to be closed.
    pub(super) open: Option<String>,
    pub(super) text: String,
}

impl Patch {
    /// Reads a patch file; `stem` is its name without the end.
    pub(super) fn parse(stem: &str, text: &str) -> Result<Self, String> {
        let field = |name: &str| -> Result<String, String> {
            let head = text.lines().take_while(|line| line.starts_with('#'));
            let found = head
                .filter_map(|line| line.strip_prefix("# ")?.strip_prefix(name)?.strip_prefix(": "))
                .map(str::trim)
                .find(|value| !value.is_empty());
            found
                .map(str::to_owned)
                .ok_or_else(|| format!("{stem}: its head has no line `# {name}: …`"))
        };
        let one_of = |name: &str, known: &[&str]| -> Result<String, String> {
            let value = field(name)?;
            if known.contains(&value.as_str()) {
                Ok(value)
            } else {
                Err(format!(
                    "{stem}: `{value}` is no {name}: one of {}",
                    known.join(", ")
                ))
            }
        };
        let name = field("name")?;
        if name != stem {
            return Err(format!("{stem}: its head calls it {name}"));
        }
        let patch = Patch {
            plants: field("plants")?,
            fault: one_of("fault", &FAULTS)?,
            checker: one_of("checker", &CHECKERS)?,
            hunter: match field("killed-by")?.as_str() {
                "seeds" => Hunter::Seeds,
                "model-tests" => Hunter::ModelTests,
                other => return Err(format!("{stem}: nobody is called {other}: seeds or model-tests")),
            },
            open: field("open").ok(),
            name,
            text: text.to_owned(),
        };
        if patch.touched().next().is_none() {
            return Err(format!("{stem}: it changes nothing"));
        }
        Ok(patch)
    }

    /// The files that it changes, relative to the repository.
    pub(super) fn touched(&self) -> impl Iterator<Item = &str> {
        self.text
            .lines()
            .filter_map(|line| line.strip_prefix("+++ b/"))
            .map(str::trim)
    }
}

/// All patches, by name.
pub(super) fn all(repository: &Path) -> Result<Vec<Patch>, String> {
    let folder = repository.join(FOLDER);
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", folder.display());
    let mut patches = Vec::new();
    for entry in fs::read_dir(&folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|end| end != "patch") {
            continue;
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        patches.push(Patch::parse(&stem, &fs::read_to_string(&path).map_err(failed)?)?);
    }
    patches.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(patches)
}

/// Those that were asked for: by name, or every fourth from `quarter` on.
pub(super) fn choose(
    patches: Vec<Patch>,
    only: &[String],
    quarter: Option<u8>,
) -> Result<Vec<Patch>, String> {
    let known = |name: &&String| patches.iter().any(|patch| patch.name == **name);
    if let Some(stranger) = only.iter().find(|name| !known(name)) {
        return Err(format!("there is no mutant {stranger} in {FOLDER}"));
    }
    let places = patches.into_iter().enumerate();
    let chosen = places.filter(|(place, patch)| {
        quarter.is_none_or(|quarter| place % 4 == usize::from(quarter))
            && (only.is_empty() || only.contains(&patch.name))
    });
    Ok(chosen.map(|(_, patch)| patch).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# name: late\n# plants: a late vote counts\n# fault: clock\n# checker: closing-bell\n\
                        # killed-by: seeds\ndiff --git a/x.rs b/x.rs\n--- a/x.rs\n+++ b/x.rs\n@@ -1 +1 @@\n-a\n+b\n";

    fn named(name: &str) -> Patch {
        Patch::parse(name, &TEXT.replace("late\n", &format!("{name}\n"))).unwrap()
    }

    #[test]
    fn a_head_is_read() {
        let patch = Patch::parse("late", TEXT).unwrap();
        assert_eq!(patch.plants, "a late vote counts");
        assert_eq!(
            (patch.fault.as_str(), patch.checker.as_str()),
            ("clock", "closing-bell")
        );
        assert_eq!(patch.hunter, Hunter::Seeds);
        assert_eq!(patch.touched().collect::<Vec<_>>(), ["x.rs"]);
        let by_tests = TEXT.replace("seeds", "model-tests");
        assert_eq!(
            Patch::parse("late", &by_tests).unwrap().hunter,
            Hunter::ModelTests
        );
    }

    #[test]
    fn a_head_that_is_not_whole_is_refused_with_a_sentence() {
        let sentence = |from: &str, to: &str| Patch::parse("late", &TEXT.replace(from, to)).unwrap_err();
        assert!(sentence("# plants: a late vote counts\n", "").contains("no line `# plants: …`"));
        assert!(sentence("a late vote counts", "").contains("no line `# plants: …`"));
        assert!(sentence("clock", "weather").contains("`weather` is no fault"));
        assert!(sentence("closing-bell", "doorbell").contains("`doorbell` is no checker"));
        assert!(sentence("seeds", "magic").contains("nobody is called magic"));
        assert!(sentence("name: late", "name: early").contains("calls it early"));
        assert!(sentence("+++ b/x.rs\n", "").contains("changes nothing"));
    }

    #[test]
    fn quarters_share_all_mutants_between_them() {
        let patches: Vec<Patch> = ["a", "b", "c", "d", "e"].map(named).into();
        let names = |quarter| -> Vec<String> {
            let chosen = choose(patches.clone(), &[], Some(quarter)).unwrap();
            chosen.into_iter().map(|patch| patch.name).collect()
        };
        assert_eq!([names(0), names(1)], [vec!["a", "e"], vec!["b"]]);
        assert_eq!([names(2), names(3)], [["c"], ["d"]]);
        assert_eq!(choose(patches.clone(), &[], None).unwrap().len(), 5);
    }

    #[test]
    fn a_mutant_is_chosen_by_name_and_a_stranger_refused() {
        let patches: Vec<Patch> = ["a", "b"].map(named).into();
        let only = choose(patches.clone(), &["b".to_owned()], None).unwrap();
        assert_eq!(only, [named("b")]);
        assert!(
            choose(patches, &["z".to_owned()], None)
                .unwrap_err()
                .contains("no mutant z")
        );
    }

    /// The ones that are kept: their heads are whole, and each checker and each kind of fault has its two.
    #[test]
    fn the_kept_mutants_leave_no_checker_and_no_fault_out() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let patches = all(&repository).unwrap();
        assert!(patches.len() >= 26, "{}", patches.len());
        for checker in CHECKERS {
            let count = patches.iter().filter(|patch| patch.checker == checker).count();
            assert!(count >= 2, "{checker}: {count}");
        }
        for fault in FAULTS {
            let count = patches.iter().filter(|patch| patch.fault == fault).count();
            assert!(count >= 2, "{fault}: {count}");
        }
    }
}
