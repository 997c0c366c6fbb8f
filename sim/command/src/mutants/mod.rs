//! `sim mutants`: plants known bugs in a copy of the tree, most of them in one build, and measures how long seeds take to find them.

mod hunt;
mod patch;
mod table;
mod tree;
mod weave;

use std::fs;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use ostraka_sim_campaign::{EXIT_UNUSABLE, say, write};

use crate::args::Mutants;
use crate::one::EVIDENCE;
use hunt::{Prey, RANGES, Sound};
use patch::{Hunter, Patch};
use table::{End, Fate, page};
use tree::Tree;
use weave::Cloth;

/// Some mutants live of which that was not known.
const EXIT_ALIVE: u8 = 1;
/// Of each range, seeds that the sound tree is tried with before anything is planted.
const SOUND_SEEDS: u64 = 5;
const PAGE: &str = "docs/mutants.md";

pub(crate) fn mutants(wanted: &Mutants) -> Result<u8, String> {
    let repository = Path::new(".");
    let patches = patch::all(repository)?;
    let chosen = patch::choose(patches.clone(), &wanted.only, wanted.quarter)?;
    if chosen.is_empty() {
        return Err("no mutant was asked for".to_owned());
    }
    let tree = Tree::copy(repository, &wanted.commit)?;
    let cloth = Cloth::of(&tree, &patches)?;
    let (together, alone): (Vec<&Patch>, Vec<&Patch>) = chosen.iter().partition(|patch| cloth.holds(patch));
    let mut fates = Vec::new();
    let mut settle = |patch: &Patch, end: Result<End, String>| -> Result<(), String> {
        let end = end.unwrap_or_else(End::Error);
        let fate = Fate::of(patch, &tree.commit, wanted.seeds_max, end);
        say(fate.line());
        let json = serde_json::to_string_pretty(&fate).expect("plain data can be written");
        write(&evidence_of(&patch.name), &json)?;
        fates.push(fate);
        Ok(())
    };
    let planted = tree.plant_texts(cloth.texts()?)?;
    let mut woven = woven(&tree, &patches, &chosen)?;
    for patch in together {
        settle(patch, end_of_woven(patch, &tree, wanted, &mut woven))?;
    }
    drop(planted);
    for patch in alone {
        settle(patch, end_of_lone(patch, &tree, wanted, &mut woven))?;
    }
    // A part of them leaves the page alone but for its own rows.
    let known: Vec<Fate> = patches.iter().filter_map(|patch| kept(&patch.name)).collect();
    if wanted.quarter.is_none() {
        write(Path::new(PAGE), &page(&patches, &known))?;
    }
    Ok(tell(&fates, &patches))
}

/// Those that live and are known to are said, and are no news.
fn tell(fates: &[Fate], patches: &[Patch]) -> u8 {
    let names = |wanted: &dyn Fn(&Fate) -> bool| -> Vec<&str> {
        let found = fates.iter().filter(|fate| wanted(fate));
        found.map(|fate| fate.name.as_str()).collect()
    };
    let broken = names(&|fate| matches!(fate.end, End::Error(_)));
    let alive = names(&|fate| !matches!(fate.end, End::Error(_)) && !fate.is_killed());
    say(format_args!(
        "{} of {} mutants killed",
        fates.len() - broken.len() - alive.len(),
        fates.len()
    ));
    if !alive.is_empty() {
        say(format_args!("alive: {}", alive.join(", ")));
    }
    let open = patches
        .iter()
        .filter_map(|patch| Some((patch.name.as_str(), patch.open.as_ref()?)))
        .filter(|(name, _)| alive.contains(name));
    let mut news = alive.clone();
    for (name, why) in open {
        say(format_args!("  {name} is known to live: {why}"));
        news.retain(|other| *other != name);
    }
    if !broken.is_empty() {
        say(format_args!("not tried, for an error: {}", broken.join(", ")));
        return EXIT_UNUSABLE;
    }
    if news.is_empty() { 0 } else { EXIT_ALIVE }
}

