//! The queue, the store and the clock, and what one worker does at a step.

use std::collections::{BTreeMap, BTreeSet};

use clickcast_job::protocol::{Action, Event};

use super::Rules;
use super::closing::Contents;
use super::leases::VISIBILITY_S;

const WORKERS: usize = 4;
pub(crate) const INPUTS: usize = 12;
pub(crate) const RANGES: usize = 12;
/// Overwritings of an input at most, most of which the cloud tells of.
const VERSIONS_MAX: u32 = 2;
/// Messages for ranges at most: large inputs are cut a few times for each version, since messages come twice, and workers crash.
const RANGES_SENT_MAX: usize = 40 * RANGES;
/// Batches of rows of an input at most: most are scored within a lease, and some take longer.
const BATCHES_MAX: u64 = 8;
const STEPS_MAX: u64 = 50_000;

/// What a message asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Part(Part),
    /// The end of the folder, and its round of asking again.
    End {
        rounds: u32,
    },
}

/// An input as a whole, whatever version it is of, or a range of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) input: usize,
    pub(crate) range: Option<Range>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    number: usize,
    version: u32,
}

/// An input, and its range where it is a large one.
pub(crate) type Output = (usize, Option<usize>);

#[derive(Debug, Clone)]
pub(crate) struct Message {
    task: Task,
    pub(crate) visible_at: u64,
    receives: u32,
    /// Changes at every delivery: an older receipt is worth nothing.
    pub(crate) receipt: u64,
}

/// What a worker holds between two steps.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) message: u64,
    pub(crate) receipt: u64,
    pub(crate) task: Task,
    pub(crate) receives: u32,
    event: Event,
    /// What it is handed on as.
    pub(crate) bodies: Vec<Task>,
    /// The version of the input that was looked at, and that of the output that was there.
    seen: (u32, Option<u32>),
    batches_left: u64,
    /// Of a folder's end: what its run is about to be closed with.
    pub(crate) contents: Option<Contents>,
    /// The lease's end, as far as the worker knows.
    pub(crate) until: u64,
    pub(crate) beat_at: u64,
    /// Whether the worker is past its look at the lease, and acts next.
    pub(crate) has_checked_lease: bool,
    /// Whether the worker stood still, or an extension failed, since it has this.
    pub(crate) was_disturbed: bool,
}

#[derive(Default)]
pub(crate) struct Worker {
    pub(crate) held: Option<Held>,
    pub(crate) stalled_until: u64,
}

pub(crate) struct World {
    pub(crate) rules: Rules,
    random: u64,
    pub(crate) now: u64,
    message_next: u64,
    pub(crate) queue: BTreeMap<u64, Message>,
    /// Inputs that can't be scored, in the dead letters and in the run.
    pub(crate) dead: BTreeSet<usize>,
    pub(crate) rejected: BTreeSet<usize>,
    /// Inputs that came after the run was closed, in the dead letters.
    pub(crate) late: BTreeSet<usize>,
    /// Of each input.
    pub(crate) versions: [u32; INPUTS],
    /// Inputs that were written with nobody told.
    pub(crate) untold: BTreeSet<usize>,
    /// Of each output the version of the input that it was made of.
    pub(crate) outputs: BTreeMap<Output, u32>,
    pub(crate) closed: Option<Contents>,
    ranges_sent: usize,
    pub(crate) workers: [Worker; WORKERS],
    is_stormy: bool,
}

pub(crate) fn is_large(input: usize) -> bool {
    input.is_multiple_of(4)
}

pub(crate) fn is_poisoned(input: usize) -> bool {
    input % 5 == 3
}

/// All outputs that an input is to have.
pub(crate) fn outputs_of(input: usize) -> Vec<Output> {
    match is_large(input) {
        true => (0..RANGES).map(|range| (input, Some(range))).collect(),
        false => vec![(input, None)],
    }
}

impl Part {
    fn output(self) -> Output {
        (self.input, self.range.map(|range| range.number))
    }
}

