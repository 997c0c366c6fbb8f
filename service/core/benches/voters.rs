//! What an event with very many voters costs: `cargo bench -p ostraka-core --bench voters -- 300000000`.
//!
//! Everybody votes once, in an order without any neighbourhood, in entries of 1,000. Told on the way: nanoseconds that decoding
//! and applying take a vote, by the newest million, and the resident memory. Then a snapshot is written from a clone
//! while half a million further votes are applied, read again, and compared.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ostraka_core::{
    Batch, Command, ContestantIndex, EntryMeta, EventId, EventKind, LogIndex, NewContestant, NewEvent,
    Outcome, RequestKey, ResultsPolicy, State, SubmissionKey, UnixMs, VoteOutcome, VoteRecord, VoteVerdict,
    VoterNumber, snapshot,
};

const EVENT: EventId = EventId(1);
const CONTESTANTS: u32 = 26;
const ENTRY_VOTES: u32 = 1_000;
const WINDOW_VOTES: u32 = 1_000_000;
/// Votes that are applied while the snapshot is written.
const BESIDE_VOTES: u32 = 500_000;
const VOTERS_DEFAULT: u32 = 10_000_000;
/// Prime, and far from every power of two: its multiples visit each voter once, and no two neighbours in a row.
const STRIDE: u64 = 1_000_000_007;

struct World {
    state: State,
    index: u64,
    /// All there will be, those beside the snapshot included.
    voters: u32,
    cast: u32,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    votes: u32,
    decoding: Duration,
    applying: Duration,
}

impl World {
    fn new(voters: u32) -> Self {
        let contestant = |place: u32| NewContestant {
            name: format!("contestant {place}"),
            description: String::new(),
            image_url: String::new(),
        };
        let event = NewEvent {
            request: RequestKey(1),
            owner: VoterNumber(1),
            name: "the final".to_owned(),
            kind: EventKind::Public,
            results: ResultsPolicy::Live,
            opens_at: None,
            closes_at: None,
            contestants: (0..CONTESTANTS).map(contestant).collect(),
        };
        let mut world = World {
            state: State::new(),
            index: 0,
            voters,
            cast: 0,
        };
        let created = world.apply(&Batch {
            commands: vec![Command::CreateEvent(Box::new(event))],
        });
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

    fn next_vote(&mut self) -> Command {
        let number = u64::from(self.cast);
        self.cast += 1;
        let voter = (number * STRIDE % u64::from(self.voters)) as u32 + 1;
        Command::CastVote(VoteRecord {
            voter: VoterNumber(voter),
            event: EVENT,
            contestant: ContestantIndex((voter % CONTESTANTS) as u16),
            // As a keyed hash spreads them.
            key: SubmissionKey(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            client_timestamp: None,
            trace: None,
            trace_sampled: false,
        })
    }

    /// Casts one entry's votes, all of which must count.
    fn cast_entry(&mut self, cost: &mut Cost) {
        let commands = (0..ENTRY_VOTES).map(|_| self.next_vote()).collect();
        let bytes = Batch { commands }.encode();
        let begun = Instant::now();
        let batch = Batch::decode(black_box(&bytes)).expect("it was just encoded");
        let decoded = Instant::now();
        let outcomes = self.apply(&batch);
        cost.applying += decoded.elapsed();
        cost.decoding += decoded - begun;
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
            "{voters:>11} voters: decoding {:5.1} ns, applying {:6.1} ns a vote; {:6} MiB resident",
            self.ns(self.decoding),
            self.ns(self.applying),
            resident_bytes() >> 20
        );
    }
}

/// Linux: pages of the process that are in memory.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}

/// Writes a snapshot on another thread, and casts votes meanwhile.
fn snapshot_beside_votes(world: &mut World, path: &PathBuf) {
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
        begun.elapsed()
    });
    let (mut all, mut slowest) = (Cost::default(), Duration::ZERO);
    while all.votes < BESIDE_VOTES {
        let before = all.applying;
        world.cast_entry(&mut all);
        slowest = slowest.max(all.applying - before);
    }
    let done_before = writing.is_finished();
    let wrote = writing.join().expect("it does not panic");
    let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
    println!(
        "snapshot: cloned in {:.1} ms, {bytes} bytes ({:.1} a vote) durable in {:.1} s; beside it ({}) applying {:.1} ns a vote, the \
         slowest 1,000 in {:.2} ms",
        cloned.as_secs_f64() * 1e3,
        bytes as f64 / f64::from(world.cast - BESIDE_VOTES),
        wrote.as_secs_f64(),
        if done_before {
            "for a part of the time"
        } else {
            "all the time"
        },
        all.ns(all.applying),
        slowest.as_secs_f64() * 1e3
    );
    println!(
        "resident with the copies of what was written to meanwhile: {} MiB",
        resident_bytes() >> 20
    );
}

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse::<u32>().ok());
    let voters = asked.unwrap_or(VOTERS_DEFAULT).max(2 * WINDOW_VOTES);
    let voters = voters / WINDOW_VOTES * WINDOW_VOTES;
    let mut world = World::new(voters + BESIDE_VOTES);
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
