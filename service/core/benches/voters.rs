//! What an event with very many voters costs: `cargo bench -p ostraka-core --bench voters -- 300000000`.
//!
//! Everybody votes once, in an order without any neighbourhood, in entries of 1,000. Told on the way: nanoseconds that decoding
//! and applying take a vote, by the newest million, and the resident memory. Then a snapshot is written from a clone
//! while further votes are applied, one for each 64 voters so far; a few more are applied when the clone is gone; and
//! the snapshot is read again and compared.
//!
//! `-- 300000000 in-order`: those who vote before the snapshot do so in the order of their numbers, which takes a fraction of the
//! time; those who vote beside it and after it are as far from each other as before.

mod support;

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ostraka_core::{
    Batch, Command, EntryMeta, LogIndex, Outcome, State, UnixMs, VoteOutcome, VoteRecord, VoteVerdict,
    snapshot,
};

use self::support::EVENT;

const ENTRY_VOTES: u32 = 1_000;
const WINDOW_VOTES: u32 = 1_000_000;
/// Of so many voters one votes while the snapshot is written, as often in a chunk however many voters there are. At 300
/// million they are 4.7 million: what 250,000 votes/s bring in 19 s.
const VOTERS_PER_VOTE_BESIDE: u32 = 64;
/// Parts of the votes beside a snapshot whose first is told by itself: most of its votes are the first in their chunk.
const PARTS_BESIDE: u32 = 8;
const VOTERS_DEFAULT: u32 = 10_000_000;

struct World {
    state: State,
    index: u64,
    /// All there will be, those beside the snapshot and after it included.
    voters: u32,
    /// Those who vote beside the snapshot and after it.
    late_voters: u32,
    in_order: bool,
    cast: u32,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    votes: u32,
    decoding: Duration,
    applying: Duration,
    /// Of `applying` what this thread had a processor: all of it on an idle machine, and the truer figure on a busy one.
    on_processor: Duration,
}

impl World {
    fn new(early_voters: u32, in_order: bool) -> Self {
        let mut world = World {
            state: State::new(),
            index: 0,
            voters: early_voters + late_voters(early_voters),
            late_voters: late_voters(early_voters),
            in_order,
            cast: 0,
        };
        let created = world.apply(&support::created());
        assert_eq!(created, [Outcome::EventCreated(EVENT)]);
        world
    }

    fn apply(&mut self, batch: &Batch) -> Vec<Outcome> {
        self.index += 1;
        let meta = EntryMeta {
            index: LogIndex(self.index),
            stamped_at: UnixMs(self.index),
        };
        self.state.apply(meta, batch).outcomes
    }

    /// Who casts the vote of this number, from 0. In order, the last of each group of neighbours comes late, one for each
    /// late voter, and those after all groups come early.
    fn voter_of(&self, number: u64) -> u64 {
        let (voters, late) = (u64::from(self.voters), u64::from(self.late_voters));
        let group = voters / late;
        if !self.in_order {
            support::scattered(number, voters)
        } else if number >= voters - late {
            support::scattered(number, late) * group + group - 1
        } else if number < late * (group - 1) {
            number / (group - 1) * group + number % (group - 1)
        } else {
            number + late
        }
    }

    fn next_vote(&mut self) -> Command {
        let number = u64::from(self.cast);
        self.cast += 1;
        Command::CastVote(VoteRecord {
            client_timestamp: None,
            ..support::vote(number, self.voter_of(number))
        })
    }

    /// Casts one entry's votes, all of which must count.
    fn cast_entry(&mut self, cost: &mut Cost) {
        let commands = (0..ENTRY_VOTES).map(|_| self.next_vote()).collect();
        let bytes = Batch { commands }.encode();
        let begun = Instant::now();
        let batch = Batch::decode(black_box(&bytes)).expect("it was just encoded");
        cost.decoding += begun.elapsed();
        let processor_before = processor_time();
        let decoded = Instant::now();
        let outcomes = self.apply(&batch);
        cost.applying += decoded.elapsed();
        cost.on_processor += processor_time().saturating_sub(processor_before);
        cost.votes += ENTRY_VOTES;
        let counts = |outcome: &Outcome| {
            matches!(
                outcome,
                Outcome::Vote(VoteOutcome::Recorded {
                    verdict: VoteVerdict::Processed,
                    ..
                })
            )
        };
        assert!(outcomes.iter().all(counts), "everybody votes once");
    }

    fn cast_window(&mut self, votes: u32) -> Cost {
        let mut cost = Cost::default();
        while cost.votes < votes {
            self.cast_entry(&mut cost);
        }
        cost
    }
}

impl Cost {
    fn ns(self, of: Duration) -> f64 {
        of.as_nanos() as f64 / f64::from(self.votes)
    }

    fn tell(self, voters: u32) {
        println!(
            "{voters:>11} voters: decoding {:5.1} ns, applying {:6.1} ns a vote ({:6.1} on a processor); {:6} MiB resident",
            self.ns(self.decoding),
            self.ns(self.applying),
            self.ns(self.on_processor),
            resident_bytes() >> 20
        );
    }
}

