//! Many workers, a queue, a store and a clock, simulated step by step with crashes between any two of them.
//!
//! Workers follow the very decisions of [`protocol::next`]; a checker watches every step. That the checker can fail is shown
//! by decisions with one arrow bent.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use clickcast_job::protocol::{self, Action, Event};

const WORKERS: usize = 4;
const INPUTS: usize = 12;
const RANGES: usize = 3;
const VISIBILITY: u64 = 30;
const STEPS_MAX: u64 = 50_000;

/// What a message asks for: an input as a whole, or a range of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    input: usize,
    range: Option<usize>,
}

#[derive(Debug, Clone)]
struct Message {
    task: Task,
    visible_at: u64,
    receives: u32,
    /// Changes at every delivery: an older receipt is worth nothing.
    receipt: u64,
}

/// What a worker holds between two steps.
#[derive(Debug, Clone)]
struct Held {
    message: u64,
    receipt: u64,
    task: Task,
    receives: u32,
    event: Event,
}

type Decide = fn(&Event, f64) -> Action;

struct World {
    random: u64,
    now: u64,
    message_next: u64,
    queue: BTreeMap<u64, Message>,
    dead: BTreeSet<usize>,
    rejected: BTreeSet<usize>,
    /// Each output, and how many times it was put.
    outputs: BTreeMap<Task, u32>,
    workers: Vec<Option<Held>>,
    is_stormy: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            now: 0,
            message_next: 0,
            queue: BTreeMap::new(),
            dead: BTreeSet::new(),
            rejected: BTreeSet::new(),
            outputs: BTreeMap::new(),
            workers: vec![None; WORKERS],
            is_stormy: true,
        };
        for input in 0..INPUTS {
            // The cloud, too, says some things twice.
            for _ in 0..1 + usize::from(world.chance(20)) {
                world.send(Task { input, range: None });
            }
        }
        world
    }

    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random() % 100 < percent
    }

    /// A fault that strikes only while the storm lasts.
    fn fault(&mut self, percent: u64) -> bool {
        self.is_stormy && self.chance(percent)
    }

    fn send(&mut self, task: Task) {
        let message = Message { task, visible_at: self.now, receives: 0, receipt: 0 };
        self.queue.insert(self.message_next, message);
        self.message_next += 1;
    }

    fn is_large(input: usize) -> bool {
        input.is_multiple_of(4)
    }

    fn is_poisoned(input: usize) -> bool {
        input % 5 == 3
    }

    /// One worker does one thing; a crash may come before it, or after it and before it is known.
    fn step(&mut self, worker: usize, decide: Decide) -> Result<(), String> {
        self.now += self.random() % 4;
        if self.fault(3) {
            self.workers[worker] = None;
            return Ok(());
        }
        let Some(mut held) = self.workers[worker].take() else {
            self.workers[worker] = self.receive();
            return Ok(());
        };
        if self.fault(3) {
            // A stall: the message comes into other hands meanwhile.
            self.now += VISIBILITY;
        }
        let jitter = (self.random() % 1000) as f64 / 1000.0;
        let action = decide(&held.event, jitter);
        let failed = self.fault(10) && !matches!(action, Action::Forget);
        let event = match failed {
            true => Event::Failed(held.receives),
            false => self.act(&held, &action)?,
        };
        if event == Event::Settled || action == Action::Forget || self.fault(3) {
            return Ok(());
        }
        held.event = if self.fault(1) { Event::Drained } else { event };
        self.workers[worker] = Some(held);
        Ok(())
    }

    fn receive(&mut self) -> Option<Held> {
        let visible: Vec<u64> =
            self.queue.iter().filter(|(_, message)| message.visible_at <= self.now).map(|(id, _)| *id).collect();
        let id = *visible.get(self.random() as usize % visible.len().max(1))?;
        let (receipt, visible_at) = (self.random(), self.now + VISIBILITY);
        let message = self.queue.get_mut(&id)?;
        message.receives += 1;
        (message.receipt, message.visible_at) = (receipt, visible_at);
        let (task, receives) = (message.task, message.receives);
        Some(Held { message: id, receipt, task, receives, event: Event::Received })
    }

    fn act(&mut self, held: &Held, action: &Action) -> Result<Event, String> {
        let task = held.task;
        let is_split = task.range.is_none() && Self::is_large(task.input);
        Ok(match action {
            Action::Look if Self::is_poisoned(task.input) && is_split => Event::Bad("poison".to_owned()),
            Action::Look if is_split && self.is_done(task) => Event::Done,
            Action::Look if is_split => Event::Large,
            Action::Look if self.is_done(task) => Event::Done,
            Action::Look => Event::Missing,
            Action::Split => {
                for range in 0..RANGES {
                    self.send(Task { input: task.input, range: Some(range) });
                    if self.fault(5) {
                        return Ok(Event::Failed(held.receives));
                    }
                }
                Event::Sent
            }
            Action::Score if Self::is_poisoned(task.input) => Event::Bad("poison".to_owned()),
            Action::Score => {
                // Put once: who comes second finds it there.
                let is_new = !self.outputs.contains_key(&task);
                if is_new {
                    self.outputs.insert(task, 1);
                }
                Event::Scored
            }
            Action::Verify if self.is_done(task) => Event::Done,
            Action::Verify => Event::Vanished,
            Action::Reject(reason) => {
                self.rejected.insert(task.input);
                Event::Rejected(reason.clone())
            }
            Action::Acknowledge => {
                if !self.is_safe_to_forget(held) {
                    return Err(format!("{task:?} was acknowledged and nothing is there or on its way"));
                }
                self.settle(held)
            }
            Action::Bury(_) => {
                if !self.rejected.contains(&task.input) {
                    return Err(format!("{task:?} was buried and its run doesn't know why"));
                }
                self.dead.insert(task.input);
                self.settle(held)
            }
            Action::Leave(wait) => {
                self.show(held, wait.as_secs());
                Event::Settled
            }
            Action::Release => {
                self.show(held, 0);
                Event::Settled
            }
            Action::Forget => Event::Settled,
        })
    }

    fn is_done(&self, task: Task) -> bool {
        match task.range {
            None if Self::is_large(task.input) => {
                (0..RANGES).all(|range| self.is_done(Task { range: Some(range), ..task }))
            }
            _ => self.outputs.contains_key(&task),
        }
    }

    /// Whether, without this message, its task is done or will be.
    fn is_safe_to_forget(&self, held: &Held) -> bool {
        let is_queued = |task: Task| self.queue.iter().any(|(id, message)| *id != held.message && message.task == task);
        let is_safe = |task: Task| self.is_done(task) || is_queued(task);
        match held.task.range {
            None if Self::is_large(held.task.input) => {
                (0..RANGES).all(|range| is_safe(Task { range: Some(range), ..held.task }))
            }
            _ => is_safe(held.task),
        }
    }

    /// The queue forgets a message, unless it was delivered again since.
    fn settle(&mut self, held: &Held) -> Event {
        match self.queue.get(&held.message) {
            Some(message) if message.receipt != held.receipt => Event::LeaseLost,
            _ => {
                self.queue.remove(&held.message);
                Event::Settled
            }
        }
    }

    fn show(&mut self, held: &Held, after: u64) {
        let visible_at = self.now + after;
        if let Some(message) = self.queue.get_mut(&held.message).filter(|message| message.receipt == held.receipt) {
            message.visible_at = visible_at;
        }
    }

    /// Runs a stormy while, then in calm until all is quiet, and looks at what there is.
    fn run(mut self, decide: Decide) -> Result<(), String> {
        let storm = 200 + self.random() % 800;
        for step in 0.. {
            self.is_stormy = step < storm;
            if self.queue.is_empty() && self.workers.iter().all(Option::is_none) {
                break;
            }
            if step > STEPS_MAX {
                return Err(format!("{} messages never come to an end", self.queue.len()));
            }
            let worker = self.random() as usize % WORKERS;
            self.step(worker, decide)?;
        }
        let tasks =
            (0..INPUTS).filter(|&input| !Self::is_poisoned(input)).flat_map(|input| match Self::is_large(input) {
                true => (0..RANGES).map(|range| Task { input, range: Some(range) }).collect(),
                false => vec![Task { input, range: None }],
            });
        let expected: BTreeMap<Task, u32> = tasks.map(|task| (task, 1)).collect();
        if self.outputs != expected {
            return Err(format!("outputs are {:?}", self.outputs));
        }
        let poisoned: BTreeSet<usize> = (0..INPUTS).filter(|&input| Self::is_poisoned(input)).collect();
        if self.dead != poisoned || self.rejected != poisoned {
            return Err(format!("dead are {:?}, rejected {:?}", self.dead, self.rejected));
        }
        Ok(())
    }
}

