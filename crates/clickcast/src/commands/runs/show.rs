//! `runs list` and `runs show`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clickcast_dataset::{Input, discover, rows_of};
use clickcast_job::closing::{Footers, is_scored, outputs};
use clickcast_operations::data::if_readable;
use clickcast_registry::{Audited, Run, Runs, State};
use serde_json::{Value, json};

use super::super::models::minute;
use super::super::{Context, open_to_list};
use super::open;
use crate::arguments::{OutArgument, ShowRunArguments};
use crate::console;
use crate::failure::Failure;
use crate::progress::{Progress, Reached};

/// How often a run that is watched is looked at.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) fn list(context: &Context, arguments: &OutArgument) -> Result<(), Failure> {
    let runs = Runs::new(open_to_list(&arguments.out, "--out", "runs")?);
    let names = context.runtime.block_on(runs.names())?;
    let mut listed = Vec::new();
    for name in names {
        let run = context.runtime.block_on(runs.open(&name))?;
        let state = context.runtime.block_on(run.state())?;
        listed.push((run, state));
    }
    if context.json {
        let runs: Vec<Value> = listed
            .iter()
            .map(|(run, state)| {
                let record = run.record();
                json!({"run": record.run, "state": state, "created": record.created, "model": model(run)})
            })
            .collect();
        return console::result(&json!({ "runs": runs }), true);
    }
    let rows = listed.iter().map(|(run, state)| {
        let record = run.record();
        vec![record.run.to_string(), word(*state), minute(record.created), model(run)]
    });
    console::say(&console::table(Some(vec!["run", "state", "begun", "model"]), rows.collect()))
}

pub(super) fn show(context: &Context, arguments: &ShowRunArguments) -> Result<(), Failure> {
    let (_, run) = open(context, &arguments.run)?;
    let mut seen = Seen::default();
    if arguments.watch {
        watch(context, &run, &mut seen)?;
    }
    let state = context.runtime.block_on(run.state())?;
    let audited = context.runtime.block_on(run.audited())?;
    let progress = progress(context, &run, state, &mut seen)?;
    let mut object = json!({
        "run": run.record().run,
        "state": state,
        "model": model(&run),
        "id": run.record().model.artifact,
        "input": run.record().input,
        "inputs": progress.inputs,
        "done": progress.done,
        "errors": progress.errors,
        "rows": progress.rows,
        "created": run.record().created,
        "verdict": audited.as_ref().map(|audited| audited.judgement.verdict),
    });
    if context.json {
        object["audit"] = json!(audited);
        return console::result(&object, true);
    }
    console::result(&object, false)?;
    audited.map_or(Ok(()), |audited| say_why(&audited))
}

fn say_why(audited: &Audited) -> Result<(), Failure> {
    let against = audited.judgement.checks.iter().filter(|check| check.verdict != clickcast_verdict::Verdict::Pass);
    let rows: Vec<Vec<String>> =
        against.map(|check| vec![format!("{:?}", check.verdict).to_lowercase(), check.reason.clone()]).collect();
    if rows.is_empty() { Ok(()) } else { console::say(&format!("\n{}", console::table(None, rows))) }
}

/// How much of a run is done.
struct Done {
    inputs: usize,
    done: usize,
    errors: usize,
    rows: u64,
    /// Rows of the inputs, where all of them tell.
    rows_total: Option<u64>,
}

/// What was read of a run that is open: it is watched for hours, and each file need be read once.
#[derive(Default)]
struct Seen {
    footers: Footers,
    /// Rows of the inputs, by key and ETag; none of one that doesn't tell.
    rows: BTreeMap<(String, String), Option<u64>>,
    /// Inputs that have all their outputs, by key and ETag.
    done: BTreeSet<(String, String)>,
}

fn progress(context: &Context, run: &Run, state: State, seen: &mut Seen) -> Result<Done, Failure> {
    if state != State::Open
        && let Some(manifest) = context.runtime.block_on(run.manifest())?
    {
        let mut done: Vec<&str> = manifest.outputs.iter().map(|output| output.input.as_str()).collect();
        done.sort_unstable();
        done.dedup();
        let rows = manifest.outputs.iter().map(|output| output.rows).sum();
        let (inputs, errors) = (manifest.inputs.len(), manifest.errors.len());
        let rows_total = manifest.inputs.iter().map(|input| input.rows).sum();
        return Ok(Done { inputs, done: done.len(), errors, rows, rows_total });
    }
    let inputs = context.runtime.block_on(discover(&run.record().input))?;
    let outputs = context.runtime.block_on(outputs(run, &mut seen.footers))?;
    let mut rows_total = Some(0);
    for input in &inputs {
        let version = (input.object.key.clone(), input.object.etag.clone());
        let rows = match seen.rows.get(&version) {
            Some(known) => *known,
            None => if_readable(rows_of(std::slice::from_ref(input), context.runtime.handle()))?.flatten(),
        };
        rows_total = rows_total.zip(rows).map(|(total, rows)| total + rows);
        seen.rows.insert(version.clone(), rows);
        if !seen.done.contains(&version) && context.runtime.block_on(is_scored(input, &outputs))? {
            seen.done.insert(version);
        }
    }
    let errors = context.runtime.block_on(run.rejected())?.len();
    let rows = outputs.iter().map(|output| output.rows).sum();
    let is_seen = |input: &&Input| seen.done.contains(&(input.object.key.clone(), input.object.etag.clone()));
    let done = inputs.iter().filter(is_seen).count();
    Ok(Done { inputs: inputs.len(), done, errors, rows, rows_total })
}

/// One bar for the whole run, until every input is done or the run is closed.
fn watch(context: &Context, run: &Run, seen: &mut Seen) -> Result<(), Failure> {
    let mut bar = None;
    loop {
        let state = context.runtime.block_on(run.state())?;
        let done = progress(context, run, state, seen)?;
        let now = Reached { rows: done.rows, rows_total: done.rows_total };
        bar.get_or_insert_with(|| Progress::joining("run", now, context.quiet)).see(now);
        if state != State::Open || done.done + done.errors >= done.inputs {
            return Ok(());
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// `NAME@VERSION` where the model is from a registry, else its hash.
fn model(run: &Run) -> String {
    let model = &run.record().model;
    match (&model.name, model.version) {
        (Some(name), Some(version)) => format!("{name}@{version}"),
        _ => model.artifact.clone(),
    }
}

fn word(state: State) -> String {
    format!("{state:?}").to_lowercase()
}
