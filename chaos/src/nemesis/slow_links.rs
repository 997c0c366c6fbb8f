//! Packets between a node and the others take longer, both ways: they wait in a queue of the kernel for this thread.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nfq::{Message, Queue, Verdict};
use ostraka_sim_model::plan::Target;

use super::firewall::{addresses, others};
use super::{Felt, Nemesis, not_begun};
use crate::limits::{DELAY, DELAY_JITTER, DELAY_QUEUE_PACKETS_MAX, DELAY_TICK};
use crate::rig::{Namespace, Rig};
use crate::{Trouble, tools};

const OF: &str = "packets delayed, both ways";
const QUEUE: u16 = 77;

pub struct SlowLinks {
    /// Extra time of each packet, each way.
    pub delay: Duration,
    /// Up to so much more, evenly spread; packets keep their order.
    pub jitter: Duration,
    running: Option<Delaying>,
}

/// A thread that delays packets.
pub(crate) struct Delaying {
    stop: Arc<AtomicBool>,
    delayed: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<(), Trouble>>>,
    /// They outlive the thread: a rule without a listener lets packets through.
    rules: Option<Diverted>,
}

/// Packets between a namespace and its peers go through the queue. Dropping it undoes that.
struct Diverted {
    namespace: Namespace,
    rules: Vec<[String; 3]>,
}

impl Diverted {
    fn new(namespace: &Namespace, peers: &[Ipv4Addr]) -> Result<Self, Trouble> {
        let mut diverted = Self {
            namespace: namespace.clone(),
            rules: Vec::new(),
        };
        for peer in peers {
            for (chain, option) in [("INPUT", "-s"), ("OUTPUT", "-d")] {
                let rule = [chain.to_string(), option.to_string(), peer.to_string()];
                diverted.change("-A", &rule)?;
                diverted.rules.push(rule);
            }
        }
        Ok(diverted)
    }

    fn change(&self, action: &str, rule: &[String; 3]) -> Result<String, Trouble> {
        let queue = QUEUE.to_string();
        let [chain, option, peer] = rule.each_ref().map(String::as_str);
        let arguments = [
            "-w",
            action,
            chain,
            option,
            peer,
            "-j",
            "NFQUEUE",
            "--queue-num",
            &queue,
            "--queue-bypass",
        ];
        self.namespace.inside(|| tools::run("iptables", arguments))?
    }
}

impl Drop for Diverted {
    fn drop(&mut self) {
        for rule in &self.rules {
            let _ = self.change("-D", rule);
        }
    }
}

impl Default for SlowLinks {
    fn default() -> Self {
        Self {
            delay: DELAY,
            jitter: DELAY_JITTER,
            running: None,
        }
    }
}

impl Delaying {
    /// Delays packets between a namespace and its peers, until it is finished or dropped.
    pub(crate) fn begin(
        namespace: &Namespace,
        peers: &[Ipv4Addr],
        delay: Duration,
        jitter: Duration,
    ) -> Result<Self, Trouble> {
        let (stop, delayed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (opened_tx, opened_rx) = mpsc::channel();
        let thread = {
            let (namespace, stop, delayed) = (namespace.clone(), stop.clone(), delayed.clone());
            std::thread::spawn(move || {
                namespace.inside(|| {
                    let queue = open()?;
                    let _ = opened_tx.send(());
                    drop(opened_tx);
                    hold(queue, delay, jitter, &stop, &delayed)
                })?
            })
        };
        if opened_rx.recv().is_err() {
            return match thread.join() {
                Ok(Err(trouble)) => Err(trouble),
                _ => Err(Trouble::failed("the thread that delays packets panicked")),
            };
        }
        let mut delaying = Self {
            stop,
            delayed,
            thread: Some(thread),
            rules: None,
        };
        // The thread is there and ends by a drop, should the rules fail.
        delaying.rules = Some(Diverted::new(namespace, peers)?);
        Ok(delaying)
    }

    fn stop(&mut self) -> Result<(), Trouble> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(_)) => Err(Trouble::failed("the thread that delays packets panicked")),
            None => Ok(()),
        }
    }

    /// How many packets were delayed.
    pub(crate) fn finish(mut self) -> Result<u64, Trouble> {
        self.stop()?;
        Ok(self.delayed.load(Ordering::Relaxed))
    }
}

impl Drop for Delaying {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn open() -> Result<Queue, Trouble> {
    let opened = Queue::open().and_then(|mut queue| {
        queue.bind(QUEUE)?;
        queue.set_queue_max_len(QUEUE, DELAY_QUEUE_PACKETS_MAX)?;
        queue.set_fail_open(QUEUE, true)?;
        queue.set_nonblocking(true);
        Ok(queue)
    });
    opened.map_err(|error| {
        Trouble::missing(format!(
            "this kernel has no queues for packets (NFQUEUE): {error}"
        ))
    })
}

/// Numbers that are spread evenly enough for jitter: a linear congruential generator (Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn up_to(&mut self, most: Duration) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let share = u32::try_from(self.0 >> 32).unwrap_or(u32::MAX);
        Duration::from_secs_f64(most.as_secs_f64() * f64::from(share) / f64::from(u32::MAX))
    }
}

/// Holds packets until they are due. Whatever is held when it is stopped goes on at once.
fn hold(
    mut queue: Queue,
    delay: Duration,
    jitter: Duration,
    stop: &AtomicBool,
    delayed: &AtomicU64,
) -> Result<(), Trouble> {
    let mut held: VecDeque<(Instant, Message)> = VecDeque::new();
    let mut dice = Dice(1);
    let failed = |error: std::io::Error| Trouble::failed(format!("a held packet cannot be let go: {error}"));
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        match queue.recv() {
            Ok(message) => {
                let due = Instant::now() + delay + dice.up_to(jitter);
                let last_due = held.back().map_or(due, |(last, _)| *last);
                held.push_back((due.max(last_due), message));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stopping && held.is_empty() {
                    return Ok(());
                }
                std::thread::sleep(DELAY_TICK);
            }
            // The kernel had more for us than fits; what did not fit went through.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {}
            Err(error) => return Err(Trouble::failed(format!("the queue of packets broke: {error}"))),
        }
        while held
            .front()
            .is_some_and(|(due, _)| stopping || *due <= Instant::now())
        {
            let Some((due, mut message)) = held.pop_front() else {
                break;
            };
            message.set_verdict(Verdict::Accept);
            queue.verdict(message).map_err(failed)?;
            // What goes on at once at the end has not been held for its time.
            delayed.fetch_add(u64::from(due <= Instant::now()), Ordering::Relaxed);
        }
    }
}

impl Nemesis for SlowLinks {
    fn name(&self) -> &'static str {
        "slow-links"
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let peers = addresses(rig, &others(rig, index))?;
        let namespace = &rig.place(index)?.namespace;
        self.running = Some(Delaying::begin(namespace, &peers, self.delay, self.jitter)?);
        Ok(Felt::new(0, OF).noting(format!("node {index}")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let running = self.running.take().ok_or_else(|| not_begun(self.name()))?;
        let felt = Felt::new(running.finish()?, OF);
        Ok(felt.noting(format!("{:?} to {:?} each", self.delay, self.delay + self.jitter)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_bound_and_varies() {
        let mut dice = Dice(1);
        let most = Duration::from_millis(20);
        let drawn: Vec<_> = (0..100).map(|_| dice.up_to(most)).collect();
        assert!(drawn.iter().all(|time| *time <= most));
        assert!(drawn.iter().max() > drawn.iter().min());
    }
}
