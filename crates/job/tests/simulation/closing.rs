//! The end of a run's folder: it asks again for what no message asked for, and closes the run when all is there.

use std::collections::{BTreeMap, BTreeSet};

use clickcast_job::protocol::{self, Event, Wait};
use clickcast_registry::{InputRecord, OutputRecord, PinnedModel, Rejected, RunManifest};

use super::world::{Held, INPUTS, Output, Part, RANGES, Task, World, is_large, is_poisoned, outputs_of};

/// What a run consisted of when it was read for its manifest.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    pub(crate) versions: [u32; INPUTS],
    outputs: BTreeMap<Output, u32>,
    rejected: BTreeSet<usize>,
}

impl Contents {
    /// As the worker reads it.
    fn manifest(&self) -> RunManifest {
        let key = |input: usize| format!("{input}.parquet");
        let input = |input: usize| InputRecord {
            key: key(input),
            etag: self.versions[input].to_string(),
            rows: None,
            row_groups: Some(if is_large(input) { RANGES as u64 } else { 1 }),
        };
        let output = |(&(input, range), version): (&Output, &u32)| OutputRecord {
            key: String::new(),
            input: key(input),
            input_etag: version.to_string(),
            row_groups: range.map(|range| (range as u64, range as u64)),
            artifact: String::new(),
            rows: 1,
            bytes: 1,
            sha256: String::new(),
        };
        let error = |&input: &usize| Rejected {
            key: key(input),
            etag: self.versions[input].to_string(),
            reason: "poison".to_owned(),
        };
        RunManifest {
            run: "dt=1".parse().unwrap(),
            closed: jiff::Timestamp::UNIX_EPOCH,
            model: PinnedModel { registry: None, name: None, version: None, artifact: String::new() },
            inputs: (0..INPUTS).map(input).collect(),
            outputs: self.outputs.iter().map(output).collect(),
            superseded: Vec::new(),
            errors: self.rejected.iter().map(error).collect(),
        }
    }

    /// The inputs that are neither scored whole, as they were, nor known to be bad: told without what the worker goes by.
    fn missing(&self) -> Vec<usize> {
        let is_scored = |input: usize| {
            outputs_of(input).iter().all(|output| self.outputs.get(output) == Some(&self.versions[input]))
        };
        (0..INPUTS).filter(|input| !self.rejected.contains(input) && !is_scored(*input)).collect()
    }
}

impl World {
    pub(crate) fn look_at_end(&mut self, held: &mut Held, rounds: u32) -> Event {
        if self.closed.is_some() {
            return Event::Done;
        }
        // By their names, which tell neither their versions nor how many ranges there are to be.
        let is_there = |input: &usize| outputs_of(*input).iter().any(|output| self.outputs.contains_key(output));
        let missing: Vec<usize> =
            (0..INPUTS).filter(|input| !self.rejected.contains(input) && !is_there(input)).collect();
        if missing.is_empty() { Event::Ready } else { self.wait_for(held, rounds, &missing) }
    }

    fn wait_for(&self, held: &mut Held, rounds: u32, missing: &[usize]) -> Event {
        let visible = self.queue.values().filter(|message| message.visible_at <= self.now).count();
        let asked = match protocol::wait(held.receives, rounds, visible as u64, (self.queue.len() - visible) as u64) {
            Wait::Longer => return Event::Unready(held.receives, rounds),
            Wait::Round => &[],
            Wait::Ask => missing,
            Wait::GiveUp => return Event::Refused("it was asked for too often".to_owned()),
        };
        held.bodies = asked.iter().map(|&input| Task::Part(Part { input, range: None })).collect();
        held.bodies.push(Task::End { rounds: rounds + 1 });
        Event::Several
    }

    /// Reads what the run consists of, and closes it at a later step: outputs and inputs may change in between.
    pub(crate) fn close(&mut self, held: &mut Held, rounds: u32) -> Result<Event, String> {
        let Some(contents) = held.contents.take() else {
            let (outputs, rejected) = (self.outputs.clone(), self.rejected.clone());
            held.contents = Some(Contents { versions: self.versions, outputs, rejected });
            return Ok(Event::Ready);
        };
        if !(self.rules.may_close)(&contents.manifest()) {
            let missing = contents.missing();
            return Ok(self.wait_for(held, rounds, &missing));
        }
        if self.closed.is_some() && self.rules.closes_once {
            return Ok(Event::Done);
        }
        if !contents.missing().is_empty() {
            return Err(format!("the run was closed without {:?}", contents.missing()));
        }
        match self.closed.replace(contents) {
            Some(_) => Err("the run was closed twice".to_owned()),
            None => Ok(Event::Done),
        }
    }

    /// Looks at what there is when all is quiet.
    pub(crate) fn check_end(&self) -> Result<(), String> {
        let Some(closed) = &self.closed else { return Err("the run was never closed".to_owned()) };
        let poisoned: BTreeSet<usize> = (0..INPUTS).filter(|&input| is_poisoned(input)).collect();
        if self.dead != poisoned || self.rejected != poisoned {
            return Err(format!("dead are {:?}, rejected {:?}", self.dead, self.rejected));
        }
        for input in (0..INPUTS).filter(|&input| !is_poisoned(input)) {
            let found: Vec<Option<&u32>> = outputs_of(input).iter().map(|output| self.outputs.get(output)).collect();
            let version = self.versions[input];
            // What was overwritten after the run was read may have been scored before it was closed; else it is refused.
            let is_told_late = self.late.contains(&input) || self.untold.contains(&input);
            let is_right = found.iter().all(|found| *found == Some(&version))
                || (version > closed.versions[input] && is_told_late && found.iter().all(Option::is_some));
            if !is_right {
                return Err(format!("outputs of input {input} of version {version} are {found:?}"));
            }
        }
        Ok(())
    }
}