fn evidence_of(name: &str) -> PathBuf {
    Path::new(EVIDENCE).join("mutants").join(format!("{name}.json"))
}

fn kept(name: &str) -> Option<Fate> {
    serde_json::from_str(&fs::read_to_string(evidence_of(name)).ok()?).ok()
}

/// The program with all mutants that can be woven, and what it makes of seeds with none of them chosen.
struct WovenProgram {
    program: PathBuf,
    sound: Sound,
}

/// Builds it in the copy, where its texts must be, once for a commit and its patches; and sees that without a mutant it is
/// sound, and so are the judges if mutants of theirs are `chosen`.
fn woven(tree: &Tree, patches: &[Patch], chosen: &[Patch]) -> Result<WovenProgram, String> {
    let mut hasher = std::hash::DefaultHasher::new();
    let texts: Vec<&str> = patches.iter().map(|patch| patch.text.as_str()).collect();
    texts.hash(&mut hasher);
    let prefix = format!("woven-{}-{:016x}", tree.commit, hasher.finish());
    let at = |name: &str| tree.folder.join(format!("{prefix}-{name}"));
    let program = at("sim");
    if !program.exists() {
        tree.forget_others()?;
        let built = tree
            .build()
            .map_err(|error| format!("the tree with its mutants: {error}"))?;
        fs::copy(&built, &program).map_err(|error| format!("{}: {error}", program.display()))?;
    }
    let prey = Prey {
        program: program.clone(),
        mutant: None,
        folder: tree.copy.clone(),
    };
    let mut sound = Sound::new(prey, at("seeds.json"));
    let mut held = 0;
    for seed in RANGES.iter().flat_map(|first| *first..first + SOUND_SEEDS) {
        match sound.finding(seed)? {
            None => held += 1,
            Some(finding) => say(format_args!(
                "seed {seed} proves nothing, it does not hold as it is: {}",
                finding.sentence
            )),
        }
    }
    if held == 0 {
        return Err("no seed holds as the tree is: nothing can be proven with it".to_owned());
    }
    let judged = at("judges-pass");
    let by_tests = chosen.iter().any(|patch| patch.hunter == Hunter::ModelTests);
    if by_tests && !judged.exists() {
        if let Some(sentence) = tree.test_judges(None)? {
            return Err(format!("as the tree is, {sentence}"));
        }
        write(&judged, "")?;
    }
    Ok(WovenProgram { program, sound })
}

fn end_of_woven(
    patch: &Patch,
    tree: &Tree,
    wanted: &Mutants,
    woven: &mut WovenProgram,
) -> Result<End, String> {
    match patch.hunter {
        Hunter::ModelTests => Ok(End::Tested(tree.test_judges(Some(&patch.name))?)),
        Hunter::Seeds => {
            let program = woven.program.clone();
            hunted(program, Some(patch.name.clone()), tree, wanted, &mut woven.sound)
        }
    }
}

/// Of one that needs a build of its own.
fn end_of_lone(
    patch: &Patch,
    tree: &Tree,
    wanted: &Mutants,
    woven: &mut WovenProgram,
) -> Result<End, String> {
    let _planted = tree.plant(patch)?;
    match patch.hunter {
        Hunter::ModelTests => Ok(End::Tested(tree.test_judges(None)?)),
        Hunter::Seeds => hunted(tree.build()?, None, tree, wanted, &mut woven.sound),
    }
}

fn hunted(
    program: PathBuf,
    mutant: Option<String>,
    tree: &Tree,
    wanted: &Mutants,
    sound: &mut Sound,
) -> Result<End, String> {
    let prey = Prey {
        program,
        mutant,
        folder: tree.copy.clone(),
    };
    let ranges = RANGES
        .iter()
        .map(|first| hunt::hunt(&prey, *first, wanted.seeds_max, wanted.jobs, sound));
    Ok(End::Hunted(ranges.collect::<Result<_, String>>()?))
}
