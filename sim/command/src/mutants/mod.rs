//! `sim mutants`: plants known bugs, one at a time, in a copy of the tree, and measures how long seeds take to find them.

mod hunt;
mod patch;
mod table;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ostraka_sim_campaign::{EXIT_UNUSABLE, say, write};

use crate::args::Mutants;
use crate::one::EVIDENCE;
use hunt::{RANGES, Sound};
use patch::{Hunter, Patch};
use table::{End, Fate, page};
use tree::Tree;

/// Some mutants live of which that was not known.
const EXIT_ALIVE: u8 = 1;
/// Of each range, seeds that the sound tree is tried with before anything is planted.
const SOUND_SEEDS: u64 = 5;
const PAGE: &str = "docs/mutants.md";

pub(crate) fn mutants(wanted: &Mutants) -> Result<u8, String> {
    let repository = Path::new(".");
    let patches = patch::all(repository)?;
    let mut chosen = patch::choose(patches.clone(), &wanted.only, wanted.quarter)?;
    if chosen.is_empty() {
        return Err("no mutant was asked for".to_owned());
    }
    let tree = Tree::copy(repository, &wanted.commit)?;
    let refused: Vec<String> = chosen
        .iter()
        .filter_map(|patch| tree.check(patch).err())
        .collect();
    if !refused.is_empty() {
        return Err(refused.join("\n"));
    }
    let mut sound = sound(&tree, &chosen)?;
    if wanted.minutes_max.is_some() {
        // Where time may end before the list does, each commit begins elsewhere.
        let place = usize::from_str_radix(&tree.commit[..8], 16).unwrap_or_default() % chosen.len();
        chosen.rotate_left(place);
    }
    let started = Instant::now();
    let (mut fates, mut late) = (Vec::new(), Vec::new());
    for patch in &chosen {
        if wanted
            .minutes_max
            .is_some_and(|minutes| started.elapsed() >= Duration::from_secs(60 * minutes))
        {
            late.push(patch.name.as_str());
            continue;
        }
        let end = end_of(patch, &tree, wanted, &mut sound).unwrap_or_else(End::Error);
        let fate = Fate::of(patch, &tree.commit, wanted.seeds_max, end);
        say(fate.line());
        let json = serde_json::to_string_pretty(&fate).expect("plain data can be written");
        write(&evidence_of(&patch.name), &json)?;
        fates.push(fate);
    }
    // A part of them leaves the page alone but for its own rows.
    let known: Vec<Fate> = patches.iter().filter_map(|patch| kept(&patch.name)).collect();
    if wanted.quarter.is_none() {
        write(Path::new(PAGE), &page(&patches, &known))?;
    }
    if !late.is_empty() {
        say(format_args!("not tried, for want of time: {}", late.join(", ")));
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

/// The program without a mutant, and what it makes of the first seeds. It is built once a commit.
fn sound(tree: &Tree, chosen: &[Patch]) -> Result<Sound, String> {
    let at = |name: &str| tree.folder.join(format!("sound-{}-{name}", tree.commit));
    let program = at("sim");
    if !program.exists() {
        tree.forget_sound_ones()?;
        let built = tree
            .build()
            .map_err(|error| format!("the tree as it is: {error}"))?;
        fs::copy(&built, &program).map_err(|error| format!("{}: {error}", program.display()))?;
    }
    let mut sound = Sound::new(program, tree.copy.clone(), at("seeds.json"));
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
        if let Some(sentence) = tree.test_judges()? {
            return Err(format!("as the tree is, {sentence}"));
        }
        write(&judged, "")?;
    }
    Ok(sound)
}

fn end_of(patch: &Patch, tree: &Tree, wanted: &Mutants, sound: &mut Sound) -> Result<End, String> {
    let _planted = tree.plant(patch)?;
    if patch.hunter == Hunter::ModelTests {
        return Ok(End::Tested(tree.test_judges()?));
    }
    let program = tree.build()?;
    let mut ranges = Vec::new();
    for first in RANGES {
        ranges.push(hunt::hunt(
            &program,
            &tree.copy,
            first,
            wanted.seeds_max,
            wanted.jobs,
            sound,
        )?);
    }
    Ok(End::Hunted(ranges))
}