/// How many of the seeds end badly, and the first such.
fn failures(seeds: std::ops::Range<u64>, decide: Decide) -> (usize, Option<String>) {
    let failed: Vec<String> = seeds
        .filter_map(|seed| World::new(seed).run(decide).err().map(|problem| format!("seed {seed}: {problem}")))
        .collect();
    (failed.len(), failed.first().cloned())
}

#[test]
fn whatever_crashes_every_input_is_scored_once_and_only_the_poisoned_are_dead() {
    let seeds = std::env::var("CLICKCAST_SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4_000);
    let (count, first) = failures(0..seeds, protocol::next);
    assert_eq!(count, 0, "{first:?}");
}

#[test]
fn the_checker_finds_an_acknowledgement_before_the_commit() {
    let broken: Decide = |event, jitter| match event {
        Event::Missing => Action::Acknowledge,
        other => protocol::next(other, jitter),
    };
    assert!(failures(0..20, broken).0 > 0);
}

#[test]
fn the_checker_finds_a_split_that_is_acknowledged_before_its_items_are_sent() {
    let broken: Decide = |event, jitter| match event {
        Event::Large => Action::Acknowledge,
        other => protocol::next(other, jitter),
    };
    assert!(failures(0..20, broken).0 > 0);
}

#[test]
fn the_checker_finds_a_burial_that_the_run_does_not_know_of() {
    let broken: Decide = |event, jitter| match event {
        Event::Bad(reason) => Action::Bury(reason.clone()),
        other => protocol::next(other, jitter),
    };
    assert!(failures(0..20, broken).0 > 0);
}

#[test]
fn the_checker_finds_a_bad_input_that_is_tried_for_ever() {
    let broken: Decide = |event, jitter| match event {
        Event::Bad(_) => Action::Release,
        other => protocol::next(other, jitter),
    };
    assert!(failures(0..3, broken).0 > 0);
}