/// Linux: how long this thread has had a processor, as of the last time the scheduler looked.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse::<u64>().ok());
    Duration::from_nanos(ns.unwrap_or_default())
}

/// Linux: pages of the process that are in memory.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}

/// Votes that are applied beside a snapshot of `voters`, in whole entries for each part.
fn votes_beside(voters: u32) -> u32 {
    let step = PARTS_BESIDE * ENTRY_VOTES;
    (voters / VOTERS_PER_VOTE_BESIDE).next_multiple_of(step)
}

/// Those beside the snapshot of `voters`, and once more their first part after it.
fn late_voters(voters: u32) -> u32 {
    votes_beside(voters) / PARTS_BESIDE * (PARTS_BESIDE + 1)
}

/// What votes cost that are cast one entry after the other.
#[derive(Clone, Copy, Default)]
struct Burst {
    cost: Cost,
    slowest: Duration,
    slowest_on_processor: Duration,
}

impl Burst {
    fn cast(&mut self, world: &mut World, votes: u32) {
        let until = self.cost.votes + votes;
        while self.cost.votes < until {
            let before = self.cost;
            world.cast_entry(&mut self.cost);
            self.slowest = self.slowest.max(self.cost.applying - before.applying);
            let on_processor = self.cost.on_processor - before.on_processor;
            self.slowest_on_processor = self.slowest_on_processor.max(on_processor);
        }
    }

    fn tell(self, which: &str) {
        println!(
            "{which} {:>9}: applying {:7.1} ns a vote ({:7.1} on a processor), the slowest 1,000 in {:6.2} ms ({:6.2}); {:6} \
             MiB resident",
            self.cost.votes,
            self.cost.ns(self.cost.applying),
            self.cost.ns(self.cost.on_processor),
            self.slowest.as_secs_f64() * 1e3,
            self.slowest_on_processor.as_secs_f64() * 1e3,
            resident_bytes() >> 20
        );
    }
}

/// Writes a snapshot on another thread, and casts votes meanwhile and afterwards.
fn snapshot_beside_votes(world: &mut World, path: &PathBuf) {
    let voters = world.cast;
    let begun = Instant::now();
    let image = world.state.clone();
    let cloned = begun.elapsed();
    let file = File::create(path).expect("a file in the system's temporary folder");
    let writing = std::thread::spawn(move || {
        let begun = Instant::now();
        let mut out = BufWriter::with_capacity(1 << 20, file);
        snapshot::write(&image, &mut out).expect("there is room for it");
        out.flush().expect("there is room for it");
        out.get_ref().sync_all().expect("there is room for it");
        // With the image, for the votes after it.
        (begun.elapsed(), image)
    });
    let all_votes = votes_beside(voters);
    let mut burst = Burst::default();
    burst.cast(world, all_votes / PARTS_BESIDE);
    burst.tell("beside a snapshot, the first");
    burst.cast(world, all_votes - burst.cost.votes);
    let is_done = writing.is_finished();
    burst.tell("beside a snapshot,   all the");
    let (wrote, image) = writing.join().expect("it does not panic");
    drop(image);
    let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
    println!(
        "snapshot: cloned in {:.1} ms, {bytes} bytes ({:.1} a vote) durable in {:.1} s, {} the votes beside it",
        cloned.as_secs_f64() * 1e3,
        bytes as f64 / f64::from(voters),
        wrote.as_secs_f64(),
        if is_done { "before the last of" } else { "after" },
    );
    let mut after = Burst::default();
    after.cast(world, all_votes / PARTS_BESIDE);
    after.tell("with the image gone, another");
}

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse::<u32>().ok());
    let voters = asked.unwrap_or(VOTERS_DEFAULT).max(2 * WINDOW_VOTES);
    let voters = voters / WINDOW_VOTES * WINDOW_VOTES;
    let in_order = std::env::args().any(|argument| argument == "in-order");
    let mut world = World::new(voters, in_order);
    println!("{:>11} voters: {:>6} MiB resident", 0, resident_bytes() >> 20);
    let mut next_told = WINDOW_VOTES;
    while world.cast < voters {
        let cost = world.cast_window(WINDOW_VOTES);
        if world.cast >= next_told || world.cast == voters {
            cost.tell(world.cast);
            next_told = next_told.saturating_mul(if next_told < 10_000_000 { 10 } else { 2 });
        }
    }
    let path = std::env::temp_dir().join(format!("ostraka-voters-{}.snapshot", std::process::id()));
    snapshot_beside_votes(&mut world, &path);
    let expected = voters;
    drop(world);
    let begun = Instant::now();
    let file = File::open(&path).expect("it was just written");
    let read = snapshot::read(&mut BufReader::with_capacity(1 << 20, file)).expect("it was just written");
    let took = begun.elapsed();
    std::fs::remove_file(&path).expect("it was just written");
    let event = read.event(EVENT).expect("it is in the snapshot");
    assert_eq!(event.counted(), u64::from(expected));
    assert_eq!(event.totals().iter().sum::<u64>(), u64::from(expected));
    println!(
        "read again in {:.1} s, {} votes counted; {} MiB resident",
        took.as_secs_f64(),
        event.counted(),
        resident_bytes() >> 20
    );
}
