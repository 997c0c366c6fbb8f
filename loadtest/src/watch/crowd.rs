//! One thread's watchers: an epoll loop that reads each connection when it has something, looks at each block once however many
//! watchers get it, and measures how late it is itself.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use ostraka_api::sse::{Decoded, Decoder};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use super::cutter::Cutter;
use super::shared::{Shared, micros};
use crate::generator::CONNECT_TIMEOUT;
use crate::journeys::standings::Standings;
use crate::journeys::stream::{Follower, Said, omits_traces};
use crate::statistics::latencies;

/// How often a thread means to look at the clock; how late it does so is how late it may be with everything else.
const TICK: Duration = Duration::from_millis(10);
/// Connections that are made before those that are there are read from.
const CONNECT_BATCH: usize = 32;
/// Blocks that are remembered: one a version, and watchers are a version or two apart.
const BLOCKS_REMEMBERED: usize = 16;
/// After the last vote, watchers that have not been shown all are not waited for longer.
const SHOWN_TIMEOUT: Duration = Duration::from_secs(5);
const FAULTS_KEPT: usize = 20;
const READ_BYTES: usize = 256 * 1024;

/// What one thread saw.
pub(super) struct Part {
    /// From a traced vote's intended start to a watcher's having a tally that lists it.
    pub(super) end_to_end_micros: Histogram<u64>,
    /// From the first watcher's having a version to another's having it, or a newer one.
    pub(super) fan_out_micros: Histogram<u64>,
    /// How long an event may have waited for this thread, at most.
    pub(super) own_lag_micros: Histogram<u64>,
    /// How late the clock was looked at.
    pub(super) tick_micros: Histogram<u64>,
    /// Within the window: who had each version, and when the last did.
    pub(super) versions: BTreeMap<u64, Had>,
    /// By watcher: tallies within the window, and the total at the end; none of those whose stream was lost.
    pub(super) tallies: Vec<u64>,
    pub(super) shown: Vec<u64>,
    /// Versions that watchers were not shown because a newer one was there.
    pub(super) skipped: u64,
    /// Tallies that may have had more traces than they list.
    pub(super) omitting: u64,
    pub(super) faults: u64,
    pub(super) fault_sentences: Vec<String>,
    pub(super) lost: BTreeMap<String, u64>,
}

#[derive(Clone, Copy)]
pub(super) struct Had {
    pub(super) watchers: u64,
    pub(super) first: Duration,
    pub(super) last: Duration,
}

impl Part {
    pub(super) fn new() -> Self {
        Self {
            end_to_end_micros: latencies(),
            fan_out_micros: latencies(),
            own_lag_micros: latencies(),
            tick_micros: latencies(),
            versions: BTreeMap::new(),
            tallies: Vec::new(),
            shown: Vec::new(),
            skipped: 0,
            omitting: 0,
            faults: 0,
            fault_sentences: Vec::new(),
            lost: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.end_to_end_micros, &other.end_to_end_micros),
            (&mut self.fan_out_micros, &other.fan_out_micros),
            (&mut self.own_lag_micros, &other.own_lag_micros),
            (&mut self.tick_micros, &other.tick_micros),
        ];
        for (all, more) in pairs {
            all.add(more).expect("all histograms have the same bounds");
        }
        for (version, had) in other.versions {
            let all = self.versions.entry(version).or_insert(Had { watchers: 0, ..had });
            all.watchers += had.watchers;
            all.last = all.last.max(had.last);
        }
        self.tallies.extend(other.tallies);
        self.shown.extend(other.shown);
        self.skipped += other.skipped;
        self.omitting += other.omitting;
        self.faults += other.faults;
        self.fault_sentences.extend(other.fault_sentences);
        self.fault_sentences.truncate(FAULTS_KEPT);
        for (why, count) in other.lost {
            *self.lost.entry(why).or_default() += count;
        }
    }

    fn fault(&mut self, sentence: String) {
        self.faults += 1;
        if self.fault_sentences.len() < FAULTS_KEPT {
            self.fault_sentences.push(sentence);
        }
    }
}

/// What a block says, to whoever gets it.
struct Block {
    said: Said,
    /// When the first watcher of all threads had its version.
    first: Duration,
    /// Traced votes of this run that it lists.
    traced: Vec<(u32, Duration)>,
    omits: bool,
}

struct Watcher {
    /// None where the stream was lost, or lied.
    stream: Option<TcpStream>,
    cutter: Cutter,
    follower: Follower,
    is_shown: bool,
    tallies: u64,
    /// Which traced votes it has seen, a bit each: who skipped a version is shown older traces again.
    seen: Vec<u64>,
}

