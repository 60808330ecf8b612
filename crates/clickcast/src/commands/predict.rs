//! `clickcast predict`: the main job from end to end, files in and files out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Instant;

use clickcast_dataset::{CTR, Input, Precision, PredictionWriter, Step, prediction_metadata};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need};
use clickcast_storage::Store;
use serde_json::{Value, json};

use super::data::{self, Data};
use super::{Context, models, pace, peak_memory_bytes, storage_failure};
use crate::arguments::{PrecisionArgument, PredictArguments};
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

/// Footer keys by which a file tells what it is, and by which a second run knows it.
const MODEL_KEY: &str = "clickcast.model";
const INPUT_KEY: &str = "clickcast.input";
const ETAG_KEY: &str = "clickcast.input_etag";
const COLUMNS_KEY: &str = "clickcast.columns";

pub(super) fn run(context: &Context, arguments: &PredictArguments) -> Result<(), Failure> {
    let outcome = predict(context, arguments)?;
    console::result(&outcome, context.json)
}

/// Scores all files that are not done yet; what to report comes back.
pub(super) fn predict(context: &Context, arguments: &PredictArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let model = models::load(context, &arguments.model)?;
    let data = Data::open(context, &arguments.data)?;
    let out = Store::open(&arguments.out).map_err(|error| storage_failure(&error))?;
    refuse_to_write_into_the_input(arguments, &data, &out)?;
    let precision = match arguments.precision {
        PrecisionArgument::F32 => Precision::F32,
        PrecisionArgument::F64 => Precision::F64,
    };
    let need = Need { carried: carried(&model, &arguments.keep)?, ..Need::default() };
    let columns = format!("{};{precision:?}", need.carried.join(","));
    let (todo, skipped) = split_done(context, &model, &data, &out, &columns)?;
    let progress = Progress::new("predict", data.rows_total().filter(|_| skipped == 0), context.quiet);
    let job = Job { context, model: &model, out: &out, precision, columns: &columns, progress: &progress };
    let rows = job.score(&todo, &need)?;
    drop(progress);
    let (seconds, rows_per_second) = pace(start, rows);
    Ok(json!({
        "rows": rows,
        "files": todo.len(),
        "skipped": skipped,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "model": arguments.model,
        "id": model.artifact().id(),
        "run": Value::Null,
        "out": arguments.out,
    }))
}

/// The schema's ids, then the columns asked for, each once.
fn carried(model: &Model, keep: &[String]) -> Result<Vec<String>, Failure> {
    let mut columns: Vec<String> = Vec::new();
    for column in model.schema().ids().iter().chain(keep) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    if columns.iter().any(|column| column == CTR) {
        return Err(Failure::input(format!(
            "`{CTR}` is the column of the predictions; no other can be kept beside it"
        )));
    }
    Ok(columns)
}

/// An output among the inputs would be read as data the next time, or take the place of data.
fn refuse_to_write_into_the_input(arguments: &PredictArguments, data: &Data, out: &Store) -> Result<(), Failure> {
    let refuse = |place: &str| {
        Err(Failure::input(format!("`{place}` is the folder of the input or below it; give `--out` another one")))
    };
    let mut taken: HashMap<String, String> = HashMap::new();
    for input in &data.inputs {
        if input.store.uri(&input.object.key) == out.uri(&input.output_key()) {
            return refuse(&arguments.out);
        }
        if let Some(other) = taken.insert(input.output_key(), input.name()) {
            let key = input.output_key();
            return Err(Failure::input(format!("`{other}` and `{}` would both be written to `{key}`", input.name())));
        }
    }
    // Of a single file, the store is the folder that it is in.
    let Some(first) = data.inputs.first() else { return Ok(()) };
    let key_below =
        |folder: &str| clickcast_storage::key_below(folder, &arguments.out).map_err(|error| storage_failure(&error));
    // What a name hides is no input of the next run either.
    let is_read = |key: &String| !key.split('/').any(|name| name.starts_with(['_', '.']));
    let same = key_below(&first.store.uri(""))?.is_some_and(|key| key.is_empty());
    if same || key_below(&arguments.data)?.as_ref().is_some_and(is_read) { refuse(&arguments.out) } else { Ok(()) }
}

/// The inputs without an output of this very model and version of the input; how many have one.
fn split_done(
    context: &Context,
    model: &Model,
    data: &Data,
    out: &Store,
    columns: &str,
) -> Result<(Vec<Input>, usize), Failure> {
    let mut todo = Vec::new();
    for input in &data.inputs {
        // What can't be read isn't done: it is written anew.
        let found = prediction_metadata(out, &input.output_key(), context.runtime.handle());
        let done = match found {
            Ok(Some(found)) => metadata(model, input, columns).iter().all(|(key, value)| found.get(key) == Some(value)),
            Ok(None) => false,
            Err(error) if error.is_transient() => return Err(error.into()),
            Err(_) => false,
        };
        if !done {
            todo.push(input.clone());
        }
    }
    let skipped = data.inputs.len() - todo.len();
    if skipped > 0 {
        console::note(&format!("{skipped} of {} files are already done", data.inputs.len()), context.quiet);
    }
    Ok((todo, skipped))
}

fn metadata(model: &Model, input: &Input, columns: &str) -> BTreeMap<String, String> {
    let pairs = [
        (MODEL_KEY, model.artifact().id()),
        (INPUT_KEY, &input.object.key),
        (ETAG_KEY, &input.object.etag),
        (COLUMNS_KEY, columns),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

struct Job<'a> {
    context: &'a Context,
    model: &'a Model,
    out: &'a Store,
    precision: Precision,
    columns: &'a str,
    progress: &'a Progress,
}

impl Job<'_> {
    /// Scores files and writes each under its output key; how many rows they had.
    fn score(&self, inputs: &[Input], need: &Need) -> Result<u64, Failure> {
        let handle = self.context.runtime.handle();
        // Scratch memory outlives a batch: as many as threads are ever in use at once.
        let scratches: Mutex<Vec<Scratch>> = Mutex::default();
        let lock = || scratches.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let map = |batch: Batch| {
            let mut scratch = lock().pop().unwrap_or_default();
            let mut scores = Vec::new();
            let scored = self.model.score(&batch, &mut scratch, &mut scores);
            lock().push(scratch);
            scored.map(|()| (batch.carried, scores))
        };
        let (mut writer, mut rows) = (None, 0);
        data::scan(self.context, inputs, self.model.schema(), need, map, |step| {
            match step {
                Step::Begin(index) => {
                    let input = &inputs[index];
                    let metadata = metadata(self.model, input, self.columns);
                    let key = input.output_key();
                    writer = Some(PredictionWriter::create(self.out, &key, handle, self.precision, metadata)?);
                }
                Step::Rows(scored) => {
                    let (carried, scores) = scored.map_err(Failure::input)?;
                    if let Some(writer) = &mut writer {
                        writer.write(&carried, &scores)?;
                    }
                    rows += scores.len() as u64;
                    self.progress.add(scores.len() as u64);
                }
                Step::End(_) => {
                    if let Some(writer) = writer.take() {
                        writer.finish()?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(rows)
    }
}