impl World {
    pub(crate) fn new(seed: u64, rules: Rules) -> Self {
        let mut world = Self {
            rules,
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            now: 0,
            message_next: 0,
            queue: BTreeMap::new(),
            dead: BTreeSet::new(),
            rejected: BTreeSet::new(),
            late: BTreeSet::new(),
            versions: [0; INPUTS],
            untold: BTreeSet::new(),
            outputs: BTreeMap::new(),
            closed: None,
            ranges_sent: 0,
            workers: Default::default(),
            is_stormy: true,
        };
        for input in 0..INPUTS {
            world.tell_of(input);
        }
        for _ in 0..1 + u64::from(world.chance(20)) {
            world.send(Task::End { rounds: 0 });
        }
        world
    }

    /// The cloud tells of most inputs, and of some of them twice.
    fn tell_of(&mut self, input: usize) {
        let times = match self.random() % 10 {
            0 => 0,
            1 | 2 => 2,
            _ => 1,
        };
        if times == 0 {
            self.untold.insert(input);
        }
        (0..times).for_each(|_| self.send(Task::Part(Part { input, range: None })));
    }

    pub(crate) fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.random() % 100 < percent
    }

    /// A fault that strikes only while the storm lasts.
    pub(crate) fn fault(&mut self, percent: u64) -> bool {
        self.is_stormy && self.chance(percent)
    }

    fn send(&mut self, task: Task) {
        match task {
            Task::Part(Part { input, range: None }) => drop(self.untold.remove(&input)),
            Task::Part(_) => self.ranges_sent += 1,
            Task::End { .. } => {}
        }
        let message = Message { task, visible_at: self.now, receives: 0, receipt: 0 };
        self.queue.insert(self.message_next, message);
        self.message_next += 1;
    }

    /// One worker does one thing; a crash may come before it, or after it and before it is known.
    fn step(&mut self, worker: usize) -> Result<(), String> {
        self.now += self.random() % 4;
        if self.fault(1) {
            self.overwrite();
        }
        self.beat();
        if self.is_stalled(worker) {
            return Ok(());
        }
        let held = self.workers[worker].held.take();
        if self.fault(3) {
            return Ok(());
        }
        let Some(mut held) = held else {
            self.workers[worker].held = self.receive()?;
            return Ok(());
        };
        if self.fault(3) {
            self.stall(worker, held);
            return Ok(());
        }
        let has_checked = std::mem::take(&mut held.has_checked_lease);
        if !has_checked && self.is_lost(&held) {
            held.event = Event::LeaseLost;
        }
        let jitter = (self.random() % 1000) as f64 / 1000.0;
        let action = (self.rules.next)(&held.event, jitter);
        let failed = self.fault(10) && action != Action::Forget;
        let event = if failed { failure(&held, &action) } else { self.act(&mut held, &action)? };
        if event == Event::Settled || action == Action::Forget || self.fault(3) {
            return Ok(());
        }
        held.event = if self.fault(1) { Event::Drained(held.receives) } else { event };
        self.workers[worker].held = Some(held);
        Ok(())
    }

    /// An input gets other rows.
    fn overwrite(&mut self) {
        let input = self.random() as usize % INPUTS;
        if !is_poisoned(input) && self.versions[input] < VERSIONS_MAX {
            self.versions[input] += 1;
            self.tell_of(input);
        }
    }

    fn is_outdated(&self, part: Part) -> bool {
        part.range.is_some_and(|range| range.version != self.versions[part.input])
    }

    fn range(&self, input: usize, number: usize) -> Part {
        Part { input, range: Some(Range { number, version: self.versions[input] }) }
    }

    fn receive(&mut self) -> Result<Option<Held>, String> {
        let visible: Vec<u64> =
            self.queue.iter().filter(|(_, message)| message.visible_at <= self.now).map(|(id, _)| *id).collect();
        let Some(&id) = visible.get(self.random() as usize % visible.len().max(1)) else { return Ok(None) };
        self.check_delivery(id)?;
        let (receipt, until) = (self.random(), self.now + VISIBILITY_S);
        let Some(message) = self.queue.get_mut(&id) else { return Ok(None) };
        message.receives += 1;
        (message.receipt, message.visible_at) = (receipt, until);
        Ok(Some(Held {
            message: id,
            receipt,
            task: message.task,
            receives: message.receives,
            event: Event::Received,
            bodies: vec![message.task],
            seen: (0, None),
            batches_left: 0,
            contents: None,
            until,
            beat_at: self.now,
            has_checked_lease: false,
            was_disturbed: false,
        }))
    }

    fn act(&mut self, held: &mut Held, action: &Action) -> Result<Event, String> {
        let task = held.task;
        Ok(match (action, task) {
            (Action::Look, Task::Part(part)) => self.look(held, part),
            (Action::Look, Task::End { rounds }) => self.look_at_end(held, rounds),
            (Action::Close, Task::End { rounds }) => return self.close(held, rounds),
            (Action::Score, Task::Part(part)) => self.score(held, part),
            (Action::Verify, Task::Part(part)) => match self.outputs.get(&part.output()) {
                Some(version) if *version == held.seen.0 => Event::Done,
                _ => Event::Vanished,
            },
            (Action::Reject(reason), Task::Part(part)) => {
                self.rejected.insert(part.input);
                Event::Rejected(reason.clone())
            }
            (Action::HandOn, _) => {
                for task in held.bodies.clone() {
                    self.send(task);
                    if self.fault(5) {
                        return Ok(failure(held, action));
                    }
                }
                Event::HandedOn
            }
            (Action::Acknowledge, _) => {
                self.check_acknowledgement(held)?;
                self.settle(held)
            }
            (Action::Bury(reason), _) => {
                self.bury(held, reason)?;
                self.settle(held)
            }
            (Action::Leave(wait), _) => self.show(held, wait.as_secs()),
            (Action::Release, _) => self.show(held, 0),
            (Action::Forget, _) => Event::Settled,
            (Action::Close | Action::Score | Action::Verify | Action::Reject(_), _) => {
                return Err(format!("{task:?} is nothing for {action:?}"));
            }
        })
    }

    fn look(&mut self, held: &mut Held, part: Part) -> Event {
        let there = self.outputs.get(&part.output()).copied();
        held.seen = (self.versions[part.input], there);
        held.batches_left = self.random() % BATCHES_MAX;
        if self.is_outdated(part) {
            held.bodies = vec![Task::Part(Part { range: None, ..part })];
            return Event::Overwritten(part.range.map_or(0, |range| range.number as u64));
        }
        if part.range.is_none() && is_large(part.input) {
            if is_poisoned(part.input) {
                return Event::Bad("poison".to_owned());
            }
            let ranges = (0..RANGES).map(|number| self.range(part.input, number));
            let missing: Vec<Task> = ranges.filter(|range| !self.is_done(*range)).map(Task::Part).collect();
            if missing.is_empty() {
                return Event::Done;
            }
            held.bodies = missing;
            return Event::Several;
        }
        if self.is_done(part) {
            Event::Done
        } else if self.closed.is_some() {
            Event::Refused("it came after the run was closed".to_owned())
        } else {
            Event::Missing
        }
    }

    fn score(&mut self, held: &mut Held, part: Part) -> Event {
        if is_poisoned(part.input) {
            return Event::Bad("poison".to_owned());
        }
        if held.batches_left > 0 {
            held.batches_left -= 1;
            return Event::Missing;
        }
        let there = self.outputs.get(&part.output()).copied();
        let is_overwritten = held.seen.0 != self.versions[part.input];
        match there {
            // It was overwritten while it was read.
            _ if is_overwritten && self.chance(50) => Event::Failed(held.receives),
            Some(version) if there != held.seen.1 && version == held.seen.0 => Event::Scored,
            _ if there != held.seen.1 => Event::Failed(held.receives),
            _ => {
                self.outputs.insert(part.output(), held.seen.0);
                Event::Scored
            }
        }
    }

    fn is_done(&self, part: Part) -> bool {
        !self.is_outdated(part) && self.outputs.get(&part.output()) == Some(&self.versions[part.input])
    }

    fn check_acknowledgement(&self, held: &Held) -> Result<(), String> {
        match held.task {
            Task::Part(part) if self.is_safe_to_forget(held, part) => Ok(()),
            Task::Part(part) => Err(format!("{part:?} was acknowledged and nothing is there or on its way")),
            Task::End { .. }
                if self.closed.is_some() || self.is_queued(held, |task| !matches!(task, Task::Part(_))) =>
            {
                Ok(())
            }
            Task::End { .. } => Err("the folder's end was acknowledged and nobody will close the run".to_owned()),
        }
    }

    /// Whether, without this message, what it asks for is done as the input is now, will be, or is known to be impossible.
    fn is_safe_to_forget(&self, held: &Held, part: Part) -> bool {
        let input = part.input;
        let is_queued = |part: Part| self.is_queued(held, |task| task == Task::Part(part));
        let of_range = |number| {
            let now = self.range(input, number);
            self.is_done(now) || is_queued(now)
        };
        let is_all_asked_for = is_queued(Part { input, range: None }) || self.untold.contains(&input);
        let is_safe = match part.range {
            Some(range) => of_range(range.number),
            None if is_large(input) => (0..RANGES).all(of_range),
            None => self.is_done(part),
        };
        is_safe || is_all_asked_for || self.dead.contains(&input) || self.late.contains(&input)
    }

    fn is_queued(&self, held: &Held, is_it: impl Fn(Task) -> bool) -> bool {
        self.queue.iter().any(|(id, message)| *id != held.message && is_it(message.task))
    }

    fn bury(&mut self, held: &Held, reason: &str) -> Result<(), String> {
        let Task::Part(part) = held.task else { return Err(format!("the folder's end was buried: {reason}")) };
        let closed_with = self.closed.as_ref().map(|closed| closed.versions[part.input]);
        if self.rejected.contains(&part.input) {
            self.dead.insert(part.input);
        } else if closed_with.is_some_and(|version| version < self.versions[part.input]) {
            self.late.insert(part.input);
        } else {
            return Err(format!("{part:?} was buried and its run doesn't know why"));
        }
        Ok(())
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

    fn show(&mut self, held: &Held, after: u64) -> Event {
        let visible_at = self.now + after;
        if let Some(message) = self.queue.get_mut(&held.message).filter(|message| message.receipt == held.receipt) {
            message.visible_at = visible_at;
        }
        Event::Settled
    }

    /// Runs a stormy while, then in calm until all is quiet, and looks at what there is.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let storm = 200 + self.random() % 4_000;
        for step in 0.. {
            self.is_stormy = step < storm;
            if self.queue.is_empty() && self.workers.iter().all(|worker| worker.held.is_none()) {
                break;
            }
            if step > STEPS_MAX {
                return Err(format!("{} messages never come to an end", self.queue.len()));
            }
            let worker = self.random() as usize % WORKERS;
            self.step(worker)?;
        }
        if self.ranges_sent > RANGES_SENT_MAX {
            return Err(format!("{} ranges were sent", self.ranges_sent));
        }
        self.check_end()
    }
}

/// What an action that failed leads to, as the worker takes it.
fn failure(held: &Held, action: &Action) -> Event {
    match action {
        Action::Leave(_) | Action::Release => Event::Settled,
        Action::HandOn if !matches!(held.event, Event::Several | Event::Overwritten(_)) => Event::Settled,
        Action::Acknowledge if held.event == Event::HandedOn => Event::Settled,
        _ => Event::Failed(held.receives),
    }
}