impl Watcher {
    /// Whether this is the first time.
    fn sees(&mut self, nth: u32) -> bool {
        let (word, bit) = (nth as usize / 64, 1 << (nth % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }
}

/// Connects with each of those requests, watches until the votes are over and shown, and says what was seen.
pub(super) fn run(shared: &Shared, requests: &[String]) -> Result<Part, String> {
    let mut crowd = Crowd::new(shared, requests.len())?;
    for batch in requests.chunks(CONNECT_BATCH) {
        for request in batch {
            if shared.is_given_up() {
                return Ok(crowd.part);
            }
            crowd.connect(request)?;
        }
        crowd.round()?;
    }
    let mut patience = None;
    loop {
        crowd.round()?;
        if shared.is_given_up() {
            return Ok(crowd.part);
        }
        if let Some(acked) = shared.acked.get() {
            let until = *patience.get_or_insert_with(|| Instant::now() + SHOWN_TIMEOUT);
            if crowd.is_shown(*acked) || Instant::now() > until {
                return Ok(crowd.end());
            }
        }
    }
}

struct Crowd<'a> {
    shared: &'a Shared,
    poll: OwnedFd,
    events: Vec<Event>,
    buffer: Vec<u8>,
    watchers: Vec<Watcher>,
    blocks: VecDeque<(Vec<u8>, Rc<Block>)>,
    /// When the kernel last said who has something.
    looked: Instant,
    next_tick: Instant,
    part: Part,
}

impl<'a> Crowd<'a> {
    fn new(shared: &'a Shared, watchers: usize) -> Result<Self, String> {
        let poll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| format!("no epoll: {error}"))?;
        Ok(Self {
            shared,
            poll,
            // So that one look sees all: who is not among them had nothing then.
            events: Vec::with_capacity(watchers + 1),
            buffer: vec![0; READ_BYTES],
            watchers: Vec::with_capacity(watchers),
            blocks: VecDeque::new(),
            looked: Instant::now(),
            next_tick: Instant::now() + TICK,
            part: Part::new(),
        })
    }

    fn connect(&mut self, request: &str) -> Result<(), String> {
        let said = |error: std::io::Error| format!("watcher {}: {error}", self.watchers.len() + 1);
        let mut stream = TcpStream::connect_timeout(&self.shared.addr, CONNECT_TIMEOUT).map_err(said)?;
        stream.write_all(request.as_bytes()).map_err(said)?;
        stream.set_nonblocking(true).map_err(said)?;
        let number = EventData::new_u64(self.watchers.len() as u64);
        epoll::add(&self.poll, &stream, number, EventFlags::IN)
            .map_err(|error| format!("no epoll: {error}"))?;
        self.watchers.push(Watcher {
            stream: Some(stream),
            cutter: Cutter::new(),
            follower: Follower::new(Standings::new(self.shared.event)),
            is_shown: false,
            tallies: 0,
            seen: Vec::new(),
        });
        Ok(())
    }

    /// Looks once at who has something, waiting for it until the next tick, and reads it.
    fn round(&mut self) -> Result<(), String> {
        // What is there now came after the last look; what is waited for comes when the wait is over.
        let mut since = self.looked;
        if !self.look(Duration::ZERO)? {
            let wait = self.next_tick.saturating_duration_since(Instant::now());
            self.look(wait)?;
            since = Instant::now();
        }
        self.looked = Instant::now();
        let events = std::mem::take(&mut self.events);
        for event in &events {
            let number = event.data.u64() as usize;
            let now = self.read(number);
            if self.shared.is_measured(now) {
                let lag = micros(now.saturating_duration_since(since));
                self.part.own_lag_micros.saturating_record(lag);
            }
        }
        self.events = events;
        let now = Instant::now();
        while self.next_tick <= now {
            if self.shared.is_measured(now) {
                let late = micros(now - self.next_tick);
                self.part.tick_micros.saturating_record(late);
            }
            self.next_tick += TICK;
        }
        Ok(())
    }

