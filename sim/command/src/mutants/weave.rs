//! Many mutants in one program: each function that one of them changes is woven with its changed bodies, and a variable
//! of the environment chooses, so that one build serves all of them. After the mutant schemata of R. H. Untch, A. J.
//! Offutt and M. J. Harrold, "Mutation analysis using mutant schemata", ISSTA 1993.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use proc_macro2::Span;
use syn::visit::Visit;

use super::patch::Patch;
use super::tree::{Change, Tree};

/// Names the mutant that a woven program is to have; without it the program is sound.
pub(super) const CHOICE: &str = "OSTRAKA_MUTANT";

/// All mutants that can be woven, in the files that they change.
pub(super) struct Cloth {
    files: BTreeMap<PathBuf, Woven>,
    names: BTreeSet<String>,
}

impl Cloth {
    /// Plants each patch in turn, to see what it changes.
    ///
    /// # Errors
    ///
    /// Patches that do not apply, all of them.
    pub(super) fn of(tree: &Tree, patches: &[Patch]) -> Result<Self, String> {
        let mut cloth = Cloth {
            files: BTreeMap::new(),
            names: BTreeSet::new(),
        };
        let mut refused = Vec::new();
        for patch in patches {
            match tree.changes(patch) {
                Ok(changes) => cloth.add(&patch.name, changes),
                Err(sentence) => refused.push(sentence),
            }
        }
        if refused.is_empty() {
            Ok(cloth)
        } else {
            Err(refused.join("\n"))
        }
    }

    /// Adds a mutant, in all files that it changes or in none.
    fn add(&mut self, name: &str, changes: Vec<Change>) {
        let mut grown = Vec::new();
        for Change { path, before, after } in changes {
            let mut woven = self
                .files
                .get(&path)
                .cloned()
                .unwrap_or_else(|| Woven::new(before));
            if woven.add(name, &after).is_err() {
                return;
            }
            grown.push((path, woven));
        }
        self.files.extend(grown);
        self.names.insert(name.to_owned());
    }

    pub(super) fn holds(&self, patch: &Patch) -> bool {
        self.names.contains(&patch.name)
    }

    /// What to write where.
    pub(super) fn texts(&self) -> Result<Vec<(PathBuf, String)>, String> {
        let text = |(path, woven): (&PathBuf, &Woven)| Ok((path.clone(), woven.text()?));
        self.files.iter().map(text).collect()
    }
}

/// One source file, cut at the bodies of its functions.
struct Cut<'a> {
    /// What is around them; one more than there are bodies.
    around: Vec<&'a str>,
    /// With their braces. A function inside of a function is a part of the outer one's.
    bodies: Vec<&'a str>,
}

/// By place of the function in its file: the changed bodies, each with its mutant's name.
type Changed = BTreeMap<usize, Vec<(String, String)>>;

/// A source file that mutants are woven into.
#[derive(Clone)]
struct Woven {
    sound: String,
    changed: Changed,
}

impl Woven {
    fn new(sound: String) -> Self {
        Woven {
            sound,
            changed: Changed::new(),
        }
    }

    /// Adds a mutant of this file.
    ///
    /// # Errors
    ///
    /// It changes more than what functions do (a type, a constant, a signature) and needs a build of its own; nothing
    /// is added.
    fn add(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (sound, mutated) = (cut(&self.sound)?, cut(text)?);
        if sound.around != mutated.around {
            return Err("it changes more than the bodies of functions".to_owned());
        }
        let pairs = sound.bodies.iter().zip(&mutated.bodies).enumerate();
        for (place, (_, body)) in pairs.filter(|(_, (sound, body))| sound != body) {
            let bodies = self.changed.entry(place).or_default();
            bodies.push((name.to_owned(), (*body).to_owned()));
        }
        Ok(())
    }

    /// The file with all that were added.
    fn text(&self) -> Result<String, String> {
        let sound = cut(&self.sound)?;
        let mut text = String::new();
        for (place, around) in sound.around.iter().enumerate() {
            text.push_str(around);
            let Some(body) = sound.bodies.get(place) else {
                break;
            };
            let Some(mutants) = self.changed.get(&place) else {
                text.push_str(body);
                continue;
            };
            text.push_str("{\n");
            for (name, mutated) in mutants {
                text.push_str(&format!("if {} {mutated} else ", chosen(name)));
            }
            text.push_str(body);
            text.push_str("\n}");
        }
        Ok(text)
    }
}

/// Whether the mutant is the one that is wanted: an expression, which looks at the environment once.
fn chosen(name: &str) -> String {
    format!(
        "{{ static CHOSEN: ::std::sync::OnceLock<bool> = ::std::sync::OnceLock::new(); \
         *CHOSEN.get_or_init(|| ::std::env::var_os({CHOICE:?}).is_some_and(|name| name == {name:?})) }}"
    )
}

