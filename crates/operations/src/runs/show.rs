//! Which runs there are, and how far a run has come.

use std::collections::{BTreeMap, BTreeSet};

use clickcast_dataset::{Input, discover, rows_of};
use clickcast_job::closing::{Footers, is_scored, outputs};
use clickcast_registry::{Audited, Run, RunName, Runs, State};
use clickcast_storage::Store;
use clickcast_verdict::Verdict;
use jiff::Timestamp;
use serde::Serialize;

use super::RunLocation;
use crate::data::if_readable;
use crate::{Error, Resources};

/// The runs below an output folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListReport {
    /// The runs, by rising name.
    pub runs: Vec<ListedRun>,
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedRun {
    /// Its name.
    pub run: RunName,
    /// How far it has come.
    pub state: State,
    /// When it was begun.
    pub created: Timestamp,
    /// Its model: `NAME@VERSION` if it is from a registry, else the hash of its artifact.
    pub model: String,
}

/// Lists the runs below an output folder or prefix.
///
/// # Errors
/// If there is no such folder, a run is damaged, or the store fails.
pub fn list(resources: &Resources, out: &str) -> Result<ListReport, Error> {
    let store = Store::open(out)?;
    if !store.is_there() {
        return Err(Error::invalid(format!("there is no folder `{out}`; give --out the folder of the runs")));
    }
    let runs = Runs::new(store);
    let mut listed = Vec::new();
    for name in resources.wait(runs.names())? {
        let run = resources.wait(runs.open(&name))?;
        let state = resources.wait(run.state())?;
        listed.push(ListedRun { run: name, state, created: run.record().created, model: model(&run) });
    }
    Ok(ListReport { runs: listed })
}

/// A run: its model, its progress and its audit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShowReport {
    /// The run.
    pub run: RunName,
    /// How far it has come.
    pub state: State,
    /// Its model: `NAME@VERSION` if it is from a registry, else the hash of its artifact.
    pub model: String,
    /// The hash of its model's artifact.
    pub id: String,
    /// The folder or prefix of its inputs.
    pub input: String,
    /// Inputs.
    pub inputs: usize,
    /// Inputs that have all their outputs.
    pub done: usize,
    /// Inputs that can never be scored.
    pub errors: usize,
    /// Rows of the outputs.
    pub rows: u64,
    /// When it was begun.
    pub created: Timestamp,
    /// The verdict of its last audit.
    pub verdict: Option<Verdict>,
    /// Its last audit.
    pub audit: Option<Audited>,
}

/// Shows a run.
///
/// # Errors
/// If there is no such run, it is damaged, or a store fails.
pub fn show(resources: &Resources, location: &RunLocation) -> Result<ShowReport, Error> {
    Watch::open(resources, location)?.report(resources)
}

/// How much of a run is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunProgress {
    /// How far the run has come.
    pub state: State,
    /// Inputs.
    pub inputs: usize,
    /// Inputs that have all their outputs.
    pub done: usize,
    /// Inputs that can never be scored.
    pub errors: usize,
    /// Rows of the outputs.
    pub rows: u64,
    /// Rows of the inputs; `None` if an input's format does not tell.
    pub rows_total: Option<u64>,
}

impl RunProgress {
    /// Whether nothing is left to do: every input is done or rejected, or the run is closed.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state != State::Open || self.done + self.errors >= self.inputs
    }
}

/// A run that is looked at again and again: each of its files is read once.
pub struct Watch {
    run: Run,
    seen: Seen,
}

impl Watch {
    /// Opens a run to watch.
    ///
    /// # Errors
    /// If there is no such run, it is damaged, or the store fails.
    pub fn open(resources: &Resources, location: &RunLocation) -> Result<Self, Error> {
        let (_, run) = location.open(resources)?;
        Ok(Self { run, seen: Seen::default() })
    }

    /// Looks at the run.
    ///
    /// # Errors
    /// If a store fails.
    pub fn look(&mut self, resources: &Resources) -> Result<RunProgress, Error> {
        let state = resources.wait(self.run.state())?;
        progress(resources, &self.run, state, &mut self.seen)
    }

    /// Looks at the run, and shows it.
    ///
    /// # Errors
    /// If the run is damaged, or a store fails.
    pub fn report(&mut self, resources: &Resources) -> Result<ShowReport, Error> {
        let RunProgress { state, inputs, done, errors, rows, .. } = self.look(resources)?;
        let audit = resources.wait(self.run.audited())?;
        let record = self.run.record();
        Ok(ShowReport {
            run: record.run.clone(),
            state,
            model: model(&self.run),
            id: record.model.artifact.clone(),
            input: record.input.clone(),
            inputs,
            done,
            errors,
            rows,
            created: record.created,
            verdict: audit.as_ref().map(|audited| audited.judgement.verdict),
            audit,
        })
    }
}

/// What was read of an open run so far.
#[derive(Default)]
struct Seen {
    footers: Footers,
    /// Rows of the inputs, by key and ETag; `None` if an input's format does not tell.
    rows: BTreeMap<(String, String), Option<u64>>,
    /// Inputs that have all their outputs, by key and ETag.
    done: BTreeSet<(String, String)>,
}

fn progress(resources: &Resources, run: &Run, state: State, seen: &mut Seen) -> Result<RunProgress, Error> {
    if state != State::Open
        && let Some(manifest) = resources.wait(run.manifest())?
    {
        let mut done: Vec<&str> = manifest.outputs.iter().map(|output| output.input.as_str()).collect();
        done.sort_unstable();
        done.dedup();
        let rows = manifest.outputs.iter().map(|output| output.rows).sum();
        let (inputs, errors) = (manifest.inputs.len(), manifest.errors.len());
        let rows_total = manifest.inputs.iter().map(|input| input.rows).sum();
        return Ok(RunProgress { state, inputs, done: done.len(), errors, rows, rows_total });
    }
    let inputs = resources.wait(discover(&run.record().input))?;
    let outputs = resources.wait(outputs(run, &mut seen.footers))?;
    let mut rows_total = Some(0);
    for input in &inputs {
        let version = (input.object.key.clone(), input.object.etag.clone());
        let rows = match seen.rows.get(&version) {
            Some(known) => *known,
            None => if_readable(rows_of(std::slice::from_ref(input), resources.handle()))?.flatten(),
        };
        rows_total = rows_total.zip(rows).map(|(total, rows)| total + rows);
        seen.rows.insert(version.clone(), rows);
        if !seen.done.contains(&version) && resources.wait(is_scored(input, &outputs))? {
            seen.done.insert(version);
        }
    }
    let errors = resources.wait(run.rejected())?.len();
    let rows = outputs.iter().map(|output| output.rows).sum();
    let is_seen = |input: &&Input| seen.done.contains(&(input.object.key.clone(), input.object.etag.clone()));
    let done = inputs.iter().filter(is_seen).count();
    Ok(RunProgress { state, inputs: inputs.len(), done, errors, rows, rows_total })
}

/// `NAME@VERSION` where the model is from a registry, else its hash.
fn model(run: &Run) -> String {
    let model = &run.record().model;
    match (&model.name, model.version) {
        (Some(name), Some(version)) => format!("{name}@{version}"),
        _ => model.artifact.clone(),
    }
}