    /// Whether anybody has something, within `wait`.
    fn look(&mut self, wait: Duration) -> Result<bool, String> {
        self.events.clear();
        let timeout = Timespec::try_from(wait).expect("a tick is short");
        let spare = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.poll, spare, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(!self.events.is_empty()),
            Err(error) => Err(format!("no epoll: {error}")),
        }
    }

    /// Reads what a watcher has, and says when it had it.
    fn read(&mut self, number: usize) -> Instant {
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = match &mut self.watchers[number].stream {
            Some(stream) => stream.read(&mut buffer),
            None => Err(ErrorKind::WouldBlock.into()),
        };
        let now = Instant::now();
        match read {
            Ok(0) => self.lose(number, "the service closed the stream".to_string()),
            Ok(length) => self.feed(number, &buffer[..length], now),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.lose(number, format!("reading failed: {error}")),
        }
        self.buffer = buffer;
        now
    }

    fn lose(&mut self, number: usize, why: String) {
        self.watchers[number].stream = None;
        *self.part.lost.entry(why).or_default() += 1;
    }

    fn feed(&mut self, number: usize, bytes: &[u8], now: Instant) {
        let mut cutter = std::mem::replace(&mut self.watchers[number].cutter, Cutter::new());
        let mut fault = None;
        let fed = cutter.feed(bytes, |block| {
            if !block.starts_with(b"event:") {
                return Ok(());
            }
            let Some(block) = self
                .block(block, now)
                .inspect_err(|said| fault = Some(said.clone()))?
            else {
                return Ok(());
            };
            let taken = self.show(number, &block, now);
            taken.inspect_err(|said| fault = Some(said.clone()))
        });
        let is_ended = cutter.is_ended();
        self.watchers[number].cutter = cutter;
        match (fed, fault) {
            (Err(said), Some(_)) => {
                self.part.fault(said);
                self.watchers[number].stream = None;
            }
            (Err(said), None) => self.lose(number, said),
            (Ok(()), _) if is_ended => self.lose(number, "the service ended the stream".to_string()),
            (Ok(()), _) => {}
        }
    }

    /// What that block says; none where it is of a later release.
    fn block(&mut self, bytes: &[u8], now: Instant) -> Result<Option<Rc<Block>>, String> {
        if let Some((_, block)) = self.blocks.iter().find(|(known, _)| known == bytes) {
            return Ok(Some(Rc::clone(block)));
        }
        let decoded = Decoder::default()
            .feed(bytes)
            .map_err(|error| error.to_string())?;
        let Some(Decoded::Event {
            event,
            data,
            last_event_id,
        }) = decoded.into_iter().next()
        else {
            return Ok(None);
        };
        let Some(said) = Said::read(&event, &data, &last_event_id)? else {
            return Ok(None);
        };
        let (mut traced, mut omits) = (Vec::new(), false);
        if let Said::Tally(tally) = &said {
            omits = omits_traces(tally);
            let ours = tally.traces.iter().filter_map(|id| self.shared.traced.read(*id));
            traced.extend(ours);
        }
        let first = self.shared.first(said.version(), now);
        let block = Rc::new(Block {
            said,
            first,
            traced,
            omits,
        });
        if self.blocks.len() == BLOCKS_REMEMBERED {
            self.blocks.pop_back();
        }
        self.blocks.push_front((bytes.to_vec(), Rc::clone(&block)));
        Ok(Some(block))
    }

    /// A watcher is shown a block.
    fn show(&mut self, number: usize, block: &Block, now: Instant) -> Result<(), String> {
        let watcher = &mut self.watchers[number];
        let before = watcher.follower.standings().version();
        watcher.follower.take(&block.said)?;
        if !std::mem::replace(&mut watcher.is_shown, true) {
            self.shared.opened.fetch_add(1, Ordering::Relaxed);
        }
        let Said::Tally(tally) = &block.said else {
            return Ok(());
        };
        for (nth, intended) in &block.traced {
            if self.shared.window.contains(intended) && watcher.sees(*nth) {
                let took = self.shared.since_start(now).saturating_sub(*intended);
                self.part.end_to_end_micros.saturating_record(micros(took));
            }
        }
        if !self.shared.is_measured(now) {
            return Ok(());
        }
        watcher.tallies += 1;
        self.part.omitting += u64::from(block.omits);
        let at = self.shared.since_origin(now);
        let had = self.part.versions.entry(tally.version).or_insert(Had {
            watchers: 0,
            first: block.first,
            last: at,
        });
        had.watchers += 1;
        had.last = at;
        let mut fan_out = |first: Duration| {
            let took = micros(at.saturating_sub(first));
            self.part.fan_out_micros.saturating_record(took);
        };
        fan_out(block.first);
        if tally.previous_version != before {
            let skipped = self.shared.between(before, tally.version);
            self.part.skipped += skipped.len() as u64;
            skipped.into_iter().for_each(fan_out);
        }
        Ok(())
    }

    fn is_shown(&self, acked: u64) -> bool {
        let there = self.watchers.iter().filter(|watcher| watcher.stream.is_some());
        there
            .map(|watcher| watcher.follower.standings().sum())
            .all(|sum| sum >= acked)
    }

    fn end(mut self) -> Part {
        let there = self.watchers.iter().filter(|watcher| watcher.stream.is_some());
        for watcher in there {
            self.part.tallies.push(watcher.tallies);
            self.part.shown.push(watcher.follower.standings().sum());
        }
        self.part
    }
}