fn cut(text: &str) -> Result<Cut<'_>, String> {
    let file = syn::parse_file(text).map_err(|error| format!("it is no Rust: {error}"))?;
    let mut bodies = Bodies::default();
    bodies.visit_file(&file);
    let mut cut = Cut {
        around: Vec::new(),
        bodies: Vec::new(),
    };
    let mut upto = 0;
    for range in bodies.ranges {
        cut.around.push(&text[upto..range.start]);
        cut.bodies.push(&text[range.clone()]);
        upto = range.end;
    }
    cut.around.push(&text[upto..]);
    Ok(cut)
}

/// Where the bodies are that can be woven, in bytes and in order.
#[derive(Default)]
struct Bodies {
    ranges: Vec<Range<usize>>,
}

impl Bodies {
    fn add(&mut self, signature: &syn::Signature, block: &syn::Block) {
        // A constant function cannot look at the environment, and two bodies are two types where one has no name.
        if signature.constness.is_some() || returns_unnamed(&signature.output) {
            return;
        }
        let bytes = |span: Span| span.byte_range();
        let brace = block.brace_token.span;
        self.ranges
            .push(bytes(brace.open()).start..bytes(brace.close()).end);
    }
}

impl<'ast> Visit<'ast> for Bodies {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.add(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(&item.sig, &item.block);
    }
}

fn returns_unnamed(output: &syn::ReturnType) -> bool {
    struct Search(bool);
    impl Visit<'_> for Search {
        fn visit_type_impl_trait(&mut self, _: &syn::TypeImplTrait) {
            self.0 = true;
        }
    }
    let mut search = Search(false);
    search.visit_return_type(output);
    search.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &str = "const A: u8 = 1;\nfn one() -> u8 { 1 }\nimpl X {\n    fn two(&self) -> u8 {\n        fn in_it() {}\n        2\n    }\n}\n\
                         fn three() -> impl Fn() -> u8 { || 3 }\nconst fn four() -> u8 { 4 }\n";

    fn woven(changes: &[(&str, &str, &str)]) -> Result<String, String> {
        let mut woven = Woven::new(SOUND.to_owned());
        for (name, from, to) in changes {
            assert!(SOUND.contains(from), "{from}");
            woven.add(name, &SOUND.replace(from, to))?;
        }
        woven.text()
    }

    #[test]
    fn nothing_added_is_the_file_as_it_was() {
        assert_eq!(woven(&[]).unwrap(), SOUND);
    }

    #[test]
    fn two_mutants_of_one_function_are_both_there_and_so_is_the_sound_one() {
        let text = woven(&[
            ("m", "{ 1 }", "{ 7 }"),
            ("n", "{ 1 }", "{ 8 }"),
            ("o", "        2\n", "        9\n"),
        ])
        .unwrap();
        syn::parse_file(&text).unwrap();
        let one = &text[text.find("fn one").unwrap()..text.find("impl X").unwrap()];
        let order =
            ["\"m\"", "{ 7 } else", "\"n\"", "{ 8 } else", "{ 1 }"].map(|part| one.find(part).unwrap());
        assert!(order.is_sorted(), "{one}");
        assert!(
            text.contains("9\n    } else {\n        fn in_it() {}\n        2\n    }"),
            "{text}"
        );
        assert!(text.ends_with("fn three() -> impl Fn() -> u8 { || 3 }\nconst fn four() -> u8 { 4 }\n"));
    }

    #[test]
    fn what_changes_more_than_a_body_is_left_to_a_build_of_its_own() {
        for (from, to) in [
            ("u8 = 1", "u8 = 2"),
            ("|| 3", "|| 4"),
            ("{ 4 }", "{ 5 }"),
            ("fn one() -> u8", "fn one() -> u16"),
            ("fn one() -> u8 { 1 }", "fn one() -> u8 { 1 } fn five() {}"),
        ] {
            assert!(
                woven(&[("m", from, to)])
                    .unwrap_err()
                    .contains("more than the bodies"),
                "{to}"
            );
        }
        assert!(woven(&[("m", "{ 1 }", "{ 1 ")]).unwrap_err().contains("no Rust"));
    }

    #[test]
    fn a_mutant_is_woven_into_all_its_files_or_into_none() {
        let change = |path: &str, from: &str, to: &str| Change {
            path: PathBuf::from(path),
            before: SOUND.to_owned(),
            after: SOUND.replace(from, to),
        };
        let mut cloth = Cloth {
            files: BTreeMap::new(),
            names: BTreeSet::new(),
        };
        cloth.add(
            "all",
            vec![change("a.rs", "{ 1 }", "{ 7 }"), change("b.rs", "{ 1 }", "{ 8 }")],
        );
        cloth.add(
            "none",
            vec![
                change("a.rs", "{ 1 }", "{ 9 }"),
                change("c.rs", "u8 = 1", "u8 = 2"),
            ],
        );
        assert_eq!(cloth.names, BTreeSet::from(["all".to_owned()]));
        let texts: BTreeMap<_, _> = cloth.texts().unwrap().into_iter().collect();
        assert_eq!(texts.len(), 2);
        assert!(texts[&PathBuf::from("a.rs")].contains("{ 7 }"));
        assert!(texts[&PathBuf::from("b.rs")].contains("{ 8 }"));
        assert!(!texts.values().any(|text| text.contains("none")));
    }
}
