//! Many workers, a queue, a store and a clock, simulated step by step with crashes between any two of them.
//!
//! Workers follow the very decisions of [`protocol::next`]; a checker watches every step. That the checker can fail is shown
//! by decisions with one arrow bent.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use clickcast_job::protocol::{self, Action, Event};

const WORKERS: usize = 4;
const INPUTS: usize = 12;
const RANGES: usize = 12;
/// Overwritings of an input at most, most of which the cloud tells of.
const VERSIONS_MAX: u32 = 2;
/// Times that large inputs are cut at most: for each version a few times, since messages come twice, and workers crash.
const CUTS_MAX: u64 = 45;
const VISIBILITY: u64 = 30;
const STEPS_MAX: u64 = 50_000;

/// What a message asks for: an input as a whole, whatever version it is of, or a range of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    input: usize,
    range: Option<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Range {
    number: usize,
    version: u32,
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
    /// The version of the input that was looked at, and that of the output that was there.
    seen: (u32, Option<u32>),
}

type Decide = fn(&Event, f64) -> Action;

struct World {
    random: u64,
    now: u64,
    message_next: u64,
    queue: BTreeMap<u64, Message>,
    dead: BTreeSet<usize>,
    rejected: BTreeSet<usize>,
    /// Of each input.
    versions: [u32; INPUTS],
    /// Inputs that were overwritten with nobody told.
    untold: BTreeSet<usize>,
    /// Each output, by input and range: the version of the input that it was made of.
    outputs: BTreeMap<(usize, Option<usize>), u32>,
    /// Times that a large input was cut, and a message sent for each of its ranges.
    cuts: u64,
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
            versions: [0; INPUTS],
            untold: BTreeSet::new(),
            outputs: BTreeMap::new(),
            cuts: 0,
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
        if self.fault(2) {
            self.overwrite();
        }
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
            false => self.act(&mut held, &action)?,
        };
        if event == Event::Settled || action == Action::Forget || self.fault(3) {
            return Ok(());
        }
        held.event = if self.fault(1) { Event::Drained(held.receives) } else { event };
        self.workers[worker] = Some(held);
        Ok(())
    }

    /// An input gets other rows; of most such times the cloud tells.
    fn overwrite(&mut self) {
        let input = self.random() as usize % INPUTS;
        if !Self::is_poisoned(input) && self.versions[input] < VERSIONS_MAX {
            self.versions[input] += 1;
            if self.chance(80) {
                self.send(Task { input, range: None });
                self.untold.remove(&input);
            } else {
                self.untold.insert(input);
            }
        }
    }

    fn is_outdated(&self, task: Task) -> bool {
        task.range.is_some_and(|range| range.version != self.versions[task.input])
    }

    fn range(&self, input: usize, number: usize) -> Task {
        Task { input, range: Some(Range { number, version: self.versions[input] }) }
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
        Some(Held { message: id, receipt, task, receives, event: Event::Received, seen: (0, None) })
    }

    fn act(&mut self, held: &mut Held, action: &Action) -> Result<Event, String> {
        let task = held.task;
        let output = (task.input, task.range.map(|range| range.number));
        let there = self.outputs.get(&output).copied();
        if *action == Action::Look {
            held.seen = (self.versions[task.input], there);
        }
        let is_split = task.range.is_none() && Self::is_large(task.input);
        Ok(match action {
            Action::Look if Self::is_poisoned(task.input) && is_split => Event::Bad("poison".to_owned()),
            Action::Look if is_split && self.is_done(task) => Event::Done,
            Action::Look if is_split => Event::Several,
            Action::Look if self.is_outdated(task) => {
                Event::Overwritten(task.range.map_or(0, |range| range.number as u64))
            }
            Action::Look if self.is_done(task) => Event::Done,
            Action::Look => Event::Missing,
            Action::Close => return Err("no run was to be closed".to_owned()),
            Action::HandOn if matches!(held.event, Event::Overwritten(_)) => {
                self.send(Task { range: None, ..task });
                Event::HandedOn
            }
            Action::HandOn if held.event != Event::Several => {
                self.send(task);
                Event::HandedOn
            }
            Action::HandOn => {
                self.cuts += 1;
                for number in 0..RANGES {
                    self.send(self.range(task.input, number));
                    if self.fault(5) {
                        return Ok(Event::Failed(held.receives));
                    }
                }
                Event::HandedOn
            }
            Action::Score if Self::is_poisoned(task.input) => Event::Bad("poison".to_owned()),
            // It is overwritten while it is read, or somebody else's output is there by now.
            Action::Score if held.seen.0 != self.versions[task.input] && self.chance(50) => {
                Event::Failed(held.receives)
            }
            Action::Score if held.seen.1 != there => match there {
                Some(version) if version == held.seen.0 => Event::Scored,
                _ => Event::Failed(held.receives),
            },
            Action::Score => {
                self.outputs.insert(output, held.seen.0);
                Event::Scored
            }
            Action::Verify if there == Some(held.seen.0) => Event::Done,
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
                (0..RANGES).all(|number| self.is_done(self.range(task.input, number)))
            }
            range => {
                let output = (task.input, range.map(|range| range.number));
                !self.is_outdated(task) && self.outputs.get(&output) == Some(&self.versions[task.input])
            }
        }
    }

    /// Whether, without this message, what it asks for is done as the input is now, will be, or is known to be impossible.
    fn is_safe_to_forget(&self, held: &Held) -> bool {
        let input = held.task.input;
        let is_queued = |task: Task| self.queue.iter().any(|(id, message)| *id != held.message && message.task == task);
        let of_range = |number| {
            let now = self.range(input, number);
            self.is_done(now) || is_queued(now)
        };
        let is_all_asked_for = is_queued(Task { input, range: None }) || self.untold.contains(&input);
        let is_safe = match held.task.range {
            Some(range) => of_range(range.number),
            None if Self::is_large(input) => (0..RANGES).all(of_range),
            None => self.is_done(held.task),
        };
        is_safe || is_all_asked_for || self.dead.contains(&input)
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
                // The folder's end asks for what is not there as it is now.
                let missing = std::mem::take(&mut self.untold);
                if missing.is_empty() {
                    break;
                }
                missing.into_iter().for_each(|input| self.send(Task { input, range: None }));
            }
            if step > STEPS_MAX {
                return Err(format!("{} messages never come to an end", self.queue.len()));
            }
            let worker = self.random() as usize % WORKERS;
            self.step(worker, decide)?;
        }
        let keys =
            (0..INPUTS).filter(|&input| !Self::is_poisoned(input)).flat_map(|input| match Self::is_large(input) {
                true => (0..RANGES).map(|range| (input, Some(range))).collect(),
                false => vec![(input, None)],
            });
        let expected: BTreeMap<(usize, Option<usize>), u32> = keys.map(|key| (key, self.versions[key.0])).collect();
        if self.outputs != expected {
            return Err(format!("outputs are {:?}", self.outputs));
        }
        let poisoned: BTreeSet<usize> = (0..INPUTS).filter(|&input| Self::is_poisoned(input)).collect();
        if self.dead != poisoned || self.rejected != poisoned {
            return Err(format!("dead are {:?}, rejected {:?}", self.dead, self.rejected));
        }
        if self.cuts > CUTS_MAX {
            return Err(format!("large inputs were cut {} times", self.cuts));
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
        Event::Several => Action::Acknowledge,
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

#[test]
fn the_checker_finds_an_overwritten_input_that_each_of_its_old_ranges_cuts_anew() {
    let broken: Decide = |event, jitter| match event {
        Event::Overwritten(_) => Action::HandOn,
        other => protocol::next(other, jitter),
    };
    assert!(failures(0..2_000, broken).0 > 0);
}

#[test]
fn the_checker_finds_a_message_for_a_whole_input_that_is_taken_for_one_of_an_old_range() {
    let broken: Decide = |event, jitter| match event {
        Event::Several => protocol::next(&Event::Overwritten(1), jitter),
        other => protocol::next(other, jitter),
    };
    assert!(failures(0..20, broken).0 > 0);
}
